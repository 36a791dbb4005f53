"""The table on the terminal."""

from __future__ import annotations

from io import StringIO
from typing import Any

import pytest
from rich.cells import cell_len
from rich.console import Console

from evalkit.verdict import CandidateVerdict, CheckpointScore, DomainVerdict, Outcome, Report
from reports.terminal import plain, render, show
from tests.sample_report import cell, hostile_report, pair, sample_report


def report_on(*pairs: tuple[str, Outcome, int, int], **more: Any) -> Report:
    """A report on one candidate, from (domain, verdict, lost, gained)."""
    units = [pair(*given, **more) for given in pairs]
    candidate = CandidateVerdict(
        name="sft",
        against="base",
        verdict="passed",
        exit_code=0,
        domains=[DomainVerdict(**unit) for unit in units],
        cells=[cell(unit, 0.5) for unit in units],
    )
    return Report(baseline="base", verdict="passed", exit_code=0, candidates=[candidate])


def line(text: str, word: str) -> str:
    return next(row for row in text.splitlines() if word in row)


@pytest.mark.parametrize("width", [60, 80, 96, 100, 140])
@pytest.mark.parametrize("report", [sample_report(), hostile_report("名前" * 90)])
def test_no_line_is_wider_than_the_terminal(report: Report, width: int) -> None:
    assert max(cell_len(row) for row in plain(report, width).splitlines()) <= width


def test_the_verdict_is_the_first_thing_said() -> None:
    assert render(sample_report()).startswith("▼ REGRESSED")


def test_the_baseline_comes_before_the_parents() -> None:
    titles = [row for row in render(sample_report()).splitlines() if " against " in row][:5]
    named = [row.split("  ")[0] for row in titles]
    assert named[:3] == ["sft against base", "dpo against base", "grpo against base"]
    assert named[3:] == ["dpo against sft", "grpo against dpo"]


def test_the_worst_domain_comes_first() -> None:
    text = render(
        report_on(
            ("arithmetic", "improved", 1, 90),
            ("chat", "no_regression", 3, 3),
            ("function-calling", "inconclusive", 40, 30),
            ("multiple-choice", "regressed", 90, 10),
        )
    )
    order = ["multiple-choice", "function-calling", "chat", "arithmetic"]
    assert sorted(order, key=text.index) == order


def test_a_domain_of_one_task_is_one_row() -> None:
    text = render(report_on(("chat", "no_regression", 3, 3)))
    assert sum("· no regression  " in row for row in text.splitlines()[:-2]) == 1


def test_a_lone_task_that_fell_where_its_domain_did_not_has_a_row_of_its_own() -> None:
    unit = pair("chat", "no_regression", 30, 3)
    candidate = CandidateVerdict(
        name="sft",
        against="base",
        verdict="regressed",
        exit_code=1,
        domains=[DomainVerdict(**unit)],
        cells=[cell(unit, 0.5, verdict="regressed")],
    )
    text = render(Report(baseline="base", verdict="regressed", exit_code=1, candidates=[candidate]))
    assert "▼ regressed" in line(text, "mini-chat")
    assert "1 regressed task inside other domains" in text


def test_a_change_that_is_not_shown_is_a_tilde_beside_its_interval() -> None:
    row = line(render(report_on(("chat", "no_regression", 4, 3))), "· no regression  ")
    assert " ~ " in row
    assert "[−1.8, +1.1]" in row
    assert "−0.3" not in row


def test_a_small_decline_that_is_shown_is_a_number() -> None:
    report = report_on(("chat", "no_regression", 5, 0), p_regressed_adjusted=0.02)
    assert "−1.7" in line(render(report), "· no regression  ")


@pytest.mark.parametrize("width", [80, 100])
@pytest.mark.parametrize(
    ("verdict", "mark"),
    [
        ("improved", "▲"),
        ("regressed", "▼"),
        ("no_regression", "·"),
        ("inconclusive", "?"),
        ("invalid", "✕"),
    ],
)
def test_every_verdict_has_a_mark_of_its_own(verdict: Outcome, mark: str, width: int) -> None:
    text = plain(report_on(("arithmetic", verdict, 10, 10)), width)
    assert line(text, "  arithmetic").split()[0] == mark


def test_answers_that_could_not_be_graded_stand_under_the_row() -> None:
    text = render(sample_report())
    assert "unparsed 1,251 → 1,865" in text
    assert "truncated 0 → 12" in text
    assert "correct" not in text


@pytest.mark.parametrize(
    ("completed", "told"),
    [((0.5, 0.567), False), ((0.5, 0.61), True), (None, False)],
)
def test_scores_on_complete_answers_are_told_where_they_differ(
    completed: tuple[float, float] | None, told: bool
) -> None:
    report = report_on(("chat", "improved", 10, 30))
    candidate = report.candidates[0]
    done = candidate.cells[0].model_copy(update={"completed": completed})
    changed = candidate.model_copy(update={"cells": [done]})
    text = render(report.model_copy(update={"candidates": [changed]}))
    assert ("complete answers only" in text) == told


def test_an_inconclusive_row_says_what_would_decide() -> None:
    text = " ".join(render(report_on(("chat", "inconclusive", 40, 30))).split())
    assert "a fall of 6.1 points or more is called regressed in 80 % of runs" in text
    # n (z(.95) + z(.80))^2 (SE / m)^2 with SE^2 = 70 / 300^2, by hand
    assert "1,603 items instead of 300 would decide at 3.0 points" in text


def test_without_a_margin_nothing_is_called_passed() -> None:
    text = render(report_on(("chat", "inconclusive", 40, 30), margin=None, gates=False))
    assert "~ no regression shown" in text
    assert "✓" not in text
    assert "passed" not in text.lower()
    assert "would show" in text


def test_an_advisory_judge_is_called_one() -> None:
    assert "ADVISORY" in render(sample_report())


def test_a_matrix_of_one_checkpoint_shows_its_scores() -> None:
    alone = CheckpointScore(
        checkpoint="base", task="mini-chat", domain="chat", n=300, score=0.51, ci=(0.46, 0.56)
    )
    text = render(Report(baseline="base", verdict="passed", exit_code=0, scores=[alone]))
    assert "base in mini-chat: 51.0 % [46.0, 56.0], 300 items" in text


def test_shown_on_a_colour_terminal_it_is_coloured_and_otherwise_the_same() -> None:
    file = StringIO()
    console = Console(
        file=file, width=100, force_terminal=True, color_system="standard", _environ={}
    )
    show(sample_report(), console)
    assert "\x1b[" in file.getvalue()
    assert "\x1b" not in render(sample_report())


def test_what_differs_in_all_tasks_is_said_once() -> None:
    report = report_on(("chat", "improved", 1, 60), ("arithmetic", "no_regression", 2, 2))
    candidate = report.candidates[0]
    both = ["format: completion → chat", "dtype: float32 → bfloat16"]
    cells = [
        candidate.cells[0].model_copy(update={"differences": both}),
        candidate.cells[1].model_copy(update={"differences": both[:1]}),
    ]
    changed = candidate.model_copy(update={"cells": cells})
    text = render(report.model_copy(update={"candidates": [changed]}))
    assert "differs throughout in format: completion → chat" in text
    assert "differs in dtype: float32 → bfloat16" in text
    assert text.count("completion → chat") == 1


def test_an_advisory_task_comes_last_and_is_not_counted() -> None:
    report = report_on(("arithmetic", "improved", 2, 80), ("chat", "improved", 2, 80))
    weak = pair("multiple-choice", "regressed", 80, 2, gates=False, flags=["advisory"])
    candidate = report.candidates[0]
    candidate = candidate.model_copy(
        update={
            "domains": [DomainVerdict(**weak), *candidate.domains],
            "cells": [cell(weak, 0.5), *candidate.cells],
        }
    )
    text = render(report.model_copy(update={"candidates": [candidate]}))
    assert "2 improved of 2 domains; 1 advisory" in text
    assert text.index("multiple-choice") > text.index("arithmetic")


def test_numbers_of_all_tables_stand_in_the_same_columns() -> None:
    heads = [row for row in render(sample_report()).splitlines() if "score %" in row]
    assert len(heads) == 5
    assert len(set(heads)) == 1
