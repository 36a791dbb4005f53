"""A fast gate asks as much as it takes to decide, and no more."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from evalkit.comparison.policy import Policy
from evalkit.errors import ConfigError
from evalkit.events import silent
from evalkit.exams.exam import Exam
from evalkit.fast.gate import fast_gate
from evalkit.matrix import Row
from evalkit.storage.store import Store
from evalkit.types import Request, Response, Sample
from evalkit.verdict import Report
from reports.terminal import render
from tests.small_exams import (
    Answering,
    Log,
    doubles,
    exam,
    held,
    logged,
    matrix,
    right,
    row,
)

ITEMS = 700
MARGINS = {"arithmetic": 0.08}


def knowing(skill: float, seed: str = "") -> Answering:
    """Right on a share of the questions, the same ones for the same seed."""

    def answer(request: Request) -> Response:
        draw = hashlib.sha256(f"{seed} {request.sample.id} {request.task.name}".encode()).digest()
        return right(request) if draw[0] / 256 < skill else Response("no idea")

    return answer


def gated(
    rows: list[Row], exams: list[Exam], results: Path, *, capped: bool = False, **policy: Any
) -> Report:
    fixed = Policy(**{"margins": MARGINS, **policy})
    return fast_gate(matrix(rows, exams, policy=fixed), results, silent, capped=capped)


def repeated(log: Log) -> int:
    return sum(count - 1 for count in Counter(log.asked).values())


def test_a_broken_candidate_is_asked_one_look_and_no_more(tmp_path: Path) -> None:
    before, known = logged("base", knowing(0.8))
    after, log = logged("broken", knowing(0.3))
    report = gated([before, after], [exam(doubles(ITEMS))], tmp_path)
    (candidate,) = report.candidates
    (looks,) = candidate.sequential
    assert (report.verdict, report.exit_code) == ("regressed", 1)
    assert "beyond_margin" in candidate.domains[0].flags
    assert len(known.asked) == ITEMS
    assert len(log.asked) == looks.asked <= 2 * ITEMS / looks.planned + 1
    assert looks.fail_statistic is not None
    assert looks.fail_bound is not None
    assert looks.fail_statistic >= looks.fail_bound
    assert repeated(log) == 0


def test_an_unchanged_candidate_passes_before_all_is_asked(tmp_path: Path) -> None:
    after, log = logged("same", knowing(0.8))
    report = gated([row("base", knowing(0.8)), after], [exam(doubles(ITEMS))], tmp_path)
    (domain,) = report.candidates[0].domains
    assert (report.verdict, report.exit_code, domain.verdict) == ("passed", 0, "no_regression")
    assert len(log.asked) == report.candidates[0].sequential[0].asked < ITEMS / 2
    assert domain.ci is not None
    assert domain.ci[0] >= -0.08


def test_the_model_is_loaded_once_for_all_looks(tmp_path: Path) -> None:
    after, log = logged("same", knowing(0.8, "other"))
    report = gated([row("base", knowing(0.8)), after], [exam(doubles(ITEMS))], tmp_path)
    assert report.candidates[0].sequential[0].looks > 2
    assert log.opened == 1


def test_the_cap_ends_the_run_without_a_verdict(tmp_path: Path) -> None:
    exams = [exam(doubles(ITEMS))]
    near, log = logged("near", knowing(0.74, "other"))
    report = gated(
        [row("base", knowing(0.8)), near], exams, tmp_path, capped=True, margins={"arithmetic": 0.1}
    )
    (looks,) = report.candidates[0].sequential
    assert looks.cap == 217
    assert looks.looks == looks.planned == 10
    assert len(log.asked) == 217
    assert (report.verdict, report.exit_code) == ("inconclusive", 3)
    assert report.candidates[0].domains[0].flags == []


def test_a_decided_domain_takes_no_more_items_while_another_goes_on(tmp_path: Path) -> None:
    exams = [exam(doubles(ITEMS)), exam(doubles(ITEMS, name="more", domain="other"))]

    def answer(request: Request) -> Response:
        same = request.task.name == "doubles"
        return knowing(0.8)(request) if same else knowing(0.76, "drawn anew")(request)

    after, log = logged("half", answer)
    report = gated(
        [row("base", knowing(0.8)), after], exams, tmp_path, margins=MARGINS | {"other": 0.08}
    )
    quick, slow = report.candidates[0].sequential
    assert quick.looks < slow.looks
    assert len(log.asked) == quick.asked + slow.asked


def test_the_first_domain_to_regress_ends_the_run_for_the_others(tmp_path: Path) -> None:
    exams = [exam(doubles(ITEMS)), exam(doubles(ITEMS, name="more", domain="other"))]

    def answer(request: Request) -> Response:
        if request.task.name == "more":
            return Response("broken")
        return knowing(0.8, "drawn anew")(request)

    after, log = logged("half", answer)
    report = gated(
        [row("base", knowing(0.8)), after], exams, tmp_path, margins=MARGINS | {"other": 0.08}
    )
    stopped, fallen = report.candidates[0].domains
    assert fallen.verdict == "regressed"
    assert (stopped.verdict, stopped.flags) == ("inconclusive", ["stopped"])
    assert report.exit_code == 1
    assert len(log.asked) == sum(looks.asked for looks in report.candidates[0].sequential)
    assert "asked 70 of 700 items" in render(report)


def test_only_domains_with_a_margin_take_part(tmp_path: Path) -> None:
    exams = [exam(doubles(ITEMS)), exam(doubles(20, name="more", domain="other"))]
    before, known = logged("base", knowing(0.8))
    report = gated([before, row("same", knowing(0.8))], exams, tmp_path)
    assert [domain.domain for domain in report.candidates[0].domains] == ["arithmetic"]
    assert len(known.asked) == ITEMS


def test_a_full_run_afterwards_asks_only_the_rest(tmp_path: Path) -> None:
    exams = [exam(doubles(ITEMS))]
    before, known = logged("base", knowing(0.8))
    after, log = logged("same", knowing(0.8))
    gated([before, after], exams, tmp_path)
    partly = len(log.asked)
    cell = next(c for c in Store(tmp_path).cells() if "same" in c.path.name)
    assert "only" in cell.meta()["asked"]
    whole = held([before, after], exams, tmp_path)
    assert all(seat.asked for seat in whole.seats)
    assert (len(log.asked), repeated(log)) == (ITEMS, 0)
    assert partly < ITEMS
    assert len(known.asked) == ITEMS
    assert "only" not in cell.meta()["asked"]


def test_after_a_full_run_a_fast_gate_asks_nothing_and_leaves_the_cells_alone(
    tmp_path: Path,
) -> None:
    exams = [exam(doubles(ITEMS))]
    before, known = logged("base", knowing(0.8))
    after, log = logged("same", knowing(0.8, "other"))
    held([before, after], exams, tmp_path)
    cells = {path: path.read_bytes() for path in tmp_path.rglob("*.parquet")}
    asked = len(known.asked) + len(log.asked)
    gated([before, after], exams, tmp_path)
    assert len(known.asked) + len(log.asked) == asked
    assert log.opened == 1
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.parquet")} == cells


def test_a_second_fast_gate_asks_nothing_and_says_the_same(tmp_path: Path) -> None:
    exams = [exam(doubles(ITEMS))]
    before, _ = logged("base", knowing(0.8))
    after, log = logged("same", knowing(0.8, "other"))
    first = gated([before, after], exams, tmp_path)
    asked = len(log.asked)
    assert gated([before, after], exams, tmp_path) == first
    assert (len(log.asked), log.opened) == (asked, 1)


def lineage() -> list[Row]:
    """Four checkpoints, each of which knows a little else than its parent."""
    names = ["base", "one", "two", "three"]
    skills = (0.8, 0.7, 0.6, 0.5)
    return [
        row(name, knowing(skill), parent=parent)
        for name, skill, parent in zip(names, skills, ["", *names], strict=False)
    ]


def test_history_in_the_store_makes_strata_and_the_cap(tmp_path: Path) -> None:
    exams, rows = [exam(doubles(ITEMS))], lineage()
    held(rows, exams, tmp_path)
    after = row("new", knowing(0.8, "other"), parent="three")
    report = gated([*rows, after], exams, tmp_path, capped=True)
    looks = report.candidates[-1].sequential[0]
    assert looks.history == 3
    assert looks.strata > 2
    # the last transition changed a tenth of the items: its variance is some 0.1 - 0.1²
    assert 0.05 < looks.cap * 0.08**2 / 3.29**2 < 0.15
    lone = gated([rows[0], after], exams, tmp_path / "alone", capped=True)
    assert (lone.candidates[0].sequential[0].history, lone.candidates[0].sequential[0].strata) == (
        0,
        2,
    )


def test_a_checkpoint_evaluated_meanwhile_does_not_change_the_plan(tmp_path: Path) -> None:
    exams, rows = [exam(doubles(ITEMS))], lineage()
    held(rows[:3], exams, tmp_path)
    after, log = logged("new", knowing(0.8, "other"))
    first = gated([rows[0], after], exams, tmp_path)
    held([rows[0], rows[3]], exams, tmp_path)
    asked = len(log.asked)
    again = gated([rows[0], after], exams, tmp_path)
    assert first.candidates == again.candidates
    assert len(log.asked) == asked


def test_a_partly_asked_checkpoint_is_no_history(tmp_path: Path) -> None:
    exams = [exam(doubles(ITEMS))]
    rows = [row("base", knowing(0.8)), *(row(f"c{i}", knowing(0.8)) for i in range(4))]
    report = gated(rows, exams, tmp_path)
    assert [candidate.sequential[0].history for candidate in report.candidates] == [0] * 4


def test_failed_requests_beyond_one_percent_are_invalid(tmp_path: Path) -> None:
    def answer(request: Request) -> Response:
        broken = int(request.sample.id) % 20 == 0
        return Response(error="broken") if broken else knowing(0.8)(request)

    report = gated(
        [row("base", knowing(0.8)), row("same", answer)], [exam(doubles(ITEMS))], tmp_path
    )
    (domain,) = report.candidates[0].domains
    assert (domain.verdict, report.exit_code) == ("invalid", 4)
    assert "are missing (1 % is tolerated)" in domain.reason


def test_a_baseline_that_cannot_be_asked_leaves_the_candidate_unasked(tmp_path: Path) -> None:
    before, _ = logged("base", lambda request: Response(error="down"))
    after, log = logged("same", right)
    report = gated([before, after], [exam(doubles(ITEMS))], tmp_path)
    assert (report.verdict, report.exit_code, log.asked) == ("invalid", 4, [])


def test_a_candidate_that_cannot_be_asked_is_invalid(tmp_path: Path) -> None:
    report = gated(
        [row("base", right), row("down", lambda request: Response(error="down"))],
        [exam(doubles(ITEMS))],
        tmp_path,
    )
    assert (report.verdict, report.exit_code) == ("invalid", 4)
    assert "requests all failed" in report.candidates[0].domains[0].reason


@pytest.mark.parametrize("margins", [{}, {"arithmetic": 0.0}])
def test_without_a_margin_there_is_nothing_to_stop_at(
    tmp_path: Path, margins: dict[str, float]
) -> None:
    with pytest.raises(ConfigError, match=r"none has one above 0: give .*arithmetic"):
        gated([row("base"), row("new")], [exam(doubles(ITEMS))], tmp_path, margins=margins)


def in_pairs(count: int) -> Any:
    def samples(_: Any) -> Any:
        for i in range(count):
            yield Sample(str(i), f"twice {i}?", str(2 * i), cluster=f"pair {i // 2}")

    return samples


def test_what_looks_cannot_decide_is_told_before_anything_is_asked(tmp_path: Path) -> None:
    before, known = logged("base", right)
    rows = [before, row("new")]
    fitted = replace(doubles(ITEMS), refit=lambda before, after: lambda drawn: 0.0)
    with pytest.raises(ConfigError, match="headline of doubles is fitted"):
        gated(rows, [exam(fitted)], tmp_path)
    with pytest.raises(ConfigError, match="has 30 items, too few"):
        gated(rows, [exam(doubles(30))], tmp_path)
    with pytest.raises(ConfigError, match="has 40 clusters of items, too few"):
        gated(rows, [exam(replace(doubles(80), samples=in_pairs(80)))], tmp_path)
    with pytest.raises(ConfigError, match="any-decline"):
        gated(rows, [exam(doubles(ITEMS))], tmp_path, any_decline=True)
    unasked = [exam(doubles(ITEMS)), exam(doubles(ITEMS, name="more", domain="other"))]
    with pytest.raises(ConfigError, match="`gate: bounds: truncated: more`: a fast gate asks only"):
        gated(rows, unasked, tmp_path, bounds={"truncated": {"more": 0.02}})
    with pytest.raises(ConfigError, match="nothing to hold against base"):
        gated(rows[:1], [exam(doubles(ITEMS))], tmp_path)
    assert known.asked == []


def test_the_kept_plan_holds_every_item_once(tmp_path: Path) -> None:
    gated([row("base", knowing(0.8)), row("new", knowing(0.8))], [exam(doubles(ITEMS))], tmp_path)
    (path,) = (tmp_path / "looks").glob("new-*.json")
    (domain,) = json.loads(path.read_text())["domains"]
    items = domain["cells"][0]["items"]
    assert len(items) == len(set(items)) == ITEMS
