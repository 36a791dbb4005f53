"""Whether answers are cut off more often, and the score on those that are whole."""

from __future__ import annotations

from pathlib import Path

import pytest
from scipy import stats

from evalkit.comparison import paired, triage
from reports.terminal import render as terminal
from tests.test_policy import ends, judged, report, side


def pair(folder: Path, before: list[str], after: list[str]) -> paired.Pair:
    arms = [side(folder / name, each).arm for name, each in (("0", before), ("1", after))]
    return paired.pair(*arms)


def test_more_truncation_is_tested_by_mid_p_mcnemar(tmp_path: Path) -> None:
    before = ends(truncated=2, correct=98)
    after = [*ends(correct=1, truncated=10), *ends(wrong=89)]
    mid = stats.binom.cdf(1, 10, 0.5) - 0.5 * stats.binom.pmf(1, 10, 0.5)
    assert triage.truncation_ps([pair(tmp_path, before, after)])[0] == pytest.approx(mid)


def test_nothing_cut_off_has_no_p(tmp_path: Path) -> None:
    assert triage.truncation_ps([pair(tmp_path, ends(correct=9), ends(wrong=9))])[0] is None


def test_an_unclosed_thought_is_cut_off(tmp_path: Path) -> None:
    both = pair(tmp_path, ends(wrong=9), ends(unclosed_think=9))
    assert triage.truncation_ps([None, both])[1] == pytest.approx(0.5**10)


def test_more_answers_per_item_are_not_more_truncation(tmp_path: Path) -> None:
    before = side(tmp_path / "0", [["correct"]] * 40).arm
    after = side(tmp_path / "1", [["correct", "truncated", "wrong", "truncated"]] * 40).arm
    assert triage.truncation_ps([paired.pair(before, after)])[0] is None


def test_the_score_on_whole_answers_is_of_items_whole_on_both_sides(tmp_path: Path) -> None:
    before = ends(correct=6, wrong=4)  # the candidate is cut off on the four hard ones
    after = ends(correct=6, truncated=4)
    assert triage.completed_scores(pair(tmp_path, before, after)) == (1.0, 1.0)


def test_an_item_weighs_the_same_however_many_of_its_answers_are_whole(tmp_path: Path) -> None:
    before = side(tmp_path / "0", [["correct", "correct"], ["wrong", "wrong"]]).arm
    after = side(tmp_path / "1", [["correct", "truncated"], ["wrong", "wrong"]]).arm
    assert triage.completed_scores(paired.pair(before, after)) == (0.5, 0.5)


def test_where_no_item_is_whole_on_both_sides_there_is_no_such_score(tmp_path: Path) -> None:
    before, after = ends(truncated=2, correct=2), ends(correct=2, truncated=2)
    assert triage.completed_scores(pair(tmp_path, before, after)) is None


@pytest.mark.parametrize(("cut", "told"), [(20, True), (1, False)])
def test_the_report_says_so_when_more_answers_are_cut_off(
    tmp_path: Path, cut: int, told: bool
) -> None:
    after = ends(correct=300, truncated=cut, wrong=100 - cut)
    found = judged(tmp_path, {"t": (ends(correct=300, wrong=100), after)})
    assert ("more answers cut off (p" in terminal(report(found))) == told
