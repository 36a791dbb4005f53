"""The policy of a gate: bounds, roles, and margins that no data could pass."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from benchmarks.cells import seal
from benchmarks.recordings import Recorded
from evalkit.comparison.compare import compare
from evalkit.comparison.policy import Policy
from evalkit.comparison.refusal import hopeless, refuse
from evalkit.comparison.sides import Side, Sides
from evalkit.comparison.stored_gate import stored_report
from evalkit.configuration.config import load
from evalkit.configuration.resolve import resolve
from evalkit.errors import ConfigError
from evalkit.events import silent
from evalkit.reporting.report import of_run
from evalkit.run import hold
from evalkit.stats.distributions import critical_value
from evalkit.stats.power import probability_of_pass
from evalkit.storage.store import Cell
from evalkit.storage.tables import SCORE_COLUMNS, write_table
from evalkit.verdict import CandidateVerdict, Report
from reports.junit import render as junit
from reports.terminal import render as terminal

YAML = """\
baseline: base
checkpoints: [{name: base, backend: echo}, {name: sft, backend: echo}]
tasks: [mini-arithmetic, {name: mini-choice, role: off}]
gate:
  margins: {mathematics: 3.0}
  bounds: {truncated: 2.0, unparsed: {mini-arithmetic: 10, all: 50}}
"""


def loaded(folder: Path, text: str = YAML) -> Any:
    path = folder / "c.yaml"
    path.write_text(text)
    return load(path)


def said(folder: Path, old: str, new: str) -> str:
    assert old in YAML
    with pytest.raises(ConfigError) as error:
        resolve(loaded(folder, YAML.replace(old, new, 1)))
    return str(error.value)


def side(folder: Path, outcomes: Sequence[str | Sequence[str]], exam: str = "x") -> Side:
    """A cell on disk whose samples ended so; `correct` scores 1, `errored` is missing."""
    value = {"correct": 1.0, "errored": float("nan")}
    rows = [
        dict.fromkeys(SCORE_COLUMNS, "")
        | {"item": i.to_bytes(16, "big"), "epoch": e, "value": value.get(how, 0.0), "outcome": how}
        for i, each in enumerate(outcomes)
        for e, how in enumerate([each] if isinstance(each, str) else each)
    ]
    folder.mkdir(parents=True)
    write_table(Cell(folder).scores_path(), rows, SCORE_COLUMNS)
    return Side(Cell(folder), {"checkpoint": {}, "exam": {"task": exam}})


def ends(**counts: int) -> list[str]:
    return [how for how, count in counts.items() for _ in range(count)]


def judged(
    folder: Path, tasks: Mapping[str, tuple[Sequence[Any], Sequence[Any]]], **policy: Any
) -> CandidateVerdict:
    """The verdict over tasks, all of the domain `d`, from how their samples ended."""
    sides = [
        Sides(task, "d", side(folder / task / "0", before), side(folder / task / "1", after))
        for task, (before, after) in tasks.items()
    ]
    return compare("after", "before", sides, Policy(**policy))


def report(found: CandidateVerdict) -> Report:
    return Report(
        baseline="before", verdict=found.verdict, exit_code=found.exit_code, candidates=[found]
    )


SAME = (ends(correct=300, wrong=100), ends(correct=300, wrong=100))
CUT = (ends(correct=300, wrong=100), ends(correct=300, wrong=88, truncated=12))


def test_a_config_fixes_margins_bounds_and_roles(tmp_path: Path) -> None:
    policy = resolve(loaded(tmp_path)).policy
    assert policy.margins == {"mathematics": 0.03}
    assert policy.off == {"mini-choice"}
    assert policy.bound("truncated", "mini-choice", "knowledge") == 0.02
    assert policy.bound("unparsed", "mini-arithmetic", "mathematics") == 0.1
    assert policy.bound("unparsed", "mini-choice", "knowledge") == 0.5
    assert policy.bound("refused", "mini-choice", "knowledge") is None


@pytest.mark.parametrize("role", ["off", "'off'", "OFF", "false"])
def test_a_role_is_off_however_yaml_reads_the_word(tmp_path: Path, role: str) -> None:
    config = loaded(tmp_path, YAML.replace("role: off", f"role: {role}")).config
    assert config.tasks[1].role == "off"


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("truncated:", "truncatd:", "c.yaml:6: gate.bounds.truncatd: unknown key; did you mean"),
        ("2.0", "-1", "c.yaml:6: gate.bounds.truncated: input should be greater than or equal"),
        ("2.0", ".nan", "c.yaml:6: gate.bounds.truncated: input should be"),
        ("2.0", "yes", "c.yaml:6: gate.bounds.truncated: input should be a valid dictionary"),
        ("2.0", "200", "c.yaml:6: gate.bounds.truncated: input should be less than or equal"),
        ("{mini-arithmetic: 10", "{mini-arithmetc: 10", "unparsed.mini-arithmetc: no such domain"),
        ("{mini-arithmetic: 10", "{mini-choice: 10", "unparsed.mini-choice: is displayed only"),
        ("{mathematics: 3.0", "{knowledge: 3.0", "c.yaml:5: gate.margins.knowledge: is displayed"),
        ("{mathematics: 3.0", "{all: 3.0", "c.yaml:5: gate.margins.all: no such domain or task"),
        ("3.0", "{point: 3}", "gate.margins.mathematics.point: unknown key; did you mean 'points'"),
        ("3.0", "{gate: true}", "gate.margins.mathematics: give either `points` or `native`"),
        ("3.0", "{points: -3}", "gate.margins.mathematics.points: input should be greater than"),
        ("role: off", "role: of", "c.yaml:3: tasks[1].role: input should be 'detect' or 'off'"),
        ("role: off", "role: off, gate: true", "c.yaml:3: tasks[1].gate: `role: off` never gates"),
        ("[mini-arithmetic, {", "[{", "c.yaml:3: tasks: every task is `role: off`"),
    ],
)
def test_a_wrong_policy_is_named_by_line_and_key(
    tmp_path: Path, old: str, new: str, told: str
) -> None:
    assert told in said(tmp_path, old, new)


def test_a_broken_bound_fails_a_candidate_whose_score_held(tmp_path: Path) -> None:
    found = judged(tmp_path, {"t": CUT}, margins={"d": 0.05}, bounds={"truncated": {"all": 0.02}})
    (cell,), (domain,) = found.cells, found.domains
    assert (found.verdict, found.exit_code) == ("regressed", 1)
    assert cell.verdict == "regressed"
    assert cell.flags[0] == "bound:truncated"
    assert cell.reason == "3.0% of its answers truncated: the bound is 2.0%"
    assert domain.verdict == "no_regression"
    assert "OUT OF BOUNDS" in terminal(report(found))
    assert "the bound is 2.0%" in terminal(report(found))
    assert 'failures="1"' in junit(report(found))


def test_a_rate_that_equals_its_bound_is_within_it(tmp_path: Path) -> None:
    found = judged(tmp_path, {"t": CUT}, bounds={"truncated": {"all": 0.03}})
    assert found.exit_code == 0
    assert not any(flag.startswith("bound:") for flag in found.cells[0].flags)


@pytest.mark.parametrize(
    ("where", "exit_code"), [({"t": 0.01}, 1), ({"d": 0.01}, 1), ({"all": 0.01, "t": 0.5}, 0)]
)
def test_the_nearest_bound_counts(tmp_path: Path, where: dict[str, float], exit_code: int) -> None:
    assert judged(tmp_path, {"t": CUT}, bounds={"truncated": where}).exit_code == exit_code


@pytest.mark.parametrize(
    ("rate", "how"),
    [
        ("truncated", "truncated"),
        ("truncated", "unclosed_think"),
        ("unparsed", "unparsed"),
        ("unparsed", "empty"),
        ("refused", "refused"),
        ("errored", "errored"),
    ],
)
def test_every_way_of_ending_has_its_rate(tmp_path: Path, rate: str, how: str) -> None:
    after = ends(correct=300, wrong=97, **{how: 3})
    bounds = {rate: {"all": 0.005}}
    found = judged(tmp_path, {"t": (SAME[0], after)}, bounds=bounds)
    assert found.exit_code == 1
    assert f"bound:{rate}" in found.cells[0].flags


def test_a_bound_fails_even_where_the_cells_cannot_be_compared(tmp_path: Path) -> None:
    after = ends(correct=100, truncated=100)
    found = judged(tmp_path, {"t": (SAME[0], after)}, bounds={"truncated": {"all": 0.02}})
    assert found.exit_code == 1
    assert "items in common" in found.cells[0].reason
    assert "the bound is 2.0%" in found.cells[0].reason


def test_what_is_off_is_shown_and_decides_nothing(tmp_path: Path) -> None:
    fell = (ends(correct=400), ends(correct=100, truncated=300))
    tasks = {"t": SAME, "u": fell}
    bounds = {"truncated": {"all": 0.02}}
    found = judged(tmp_path, tasks, margins={"d": 0.05}, off=frozenset("u"), bounds=bounds)
    shown = found.cells[1]
    assert (found.verdict, found.exit_code) == ("passed", 0)
    assert (shown.verdict, shown.flags[0]) == ("inconclusive", "off")
    assert shown.delta == -0.75
    assert shown.p_regressed_adjusted is None
    assert "displayed only" in terminal(report(found))


def test_what_is_off_is_in_no_family(tmp_path: Path) -> None:
    weak = (ends(correct=200, wrong=200), ends(correct=185, wrong=215))
    alone = judged(tmp_path / "1", {"t": weak})
    beside = judged(tmp_path / "2", {"t": weak, "u": SAME, "v": SAME}, off=frozenset("uv"))
    assert beside.cells[0] == alone.cells[0]
    assert beside.domains == alone.domains


def test_a_domain_whose_tasks_are_all_off_has_no_verdict(tmp_path: Path) -> None:
    found = judged(tmp_path, {"t": SAME}, off=frozenset("t"))
    assert found.domains == []
    assert found.exit_code == 4


NARROW = {"d": 0.001}


def test_a_margin_that_an_unchanged_model_seldom_passes_is_refused(tmp_path: Path) -> None:
    found = report(judged(tmp_path, {"t": SAME}, margins=NARROW))
    (each,) = hopeless(found, Policy(margins=NARROW))
    config = loaded(tmp_path, YAML.replace("mathematics", "d"))
    with pytest.raises(ConfigError, match=r"c.yaml:5: gate.margins.d: a margin of 0.1 points"):
        refuse(found, Policy(margins=NARROW), config)
    lower, upper = found.candidates[0].domains[0].ci or (0.0, 0.0)
    se = (upper - lower) / (2 * critical_value(0.90))
    assert each.chance == probability_of_pass(0.001, se) < 0.5
    assert probability_of_pass(each.suggested, se) >= 0.97


@pytest.mark.parametrize("policy", [{"forced": frozenset("d")}, {"gating_cells": frozenset("t")}])
def test_gate_true_lets_any_margin_gate(tmp_path: Path, policy: dict[str, Any]) -> None:
    found = report(judged(tmp_path, {"t": SAME}, margins=NARROW, **policy))
    assert found.exit_code == 3
    assert hopeless(found, Policy(margins=NARROW, **policy)) == []


def test_a_task_that_gates_does_not_speak_for_its_domain(tmp_path: Path) -> None:
    policy: dict[str, Any] = {"margins": NARROW, "gating_cells": frozenset("t")}
    found = report(judged(tmp_path, {"t": SAME, "u": SAME}, **policy))
    assert [each.name for each in hopeless(found, Policy(**policy))] == ["d"]


def test_a_margin_that_can_be_passed_is_not_refused(tmp_path: Path) -> None:
    found = report(judged(tmp_path, {"t": SAME}, margins={"d": 0.03}))
    assert hopeless(found, Policy(margins={"d": 0.03})) == []


def test_a_regression_is_told_whatever_the_margins(tmp_path: Path) -> None:
    fell = (ends(correct=400), ends(correct=300, wrong=100))
    found = report(judged(tmp_path, {"t": fell}, margins=NARROW))
    refuse(found, Policy(margins=NARROW), loaded(tmp_path))
    assert found.exit_code == 1


def test_a_margin_of_0_asks_for_an_improvement_and_is_no_mistake(tmp_path: Path) -> None:
    found = report(judged(tmp_path, {"t": SAME}, margins={"d": 0.0}))
    assert hopeless(found, Policy(margins={"d": 0.0})) == []
    assert found.exit_code == 3


def test_two_forms_of_one_task_may_not_both_gate(tmp_path: Path) -> None:
    twice = "{name: mmlu-pro, gate: true}, {name: mmlu-pro, preset: two-stage, gate: true}"
    with pytest.raises(ConfigError, match=r"c.yaml:3: tasks\[1\].gate: another form of mmlu-pro"):
        resolve(
            loaded(
                tmp_path,
                YAML.splitlines()[0]
                + "\ncheckpoints: [{name: base, backend: echo}]\n"
                + f"tasks: [{twice}]\n",
            )
        )


def test_two_forms_of_one_task_are_not_taken_for_independent(tmp_path: Path) -> None:
    weak = (ends(correct=200, wrong=200), ends(correct=185, wrong=215))
    apart = judged(tmp_path / "1", {"t": weak, "u": SAME})
    shared = judged(tmp_path / "2", {"t": weak, "t@other": SAME})
    before, after = (found.domains[0].p_regressed or 0 for found in (apart, shared))
    smallest = min(cell.p_regressed or 1 for cell in apart.cells)
    assert before == pytest.approx(2 * (1 - (1 - smallest) ** 2))
    assert after == pytest.approx(2 * 2 * smallest)


def test_a_margin_may_be_in_the_tasks_own_unit(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(YAML.replace("{mathematics: 3.0", "{mathematics: {native: 0.03}"))
    assert resolve(load(path)).policy.margins == {"mathematics": pytest.approx(0.03)}


def test_a_margin_of_half_a_grade_is_an_eighteenth_of_nine(tmp_path: Path) -> None:
    """Imported cells say on which scale they lie, and a stored gate goes by that."""
    for name, grade in (("before", 7.0), ("after", 6.9)):
        grades = [grade + 0.5 * (i % 3) for i in range(80)]
        seal(tmp_path / "r", "bench", "chat", name, Recorded(dict(enumerate_text(grades)), (1, 10)))
    path = tmp_path / "c.yaml"
    config = "baseline: before\ncheckpoints: [{name: before}, {name: after}]\ntasks: [bench]\n"
    path.write_text(config + "gate: {margins: {bench: {native: 0.5}}}\n")
    found = stored_report(load(path), tmp_path / "r")
    assert found.candidates[0].domains[0].margin == pytest.approx(0.5 / 9)
    assert found.verdict == "passed"
    path.write_text(config + "gate: {margins: {bench: {native: 9.5}}}\n")
    with pytest.raises(ConfigError, match="no `native` margin fits the scale 1 to 10"):
        stored_report(load(path), tmp_path / "r")


def enumerate_text(values: Sequence[float]) -> Iterator[tuple[str, float]]:
    yield from ((str(number), value) for number, value in enumerate(values))


FAMILY = """\
baseline: base
checkpoints:
  - {name: base, backend: {name: echo, skill: 0.8}}
  - {name: one, backend: {name: echo, skill: 0.7}}
  - {name: two, backend: {name: echo, skill: 0.8}}
tasks: [mini-arithmetic]
gate: {family: run}
"""


def test_all_candidates_of_a_run_may_be_one_family(tmp_path: Path) -> None:
    """Every p-value counts once a candidate; intervals and the pass claim stay as they are."""
    path = tmp_path / "c.yaml"
    found = {}
    for family in ("run", "candidate"):
        path.write_text(FAMILY.replace("family: run", f"family: {family}"))
        matrix = resolve(load(path), 200)
        found[family] = of_run(hold(matrix, tmp_path / "r", silent)).candidates
    for run, each in zip(found["run"], found["candidate"], strict=True):
        whole, alone = run.domains[0], each.domains[0]
        assert whole.p_regressed == alone.p_regressed
        assert whole.p_regressed_adjusted == min(1.0, 2 * (alone.p_regressed_adjusted or 0))
        assert whole.p_improved_adjusted == min(1.0, 2 * (alone.p_improved_adjusted or 0))
        assert whole.ci == alone.ci
        assert (run.cells[0].mde80 or 0) > (each.cells[0].mde80 or 0)
