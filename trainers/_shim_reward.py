"""Grades answers inside a framework that evalkit has started.

This file is copied beside the job and runs in the framework's own environment, so it knows the
standard library alone.  `reward.json` says which function grades: one of a file, imported here,
or a task's scorer, which is asked in a process of evalkit's.  A reward that cannot be had is
written to `reward.error` first: frameworks swallow exceptions.
"""

from __future__ import annotations

import json
import math
import runpy
import subprocess
import threading
from functools import cache
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
FROM = "_at"  # where a row comes from, for messages


class RewardError(Exception):
    """A reward could not be had for one row."""


class _Asked:
    """A grader in a process of its own: a line of JSON in, a line out, one at a time."""

    def __init__(self, command: list[str]) -> None:
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.lock = threading.Lock()

    def __call__(self, prompt: Any, completion: str, row: dict[str, Any]) -> Any:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        line = json.dumps({"prompt": prompt, "completion": completion, "row": row})
        with self.lock:
            self.process.stdin.write(line + "\n")
            self.process.stdin.flush()
            said = self.process.stdout.readline()
        if not said:
            raise RewardError("the process that grades has ended")
        answer = json.loads(said)
        if "error" in answer:
            raise RewardError(answer["error"])
        return answer["value"]


@cache
def _settings() -> dict[str, Any]:
    return dict(json.loads((HERE / "reward.json").read_text(encoding="utf-8")))


@cache
def _grader() -> Any:
    settings = _settings()
    if settings["command"]:
        return _Asked(settings["command"])
    return runpy.run_path(settings["file"])[settings["function"]]


def score(prompt: Any, completion: str, row: dict[str, Any]) -> float:
    """The reward of one answer, a finite number; raises RewardError naming the row."""
    own = {key: value for key, value in row.items() if key != FROM}
    where = f"{_settings()['name']} on the row of {row.get(FROM, 'the data')}"
    try:
        value = _grader()(prompt, completion, own)
    except RewardError as error:
        raise _told(f"{where}: {error}") from error
    except Exception as error:
        raise _told(f"{where}: {type(error).__name__}: {error}") from error
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise _told(f"{where} returned {value!r}, where a number is due") from None
    if not math.isfinite(number):
        raise _told(f"{where} returned {number}, where a finite number is due")
    return number


def _told(message: str) -> RewardError:
    """The error, written down for whoever reads why the job has ended."""
    try:
        with (HERE / "reward.error").open("x", encoding="utf-8") as file:
            file.write(" ".join(message.split()))
    except OSError:
        pass  # another process was first
    return RewardError(message)


def without_specials(text: str) -> str:
    """The text without the tokens that no reader of an answer sees, such as its end."""
    for token in _settings()["specials"]:
        text = text.replace(token, "")
    return text
