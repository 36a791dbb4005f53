"""An exam in parts is judged as one: its parts are displayed, and no item counts twice."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from evalkit.cli import cli
from evalkit.comparison.policy import Policy
from evalkit.comparison.sides import Joined, Side
from evalkit.evidence.stored import StoredEvidence
from evalkit.exams.exam import Exam
from evalkit.exams.wholes import joints, whole_of
from evalkit.frames import load as frames_of
from evalkit.reporting.cells import found_of, with_wholes
from evalkit.reporting.report import of_run, of_store
from evalkit.storage.store import Store
from evalkit.types import Request, Response, Rows, Sample, Sampling, Task, Whole
from evalkit.verdict import CandidateVerdict, CellVerdict, JudgeNote, Report
from reports._curves import _curves
from reports._samples import samples
from reports._text import points
from reports._triage import triage
from reports.junit import render as junit
from reports.markdown import render as markdown
from reports.table import render as table
from tests.exam_in_parts import CONTEST, EPOCHS, FIRST, SECOND, WHOLE, numbered, rows, skilled
from tests.small_exams import doubles, exam, held, right, row

BOTH = [exam(FIRST), exam(SECOND)]
OTHER = exam(doubles(80, name="sums", domain="mathematics"))
ELSEWHERE = exam(doubles(80, name="words", domain="language"))
PARTS = ["contest-1", "contest-2"]
HIDDEN = {"task", "parts"}


def judged(
    results: Path, exams: list[Exam], skill: float = 0.35, **policy: Any
) -> CandidateVerdict:
    return reported(results, exams, skill, **policy).candidates[0]


def reported(results: Path, exams: list[Exam], skill: float = 0.35, **policy: Any) -> Report:
    return of_run(held(rows(skill), exams, results, policy=Policy(**policy)))


def cells(found: CandidateVerdict) -> dict[str, CellVerdict]:
    return {cell.task: cell for cell in found.cells}


def near(one: Any, other: Any) -> None:
    """The same, whatever the order in which sums were taken."""
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        for name in one:
            near(one[name], other[name])
    elif isinstance(one, list | tuple):
        for each in zip(one, other, strict=True):
            near(*each)
    elif isinstance(one, float):
        assert one == pytest.approx(other, abs=1e-9)
    else:
        assert one == other


@pytest.mark.parametrize("skill", [0.35, 0.58, 0.9])
def test_the_verdict_is_that_of_a_task_with_the_items_of_all_parts(
    tmp_path: Path, skill: float
) -> None:
    margins = {"contest": 0.07, "mathematics": 0.05}
    others = [OTHER, ELSEWHERE]
    parts = judged(tmp_path / "parts", [*BOTH, *others], skill, margins=margins)
    whole = judged(tmp_path / "whole", [exam(WHOLE), *others], skill, margins=margins)
    one, other = cells(parts)["contest"], cells(whole)["contest"]
    assert (one.n, one.epochs) == (60, (EPOCHS, EPOCHS))
    assert one.method == "quasi_tango"
    near(one.model_dump(exclude=HIDDEN), other.model_dump(exclude=HIDDEN))
    near([d.model_dump() for d in parts.domains], [d.model_dump() for d in whole.domains])
    near(cells(parts)["sums"].model_dump(), cells(whole)["sums"].model_dump())
    assert (parts.verdict, parts.exit_code) == (whole.verdict, whole.exit_code)


def test_the_exam_is_in_its_family_once_and_no_part_of_it_is(tmp_path: Path) -> None:
    found = judged(tmp_path, BOTH, margins={"contest": 0.07})
    (domain,) = found.domains
    whole = cells(found)["contest"]
    assert whole.parts == PARTS
    assert (domain.delta, domain.ci) == (whole.delta, whole.ci)
    assert domain.p_regressed_adjusted == whole.p_regressed
    assert (domain.margin, domain.gates, domain.verdict) == (0.07, True, "regressed")
    for name in PARTS:
        part = cells(found)[name]
        assert part.n == 30
        assert part.delta is not None
        assert part.ci is not None
        assert part.ci[1] < 0
        assert part.flags[0] == "off"
        assert part.verdict == "inconclusive"
        assert not part.gates
        assert part.p_regressed_adjusted is None
        assert "a part of contest, which is judged as one" in part.reason


def test_a_part_that_fell_alone_fails_nobody(tmp_path: Path) -> None:
    def answer(request: Request) -> Response:
        if request.task.name == "contest-1" and int(request.sample.id) % 2:
            return Response("no idea")
        return right(request)

    half = [row("base"), row("sft", answer)]
    ten = [exam(replace(FIRST, epochs=1), 8), exam(replace(SECOND, epochs=1))]
    found = of_run(held(half, ten, tmp_path, policy=Policy(margins={"contest": 0.3})))
    (candidate,) = found.candidates
    part = cells(candidate)["contest-1"]
    assert part.ci is not None
    assert part.ci[1] < 0
    assert candidate.verdict != "regressed"


def test_no_part_gates_whatever_a_policy_says(tmp_path: Path) -> None:
    found = judged(tmp_path, BOTH, gating_cells=frozenset(["contest-1"]), margins={"contest": 0.5})
    assert not cells(found)["contest-1"].gates
    assert found.exit_code == 0


def test_a_judge_too_weak_for_one_part_is_so_for_the_whole(tmp_path: Path) -> None:
    held(rows(), [*BOTH, ELSEWHERE], tmp_path)
    policy = Policy(margins={"contest": 0.07}, advisory=frozenset(["contest-2"]))
    (found,) = of_store(Store(tmp_path), ["base", "sft"], policy).candidates
    assert "advisory" in cells(found)["contest"].flags
    assert "advisory" in found.domains[0].flags
    assert not found.domains[0].gates


def test_the_difference_of_a_part_is_printed_and_not_tested(tmp_path: Path) -> None:
    found = reported(tmp_path, BOTH, skill=0.59)
    part = cells(found.candidates[0])["contest-1"]
    assert part.ci is not None
    assert part.ci[0] < 0 < part.ci[1]
    (line,) = [line for line in table(found).splitlines() if "contest-1 " in line]
    assert f" {points(part.delta)} " in line
    assert "~" not in line
    lone = reported(tmp_path, BOTH[:1])
    assert "nothing that counts; 1 displayed only" in table(lone)


def test_one_part_alone_is_displayed_and_the_report_says_so(tmp_path: Path) -> None:
    found = reported(tmp_path, [BOTH[0], ELSEWHERE], margins={"language": 0.05})
    (candidate,) = found.candidates
    assert [domain.domain for domain in candidate.domains] == ["language"]
    assert "contest" not in cells(candidate)
    assert cells(candidate)["contest-1"].flags[0] == "off"
    said = "contest is judged as one, and contest-2 is not here"
    assert f"contest-1 is displayed only: {said}" in found.notes
    assert said in cells(candidate)["contest-1"].reason
    assert said in markdown(found)


def test_a_part_with_nothing_beside_it_passes_nothing(tmp_path: Path) -> None:
    found = judged(tmp_path, BOTH[:1], skill=0.6)
    assert (found.verdict, found.exit_code) == ("invalid", 4)


def test_the_whole_is_invalid_where_a_part_was_not_asked_and_says_which(tmp_path: Path) -> None:
    held(rows()[:1], BOTH, tmp_path)
    held(rows()[1:], BOTH[:1], tmp_path)
    found = of_store(Store(tmp_path), ["base", "sft"], Policy(margins={"contest": 0.07}))
    whole = cells(found.candidates[0])["contest"]
    assert whole.verdict == "invalid"
    assert whole.reason == "contest-2: the candidate has no scores here: run the matrix"
    assert cells(found.candidates[0])["contest-1"].delta is not None
    assert (found.verdict, found.exit_code) == ("invalid", 4)


def test_the_whole_is_invalid_where_the_candidate_sat_no_part(tmp_path: Path) -> None:
    held(rows()[:1], [*BOTH, ELSEWHERE], tmp_path)
    held(rows()[1:], [ELSEWHERE], tmp_path)
    found = of_store(Store(tmp_path), ["base", "sft"], Policy())
    assert all(name in cells(found.candidates[0])["contest"].reason for name in PARTS)


def test_the_whole_is_invalid_where_a_part_was_another_exam(tmp_path: Path) -> None:
    hotter = exam(replace(SECOND, sampling=Sampling(temperature=0.5)))
    held(rows()[:1], BOTH, tmp_path)
    held(rows()[1:], [BOTH[0], hotter], tmp_path)
    found = of_store(Store(tmp_path), ["base", "sft"], Policy())
    whole = cells(found.candidates[0])["contest"]
    assert whole.verdict == "invalid"
    assert whole.reason.startswith("contest-2: two different exams (sampling.temperature: 0.0")
    assert not whole.comparable
    assert any("temperature" in said for said in whole.differences)


def test_the_whole_is_invalid_where_a_part_is_a_bare_score(tmp_path: Path) -> None:
    held(rows(), BOTH, tmp_path)
    for cell in Store(tmp_path).cells():
        if cell.meta()["task"] == "contest-2" and cell.meta()["checkpoint"]["name"] == "sft":
            cell.write_meta(aggregate={"score": 0.4, "stderr": 0.05, "n": 30})
    found = cells(of_store(Store(tmp_path), ["base", "sft"], Policy()).candidates[0])
    assert "unpaired" in found["contest-2"].flags
    assert found["contest"].verdict == "invalid"
    assert found["contest"].reason == "contest-2 is a bare score, which says nothing of items"


def test_a_bound_fails_the_whole_even_where_its_parts_cannot_be_compared(tmp_path: Path) -> None:
    def unread(request: Request) -> Response:
        return Response("")

    hotter = exam(replace(SECOND, sampling=Sampling(temperature=0.5)))
    held(rows()[:1], BOTH, tmp_path)
    held([row("sft", unread)], [BOTH[0], hotter], tmp_path)
    policy = Policy(bounds={"unparsed": {"contest": 0.5}})
    found = of_store(Store(tmp_path), ["base", "sft"], policy)
    whole = cells(found.candidates[0])["contest"]
    assert (found.exit_code, whole.verdict, whole.n) == (1, "regressed", 60)
    assert "two different exams" in whole.reason
    assert "100.0% of its answers unparsed" in whole.reason


def test_samples_missing_in_one_part_count_against_that_part_alone(tmp_path: Path) -> None:
    def failing(request: Request) -> Response:
        if request.sample.id == "40" and request.epoch < 2:
            return Response(error="down")
        return right(request)

    found = of_run(held([row("base"), row("sft", failing)], BOTH, tmp_path))
    whole = cells(found.candidates[0])["contest"]
    assert 2 / (60 * EPOCHS) < 0.01 < 2 / (30 * EPOCHS)
    assert whole.reason.startswith("contest-2: 1.7% of the candidate's samples are missing")


def test_parts_asked_unequally_often_are_no_mean_over_items(tmp_path: Path) -> None:
    found = judged(tmp_path, [BOTH[0], exam(replace(SECOND, epochs=2))])
    whole = cells(found)["contest"]
    assert whole.verdict == "invalid"
    assert whole.reason.startswith("4 answers an item of contest-1 and 2 of contest-2")


@pytest.mark.parametrize(
    "fields", [{"weights": {"": 1.0}}, {"bounds": (0.0, 2.0)}, {"domain": "reasoning"}]
)
def test_parts_that_are_scored_otherwise_are_not_judged_as_one(
    tmp_path: Path, fields: dict[str, Any]
) -> None:
    found = judged(tmp_path, [BOTH[0], exam(replace(SECOND, **fields))])
    assert cells(found)["contest"].verdict == "invalid"
    assert "contest-2" in cells(found)["contest"].reason


def clustered(task: Task, size: int) -> Exam:
    """The same questions, so many of which belong together."""

    def samples(_: Rows) -> list[Sample]:
        every = list(task.samples(_))
        return [replace(sample, cluster=str(int(sample.id) // size)) for sample in every]

    return exam(replace(task, samples=samples))


def test_clusters_of_either_part_stay_apart(tmp_path: Path) -> None:
    parts = judged(tmp_path / "parts", [clustered(FIRST, 3), clustered(SECOND, 3)])
    whole = judged(tmp_path / "whole", [clustered(WHOLE, 3)])
    near(cells(parts)["contest"].ci, cells(whole)["contest"].ci)
    mixed = judged(tmp_path / "mixed", [BOTH[0], clustered(SECOND, 3)])
    assert cells(mixed)["contest"].method == "cluster"


def test_clusters_are_known_where_either_side_tells_them_of_a_part(tmp_path: Path) -> None:
    held(rows()[:1], [clustered(FIRST, 3), BOTH[1]], tmp_path)
    held(rows()[1:], [BOTH[0], clustered(SECOND, 3)], tmp_path)
    told = cells(of_store(Store(tmp_path), ["base", "sft"], Policy()).candidates[0])
    both = judged(tmp_path / "both", [clustered(FIRST, 3), clustered(SECOND, 3)])
    near(told["contest"].ci, cells(both)["contest"].ci)


def test_the_items_of_all_parts_are_in_order(tmp_path: Path) -> None:
    sat = held(rows()[:1], BOTH, tmp_path)
    found = {cell.task: cell for cell in with_wholes([found_of(seat) for seat in sat.seats])}
    whole = found["contest"].side
    assert isinstance(whole, Joined)
    items = whole.arm.items.tolist()
    assert items == sorted(items)
    assert set(items) == {item.rstrip(b"\0") for part in BOTH for item in part.items}
    for part in (found[name].side for name in PARTS):
        assert isinstance(part, Side)
        at = [items.index(item) for item in part.arm.items.tolist()]
        assert (whole.arm.values[at] == part.arm.values).all()


@pytest.mark.parametrize("fields", [{}, {"sampling": Sampling(temperature=0.0)}])
def test_the_items_of_the_whole_may_be_fixed_where_every_part_was_drawn(
    tmp_path: Path, fields: dict[str, Any]
) -> None:
    warm = Sampling(temperature=0.7)
    first, whole = (replace(task, sampling=warm) for task in (FIRST, WHOLE))
    second = replace(SECOND, **{"sampling": warm, **fields})
    fixed = frozenset(["contest", *PARTS])
    one = judged(tmp_path / "parts", [exam(first), exam(second)], fixed=fixed)
    other = judged(tmp_path / "whole", [exam(whole)], fixed=fixed)
    if fields:
        assert "at a temperature above 0" in cells(one)["contest"].reason
    else:
        assert "fixed_items" in cells(one)["contest"].flags
        near(cells(one)["contest"].ci, cells(other)["contest"].ci)


def test_what_is_said_of_the_judge_of_a_part_is_said_of_the_whole(tmp_path: Path) -> None:
    note = JudgeNote(task="contest-2", judge="j", flags=["judge_unstable"], advisory=True)
    sat = replace(held(rows(), [*BOTH, ELSEWHERE], tmp_path), judges=[note])
    found = cells(of_run(sat).candidates[0])
    assert {"judge_unstable", "advisory"} <= {*found["contest"].flags}
    assert "judge_unstable" in found["contest-2"].flags
    assert "judge_unstable" not in found["contest-1"].flags


def test_a_change_along_a_line_is_told_of_the_whole_alone(tmp_path: Path) -> None:
    line = [row("c0", skilled(0.9, "0"))]
    line += [row(f"c{i}", skilled(0.2, str(i)), parent=f"c{i - 1}") for i in (1, 2)]
    found = of_run(held(line, BOTH, tmp_path))
    assert [(note.task, note.checkpoint) for note in found.changes] == [("contest", "c1")]


def test_what_answers_took_is_told_of_the_parts_alone(tmp_path: Path) -> None:
    found = reported(tmp_path, BOTH)
    scores = {(each.checkpoint, each.task): each for each in found.scores}
    whole = scores["sft", "contest"]
    assert (whole.n, whole.parts, whole.cells) == (60, PARTS, [])
    assert whole.completion_tokens is None
    assert whole.score == pytest.approx(
        sum(scores["sft", name].score or 0.0 for name in PARTS) / len(PARTS)
    )
    asked = {note.task: note.exam for note in found.exams}
    assert asked["contest"] == {"parts": ", ".join(PARTS)}
    frame = frames_of(tmp_path).cells
    assert sorted(frame["task"].unique()) == PARTS


def test_flips_are_shown_of_the_parts_alone(tmp_path: Path) -> None:
    found = reported(tmp_path, BOTH, margins={"contest": 0.07})
    evidence = StoredEvidence(tmp_path, found)
    shown = samples(found, evidence)
    assert [pair["task"] for pair in shown["pairs"]] == PARTS
    assert all(flip["pair"] in (0, 1) for flip in shown["flips"])
    drawn = triage(found)
    assert drawn is not None
    assert "contest:" not in drawn.says
    xml = junit(found, evidence)
    assert 'name="mathematics / contest"' in xml
    assert "lost in contest-" in xml
    assert "lost in contest," not in xml
    assert xml.count("<failure") == 2  # the domain, and the exam
    said = markdown(found)
    assert "evalkit show contest-" in said
    assert "contest/sft" not in said
    assert "a part of contest" in table(found)


def test_a_domain_of_parts_alone_ends_on_its_baseline_score(tmp_path: Path) -> None:
    found = reported(tmp_path, [*BOTH, OTHER])
    (curve,) = _curves(found)
    scores = {(s.checkpoint, s.task): s.score or 0.0 for s in found.scores}
    assert curve.base == pytest.approx((scores["base", "contest"] + scores["base", "sums"]) / 2)


def test_presets_of_parts_belong_together_and_what_is_not_listed_is_no_part() -> None:
    found = joints({"a@x": Whole("w", ("a", "b")), "b@x": Whole("w", ("a", "b"))})
    assert [(each.label, each.parts) for each in found.whole] == [("w@x", ("a@x", "b@x"))]
    split = joints({"a@x": Whole("w", ("a", "b")), "b": Whole("w", ("a", "b"))})
    assert not split.whole
    assert split.lone == {
        "a@x": "w@x is judged as one, and b@x is not here",
        "b": "w is judged as one, and a is not here",
    }


def test_a_task_that_goes_by_the_name_of_the_whole_leaves_its_parts_displayed() -> None:
    found = joints({"a": Whole("w", ("a", "b")), "b": Whole("w", ("a", "b")), "w": None})
    assert not found.whole
    assert set(found.shown) == {"a", "b"}


def test_a_cell_says_what_it_is_a_part_of(tmp_path: Path) -> None:
    held(rows(), BOTH, tmp_path)
    metas = [cell.meta() for cell in Store(tmp_path).cells()]
    assert {whole_of(meta) for meta in metas} == {CONTEST}
    assert whole_of({"task": "mmlu-pro", "part_of": None}) is None
    assert whole_of({"task": "nobody's", "part_of": "damaged"}) is None


def test_a_recipe_averages_the_whole_over_its_seeds(tmp_path: Path) -> None:
    seeds = [row(f"sft-s{seed}", skilled(0.4 + 0.05 * seed, str(seed))) for seed in range(3)]
    every = [rows()[0], *seeds]
    held(every, BOTH, tmp_path / "parts")
    held(every, [exam(WHOLE)], tmp_path / "whole")
    found = [
        of_store(Store(tmp_path / name), ["base", "sft"], Policy(), seeds=True).candidates[0]
        for name in ("parts", "whole")
    ]
    one, other = (cells(each)["contest"] for each in found)
    assert one.df is not None
    near(one.model_dump(exclude=HIDDEN), other.model_dump(exclude=HIDDEN))


def test_a_series_has_the_whole_and_the_best_is_chosen_without_parts(tmp_path: Path) -> None:
    chain = [row(f"c{i}", skilled(0.6 - 0.1 * i, str(i))) for i in range(3)]
    held(chain, [*BOTH, ELSEWHERE], tmp_path)
    words = ["--results", str(tmp_path), "--format", "json"]
    names = ["c0", "c1", "c2"]
    trend = json.loads(CliRunner().invoke(cli, ["trend", *names, *words]).output)
    found = {task["task"]: task for task in trend["tasks"]}
    assert found["contest"]["n"] == 60
    assert not found["contest"]["invalid"]
    assert not found["contest"]["shown"]
    assert "judged as one" in found["contest-1"]["shown"]
    result = CliRunner().invoke(cli, ["best", *names, *words, "--target", "mathematics"])
    best = json.loads(result.output)
    assert result.exit_code == 0
    assert sum(best["items"]) == 60
    assert set(best["shown"]) == set(PARTS)


def test_a_lone_part_does_not_choose_the_best(tmp_path: Path) -> None:
    chain = [row(f"c{i}", skilled(0.6 - 0.1 * i, str(i))) for i in range(3)]
    held(chain, [exam(numbered("contest-1", range(60), part_of=CONTEST)), ELSEWHERE], tmp_path)
    result = CliRunner().invoke(cli, ["best", "c0", "c1", "c2", "--results", str(tmp_path)])
    assert "left out: contest-1: displayed only" in result.output
    assert "mathematics" not in result.output.partition("left out")[0]
