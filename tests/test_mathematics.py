"""Expressions held against a number, in a process that may be lost at any time."""

from __future__ import annotations

import os
import threading
import time
from importlib.util import find_spec

import pytest

from evalkit.grading.mathematics import Verified, Verifier

pytestmark = pytest.mark.skipif(
    find_spec("math_verify") is None, reason="math-verify is not installed"
)


@pytest.fixture(scope="module")
def verifier() -> Verifier:
    return Verifier()


@pytest.mark.parametrize(
    ("text", "equal"),
    [
        ("so the sum is $\\frac{140}{2}$", True),
        ("\\boxed{35\\cdot 2}", True),
        ("\\boxed{\\sqrt{4900}}", True),
        ("\\boxed{m + n = 70}", True),
        ("\\boxed{70.5}", False),
        ("\\boxed{\\frac{7}{10}}", False),
        ("I do not know", False),
    ],
)
def test_an_expression_is_held_against_a_number(verifier: Verifier, text: str, equal: bool) -> None:
    assert verifier.verify(text, "$70$").equal is equal


def test_what_is_no_mathematics_has_no_answer(verifier: Verifier) -> None:
    assert verifier.verify("I do not know", "$70$") == Verified()


def test_what_takes_too_long_is_given_up_and_the_next_is_answered(verifier: Verifier) -> None:
    start = time.monotonic()
    tower = "\\boxed{" + "9^{" * 6 + "9" + "}" * 7
    assert verifier.verify(tower, "$70$", seconds=0.05) == Verified(timed_out=True)
    assert time.monotonic() - start < 5.0
    assert verifier.verify("\\boxed{7\\cdot 10}", "$70$").equal


def test_a_process_that_was_killed_is_replaced(verifier: Verifier) -> None:
    verifier.verify("$1$", "$1$")
    process = verifier._process
    assert process is not None
    assert process.pid is not None
    os.kill(process.pid, 9)
    process.join()
    assert verifier.verify("$70$", "$70$").equal


def test_it_may_be_asked_by_any_thread(verifier: Verifier) -> None:
    found: list[Verified] = []
    ask = [
        threading.Thread(target=lambda n=n: found.append(verifier.verify(f"${n}+0$", f"${n}$")))
        for n in range(4)
    ]
    for thread in ask:
        thread.start()
    for thread in ask:
        thread.join()
    assert [each.equal for each in found] == [True] * 4
