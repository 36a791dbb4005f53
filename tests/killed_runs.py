"""A matrix of every kind of task, killed again and again, and what its servers were asked."""

from __future__ import annotations

import hashlib
import random
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from evalkit.identity.identity import as_text
from tests.mixed_tasks import choices, plugged
from tests.servers import asked, evalkit, requests, server

CONCURRENCY = 8
LATENCY = ("--latency", "0.02")
SYSTEM = "You are the second."
CONFIG = """\
baseline: one
checkpoints:
  - name: one
    identity: one
    format: completion
    backend: {{name: openai_api, model: x, base_url: "{one}", concurrency: 8}}
  - name: two
    identity: two
    format: completion
    system_prompt: {system}
    backend: {{name: openai_api, model: x, base_url: "{two}", concurrency: 8}}
judge:
  model: x
  identity: judge
  backend: {{name: openai_api, base_url: "{judge}", concurrency: 8}}
tasks: [mixed-plain, mixed-turns, mixed-choice, mixed-costly, mixed-judged]
executor: {executor}
reports: [markdown, junit]
"""
NAMES = ("one", "two", "judge")


@dataclass
class Scene:
    """Three servers, the config that asks them, and what is left of each run."""

    folder: Path
    config: Path
    variables: dict[str, str]
    results: Path = Path()
    kills: int = 0
    kept: dict[str, list[Counter[str]]] = field(default_factory=dict)

    @property
    def logs(self) -> list[Path]:
        """What each server was asked."""
        return [self.folder / f"{name}.log" for name in NAMES]

    @property
    def graded(self) -> list[str]:
        """Each time that a costly answer was graded."""
        log = self.folder / "graded.log"
        return log.read_text().split() if log.exists() else []

    def begin(self, results: str) -> None:
        """Forgets what was asked before."""
        for log in (*self.logs, self.folder / "graded.log"):
            log.unlink(missing_ok=True)
        self.results = self.folder / results

    def finish(self) -> None:
        """Runs it to its end."""
        run = self._start()
        _, errors = run.communicate(timeout=120)
        assert run.returncode == 0, errors
        self.kept[self.results.name] = [asked(log) for log in self.logs]

    def kill(self, due: Callable[[], bool]) -> None:
        """Runs it until then, and kills it; nothing, if it ends before."""
        run = self._start()
        while run.poll() is None and not due():
            time.sleep(0.002)
        if run.poll() is None:
            run.send_signal(signal.SIGKILL)
            self.kills += 1
        run.communicate()

    def _start(self) -> subprocess.Popen[str]:
        words = ("run-matrix", self.config, "--results", self.results)
        return evalkit(*words, variables=self.variables)

    def files(self, results: str) -> dict[str, bytes]:
        """What a run leaves: its reports and its sealed tables."""
        root = self.folder / results
        found = [*root.glob("report/*"), *root.glob("*/*/*.parquet")]
        return {str(path.relative_to(root)): path.read_bytes() for path in found}


@contextmanager
def scene(folder: Path, executor: str = "in_process") -> Iterator[Scene]:
    """The servers, until the block ends."""
    with ExitStack() as stack:
        addresses = {
            name: stack.enter_context(server(folder / f"{name}.log", *LATENCY)) for name in NAMES
        }
        config = folder / "matrix.yaml"
        config.write_text(CONFIG.format(**addresses, system=SYSTEM, executor=executor))
        variables = {**plugged(folder / "site"), "MIXED_LOG": str(folder / "graded.log")}
        yield Scene(folder, config, variables)


def killed(here: Scene, kills: int, seed: int) -> None:
    """Kills a run so many times, at any instant of any of its phases, then lets it finish."""
    chance = random.Random(seed)
    while here.kills < kills:
        if chance.random() < 0.6:  # while it asks
            goal = requests(here.logs) + chance.randint(1, max(2, 1_000 // kills))
            here.kill(lambda goal=goal: requests(here.logs) >= goal)  # type: ignore[misc]
        else:  # at a random time: while it starts, seals, grades or reports
            end = time.monotonic() + chance.uniform(0.1, 4.0)
            here.kill(lambda end=end: time.monotonic() >= end)  # type: ignore[misc]
        if (here.results / "report" / "verdict.json").exists():
            break
    here.finish()


def twice(here: Scene) -> dict[str, int]:
    """What was asked more often than by a calm run; fails if anything was asked less often.

    Likelihoods apart: a sample that was in flight had asked for up to four of them.
    """
    extra = {"texts": 0, "likelihoods": 0}
    for disturbed, calm in zip(here.kept["disturbed"], here.kept["calm"], strict=True):
        assert not calm - disturbed
        for prompt, count in (disturbed - calm).items():
            extra["likelihoods" if prompt in CHOICES else "texts"] += count
    return extra


def _of_choices() -> Iterator[str]:
    for sample in choices(lambda split: iter(())):
        for system in ("", SYSTEM):
            context = as_text(str(sample.prompt), system)
            for text in (context.rstrip(), *(context + choice for choice in sample.choices)):
                yield hashlib.sha256(text.encode()).hexdigest()


CHOICES = frozenset(_of_choices())
