"""What benchmarks of programs share: code out of an answer, its verdict, pass@k."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from evalkit.sandbox.limits import Failed, Limits
from evalkit.sandbox.program import opened
from evalkit.types import Graded, Score

FENCE = re.compile(r"^[ \t]*```[^\n`]*\n(.*?)^[ \t]*```", re.DOTALL | re.MULTILINE)
OUTCOMES = {"timed out": "timed_out", "forged": "forged"}
KS = (1, 2, 5, 8, 10, 16, 20, 25, 32, 50, 64, 100)


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


def pass_at_k(graded: Sequence[Graded]) -> Mapping[str, float]:
    """pass@k of every k that all samples have answers for, by the unbiased estimator."""
    from evalkit.stats import samples

    scored = [[score.value for score in each.scores if score is not None] for each in graded]
    known = [values for values in scored if values]
    if not known:
        return {}
    counts = [len(values) for values in known]
    right = [sum(value == 1.0 for value in values) for values in known]
    return {
        f"pass@{k}": float(samples.pass_at_k(counts, right, k).mean())
        for k in KS
        if 1 < k <= min(counts)
    }
