"""A run that is killed at any instant loses nothing, and asks nothing twice but what was in flight.

A real command is killed with SIGKILL while it asks two real servers, again and again, and then
left to finish; the servers' own logs are counted.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from evalkit import plugins
from evalkit.config import TaskSection
from evalkit.exam import sit

TASKS = ("mini-arithmetic", "mini-instruct")
LIMIT = 150
CONCURRENCY = 8
LATENCY = 0.02
SERVER = Path(__file__).parent / "chat_server.py"

CONFIG = """\
baseline: before
checkpoints:
  - name: before
    identity: before
    backend: {{name: openai_api, model: x, base_url: {before}, concurrency: {concurrency}}}
  - name: after
    identity: after
    backend: {{name: openai_api, model: x, base_url: {after}, concurrency: {concurrency}}}
tasks: [{tasks}]
limit: {limit}
reports: [markdown, junit]
"""


def recorded(path: Path, skill: float) -> Path:
    """Recordings of a model that knows a share of the answers."""
    chance = random.Random(str(skill))
    with path.open("w") as file:
        for name in TASKS:
            task = plugins.task(name)
            for sample in sit(TaskSection(name=name), None, LIMIT)[0].items.values():
                prompt = sample.rendered()
                question = prompt if isinstance(prompt, str) else prompt[-1]["content"]
                assert task.solution is not None
                text = task.solution(sample) if chance.random() < skill else "no idea"
                file.write(json.dumps({"prompt": question, "text": text}) + "\n")
    return path


@contextmanager
def server(recordings: Path, log: Path) -> Iterator[str]:
    """A server in a process of its own; gives its address."""
    command = [
        *(sys.executable, str(SERVER), "--port", "0", "--latency", str(LATENCY)),
        *("--recordings", str(recordings), "--log", str(log)),
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip()
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def run(config: Path, results: Path) -> subprocess.Popen[str]:
    """The command, as a user starts it."""
    command = [sys.executable, "-m", "evalkit.cli", "run-matrix", str(config)]
    return subprocess.Popen(
        [*command, "--results", str(results)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )


def asked(logs: Sequence[Path]) -> list[Counter[str]]:
    """How often each server was asked each prompt."""
    return [
        Counter(line.split()[0] for line in log.read_text().splitlines())
        if log.exists()
        else Counter()
        for log in logs
    ]


@pytest.mark.parametrize("seed", [1, 2])
def test_twenty_kills_lose_nothing_and_ask_nothing_twice(tmp_path: Path, seed: int) -> None:
    logs = [tmp_path / "before.log", tmp_path / "after.log"]
    skills = (0.8, 0.5)
    files = [recorded(tmp_path / f"{skill}.jsonl", skill) for skill in skills]
    chance = random.Random(seed)
    with server(files[0], logs[0]) as before, server(files[1], logs[1]) as after:
        config = tmp_path / "matrix.yaml"
        settings = {"concurrency": CONCURRENCY, "tasks": ", ".join(TASKS), "limit": LIMIT}
        config.write_text(CONFIG.format(before=before, after=after, **settings))
        kills = 0
        for _ in range(10):
            total = sum(counts.total() for counts in asked(logs))
            process = run(config, tmp_path / "results")
            deadline = time.monotonic() + 20
            goal = total + chance.randint(1, 120)  # killed in the midst of asking
            while process.poll() is None and time.monotonic() < deadline:
                if sum(counts.total() for counts in asked(logs)) >= goal:
                    break
                time.sleep(0.005)
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
                kills += 1
            process.communicate()
        last = run(config, tmp_path / "results")
        _, errors = last.communicate(timeout=60)
        assert last.returncode == 0, errors
        counts = asked(logs)
        again = run(config, tmp_path / "undisturbed")
        again.communicate(timeout=60)
        assert again.returncode == 0

    assert kills >= 3
    questions = len(TASKS) * LIMIT
    for count in counts:
        assert len(count) == questions
    twice = sum(count.total() - len(count) for count in counts)
    assert twice <= kills * CONCURRENCY
    for name in ("verdict.json", "report.md", "junit.xml"):
        disturbed = (tmp_path / "results" / "report" / name).read_bytes()
        assert disturbed == (tmp_path / "undisturbed" / "report" / name).read_bytes()
