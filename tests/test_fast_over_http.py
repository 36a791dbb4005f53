"""A fast gate really stops asking: the requests are counted by the servers that receive them."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from evalkit import plugins
from evalkit.backends.echo import WRONG
from evalkit.configuration.sections import TaskSection
from evalkit.exams.exam import sit
from evalkit.reporting.reading import read_verdict
from evalkit.types import Response
from evalkit.verdict import Report
from tests.chat_server import ChatServer, recordings, serving, sha256
from tests.servers import asked, server

TASK = "mini-instruct"
CONCURRENCY = 8
SLOW = ("--latency", "0.02", "--recordings")
"""So slow that a run can be killed at any look."""
CONFIG = """\
baseline: before
checkpoints:
  - name: before
    identity: before
    backend: {{name: openai_api, model: x, base_url: "{before}", concurrency: 8}}
  - name: after
    identity: {after_is}
    backend: {{name: openai_api, model: x, base_url: "{after}", concurrency: 8}}
tasks: [{task}]
gate: {{margins: {{instruction-following: 8.0}}}}
"""


def recorded(path: Path, skill: float, seed: int) -> Path:
    """Recordings of a model that knows a share of the answers."""
    chance = random.Random(seed)
    task = plugins.task(TASK)
    assert task.solution is not None
    with path.open("w") as file:
        for sample in sit(TaskSection(name=TASK), None, None)[0].items.values():
            prompt = sample.rendered()
            question = prompt if isinstance(prompt, str) else prompt[-1]["content"]
            text = task.solution(sample) if chance.random() < skill else "no idea"
            file.write(json.dumps({"prompt": question, "text": text}) + "\n")
    return path


def command(name: str, config: Path, results: Path) -> list[str]:
    options = ["--fast", "--uncapped"] if name == "gate" else []
    start = [sys.executable, "-m", "evalkit.cli", name, str(config), *options]
    return [*start, "--results", str(results)]


def run(name: str, config: Path, results: Path) -> tuple[int, Report]:
    done = subprocess.run(command(name, config, results), capture_output=True, text=True)
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, read_verdict(results / "report" / "verdict.json")


def test_requests_end_with_the_decision_and_a_full_run_asks_the_rest(tmp_path: Path) -> None:
    base = recordings(str(recorded(tmp_path / "base.jsonl", 0.8, 1)))
    broken = recordings(str(recorded(tmp_path / "broken.jsonl", 0.5, 2)))
    config = tmp_path / "c.yaml"
    with serving(ChatServer(base)) as before, serving(ChatServer(broken)) as after:
        urls = {"before": before.base_url, "after": after.base_url}
        config.write_text(CONFIG.format(**urls, after_is="broken", task=TASK))
        code, report = run("gate", config, tmp_path / "r")
        (looks,) = report.candidates[0].sequential
        assert (code, report.verdict) == (1, "regressed")
        assert before.asked.total() == len(base)
        assert after.asked.total() == looks.asked < len(base) / 2
        run("gate", config, tmp_path / "r")
        assert after.asked.total() == looks.asked
        code, whole = run("run-matrix", config, tmp_path / "r")
        assert (code, whole.candidates[0].cells[0].n) == (0, len(base))
        assert whole.candidates[0].sequential == []
        for each in (before, after):
            assert set(each.asked.values()) == {1}
            assert len(each.asked) == len(base)


def kill_after(requests: int, config: Path, results: Path, log: Path) -> bool:
    """Starts a fast gate and kills it once so many requests were made; whether it was killed."""
    goal = asked(log).total() + requests
    process = subprocess.Popen(
        command("gate", config, results), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 30
    while process.poll() is None and time.monotonic() < deadline:
        if asked(log).total() >= goal:
            os.kill(process.pid, signal.SIGKILL)
            break
        time.sleep(0.005)
    return process.wait() == -signal.SIGKILL


def test_a_killed_fast_gate_goes_on_where_it_was(tmp_path: Path) -> None:
    base = recorded(tmp_path / "base.jsonl", 0.8, 1)
    same = recorded(tmp_path / "same.jsonl", 0.8, 2)
    log, config = tmp_path / "after.log", tmp_path / "c.yaml"
    with serving(ChatServer(recordings(str(base)))) as before, server(log, *SLOW, same) as after:
        urls = {"before": before.base_url, "after": after}
        config.write_text(CONFIG.format(**urls, after_is="same", task=TASK))
        kills = [kill_after(n, config, tmp_path / "r", log) for n in (30, 90, 55)]
        code, report = run("gate", config, tmp_path / "r")
        counts = asked(log)
        undisturbed = run("gate", config, tmp_path / "s")
    assert kills == [True, True, True]
    assert (code, report) == undisturbed
    (looks,) = report.candidates[0].sequential
    assert len(counts) == looks.asked
    assert counts.total() - len(counts) <= 3 * CONCURRENCY
    assert before.asked.total() == 2 * len(recordings(str(base)))


JUDGED = """\
baseline: before
checkpoints:
  - {{name: before, backend: {{name: echo, skill: 0.9}}}}
  - {{name: after, backend: {{name: echo, skill: 0.2}}}}
judge: {{name: fair, model: x, identity: fair, base_url: "{judge}"}}
tasks: [mini-chat]
gate: {{margins: {{chat: 10.0}}}}
"""


def verdicts() -> dict[str, dict[str, str]]:
    """What a fair judge says of every pair of answers that echo's checkpoints give rise to."""
    task = plugins.task("mini-chat")
    assert task.rubric is not None
    assert task.rubric.audit is not None
    assert task.solution is not None
    pairs = [(pair.sample, pair.first, pair.second, pair.winner) for pair in task.rubric.audit()]
    (exam,) = sit(TaskSection(name="mini-chat"), None, None)
    for sample in exam.items.values():
        pairs.append((sample, task.solution(sample), str(sample.target), "first"))
        pairs.append((sample, WRONG, str(sample.target), "second"))
    turned = {"first": "second", "second": "first"}
    rows = []
    for sample, one, other, better in pairs:
        for view in task.rubric.views(sample, Response(one), Response(other)):
            prompt = view.prompt if isinstance(view.prompt, str) else view.prompt[-1]["content"]
            rows.append((prompt, turned[better] if view.turned else better))
    return {sha256(prompt): {"text": verdict} for prompt, verdict in rows}


def test_the_judge_is_not_asked_about_what_no_look_asked_for(tmp_path: Path) -> None:
    config = tmp_path / "c.yaml"
    with serving(ChatServer(verdicts())) as judge:
        config.write_text(JUDGED.format(judge=judge.base_url))
        code, report = run("gate", config, tmp_path / "r")
        (looks,) = report.candidates[0].sequential
        assert (code, report.verdict, looks.looks) == (1, "regressed", 1)
        assert looks.asked < looks.items / 3
        early = judge.asked.total()
        run("gate", config, tmp_path / "r")
        assert judge.asked.total() == early
        code, whole = run("run-matrix", config, tmp_path / "r")
        assert code == 0
        assert whole.candidates[0].cells[0].verdict == "regressed"
        # both orders of the candidate's answers that no look had asked for, unless it had been
        # asked about the same answer of the baseline
        assert 0 < judge.asked.total() - early <= 2 * (looks.items - looks.asked)
