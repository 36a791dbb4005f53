"""A fast gate over clusters, weighted strata, judged answers, bounds and fixed items."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from evalkit.comparison.policy import Policy
from evalkit.errors import ConfigError
from evalkit.events import silent
from evalkit.exams.exam import Exam
from evalkit.fast.gate import fast_gate
from evalkit.fast.looks import Known, plan_domain
from evalkit.matrix import Row
from evalkit.reporting.report import of_run
from evalkit.stats.cell import Differences
from evalkit.stats.designs import fixed_exam
from evalkit.stats.estimate import estimates
from evalkit.storage.store import Store
from evalkit.types import LabelledPair, Request, Response, Rows, Sample, Sampling
from evalkit.verdict import Report
from reports.terminal import render
from tests.small_exams import (
    RUBRIC,
    Answering,
    Log,
    doubles,
    exam,
    fair,
    held,
    logged,
    matrix,
    row,
)

ITEMS = 600


def drawn(key: str) -> float:
    return hashlib.sha256(key.encode()).digest()[0] / 256


def knowing(skill: float, seed: str = "", of: Callable[[Request], str] | None = None) -> Answering:
    """Right on a share of the questions, or of whatever `of` tells of them."""

    def answer(request: Request) -> Response:
        what = of(request) if of else f"{request.sample.id} {request.epoch}"
        right = drawn(f"{seed} {what}") < skill
        return Response(str(request.sample.target) if right else "no idea")

    return answer


def gated(rows: list[Row], exams: list[Exam], results: Path, **more: object) -> Report:
    capped = bool(more.pop("capped", False))
    judge = more.pop("judge", None)
    policy = Policy(**{"margins": {"arithmetic": 0.08}, **more})  # type: ignore[arg-type]
    whole = matrix(rows, exams, policy=policy, judge=judge)
    return fast_gate(whole, results, silent, capped=capped)


def samples(cluster: int = 1, strata: int = 1) -> Callable[[Rows], Iterable[Sample]]:
    def made(_: Rows) -> Iterable[Sample]:
        for i in range(ITEMS):
            yield Sample(
                str(i),
                f"twice {i}?",
                str(2 * i),
                cluster=f"passage {i // cluster}" if cluster > 1 else "",
                stratum=f"part {i % strata}",
            )

    return made


def by_passage(size: int) -> Callable[[Request], str]:
    return lambda request: str(int(request.sample.id) // size)


def test_a_cluster_is_asked_whole_and_counts_once(tmp_path: Path) -> None:
    task = replace(doubles(ITEMS), samples=samples(cluster=5))
    before = row("base", knowing(0.8, of=by_passage(5)))
    after, log = logged("new", knowing(0.3, of=by_passage(5)))
    report = gated([before, after], [exam(task)], tmp_path)
    (looks,) = report.candidates[0].sequential
    assert report.verdict == "regressed"
    passages = {int(name) // 5 for name, _ in log.asked}
    assert len(log.asked) == looks.asked == 5 * len(passages)
    assert looks.planned == 5  # 120 passages are a small benchmark, 600 items would not be


def test_a_passage_that_flips_whole_is_no_more_evidence_than_one_item() -> None:
    """The variance is that of the passages, whatever the number of their items."""
    change = np.random.default_rng(3).choice([-1.0, 0.0, 1.0], 200, p=[0.1, 0.8, 0.1])
    alone = [[bytes([0, 0, i])] for i in range(200)]
    fives = [[bytes([0, j, i]) for j in range(5)] for i in range(200)]
    found = []
    for units, size in ((alone, 1), (fives, 5)):
        known = Known("t", 1.0, units, np.ones(200), np.empty((0, 200)), 0.2)
        plan = plan_domain("d", 0.05, [known], capped=False)
        (cell,) = plan.cells
        after = np.array([change[item[2]] for item in cell.items])[:, None]
        found.append(plan.look([(np.zeros_like(after), after)]))
        assert cell.asked(1, 10) == size * 20
    assert found[0].variance == pytest.approx(found[1].variance)
    assert found[0].delta == pytest.approx(found[1].delta) == pytest.approx(change.mean())


def test_unequal_clusters_count_by_their_items() -> None:
    units = [[bytes([0, j, i]) for j in range(1 + i % 3)] for i in range(90)]
    known = Known("t", 1.0, units, np.ones(90), np.empty((0, 90)), 0.2)
    plan = plan_domain("d", 0.05, [known], capped=False)
    (cell,) = plan.cells
    after = np.array([float(item[1] == 0 and item[2] % 7 == 0) for item in cell.items])[:, None]
    assert plan.look([(np.zeros_like(after), after)]).delta == pytest.approx(after.mean())


def test_weighted_strata_are_asked_by_weight_and_counted_by_it(tmp_path: Path) -> None:
    weights = {"part 0": 3.0, "part 1": 1.0, "part 2": 0.0}
    task = replace(doubles(ITEMS), samples=samples(strata=3), weights=weights)
    before = row("base", knowing(0.9))
    after, log = logged("new", lambda r: knowing(0.9 - 0.5 * (r.sample.stratum == "part 0"))(r))
    report = gated([before, after], [exam(task)], tmp_path, margins={"arithmetic": 0.1})
    (domain,) = report.candidates[0].domains
    assert (report.exit_code, domain.verdict) == (1, "regressed")
    assert domain.delta == pytest.approx(-0.375, abs=0.1)  # three quarters of a loss of one half
    parts = {int(name) % 3 for name, _ in log.asked}
    assert parts == {0, 1}  # what does not count is not asked
    whole = held([before, after], [exam(task)], tmp_path, policy=Policy(margins={"arithmetic": 1}))
    assert of_run(whole).candidates[0].cells[0].method == "stratified"
    assert len(log.asked) == len(set(log.asked)) == ITEMS


def test_a_stratum_without_items_is_told_before_anything_is_asked(tmp_path: Path) -> None:
    weights = {"part 0": 1.0, "part 1": 1.0, "part 9": 1.0}
    task = replace(doubles(ITEMS), samples=samples(strata=2), weights=weights)
    before, log = logged("base", knowing(0.8))
    with pytest.raises(ConfigError, match="has 0 items of its stratum 'part 9'"):
        gated([before, row("new")], [exam(task)], tmp_path)
    assert log.asked == []


def test_a_look_at_fixed_items_ends_at_the_fixed_exam_itself() -> None:
    """At the last look all items are in: the estimate and its error are those of `fixed_exam`."""
    random = np.random.default_rng(5)
    skill = random.random(80)
    before, after = ((random.random((80, 4)) < skill[:, None]).astype(float) for _ in range(2))
    units = [[bytes([0, i])] for i in range(80)]
    known = Known("t", 1.0, units, before.mean(1), np.empty((0, 80)), 0.2, fixed=True)
    plan = plan_domain("d", 0.05, [known], capped=False)
    order = [item[1] for item in plan.cells[0].items]
    whole = fixed_exam(before, after)
    look = plan.look([(before[order], after[order])])
    assert look.delta == pytest.approx(whole.delta)
    assert look.variance**0.5 == pytest.approx(whole.se)
    half = plan.look([(before[order[:40]], after[order[:40]])])
    sampled = estimates([Differences(after.mean(1) - before.mean(1), False)])[0]
    assert whole.se < half.variance**0.5 < 2 * sampled.se


def test_fixed_items_take_part_in_a_fast_gate(tmp_path: Path) -> None:
    drawn_at = Sampling(temperature=0.7)
    task = replace(doubles(ITEMS), epochs=3, sampling=drawn_at)
    rows = [row("base", knowing(0.8, "x")), row("new", knowing(0.8, "y"))]
    sampled = gated(rows, [exam(task)], tmp_path / "sampled")
    fixed = gated(rows, [exam(task)], tmp_path / "fixed", fixed=frozenset({"doubles"}))
    assert sampled.verdict == fixed.verdict == "passed"
    before, after = (report.candidates[0].sequential[0] for report in (sampled, fixed))
    assert after.asked <= before.asked


def cutting_off(share: float) -> Answering:
    """As good as the baseline, but for answers that are cut off."""

    def answer(request: Request) -> Response:
        cut = drawn(f"cut {request.sample.id}") < share
        right = knowing(0.8)(request)
        return (
            Response("no id", finish_reason="length") if cut and right.text == "no idea" else right
        )

    return answer


def test_a_bound_that_holds_lets_a_fast_gate_pass(tmp_path: Path) -> None:
    rows = [row("base", knowing(0.8)), row("new", cutting_off(0.02))]
    report = gated(rows, [exam(doubles(ITEMS))], tmp_path, bounds={"truncated": {"all": 0.05}})
    assert (report.verdict, report.candidates[0].cells) == ("passed", [])


def test_a_broken_bound_fails_whoever_passes_by_the_score(tmp_path: Path) -> None:
    rows = [row("base", knowing(0.8)), row("new", cutting_off(0.9))]
    report = gated(rows, [exam(doubles(ITEMS))], tmp_path, bounds={"truncated": {"all": 0.05}})
    (candidate,) = report.candidates
    assert (report.verdict, report.exit_code) == ("regressed", 1)
    assert candidate.domains[0].verdict == "no_regression"
    assert candidate.cells[0].flags == ["bound:truncated"]
    assert "truncated: the bound is 5.0%" in candidate.cells[0].reason
    assert "out of bounds" in render(report)


def test_a_bound_that_nothing_can_mend_ends_the_run(tmp_path: Path) -> None:
    """Half of the answers are cut off, so a tenth of the items breaks a bound of 4 % for good."""
    rows = [row("base", knowing(0.5))]
    after, log = logged("new", lambda r: Response("", finish_reason="length")
                        if int(r.sample.id) % 2 else knowing(0.5, "new")(r))  # fmt: skip
    exams = [exam(doubles(ITEMS))]
    report = gated(
        [*rows, after], exams, tmp_path, margins={"arithmetic": 0.4},
        bounds={"truncated": {"doubles": 0.04}},
    )  # fmt: skip
    assert report.exit_code == 1
    assert len(log.asked) <= ITEMS / 10 + 1
    assert report.candidates[0].domains[0].reason == "a bound was broken first"


CHAT = doubles(ITEMS, name="chat", score=None, rubric=RUBRIC)


def judge(answer: Answering = fair) -> tuple[Row, Log]:
    return logged("judge", answer)


def judged_items(heard: Log, since: int) -> set[str]:
    """The items that a judge was asked about, in either order."""
    return {name.split()[0] for name, _ in heard.asked[since:]}


def test_only_what_the_looks_asked_is_judged(tmp_path: Path) -> None:
    before, after = row("base", knowing(0.8)), row("new", knowing(0.2))
    who, heard = judge()
    held([before], [exam(CHAT)], tmp_path, judge=who)
    known = len(heard.asked)
    report = gated([before, after], [exam(CHAT)], tmp_path, judge=who)
    (looks,) = report.candidates[0].sequential
    assert (report.verdict, looks.looks) == ("regressed", 1)
    early = judged_items(heard, known)
    assert 0 < len(early) <= looks.asked < ITEMS / 5  # nobody is asked about what ties by itself
    asked = len(heard.asked)
    assert gated([before, after], [exam(CHAT)], tmp_path, judge=who) == report
    assert len(heard.asked) == asked
    held([before, after], [exam(CHAT)], tmp_path, judge=who)
    late = judged_items(heard, asked)
    assert early.isdisjoint(late)
    assert len(early) < len(late) <= ITEMS - looks.asked


def test_the_judge_is_asked_after_the_candidate_has_been_put_away(tmp_path: Path) -> None:
    after, log = logged("new", knowing(0.76, "new"))
    who, _ = judge()
    report = gated([row("base", knowing(0.8)), after], [exam(CHAT)], tmp_path, judge=who)
    assert log.opened == report.candidates[0].sequential[0].looks > 1


def labelled(winner: str) -> Callable[[], Iterable[LabelledPair]]:
    def pairs() -> Iterable[LabelledPair]:
        for i in range(20):
            sample = Sample(f"audit {i}", "?", "right")
            yield LabelledPair(sample, "right", "wrong", winner)  # type: ignore[arg-type]

    return pairs


def test_a_judge_too_weak_to_decide_decides_no_domain(tmp_path: Path) -> None:
    weak = replace(CHAT, rubric=replace(RUBRIC, audit=labelled("second")))
    who, _ = judge()
    rows = [row("base", knowing(0.8)), row("new", knowing(0.2))]
    with pytest.raises(ConfigError, match="judge of chat is too weak to decide anything"):
        gated(rows, [exam(weak)], tmp_path, judge=who)
    sums = replace(doubles(ITEMS), domain="sums")
    report = gated(
        rows, [exam(weak), exam(sums)], tmp_path, judge=who,
        margins={"arithmetic": 0.08, "sums": 0.08},
    )  # fmt: skip
    assert [domain.domain for domain in report.candidates[0].domains] == ["sums"]
    assert any("chat is advisory" in note for note in report.notes)


def test_a_judge_that_cannot_be_asked_leaves_the_candidate_invalid(tmp_path: Path) -> None:
    up, _ = judge()
    gated([row("base", knowing(0.8)), row("other", knowing(0.8))], [exam(CHAT)], tmp_path, judge=up)
    down, _ = judge(lambda request: Response(error="down"))
    rows = [row("base", knowing(0.8)), row("new", knowing(0.3))]
    report = gated(rows, [exam(CHAT)], tmp_path, judge=down)
    assert (report.verdict, report.exit_code) == ("invalid", 4)
    assert "judgments all failed, the last with: down" in report.candidates[0].domains[0].reason


def test_a_kept_plan_of_clusters_is_read_as_it_was_written(tmp_path: Path) -> None:
    task = replace(doubles(ITEMS), samples=samples(cluster=4))
    rows = [row("base", knowing(0.8)), row("new", knowing(0.78, "new"))]
    first = gated(rows, [exam(task)], tmp_path)
    assert gated(rows, [exam(task)], tmp_path) == first
    (path,) = (tmp_path / "looks").glob("new-*.json")
    (cell,) = json.loads(path.read_text())["domains"][0]["cells"]
    assert cell["sizes"] == [4] * (ITEMS // 4)
    assert len(Store(tmp_path).cells()) == 2
