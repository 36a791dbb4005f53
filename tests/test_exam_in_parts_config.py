"""What a config may say of an exam in parts, and what is planned, gated and told of it."""

from __future__ import annotations

import json
import math
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from evalkit import plugins
from evalkit.cli import cli
from evalkit.comparison.policy import Policy
from evalkit.configuration.config import load
from evalkit.configuration.resolve import resolve
from evalkit.contamination.learned import Learned
from evalkit.errors import ConfigError
from evalkit.events import silent
from evalkit.exams.exam import Exam
from evalkit.fast.gate import fast_gate
from evalkit.matrix import Matrix
from evalkit.planning.plan import plan
from evalkit.reporting.report import of_run, of_store
from evalkit.storage.store import Store
from evalkit.types import Request, Response
from evalkit.verdict import Report
from tests.exam_in_parts import CONTEST, EPOCHS, FIRST, SECOND, WHOLE, numbered, rows, skilled
from tests.small_exams import doubles, exam, held, logged, matrix, right, row

BOTH = [exam(FIRST), exam(SECOND)]
PARTS = ["contest-1", "contest-2"]
MINE = '''
"""A contest of two parts."""
from evalkit import Sample, Sampling, Score, Task, Whole

CONTEST = Whole("contest", ("contest-1", "contest-2"))

def numbered(name, numbers):
    def samples(_):
        for number in numbers:
            yield Sample(str(number), f"Twice {number} is", target=str(2 * number))
    return Task(name, "contests", 1, samples, score, sampling=Sampling(temperature=0.7), epochs=4,
                solution=solution, part_of=CONTEST)

def score(sample, response):
    return Score(float(response.text.strip() == sample.target), response.text)

def solution(sample):
    return sample.target

TASKS = (numbered("contest-1", range(30)), numbered("contest-2", range(30, 60)))
'''
HEAD = """\
baseline: base
checkpoints:
  - {name: base, backend: {name: echo, skill: 0.6}}
  - {name: sft, backend: {name: echo, skill: 0.2, seed: 1}}
results: results
reports: [json, markdown, html, junit, table, terminal, model-card, figures]
"""
YAML = """\
tasks: [{name: ./contests.py:contest-1}, {name: ./contests.py:contest-2}, mini-choice]
gate: {margins: {contest: 7.0, knowledge: 10.0}}
"""


@pytest.fixture(autouse=True)
def forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test has a module of its own of that name."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.delitem(sys.modules, "contests", raising=False)


def written(folder: Path, text: str = YAML, old: str = "", new: str = "") -> Path:
    assert old in text
    (folder / "contests.py").write_text(MINE)
    (folder / "c.yaml").write_text(HEAD + (text.replace(old, new, 1) if old else text))
    return folder / "c.yaml"


def resolved(folder: Path, text: str = YAML, old: str = "", new: str = "") -> Matrix:
    return resolve(load(written(folder, text, old, new)))


def ran(*words: object) -> Result:
    return CliRunner().invoke(cli, [str(word) for word in words])


def verdict(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "results/report/verdict.json").read_text())
    return found


def test_settings_of_the_parts_are_those_of_the_whole(tmp_path: Path) -> None:
    text = YAML.replace("contest-1}", "contest-1, gate: true, weight: 2, items: fixed}")
    text = text.replace("contest-2}", "contest-2, gate: true, weight: 2, items: fixed}")
    policy = resolved(tmp_path, text).policy
    assert policy.margins["contest"] == 0.07
    assert policy.gating_cells == {"contest"}
    assert policy.weights == {"contest": 2.0, "mini-choice": 1.0}
    assert "contest" in policy.fixed
    assert policy.off == {*PARTS}
    dull = text.replace("gate: true", "role: off").replace("contest: 7.0, ", "")
    assert resolved(tmp_path, dull).policy.off == {*PARTS, "contest"}


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("contest-2}", "contest-2, gate: true}", "tasks[1].gate: contest-1 and contest-2 are judg"),
        ("contest-1}", "contest-1, gate: true}", "say the same `gate` of each"),
        ("contest-2}", "contest-2, role: off}", "tasks[1].role: contest-1 and contest-2 are"),
        ("contest-2}", "contest-2, weight: 2}", "say the same `weight` of each"),
        ("contest-2}", "contest-2, items: fixed}", "say the same `items` of each"),
        ("contest-2}", "contest-2, epochs: 2}", "say the same `epochs` of each"),
        ("{contest: 7", "{contest-1: 7", "c.yaml:8: gate.margins.contest-1: is displayed only: a"),
        (
            ", {name: ./contests.py:contest-2}",
            "",
            "margins.contest: contest-1 alone is displayed only: contest is judged as one",
        ),
        (
            "}, {name: ./contests.py:contest-2}",
            ", gate: true}",
            "tasks[0].gate: contest-1 never gates alone: contest is judged as one, and contest-2",
        ),
        ("mini-choice", "{name: ./contests.py:contest-1}", "two entries are called"),
        (
            "mini-choice]",
            "{name: contest, data: d.jsonl, scorer: exact}]",
            "another task is called",
        ),
    ],
)
def test_a_part_that_is_told_to_count_is_refused(
    tmp_path: Path, old: str, new: str, told: str
) -> None:
    (tmp_path / "d.jsonl").write_text('{"id": "1", "prompt": "a", "target": "b"}\n')
    with pytest.raises(ConfigError) as error:
        resolved(tmp_path, YAML, old, new)
    assert told in str(error.value)


def test_a_domain_of_which_only_one_part_is_asked_takes_no_margin(tmp_path: Path) -> None:
    text = YAML.replace(", {name: ./contests.py:contest-2}", "").replace(
        "contest: 7", "contests: 7"
    )
    with pytest.raises(ConfigError, match=r"nothing of it is judged \(contest-1: displayed only: "):
        resolved(tmp_path, text)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("part_of=CONTEST", "part_of=Whole('contest', ('contest-1', 'c'))", "no part of what its"),
        ("part_of=CONTEST", "part_of=CONTEST, weights={'': 1.0}", "is no mean over items"),
        ('"contests"', "name", "cannot be judged with contest-1 as one: its scale or its domain"),
    ],
)
def test_tasks_that_cannot_be_parts_are_refused(
    tmp_path: Path, old: str, new: str, told: str
) -> None:
    path = written(tmp_path, YAML.replace("contest: 7.0, ", ""))
    assert old in MINE
    (tmp_path / "contests.py").write_text(MINE.replace(old, new))
    with pytest.raises(ConfigError) as error:
        resolve(load(path))
    assert told in str(error.value)


def test_a_users_own_exam_in_parts_is_planned_asked_gated_and_told(tmp_path: Path) -> None:
    config = written(tmp_path)
    result = ran("plan", config)
    assert "contest-1: displayed only: a part of contest, which is judged as one" in result.output
    assert "  contest-1" not in result.output.partition("suggested")[2].partition("SE, finds")[0]
    assert "60×4" in result.output
    result = ran("gate", config)
    assert result.exit_code == 4
    assert ran("run-matrix", config).exit_code == 0
    assert ran("gate", config).exit_code == 1
    (candidate,) = verdict(tmp_path)["candidates"]
    found = {cell["task"]: cell for cell in candidate["cells"]}
    assert found["contest"]["parts"] == PARTS
    assert found["contest"]["verdict"] == "regressed"
    assert found["contest-1"]["flags"][0] == "off"
    assert found["contest-1"]["delta"] is not None
    (tmp_path / "contests.py").unlink()  # the results know without it
    (again,) = of_store(Store(tmp_path / "results"), ["base", "sft"], Policy()).candidates
    known = {cell.task: cell for cell in again.cells}
    assert known["contest"].delta == found["contest"]["delta"]
    assert known["contest-2"].flags[0] == "off"
    for name in ("report.md", "report.html", "junit.xml", "model-card.md", "report-table.txt"):
        assert "contest-1" in (tmp_path / "results/report" / name).read_text()


def test_a_stored_gate_judges_the_whole_by_its_margin(tmp_path: Path) -> None:
    held(rows(), BOTH, tmp_path / "results")
    text = "tasks: [contest-1, contest-2]\ngate: {margins: {contest: 7.0}}\n"
    path = written(tmp_path, text)
    assert ran("gate", path, "--stored", "--results", tmp_path / "results").exit_code == 1
    (candidate,) = verdict(tmp_path)["candidates"]
    (domain,) = candidate["domains"]
    assert (domain["margin"], domain["gates"]) == (0.07, True)
    path = written(tmp_path, text, "contest: 7.0", "contest-2: 7.0")
    result = ran("gate", path, "--stored", "--results", tmp_path / "results")
    assert "is displayed only: a part of contest" in str(result.exception)


def test_the_whole_is_planned_as_the_task_that_it_would_be(tmp_path: Path) -> None:
    margins = {"mathematics": 0.07}
    others = [exam(doubles(80, domain="mathematics")), exam(doubles(90, name="w", domain="words"))]
    known = plan(matrix(rows(), [*BOTH, *others], policy=Policy(margins=margins)), tmp_path)
    whole = plan(matrix(rows(), [exam(WHOLE), *others], policy=Policy(margins=margins)), tmp_path)
    one, first, second = known.tasks[:3]
    assert (one.name, one.n, one.epochs, one.role) == ("contest", 60, EPOCHS, "detects")
    assert one.parts == tuple(PARTS)
    assert (one.sd, one.se, one.mde80_family) == pytest.approx(
        (whole.tasks[0].sd, whole.tasks[0].se, whole.tasks[0].mde80_family)
    )
    assert [part.role for part in (first, second)] == ["off", "off"]
    assert first.se == pytest.approx(one.se * math.sqrt(2))
    assert [unit.n for unit in known.domains] == [140, 90]
    assert known.domains == whole.domains
    assert known.p_pass == whole.p_pass
    asked = [sum(t.effort.requests for t in each.tasks) for each in (known, whole)]
    assert asked[0] == asked[1]


def test_the_spread_of_the_whole_is_measured_over_all_parts(tmp_path: Path) -> None:
    held(rows(), BOTH, tmp_path / "parts")
    held(rows(), [exam(WHOLE)], tmp_path / "whole")
    known = plan(matrix(rows(), BOTH), tmp_path / "parts").tasks[0]
    whole = plan(matrix(rows(), [exam(WHOLE)]), tmp_path / "whole").tasks[0]
    assert known.source == whole.source
    assert known.source == f"measured: sft against base, 60 items, k = {EPOCHS}"
    assert (known.sd, known.between, known.within) == pytest.approx(
        (whole.sd, whole.between, whole.within)
    )
    held(rows()[:1], BOTH, tmp_path / "alone")
    alone = plan(matrix(rows(), BOTH), tmp_path / "alone").tasks[0]
    assert "base against itself" in alone.source


def test_a_lone_part_is_planned_as_displayed_only(tmp_path: Path) -> None:
    result = ran(
        "plan", written(tmp_path, "tasks: [{name: ./contests.py:contest-1}, mini-choice]\n")
    )
    assert "contest is judged as one, and contest-2 is not here" in " ".join(result.output.split())
    found = json.loads(ran("plan", tmp_path / "c.yaml", "--format", "json").output)
    assert [task["role"] for task in found["tasks"]] == ["off", "detects"]
    assert [domain["name"] for domain in found["domains"]] == ["knowledge"]


def test_both_years_of_aime_are_planned_as_sixty_items(tmp_path: Path) -> None:
    years = [plugins.task(f"aime-{year}") for year in (2024, 2025)]
    exams = [exam(replace(year, samples=FIRST.samples, source=None)) for year in years]
    found = plan(matrix(rows(), exams, policy=Policy(margins={"aime": 0.07})), tmp_path)
    (domain,) = found.domains
    aime = found.tasks[0]
    assert (aime.name, aime.n, aime.epochs) == ("aime", 60, 16)
    assert 100 * aime.mde80 == pytest.approx(7.1, abs=0.05)
    assert domain.p_pass == pytest.approx(0.80, abs=0.015)
    shown = ran("list", "tasks").output
    assert "aime  aime-2024 and aime-2025, judged as one, 60 items, MDE80 7.1" in shown


def long(name: str, numbers: range) -> Exam:
    return exam(replace(numbered(name, numbers, part_of=CONTEST), epochs=1))


HALVES = [long("contest-1", range(200)), long("contest-2", range(200, 500))]


def fast(results: Path, exams: list[Exam], skill: float, **policy: Any) -> Report:
    fixed = Policy(**{"margins": {"contest": 0.10}, **policy})
    ours = matrix(rows(skill), exams, policy=fixed)
    return fast_gate(ours, results, silent, capped=False)


def test_a_fast_gate_looks_at_the_whole_and_names_no_part(tmp_path: Path) -> None:
    found = fast(tmp_path, HALVES, 0.25)
    (candidate,) = found.candidates
    (domain,) = candidate.domains
    (looks,) = candidate.sequential
    assert (domain.domain, domain.verdict, domain.margin) == ("mathematics", "regressed", 0.10)
    assert looks.items == 500
    assert looks.asked < 500
    assert candidate.cells == []


def test_the_last_look_of_a_fast_gate_has_the_mean_over_all_items(tmp_path: Path) -> None:
    uneven = [exam(FIRST, 20), exam(SECOND)]
    found = fast(tmp_path, uneven, 0.52)
    whole = of_run(held(rows(0.52), uneven, tmp_path))
    (candidate,) = found.candidates
    assert candidate.sequential[0].asked == 50
    cell = next(cell for cell in whole.candidates[0].cells if cell.task == "contest")
    assert candidate.domains[0].delta == pytest.approx(cell.delta, abs=1e-9)


def test_a_fast_gate_counts_the_items_of_all_parts(tmp_path: Path) -> None:
    assert fast(tmp_path / "both", BOTH, 0.2).candidates[0].domains[0].verdict == "regressed"
    few = [exam(FIRST, 20), exam(SECOND, 20)]
    with pytest.raises(ConfigError, match="contest has 40 items, too few to stop early"):
        fast(tmp_path / "few", few, 0.2)
    with pytest.raises(ConfigError, match="contest is judged as one, and contest-2 is not here"):
        fast(tmp_path / "lone", BOTH[:1], 0.2)


def test_a_fast_gate_says_of_a_lone_part_that_it_was_not_asked(tmp_path: Path) -> None:
    other = exam(doubles(60, name="words", domain="words"))
    found = fast(tmp_path, [BOTH[0], other], 0.2, margins={"words": 0.1})
    assert [domain.domain for domain in found.candidates[0].domains] == ["words"]
    said = "contest-1 is displayed only: contest is judged as one, and contest-2 is not here"
    assert found.notes.count(said) == 1


def test_a_bound_in_a_fast_gate_is_on_the_answers_of_all_parts(tmp_path: Path) -> None:
    def answer(request: Request) -> Response:
        dull = request.task.name == "contest-1" and int(request.sample.id) % 4 == 0
        return Response("", finish_reason="stop") if dull else right(request)

    def gated(name: str, limit: float) -> Report:
        bounds = {"unparsed": {"contest": limit}}
        policy = Policy(margins={"contest": 0.5}, bounds=bounds)
        ours = matrix([row("base"), row("sft", answer)], HALVES, policy=policy)
        return fast_gate(ours, tmp_path / name, silent, capped=False)

    assert gated("wide", 0.2).exit_code == 0  # a quarter of one part is a tenth of both
    found = gated("narrow", 0.05)
    (cell,) = found.candidates[0].cells
    assert (cell.task, cell.parts, cell.verdict) == ("contest", PARTS, "regressed")


def test_bounds_are_on_the_answers_of_all_parts(tmp_path: Path) -> None:
    def answer(request: Request) -> Response:
        dull = request.task.name == "contest-1" and int(request.sample.id) % 4 == 0
        return Response("") if dull else right(request)

    def flags(limit: float) -> dict[str, list[str]]:
        policy = Policy(bounds={"unparsed": {"all": limit}})
        found = of_run(held([row("base"), row("sft", answer)], BOTH, tmp_path, policy=policy))
        return {cell.task: cell.flags for cell in found.candidates[0].cells}

    assert "bound:unparsed" not in flags(0.2)["contest"]  # 4 in 15 of one part, half as many of all
    found = flags(0.1)
    assert "bound:unparsed" in found["contest"]
    assert not any("bound:unparsed" in found[name] for name in PARTS)


def test_what_was_trained_on_is_left_out_of_every_part(tmp_path: Path) -> None:
    sat = held(rows(), BOTH, tmp_path)
    learned = {
        part.label: Learned(30, 0, tuple(item.hex() for item in [*part.items][:count]), "")
        for part, count in zip(BOTH, (4, 7), strict=True)
    }
    ours = replace(sat, matrix=replace(sat.matrix, learned={"sft": learned}))
    found = {cell.task: cell for cell in of_run(ours).candidates[0].cells}
    notes = {name: cell.clean for name, cell in found.items()}
    assert {name: note and (note.touched, note.n) for name, note in notes.items()} == {
        "contest": (11, 49),
        "contest-1": (4, 26),
        "contest-2": (7, 23),
    }
    deltas = {name: (note.delta or 0.0, note.n) for name, note in notes.items() if note}
    summed = sum(delta * n for name, (delta, n) in deltas.items() if name != "contest")
    assert deltas["contest"][0] == pytest.approx(summed / 49)


def test_no_question_of_a_part_is_asked_twice(tmp_path: Path) -> None:
    base, log = logged("base", skilled(0.5, "a"))
    held([base], BOTH, tmp_path)
    assert len(log.asked) == len(set(log.asked)) == 60 * EPOCHS
