"""Which endings of answers are told as troubles: those that could not be graded as meant."""

from __future__ import annotations

import pytest

from evalkit.verdict import CandidateVerdict, CellVerdict, Outcomes, Report
from reports import markdown, terminal
from reports._outcomes import GRADED, classes, troubles

BY_A_JUDGE = {"win": 10, "tie": 5, "loss": 85}


def judged(**more: int) -> CellVerdict:
    """A judged cell in which answers that had won have lost, and whatever else became of some."""
    return CellVerdict(
        task="chat",
        domain="chat",
        verdict="regressed",
        n=100,
        delta=-0.3,
        ci=(-0.4, -0.2),
        baseline_score=0.425,
        candidate_score=0.125,
        lost=30,
        gained=0,
        outcomes=Outcomes(baseline={"win": 40, "tie": 5, "loss": 55}, candidate=BY_A_JUDGE | more),
    )


def report(cell: CellVerdict) -> Report:
    candidate = CandidateVerdict(
        name="dpo", against="base", verdict="regressed", exit_code=1, cells=[cell]
    )
    return Report(baseline="base", verdict="regressed", exit_code=1, candidates=[candidate])


def test_what_a_judge_decides_is_no_trouble() -> None:
    assert troubles(judged()) == []
    assert troubles(judged(judge_refused=3)) == [("judge_refused", 0, 3)]


@pytest.mark.parametrize("render", [terminal.render, markdown.render])
def test_wins_and_losses_are_told_as_no_failure(render: object) -> None:
    assert callable(render)
    quiet, loud = render(report(judged())), render(report(judged(truncated=7)))
    assert "loss 55" not in quiet
    assert "win 40" not in quiet
    assert "truncated 0 → 7" in loud


def test_every_ending_of_a_graded_answer_comes_after_the_troubles() -> None:
    cell = judged(empty=1, wrong=2, strange=1)
    assert classes(cell) == ["empty", "wrong", "loss", "tie", "win", "strange"]
    assert {"win", "tie", "loss", "graded", "correct", "wrong", "partial", "measured"} == GRADED
