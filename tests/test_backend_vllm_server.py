"""The vllm_server backend starts, watches and ends a server; here a stub takes vLLM's place."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from evalkit.backends._vllm_command import Served, command, variables
from evalkit.backends.vllm_server import OPTIONS, environment, identify, open_
from evalkit.errors import ConfigError, EngineEnded, ModelError
from evalkit.events import Event, Note
from evalkit.identity.fingerprint import fingerprint
from evalkit.types import Checkpoint, Request, Response, Sample, Sampling, Task
from tests.engine_stub import stub
from tests.servers import asked, evalkit
from tests.tiny_models import tiny_model

TASK = Task("chat", "chat", 1, lambda rows: [])
CONFIG = """\
baseline: one
checkpoints:
  - name: one
    model: {model}
    backend: {{name: vllm_server, python: {python}, extra_args: [{args}], concurrency: 4}}
tasks: [mini-arithmetic]
"""


class Scene:
    """A model, an interpreter with a stub of vLLM, and what that leaves behind."""

    def __init__(self, folder: Path, model: Path) -> None:
        self.folder = folder
        self.model = model
        self.python = stub(folder / "site")
        self.pids = folder / "pids"
        self.asked = folder / "asked"
        self.log = folder / "logs" / "one.engine.log"

    def args(self, *more: str | float) -> list[str]:
        return [*map(str, ("--pids", self.pids, "--asked", self.asked, *more))]

    def checkpoint(self, *more: str | float, **options: Any) -> Checkpoint:
        given = {"python": str(self.python), "extra_args": self.args(*more), **options}
        return Checkpoint("one", str(self.model), "vllm_server", given)

    def processes(self) -> list[int]:
        return [*map(int, self.pids.read_text().split())]

    def run(self, *more: str | float) -> subprocess.Popen[str]:
        """The command, over a config of this server's."""
        words = ", ".join(f'"{word}"' for word in self.args(*more))
        config = self.folder / "c.yaml"
        config.write_text(CONFIG.format(model=self.model, python=self.python, args=words))
        return evalkit("run-matrix", config, "--results", self.folder / "results")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("model"), template=True)


@pytest.fixture
def scene(tmp_path: Path, model: Path) -> Scene:
    return Scene(tmp_path, model)


def request(prompt: str) -> Request:
    asked: Any = [{"role": "user", "content": prompt}]
    return Request(asked, Sampling(), TASK, Sample(prompt, asked))


def answers(
    scene: Scene, of: Checkpoint, prompts: list[str]
) -> tuple[list[Response | BaseException], list[str]]:
    """What became of every prompt, and what was told."""
    told: list[Event] = []

    async def ask() -> list[Response | BaseException]:
        model = open_(of)
        try:
            await model.start(told.append, scene.log)
            return await asyncio.gather(
                *(model.generate(request(prompt)) for prompt in prompts), return_exceptions=True
            )
        finally:
            await model.close()

    found = asyncio.run(ask())
    return found, [event.text for event in told if isinstance(event, Note)]


def alive(pids: list[int]) -> list[int]:
    """Those of the processes that live; a dead one that nobody has waited for does not."""
    found = []
    for pid in pids:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue
        if state != "Z":
            found.append(pid)
    return found


def until(true: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not true() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert true()


def test_a_server_is_started_asked_and_ended_with_all_its_processes(scene: Scene) -> None:
    prompts = [f"p{number}" for number in range(20)]
    found, told = answers(scene, scene.checkpoint(), prompts)
    assert [each.text for each in found if isinstance(each, Response)] == prompts
    assert told == [f"one: starting vLLM (its log is {scene.log})"]
    assert len(scene.processes()) == 2
    assert alive(scene.processes()) == []
    assert "OSError" in scene.log.read_text()


def test_a_server_that_dies_is_started_again_once_and_nothing_is_lost_or_asked_twice(
    scene: Scene,
) -> None:
    prompts = [f"p{number}" for number in range(20)]
    found, told = answers(scene, scene.checkpoint("--lives", 1, "--after", 7), prompts)
    assert [each.text for each in found if isinstance(each, Response)] == prompts
    assert told[1:] == ["one: vLLM died: MemoryError: too much; it is started again, once"]
    assert set(asked(scene.asked).values()) <= {1, 2}
    assert alive(scene.processes()) == []


def test_a_server_that_dies_twice_fails_its_checkpoint_with_the_reason(scene: Scene) -> None:
    found, _ = answers(scene, scene.checkpoint("--lives", 9, "--after", 2), list("abcdefgh"))
    failed = [each for each in found if isinstance(each, EngineEnded)]
    assert failed
    assert "one: vLLM died twice, the last time of: MemoryError: too much" in str(failed[0])
    assert f"(its log is {scene.log})" in str(failed[0])
    assert alive(scene.processes()) == []


@pytest.mark.parametrize(
    ("fails", "words"),
    [
        ("torch.OutOfMemoryError: CUDA out of memory.", "torch.OutOfMemoryError: CUDA out of mem"),
        ("Engine core proc EngineCore_0 died unexpectedly", "EngineCore_0 died unexpectedly"),
    ],
)
def test_a_server_that_does_not_start_says_why(scene: Scene, fails: str, words: str) -> None:
    with pytest.raises(EngineEnded, match=rf"one: vLLM does not start: it ended .*{words}"):
        answers(scene, scene.checkpoint("--fails", fails), ["a"])


def test_a_server_that_never_gets_ready_is_not_waited_for_for_ever(scene: Scene) -> None:
    of = scene.checkpoint("--fails", "silence", start_timeout=1.5)
    with pytest.raises(EngineEnded, match=r"it was not ready after 1\.5 s"):
        answers(scene, of, ["a"])
    assert alive(scene.processes()) == []


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_no_process_outlives_us_whatever_we_die_of(scene: Scene, number: int) -> None:
    run = scene.run("--latency", 0.2)
    until(lambda: asked(scene.asked).total() > 4)
    assert len(alive(scene.processes())) == 2
    run.send_signal(number)
    run.communicate()
    until(lambda: alive(scene.processes()) == [])


def test_no_process_outlives_its_warden(scene: Scene) -> None:
    run = scene.run("--latency", 0.04)
    until(lambda: asked(scene.asked).total() > 4)
    (server, worker) = scene.processes()
    parent = int(Path(f"/proc/{server}/stat").read_text().rpartition(")")[2].split()[1])
    os.kill(parent, signal.SIGKILL)
    until(lambda: server not in alive([server]))
    os.kill(worker, signal.SIGKILL)  # it is in a session of its own, and nobody's child now
    until(lambda: len(scene.processes()) == 4)  # started again
    _, told = run.communicate()
    assert "one: vLLM died: its warden was killed; it is started again, once" in told
    assert run.returncode == 0


def test_a_run_whose_server_dies_ends_as_an_undisturbed_one_does(scene: Scene) -> None:
    run = scene.run("--lives", 1, "--after", 100)
    _, told = run.communicate()
    assert run.returncode == 0, told
    assert "one: vLLM died: MemoryError: too much; it is started again, once" in told
    counts = asked(scene.asked)
    assert len(counts) == 366
    assert counts.total() - len(counts) <= 4  # what was in flight
    log = scene.folder / "results" / "logs" / "one.engine.log"
    assert log.read_text().count("WARNING") == 2


def test_a_run_whose_server_always_dies_is_not_measured(scene: Scene) -> None:
    run = scene.run("--lives", 9, "--after", 100)
    shown, told = run.communicate()
    assert run.returncode == 4
    assert "vLLM died twice" in told
    assert " 0.0" not in shown


def words_of(served: Served, **options: Any) -> str:
    return " ".join(command("python", served, 8000, "bfloat16", {**OPTIONS, **options}))


def test_the_command_says_what_the_options_say(tmp_path: Path) -> None:
    served = Served("sft", "token", tmp_path)
    plain = words_of(served)
    assert f"--port 8000 --model {tmp_path} --dtype bfloat16 --generation-config vllm" in plain
    assert "--host 127.0.0.1" in plain
    assert "--served-model-name sft token" in plain
    assert "--enable-prefix-caching" in plain
    assert "max-model-len" not in plain
    rich = words_of(
        served, tensor_parallel=2, data_parallel=4, max_length=4096, prefix_caching=False,
        tool_call_parser="hermes", extra_args=["--max-num-seqs", 8], quantization="fp8",
    )  # fmt: skip
    assert "--quantization fp8" in rich
    assert "--tensor-parallel-size 2 --data-parallel-size 4 --max-model-len 4096" in rich
    assert "--no-enable-prefix-caching" in rich
    assert "--enable-auto-tool-choice --tool-call-parser hermes --max-num-seqs 8" in rich


def test_an_adapter_is_served_beside_its_base(tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text('{"r": 24}')
    words = words_of(Served("lora", "token", tmp_path, Path("/base")))
    assert "--model /base" in words
    assert "--served-model-name token --enable-lora" in words
    assert f'--lora-modules {{"name": "lora", "path": "{tmp_path}"}} --max-lora-rank 32' in words
    assert "--tokenizer" not in words
    (tmp_path / "tokenizer_config.json").touch()
    assert f"--tokenizer {tmp_path}" in words_of(Served("lora", "token", tmp_path, Path("/base")))


def test_a_cpus_cache_is_bounded_unless_the_user_has_said() -> None:
    assert variables({}, cpu=True)["VLLM_CPU_KVCACHE_SPACE"] == "4"
    assert "VLLM_CPU_KVCACHE_SPACE" not in variables({"VLLM_CPU_KVCACHE_SPACE": "9"}, cpu=True)
    assert "VLLM_CPU_KVCACHE_SPACE" not in variables({}, cpu=False)


def test_what_cannot_work_is_refused_before_anything_starts(scene: Scene) -> None:
    with pytest.raises(ConfigError, match="tensor_parallel is at least 1"):
        open_(scene.checkpoint(tensor_parallel=0))
    with pytest.raises(ConfigError, match="dtype is one of"):
        open_(scene.checkpoint(dtype="int3"))
    for word in ("--quantization=fp8", "-q"):
        with pytest.raises(ConfigError, match="write `quantization:` beside extra_args"):
            open_(scene.checkpoint(word))
    with pytest.raises(ConfigError, match="python: /no/such does not run"):
        open_(scene.checkpoint(python="/no/such"))
    with pytest.raises(ModelError, match=r"no vLLM in .*python: name by `python:` an interpreter"):
        open_(scene.checkpoint(python=""))


def test_its_identity_is_that_of_its_files_and_its_environment_is_vllms(
    scene: Scene, model: Path
) -> None:
    assert identify(scene.checkpoint()) == fingerprint(model)
    named = environment(scene.checkpoint())
    assert (named["engine"], named["vllm"], named["dtype"]) == ("vllm", "0.0", "float32")
