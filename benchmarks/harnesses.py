"""What a harness costs beside the model: evalkit and its peers ask one server the same additions.

`python -m benchmarks.harnesses build/harnesses` runs each five times, one after another in turn,
with a server that answers at once and with one that takes 50 ms, and prints medians and ratios.
Peers run in environments of their own (`evalkit env`), as installed and as tuned.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.sums_task import questions
from benchmarks.timed import ROOT, Timed, instant_server, middle, timed
from evalkit.envs import make, python_of
from evalkit.terminal.progress import progress

CONCURRENCY = 64
LATENCIES = (0.0, 0.05)
OFFLINE = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "OPENAI_API_KEY": "x"}

EVALKIT = """\
baseline: base
checkpoints:
  - {{name: base, identity: base, backend: {{name: openai_api, model: m, base_url: "{url}"}}}}
tasks: [sums]
"""
LM_EVAL = """\
task: sums
dataset_path: json
dataset_kwargs: {{data_files: {{test: "{rows}"}}}}
test_split: test
output_type: generate_until
doc_to_text: "{{{{question}}}}"
doc_to_target: "{{{{answer}}}}"
generation_kwargs: {{until: ["\\n\\n\\n"], max_gen_toks: 16, do_sample: false, temperature: 0.0}}
metric_list: [{{metric: exact_match, aggregation: mean, higher_is_better: true}}]
"""
LM_EVAL_TUNED = """\
from lm_eval import simple_evaluate
from lm_eval.loggers import EvaluationTracker
from lm_eval.tasks import TaskManager

found = simple_evaluate(
    "local-chat-completions",
    model_args={{"base_url": "{url}/chat/completions", "model": "m", "num_concurrent": 64,
                "max_retries": 1}},
    tasks=["sums"],
    task_manager=TaskManager(include_path="tasks", include_defaults=False),
    apply_chat_template=True, log_samples=True, bootstrap_iters=0,
)
samples = found.pop("samples")
tracker = EvaluationTracker(output_path="out")
tracker.save_results_aggregated(found, samples)
tracker.save_results_samples("sums", samples["sums"])
assert found["results"]["sums"]["exact_match,none"] == 1.0
"""
INSPECT = """\
from inspect_ai import Task, task
from inspect_ai.dataset import FieldSpec, json_dataset
from inspect_ai.model import GenerateConfig
from inspect_ai.scorer import includes
from inspect_ai.solver import generate


@task
def sums():
    data = json_dataset("{rows}", FieldSpec(input="question", target="answer", id="id"))
    config = GenerateConfig(max_tokens=16, temperature=0.0)
    return Task(dataset=data, solver=generate(), scorer=includes(), config=config)
"""
LIGHTEVAL = """\
from lighteval.metrics.metrics import Metrics
from lighteval.tasks.lighteval_task import LightevalTaskConfig
from lighteval.tasks.requests import Doc


def prompt(line, task_name=None):
    answers = [line["answer"]]
    return Doc(task_name=task_name, query=line["question"], choices=answers, gold_index=0)


TASKS_TABLE = [LightevalTaskConfig(
    name="sums", prompt_function=prompt, hf_repo="{data}", hf_subset="default",
    hf_avail_splits=["test"], evaluation_splits=["test"], few_shots_split=None,
    few_shots_select=None, generation_size=16, metrics=[Metrics.exact_match], stop_sequence=[],
    version=0)]
"""
LIGHTEVAL_MODEL = """\
model_parameters:
  provider: openai
  model_name: openai/m
  base_url: "{url}"
  api_key: x
  concurrent_requests: 64
  cache_dir: cache
  generation_parameters: {{temperature: 0.0, max_new_tokens: 16}}
"""


@dataclass(frozen=True)
class Place:
    """One run's own folder, and what all runs share."""

    folder: Path
    shared: Path
    url: str
    count: int

    def write(self, name: str, text: str) -> Path:
        """A file of the run, its blanks filled in."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        data, rows = self.shared / "data", self.shared / "data" / "test.jsonl"
        path.write_text(text.format(url=self.url, data=data, rows=rows))
        return path


def evalkit(place: Place) -> Timed:
    """The whole command: config to report."""
    about = place.folder / "site" / "evalkit_sums-1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: evalkit-sums\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[evalkit.tasks]\nsums = benchmarks.sums_task\n")
    config = place.write("c.yaml", EVALKIT)
    variables = {"PYTHONPATH": f"{ROOT}:{about.parent}", "EVALKIT_SUMS": str(place.count)}
    command = [sys.executable, "-m", "evalkit.cli", "run-matrix", str(config)]
    found = timed(command, place.url, place.folder, variables)
    told = json.loads((place.folder / "results/report/verdict.json").read_text())
    assert told["scores"][0]["score"] == 1.0
    return found


def lm_eval(place: Place) -> Timed:
    """As its documentation has it."""
    place.write("tasks/sums.yaml", LM_EVAL)
    arguments = f"base_url={place.url}/chat/completions,model=m,num_concurrent=64,max_retries=1"
    words = ["run", "--model", "local-chat-completions", "--model_args", arguments]
    words += ["--tasks", "sums", "--include_path", "tasks", "--apply_chat_template"]
    command = [str(python_of("lm-eval").with_name("lm-eval")), *words, "--log_samples"]
    return timed([*command, "--output_path", "out"], place.url, place.folder, OFFLINE)


def lm_eval_tuned(place: Place) -> Timed:
    """Without the index of its own tasks, and without a bootstrap."""
    place.write("tasks/sums.yaml", LM_EVAL)
    script = place.write("tuned.py", LM_EVAL_TUNED)
    return timed([python_of("lm-eval"), script], place.url, place.folder, OFFLINE)


def inspect(place: Place, *more: str) -> Timed:
    """As its documentation has it, but for the display."""
    script = place.write("sums.py", INSPECT)
    words = ["eval", script.name, "--model", "openai-api/local/m", "--log-dir", "logs"]
    command = [str(python_of("inspect-ai").with_name("inspect")), *words]
    local = {"LOCAL_API_KEY": "x", "LOCAL_BASE_URL": place.url}
    rest = ["--max-connections", str(CONCURRENCY), "--display", "plain", *more]
    return timed([*command, *rest], place.url, place.folder, {**OFFLINE, **local})


def inspect_tuned(place: Place) -> Timed:
    """With its log written at the end."""
    return inspect(place, "--no-log-realtime", "--log-buffer", "500", "--no-score-display")


def lighteval(place: Place) -> Timed:
    """By litellm; a file that it would download when imported is put there, empty."""
    tasks = place.write("light_sums.py", LIGHTEVAL)
    model = place.write("model.yaml", LIGHTEVAL_MODEL)
    python = python_of("lighteval")
    package = next(python.parents[1].glob("lib/python*/site-packages/lighteval"))
    (package / "tasks" / "tasks" / "tinyBenchmarks.pkl").touch()
    command = [str(python.with_name("lighteval")), "endpoint", "litellm", str(model), "sums|0"]
    rest = ["--custom-tasks", str(tasks), "--output-dir", "out", "--save-details"]
    own = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "HF_HOME": str(place.folder / "hf")}
    return timed([*command, *rest], place.url, place.folder, {**OFFLINE, **own})


HARNESSES: dict[str, tuple[str, Callable[[Place], Timed]]] = {
    "evalkit": ("", evalkit),
    "lm-eval": ("lm-eval", lm_eval),
    "lm-eval, tuned": ("lm-eval", lm_eval_tuned),
    "inspect": ("inspect-ai", inspect),
    "inspect, tuned": ("inspect-ai", inspect_tuned),
    "lighteval": ("lighteval", lighteval),
}


def main(work: Path, rounds: int, count: int, only: list[str]) -> None:
    """Runs them in turn, and prints what they took."""
    chosen = {name: each for name, each in HARNESSES.items() if not only or name in only}
    with progress() as notify:
        for environment, _ in chosen.values():
            if environment:
                make(environment, notify)
    data = work / "data"
    data.mkdir(parents=True, exist_ok=True)
    rows = [
        {"id": str(number), "question": question, "answer": answer}
        for number, (question, answer) in enumerate(questions(count))
    ]
    (data / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    for latency in LATENCIES:
        found = _runs(work, chosen, latency, rounds, count)
        print(
            f"\n{count} requests, {CONCURRENCY} at a time, {latency * 1000:.0f} ms; {rounds} runs"
        )
        print(table({name: middle(runs) for name, runs in found.items()}))


def _runs(
    work: Path,
    chosen: dict[str, tuple[str, Callable[[Place], Timed]]],
    latency: float,
    rounds: int,
    count: int,
) -> dict[str, list[Timed]]:
    found: dict[str, list[Timed]] = {name: [] for name in chosen}
    with instant_server(latency) as url:
        for _ in range(rounds):
            for name, (_, run) in chosen.items():
                folder = work / "run"
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir(parents=True)
                taken = run(Place(folder, work, url, count))
                assert taken.count >= count, f"{name} asked {taken.count}"
                found[name].append(taken)
                print(
                    f"{latency:g} s  {name}: {taken.cpu:.2f} CPU-s, {taken.wall:.2f} s", flush=True
                )
    return found


def table(found: dict[str, Timed]) -> str:
    """Markdown: what each took, and how much more CPU than the first."""
    own = next(iter(found.values())).cpu
    lines = [
        "| | CPU s | times | whole s | to the first request | requests | after the last | MiB |",
        "|:--|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for name, each in found.items():
        phases = " | ".join(f"{value:.2f}" for value in (each.start, each.requests, each.rest))
        lines.append(
            f"| {name} | {each.cpu:.2f} | {each.cpu / own:.1f} | {each.wall:.2f} | {phases} | "
            f"{each.memory:.0f} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--count", type=int, default=2_000)
    parser.add_argument("--only", nargs="*", default=[])
    given = parser.parse_args()
    main(given.work.absolute(), given.rounds, given.count, given.only)
