"""Candidates side by side on the terminal."""

from __future__ import annotations

import re
from typing import Any

import pytest
from rich.cells import cell_len

from evalkit.verdict import CandidateVerdict, DomainVerdict, Outcome, Report
from reports.table import fit, render
from tests.sample_report import cell, hostile_report, pair, sample_report

ANSI = re.compile(r"\x1b\[[0-9;]*m")
Given = tuple[str, Outcome, int, int]
SUPERSCRIPTS = "¹²³⁴⁵⁶⁷⁸⁹"


def candidate(name: str, *given: Given, base: float = 0.5, **more: Any) -> CandidateVerdict:
    units = [pair(*each, **more) for each in given]
    return CandidateVerdict(
        name=name,
        against="base",
        verdict="passed",
        exit_code=0,
        domains=[DomainVerdict(**unit) for unit in units],
        cells=[cell(unit, base) for unit in units],
    )


def shown(*candidates: CandidateVerdict, width: int = 120) -> list[str]:
    report = Report(baseline="base", verdict="passed", exit_code=0, candidates=[*candidates])
    return fit(report, width, False).splitlines()


def line(lines: list[str], word: str) -> str:
    return next(row for row in lines if row.startswith(word))


WORSE: Given = ("chat", "regressed", 90, 10)
SAME: Given = ("chat", "no_regression", 4, 3)
BETTER: Given = ("arithmetic", "improved", 1, 90)


def test_candidates_that_fit_share_a_table_and_each_other_line() -> None:
    lines = shown(candidate("sft", WORSE, BETTER), candidate("dpo", SAME, BETTER))
    (titles,) = [row for row in lines if row.startswith("base ")]
    assert titles.split() == ["base", "│", "sft", "│", "dpo"]
    row = line(lines, "chat · mini-chat").split("│")
    assert row[1].split() == ["23.3", "▼", "−26.7", "<0.001", "300"]
    assert row[2].split() == ["49.7", "·", "~", "0.410", "300"]


def test_candidates_that_do_not_fit_stand_below_each_other_with_their_intervals() -> None:
    lines = shown(candidate("sft", WORSE), candidate("dpo", SAME), width=80)
    titles = [row.split() for row in lines if row.startswith("base ")]
    assert titles == [["base", "│", "sft"], ["base", "│", "dpo"]]
    assert "[−32.1, −21.2]" in line(lines, "chat")


def test_with_room_there_are_intervals_and_flips() -> None:
    row = line(shown(candidate("sft", WORSE)), "chat · mini-chat")
    assert row.split("│")[1].split() == [
        *("23.3", "▼", "−26.7", "[−32.1,", "−21.2]", "<0.001", "300", "90", "10")
    ]


def test_the_worst_line_of_any_candidate_comes_first() -> None:
    falls: Given = ("arithmetic", "regressed", 80, 2)
    lines = shown(candidate("sft", SAME, BETTER), candidate("dpo", SAME, falls))
    names = [row.split(" · ")[0] for row in lines if " · mini-" in row]
    assert names == ["arithmetic", "chat"]


def test_a_domain_of_several_tasks_has_a_line_of_its_own() -> None:
    text = render(sample_report())
    places = [text.index(name) for name in ("\nfunction-calling  ", "  tools-simple", "-parallel")]
    assert places == sorted(places)


def test_every_footnote_is_referred_to_and_every_reference_has_one() -> None:
    table = fit(sample_report(), 160, False).partition("against sft")[0].splitlines()
    notes = [row.split()[0] for row in table if row.strip() and row.strip()[0] in SUPERSCRIPTS]
    referred = [found for row in table for found in re.findall(r"\s([¹²³⁴-⁹])(?= │|$)", row)]
    assert notes == sorted(referred, key=SUPERSCRIPTS.index)
    assert len(notes) == 9


def test_answers_that_could_not_be_graded_are_a_footnote() -> None:
    told = " ".join(render(sample_report()).split())
    (note,) = re.findall(r"² (beyond_margin.*?) ³", told)
    assert "truncated 0 → 12 unparsed 1,251 → 1,865" in note


def test_a_baseline_that_scores_otherwise_on_other_items_is_told() -> None:
    lines = shown(candidate("sft", SAME), candidate("dpo", SAME, base=0.6))
    assert "¹" in line(lines, "chat").split("│")[2]
    assert "  ¹ 60.0 before, on the items that both answered" in lines


def test_what_differs_in_every_task_is_told_once() -> None:
    both = candidate("sft", SAME, BETTER)
    cells = [one.model_copy(update={"differences": ["chat template"]}) for one in both.cells]
    lines = shown(both.model_copy(update={"cells": cells}))
    assert [row.strip() for row in lines if "template" in row] == [
        "differs throughout in chat template"
    ]


def test_margins_stand_beside_the_scores_where_there_are_any() -> None:
    assert "margin" not in shown(candidate("sft", SAME, margin=None))[3]
    assert line(shown(candidate("sft", SAME)), "chat").split("│")[0].split()[-2] == "3.0*"


@pytest.mark.parametrize("width", [60, 80, 100, 160])
@pytest.mark.parametrize("report", [sample_report(), hostile_report("名前" * 90)])
def test_no_line_is_wider_than_the_terminal(report: Report, width: int) -> None:
    assert max(cell_len(row) for row in fit(report, width, False).splitlines()) <= width


def test_colours_change_nothing_but_the_colours() -> None:
    coloured = fit(sample_report(), 100, True)
    assert "\x1b[1;31m▼" in coloured
    plain = [row.rstrip() for row in ANSI.sub("", coloured).splitlines()]
    assert plain == render(sample_report()).splitlines()


@pytest.mark.parametrize(
    "name", ["\x1b[2J\x1b]0;owned\x07", "\u202egnp.exe\x9b31m", "\0\r\n\ud800"]
)
def test_a_hostile_name_brings_no_control_of_its_own_into_the_colours(name: str) -> None:
    coloured = fit(hostile_report(name), 120, True)
    plain = ANSI.sub("", coloured)
    assert coloured != plain
    assert not {*"\x1b\x07\x9b\u202e\0\r\ud800"} & {*plain}
