"""What benchmarks of programs share: code out of an answer, and its verdict."""

from __future__ import annotations

import re
from collections.abc import Callable

from evalkit.sandbox.limits import Failed, Limits
from evalkit.sandbox.program import opened
from evalkit.types import Score

FENCE = re.compile(r"^[ \t]*```[^\n`]*\n(.*?)^[ \t]*```", re.DOTALL | re.MULTILINE)
OUTCOMES = {"timed out": "timed_out", "forged": "forged"}


def blocks(text: str) -> list[str]:
    """The fenced code blocks of a Markdown text, without their fences."""
    return FENCE.findall(text)


def graded(code: str, run: Callable[[], object]) -> Score:
    """Full marks for code whose run comes to its end; what stopped it is kept for people."""
    try:
        run()
    except Failed as failed:
        details = {"ended": failed.how, "said": failed.said}
        return Score(0.0, code, details, OUTCOMES.get(failed.how, ""))
    return Score(1.0, code)


def passes(program: str, tests: str, limits: Limits, setup: str = "") -> None:
    """Runs a program, a set-up and tests in one interpreter; raises Failed unless all end well."""
    with opened(limits) as opening:
        opening.run(program)
        if setup:
            opening.run(setup)
        opening.run(tests, tests=True)
