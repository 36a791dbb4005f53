"""Programs that behave on disk as OpenRLHF, verl and NeMo RL do, and train nothing.

Each writes real checkpoints of a real tiny model in its framework's order, slowly if asked to,
calls the reward as its framework does, and rotates as it does.  `STAND_IN` in the environment, as
JSON, says how: `steps`, `every`, `pause` (seconds between files), `fail` (a step to exit 3 at),
`keep` (how many checkpoints are kept), `hang` (nothing ends, nor does a process that was left
behind; `deaf` ones ignore being asked to).
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

ROOT = Path(__file__).parents[1]
EVENTS = ROOT / "tests" / "fixtures" / "frameworks" / "events.out.tfevents.1.host.1.0"
HOW: dict[str, Any] = {
    "steps": 4, "every": 2, "pause": 0.0, "fail": 0, "keep": 0, "hang": False,
    **json.loads(os.environ.get("STAND_IN", "{}")),
}  # fmt: skip
WEIGHTS, TOKENIZER = "model.safetensors", "tokenizer_config.json"


def main(framework: str) -> None:
    """Becomes that framework, given its command line."""
    words = sys.argv[1:]
    say(f"{framework} begins")
    if HOW["hang"]:
        hang()
    {"openrlhf": openrlhf, "verl": verl, "nemo": nemo}[framework](words)
    say(f"{framework} ends")


def say(text: str) -> None:
    """Prints a line at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def hang() -> None:
    """Leaves a process behind in a session of its own, and waits for ever."""
    deaf = "signal.signal(signal.SIGTERM, signal.SIG_IGN)" if HOW["hang"] == "deaf" else "pass"
    code = f"import signal, time; {deaf}; print('ready', flush=True); time.sleep(600)"
    command = [sys.executable, "-c", code]
    lost = subprocess.Popen(command, start_new_session=True, stdout=subprocess.PIPE)
    assert lost.stdout is not None
    lost.stdout.readline()
    say(f"left behind: {lost.pid}")
    time.sleep(600)


def steps() -> Iterator[int]:
    """The steps at which something is saved."""
    for step in range(HOW["every"], HOW["steps"] + 1, HOW["every"]):
        if HOW["fail"] and step > HOW["fail"]:
            say("RuntimeError: CUDA error: out of memory")
            sys.exit(3)
        yield step


def copied(source: Path, folder: Path, step: int, order: Sequence[str] = ()) -> None:
    """A model's files one by one, weights first, the rest as named; each step's weights differ."""
    folder.mkdir(parents=True, exist_ok=True)
    names = sorted((path.name for path in source.iterdir()), key=lambda name: name != WEIGHTS)
    for name in [*(n for n in names if n not in order), *order]:
        content = bytearray((source / name).read_bytes())
        if name == WEIGHTS:
            content[-1] = step % 256
        with (folder / name).open("wb") as file:
            half = len(content) // 2
            file.write(content[:half])
            file.flush()
            time.sleep(HOW["pause"])
            file.write(content[half:])


def options(words: Sequence[str]) -> dict[str, str]:
    """`--name value`, as argparse takes them; a switch is empty."""
    found, name = {}, ""
    for word in words:
        if word.startswith("--"):
            name = word[2:]
            found[name] = ""
        else:
            found[name] = word
    return found


def openrlhf(words: Sequence[str]) -> None:
    given = options(words)
    place = Path(given["ckpt.path"])
    parent = Path(given.get("model.model_name_or_path") or given["actor.model_name_or_path"])
    events = Path(given["logger.tensorboard_dir"]) / "run"
    events.mkdir(parents=True, exist_ok=True)
    shutil.copy(EVENTS, events)
    graded: list[float] = []
    if "reward.remote_url" in given:
        graded = by_openrlhf(given["reward.remote_url"], Path(given["data.prompt_dataset"]))
    for step in steps():
        copied(parent, place / f"global_step{step}_hf", step, ("config.json", TOKENIZER))
        rotate([place / f"global_step{each}_hf" for each in range(step)])
    copied(parent, Path(given["ckpt.output_dir"]), HOW["steps"], ("config.json", TOKENIZER))
    for value in graded:
        say(f"reward {value}")


def by_openrlhf(url: str, data: Path) -> list[float]:
    """As OpenRLHF's executor does: a query at a time, and what is raised is swallowed."""
    spec = importlib.util.spec_from_file_location("reward_func", url)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found = []
    for line in data.read_text().splitlines():
        row = json.loads(line)
        said = row["prompt"]
        prompt = said if isinstance(said, str) else "".join(turn["content"] for turn in said)
        try:
            got = module.reward_func([f"{prompt}an answer</s>"], [prompt], [row["row"]])
            found.append(float(got["rewards"][0]))
        except Exception as error:
            say(f"Failed to fetch reward: {error}")
    return found


def rotate(older: Sequence[Path]) -> None:
    """Removes the oldest that are too many."""
    there = [path for path in older if path.is_dir()]
    for path in there[: max(0, len(there) - HOW["keep"] + 1)] if HOW["keep"] else []:
        shutil.rmtree(path)


def verl(words: Sequence[str]) -> None:
    given = dict(word.partition("=")[::2] for word in words if "=" in word)
    place = Path(given["trainer.default_local_dir"])
    rl = "actor_rollout_ref.model.path" in given
    parent = Path(given.get("model.path") or given["actor_rollout_ref.model.path"])
    path = given.get("reward.custom_reward_function.path")
    if path:
        by_verl(path, Path(given["data.train_files"]))
    if rl and int(given.get("trainer.save_freq", -1)) <= 0:
        return  # as verl does: not even the last step is saved
    for step in steps():
        folder = place / f"global_step_{step}"
        actor = folder / "actor" if rl else folder
        copied(parent, actor / "huggingface", step, (WEIGHTS,))
        (folder / ("data.pt" if rl else "data_0.pt")).write_bytes(b"")
        say(
            f"step:{step} - actor/pg_loss:{1 / step} - actor/entropy:np.float64(0.5) - "
            "critic/score/mean:0.25 - response_length/clip_ratio:0.0 - perf/mfu/actor:nan"
        )
        rotate([place / f"global_step_{each}" / "actor" for each in range(step)])
        tracker = place / "latest_checkpointed_iteration.txt"
        with tracker.open("w") as file:  # empty for a moment, as verl's is
            time.sleep(HOW["pause"])
            file.write(str(step))


def by_verl(path: str, data: Path) -> None:
    spec = importlib.util.spec_from_file_location("custom_module", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for row in pq.read_table(data).to_pylist():
        truth = row["reward_model"]["ground_truth"]
        value = module.compute_score(
            data_source=row["data_source"], solution_str="an answer", ground_truth=truth,
            extra_info=row["extra_info"],
        )  # fmt: skip
        say(f"reward {value}")


def nemo(words: Sequence[str]) -> None:
    import yaml

    settings = yaml.safe_load(Path(words[words.index("--config") + 1]).read_text())
    place, parent = settings["checkpointing"]["checkpoint_dir"], settings["policy"]["model_name"]
    events = Path(settings["logger"]["log_dir"]) / "exp_001" / "tensorboard"
    events.mkdir(parents=True, exist_ok=True)
    shutil.copy(EVENTS, events)
    if "env" in settings:
        by_nemo(Path(settings["data"]["train"]["data_path"]))
    for step in steps():
        beside = Path(place) / f"tmp_step_{step}"
        weights = beside / "policy" / "weights" / "model" / "consolidated"
        copied(Path(parent), weights, step)
        (beside / "training_info.json").write_text(json.dumps({"total_steps": step, "x": "y"}))
        beside.rename(Path(place) / f"step_{step}")
        rotate([Path(place) / f"step_{each}" for each in range(step)])


def by_nemo(data: Path) -> None:
    """As the registered environment is asked: conversations in, rewards out."""
    module = importlib.import_module("evalkit_nemo")
    for line in data.read_text().splitlines():
        *_, packed = json.loads(line)["messages"]
        log = [{"role": "user", "content": "x"}, {"role": "assistant", "content": "an answer"}]
        (value,) = module.rewards([log], [{"row": packed["content"]}])
        say(f"reward {value}")


def environment(folder: Path, framework: str) -> Path:
    """An environment in which the stand-in is the framework; returns its python."""
    site, version = folder / "site", {"openrlhf": "0.11.2", "verl": "0.9.1"}[framework]
    parsers = ("train_sft", "train_dpo", "train_rm", "train_ppo_ray")
    modules = {
        "openrlhf": ["deepspeed.launcher.runner", *(f"openrlhf.cli.{name}" for name in parsers)],
        "verl": ["verl.trainer.sft_trainer", "verl.trainer.main_ppo"],  # torchrun is torch's own
    }[framework]  # fmt: skip
    for module in modules:
        path = site / f"{module.replace('.', '/')}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"from tests.stand_in import main\nmain({framework!r})\n")
    about = site / f"{framework}-{version}.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {framework}\nVersion: {version}\n"
    )
    declare(site, framework)
    python = folder / "python"
    paths = os.pathsep.join([str(site), str(ROOT)])
    python.write_text(f'#!/bin/sh\nPYTHONPATH={paths}:$PYTHONPATH exec {sys.executable} "$@"\n')
    python.chmod(0o755)
    return python


def declare(site: Path, framework: str) -> None:
    """The options that the real framework has, where the real one declares them."""
    from tests.framework_options import facts

    for name, known in facts(framework).items():
        if framework == "verl":
            path = site / "verl" / "trainer" / "config" / name
            text = json.dumps(nested(known))
        else:
            path = site / "openrlhf" / "cli" / name
            added = "\n".join(f"    parser.add_argument('--{option}')" for option in known)
            text = f"def declared(parser):\n{added}\n{path.read_text()}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def nested(keys: Sequence[str]) -> dict[str, Any]:
    """Dotted keys as a tree."""
    whole: dict[str, Any] = {}
    for key in keys:
        at = whole
        for part in key.split("."):
            at = at.setdefault(part, {})
    return whole


def checkout(folder: Path) -> Path:
    """A checkout of NeMo RL in which the stand-in is each of its scripts."""
    from tests.framework_options import facts

    scripts = ("run_sft.py", "run_dpo.py", "run_rm.py", "run_grpo.py", "run_ppo.py")
    (folder / "examples" / "configs").mkdir(parents=True)
    for script in scripts:
        text = "from tests.stand_in import main\nmain('nemo')\n"
        (folder / "examples" / script).write_text(
            f"import sys\nsys.path.append({str(ROOT)!r})\n{text}"
        )
    for name, known in facts("nemo-rl").items():
        (folder / "examples" / "configs" / name).write_text(json.dumps(nested(known)))
    modules = {
        "data/processors.py": "def register_processor(name, function): pass",
        "distributed/ray_actor_environment_registry.py": "ACTOR_ENVIRONMENT_REGISTRY = {}",
        "distributed/virtual_cluster.py": "class PY_EXECUTABLES:\n    SYSTEM = 'python'",
        "environments/utils.py": "def register_env(name, actor): print('registered', name, actor)",
        "package_info.py": "MAJOR = 0\nMINOR = 6\nPATCH = 0\n",
    }
    for name, text in modules.items():
        path = folder / "nemo_rl" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder
