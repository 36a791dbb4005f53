"""Weighted strata, fitted headlines and fixed items, from cells to verdicts."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from evalkit.cli import cli
from evalkit.comparison.compare import compare
from evalkit.comparison.policy import Policy
from evalkit.comparison.sides import Side, Sides
from evalkit.configuration.config import load
from evalkit.configuration.resolve import resolve
from evalkit.errors import ConfigError
from evalkit.reporting.reading import read_verdict
from evalkit.reporting.report import of_store
from evalkit.series.recipe import Recipe
from evalkit.storage.store import Cell, Store
from evalkit.storage.tables import SCORE_COLUMNS, write_table
from evalkit.types import Response, Sampling
from evalkit.verdict import CandidateVerdict, CellVerdict
from tests import oracles
from tests.outside import distribution
from tests.small_exams import doubles, exam, held, right, row
from tests.test_stats_reference import CASES

NAN = math.nan
EXAM = {"task": "t", "version": 1, "preset": "", "sampling": {"temperature": 0.7}, "data": "d"}

Values = Sequence[float | Sequence[float]]


def side(
    folder: Path,
    values: Values,
    *,
    strata: Sequence[str] = (),
    clusters: Sequence[str] = (),
    lengths: Sequence[float] = (),
    bounds: tuple[float, float] = (0.0, 1.0),
    **sat: Any,
) -> Side:
    """A cell on disk with these scores, of one exam but for what `sat` says of it."""
    rows = []
    for number, value in enumerate(values):
        for epoch, each in enumerate([value] if isinstance(value, int | float) else value):
            known = not math.isnan(each)
            rows.append(
                dict.fromkeys(SCORE_COLUMNS, "")
                | {
                    "item": number.to_bytes(16, "big"),
                    "id": f"item {number}",
                    "epoch": epoch,
                    "value": each,
                    "outcome": "errored" if not known else "correct" if each == 1 else "wrong",
                    "stratum": strata[number] if strata else "",
                    "cluster": clusters[number] if clusters else "",
                    "details": json.dumps({"length": lengths[number]}) if lengths and known else "",
                }
            )
    folder.mkdir(parents=True)
    cell = Cell(folder)
    write_table(cell.scores_path(), rows, SCORE_COLUMNS)
    whole = {"checkpoint": {"name": folder.name}, "exam": {**EXAM, **sat}, "environment": {}}
    return Side(cell, {**whole, "bounds": bounds})


def verdict(folder: Path, before: Values, after: Values, **more: Any) -> CandidateVerdict:
    policy = more.pop("policy", Policy())
    sides = [side(folder / name, each, **more) for name, each in (("0", before), ("1", after))]
    return compare("after", "before", [Sides("t", "d", *sides)], policy)


def cell(folder: Path, before: Values, after: Values, **more: Any) -> CellVerdict:
    return verdict(folder, before, after, **more).cells[0]


def estimated(found: CellVerdict) -> tuple[float, float, float]:
    """Its difference and limits, which it must have."""
    assert found.delta is not None
    assert found.ci is not None
    return (found.delta, *found.ci)


def width(found: CellVerdict) -> float:
    _, lower, upper = estimated(found)
    return upper - lower


def case(name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """A reference case's input, and what independent routines answer."""
    (found,) = (each for each in CASES if each["id"] == name)
    return found["input"], found["expected"]


def of_counts(gained: int, lost: int, n: int) -> tuple[list[float], list[float]]:
    rest = n - gained - lost
    return [0.0] * gained + [1.0] * (n - gained), [1.0] * gained + [0.0] * lost + [1.0] * rest


# ---- (D) strata with a benchmark's own weights


def stratified(strata: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Both arms of a stratified case, each stratum's items one after the other."""
    arms: tuple[list[float], list[float]] = ([], [])
    names: list[str] = []
    for number, each in enumerate(strata):
        for arm, values in zip(
            arms, of_counts(each["gained"], each["lost"], each["n"]), strict=True
        ):
            arm.extend(values)
        names += [f"part {number}"] * each["n"]
    weights = {f"part {number}": each["weight"] for number, each in enumerate(strata)}
    return {"before": arms[0], "after": arms[1], "strata": names, "weights": weights}


def test_the_reference_case_of_strata_holds_from_cell_to_verdict(tmp_path: Path) -> None:
    given, expected = case("stratified_three")
    found = cell(tmp_path, **stratified(given["strata"]))
    assert found.method == "stratified"
    assert found.delta == pytest.approx(expected["delta"])
    assert found.ci == pytest.approx((expected["lower"], expected["upper"]))
    assert found.p_regressed == pytest.approx(expected["p_regressed"])
    assert found.baseline_score is not None
    assert found.candidate_score is not None
    assert found.candidate_score - found.baseline_score == pytest.approx(expected["delta"])
    assert (found.gained, found.lost, found.n) == (17, 24, 580)


def test_without_weights_all_items_count_alike(tmp_path: Path) -> None:
    given, _ = case("stratified_three")
    parts = stratified(given["strata"])
    parts.pop("weights")
    found = cell(tmp_path, **parts)
    assert found.method == "tango"
    assert found.delta == pytest.approx(-7 / 580)


def test_other_weights_are_another_exam(tmp_path: Path) -> None:
    sides = [
        side(tmp_path / str(i), [1.0, 0.0] * 20, strata=["a", "b"] * 20, weights=weights)
        for i, weights in enumerate(({"a": 1.0, "b": 1.0}, {"a": 2.0, "b": 1.0}))
    ]
    (found,) = compare("1", "0", [Sides("t", "d", *sides)], Policy()).cells
    assert found.verdict == "invalid"
    assert "weights.a: 1.0 → 2.0" in found.reason


def test_a_stratum_may_have_clusters_and_several_samples(tmp_path: Path) -> None:
    """Each is estimated as its own data ask for: one by its clusters, one by its samples."""
    random = np.random.default_rng(2)
    arms = [random.integers(0, 2, (120, 3)).astype(float).tolist() for _ in range(2)]
    strata = ["alone"] * 60 + ["together"] * 60
    clusters = [""] * 60 + [str(i // 3) for i in range(60)]
    whole = cell(
        tmp_path / "w", *arms, strata=strata, clusters=clusters,
        weights={"alone": 1.0, "together": 3.0},
    )  # fmt: skip
    parts = [
        cell(tmp_path / name, *([arm[i] for i in chosen] for arm in arms),
             clusters=[clusters[i] for i in chosen])
        for name, chosen in (("a", range(60)), ("t", range(60, 120)))
    ]  # fmt: skip
    assert [part.method for part in parts] == ["quasi_tango", "cluster"]
    (one, low_one, _), (other, low_other, _) = map(estimated, parts)
    delta, lower, _ = estimated(whole)
    assert delta == pytest.approx(0.25 * one + 0.75 * other)
    reach = math.hypot(0.25 * (one - low_one), 0.75 * (other - low_other))
    assert lower == pytest.approx(delta - reach)
    assert "few_clusters" in whole.flags


def test_what_is_missing_counts_with_the_weight_of_its_stratum(tmp_path: Path) -> None:
    """Two of 200 answers are missing, of a stratum that has half of the weight."""
    small, large = [1.0] * 20, [1.0] * 180
    strata = ["small"] * 20 + ["large"] * 180
    after = [NAN] * 2 + small[2:] + large
    weights = {"small": 1.0, "large": 1.0}
    policy = Policy(margins={"d": 0.08})
    plain = cell(tmp_path / "p", small + large, after, strata=strata, policy=policy)
    weighed = cell(
        tmp_path / "w", small + large, after, strata=strata, weights=weights, policy=policy
    )
    assert plain.verdict == "no_regression"
    assert weighed.verdict == "inconclusive"
    assert "missing" in weighed.flags


@pytest.mark.parametrize(
    ("strata", "weights", "said"),
    [
        (["a"] * 50 + ["b"] * 50, {"a": 1.0}, "the weights do not name its stratum 'b'"),
        (["a"] * 99 + ["b"], {"a": 1.0, "b": 1.0}, "1 items of its stratum 'b' were answered"),
        (["a"] * 100, {"a": 1.0, "b": 1.0}, "0 items of its stratum 'b' were answered"),
        (["a"] * 100, {"a": -1.0}, "its weights of strata are not shares"),
        (["a"] * 100, {"a": 0.0}, "its weights of strata are not shares"),
        (["a"] * 100, {"a": "much"}, "its weights of strata are not shares"),
        (["a"] * 100, ["a"], "its weights of strata are not shares"),
    ],
)
def test_weights_that_fit_no_strata_are_invalid_and_named(
    tmp_path: Path, strata: list[str], weights: Any, said: str
) -> None:
    found = cell(tmp_path, [1.0] * 100, [1.0] * 100, strata=strata, weights=weights)
    assert found.verdict == "invalid"
    assert said in found.reason


def test_a_stratum_of_weight_nothing_is_left_out(tmp_path: Path) -> None:
    before, after = [1.0] * 100, [1.0] * 50 + [0.0] * 50
    strata = ["counts"] * 50 + ["shown"] * 50
    found = cell(tmp_path, before, after, strata=strata, weights={"counts": 1.0, "shown": 0.0})
    assert (found.delta, found.candidate_score, found.lost) == (0.0, 1.0, 50)


def test_strata_weigh_in_a_domain_beside_other_tasks(tmp_path: Path) -> None:
    given, expected = case("stratified_three")
    parts = stratified(given["strata"])
    arms = parts.pop("before"), parts.pop("after")
    sides = [
        Sides("t", "d", *(side(tmp_path / f"t{i}", arm, **parts) for i, arm in enumerate(arms))),
        Sides("u", "d", *(side(tmp_path / f"u{i}", [1.0, 0.0] * 50, task="u") for i in range(2))),
    ]
    found = compare("1", "0", sides, Policy(weights={"t": 3.0}, margins={"d": 0.05}))
    assert found.domains[0].delta == pytest.approx(0.75 * expected["delta"])
    assert found.domains[0].verdict in ("no_regression", "inconclusive")


def test_a_tasks_weights_reach_its_cells_and_its_report(tmp_path: Path) -> None:
    strata = {str(i): "even" if i % 2 == 0 else "odd" for i in range(200)}
    task = doubles(200)
    weighed = replace(
        task,
        samples=lambda rows: (replace(s, stratum=strata[s.id]) for s in task.samples(rows)),
        weights={"even": 3.0, "odd": 1.0},
    )
    exams = [exam(weighed)]
    odd = row("b", lambda asked: right(asked) if int(asked.sample.id) % 2 else Response("no idea"))
    held([row("a"), odd], exams, tmp_path)
    store = Store(tmp_path)
    assert store.cells()[0].meta()["exams"][""]["weights"] == {"even": 3.0, "odd": 1.0}
    report = of_store(store, ["a", "b"], Policy())
    assert report.candidates[0].cells[0].delta == pytest.approx(-0.75)
    assert [score.score for score in report.scores] == [1.0, 0.25]
    assert report.scores[1].ci == pytest.approx((0.208, 0.297), abs=0.01)


# ---- (E) fitted headlines

LENGTHS = '''
"""Win shares with the length of the answers taken out, fitted anew for every subset of prompts."""
import numpy as np
from evalkit import Score, Task

def controlled(share, length):
    """sigma of the intercept of share ~ 1 + tanh(length), by Newton's method."""
    design = np.column_stack([np.ones(len(share)), np.tanh(length)])
    beta = np.zeros(2)
    for _ in range(25):
        p = 1 / (1 + np.exp(-design @ beta))
        w = np.maximum(p * (1 - p), 1e-9)
        beta = beta + np.linalg.solve((design.T * w) @ design, design.T @ (share - p))
    return 1 / (1 + np.exp(-beta[0]))

def refit(before, after):
    def column(rows, name):
        return np.array([row["value"] if name == "value" else row["details"].get("length", 0.0)
                         for row in rows])
    sides = [(column(rows, "value"), column(rows, "length")) for rows in (before, after)]
    def difference(drawn):
        old, new = (controlled(share[drawn], length[drawn]) for share, length in sides)
        return new - old
    return difference

def mean(before, after):
    change = np.array([b["value"] - a["value"] for a, b in zip(before, after)])
    return lambda drawn: float(change[drawn].mean())

def samples_mean(before, after):
    def of(row):
        return sum(each["value"] for each in row["samples"]) / len(row["samples"])
    change = np.array([of(b) - of(a) for a, b in zip(before, after)]) / 9
    return lambda drawn: float(change[drawn].mean())

def broken(before, after):
    raise RuntimeError("no luck")

def task(name, **fields):
    return Task(name, "d", 1, lambda rows: (), score=lambda s, r: Score(0.0), **fields)

TASKS = (
    task("t", refit=refit),
    task("mean", refit=mean),
    task("graded", refit=samples_mean, bounds=(1.0, 10.0)),
    task("broken", refit=broken),
    task("nothing", refit=lambda before, after: lambda drawn: float("nan")),
    task("points", refit=lambda before, after: lambda drawn: 7.0),
    task("plain"),
)
'''


@pytest.fixture
def lengths(tmp_path: Path) -> Iterator[Path]:
    with distribution(tmp_path, {"tasks": LENGTHS}) as folder:
        yield folder


def test_a_fitted_headline_is_refitted_not_averaged(lengths: Path) -> None:
    """The oracle is statsmodels' GLM of the reference case, once for each side."""
    given, _ = case("lc_winrate_glm")
    share = list(given["preference"])
    random = np.random.default_rng(4)
    other = np.clip(np.array(share) + random.normal(0.05, 0.1, len(share)), 0.01, 0.99).tolist()
    length = random.normal(0, 1, len(share)).tolist()
    found = cell(lengths / "r", share, other, lengths=length, fitted=True)
    sides = [oracles.length_controlled(each, np.tanh(length).tolist()) for each in (share, other)]
    rates = [1 / (1 + math.exp(-intercept)) for intercept, _ in sides]
    assert found.method == "bootstrap"
    assert "fitted" in found.flags
    assert found.delta == pytest.approx(rates[1] - rates[0], abs=1e-9)
    delta, lower, upper = estimated(found)
    assert lower < delta < upper
    again = cell(lengths / "again", share, other, lengths=length, fitted=True)
    assert again == found


def test_a_refit_that_is_a_mean_agrees_with_the_mean(lengths: Path) -> None:
    random = np.random.default_rng(6)
    arms = [random.random(400).tolist() for _ in range(2)]
    fitted = cell(lengths / "f", *arms, fitted=True, task="mean")
    plain = cell(lengths / "p", *arms, task="mean")
    assert fitted.delta == pytest.approx(plain.delta)
    assert fitted.ci == pytest.approx(plain.ci, abs=0.004)
    assert fitted.p_regressed == pytest.approx(plain.p_regressed, abs=0.02)


def test_all_games_of_a_prompt_are_drawn_together(lengths: Path) -> None:
    random = np.random.default_rng(8)
    arms = [np.repeat(random.random(60), 5).tolist() for _ in range(2)]
    clusters = [str(i // 5) for i in range(300)]
    apart = cell(lengths / "a", *arms, fitted=True, task="mean")
    together = cell(lengths / "t", *arms, fitted=True, task="mean", clusters=clusters)
    assert width(together) == pytest.approx(math.sqrt(5) * width(apart), rel=0.1)


def test_a_refit_is_given_scores_in_the_tasks_own_unit_and_every_sample(lengths: Path) -> None:
    before, after = [[2.0, 4.0], [10.0, 8.0]] * 50, [[4.0, 4.0], [9.0, 9.0]] * 50
    found = cell(lengths / "g", before, after, fitted=True, task="graded", bounds=(1.0, 10.0))
    assert found.delta == pytest.approx(0.5 / 9)


def test_what_is_missing_is_filled_in_for_a_refit_too(lengths: Path) -> None:
    before = [0.5] * 300
    after = [NAN] * 3 + [0.5] * 150 + [0.47] * 147
    policy = Policy(margins={"d": 0.02})
    holes = cell(lengths / "h", before, after, fitted=True, task="mean", policy=policy)
    whole = cell(lengths / "w", before[3:], after[3:], fitted=True, task="mean", policy=policy)
    assert holes.delta == pytest.approx(whole.delta)
    assert whole.verdict == "no_regression"
    assert (holes.verdict, "missing" in holes.flags) == ("inconclusive", True)


@pytest.mark.parametrize("task", ["plain", "nowhere"])
def test_without_the_refit_the_mean_stands_in_and_is_flagged(lengths: Path, task: str) -> None:
    before, after = [1.0] * 100, [0.0] * 20 + [1.0] * 80
    found = cell(lengths / "x", before, after, fitted=True, task=task)
    assert (found.method, found.verdict) == ("tango", "regressed")
    assert "not_refitted" in found.flags


def test_a_refit_of_another_version_is_not_taken(lengths: Path) -> None:
    found = cell(lengths / "x", [1.0] * 99, [1.0] * 99, fitted=True, task="mean", version=2)
    assert "not_refitted" in found.flags


@pytest.mark.parametrize(
    ("task", "said"),
    [
        ("broken", "its refit failed: RuntimeError: no luck"),
        ("nothing", "its refit gave nan, which is no difference of two shares"),
        ("points", "its refit gave 7.0"),
    ],
)
def test_a_refit_that_fails_is_invalid_never_a_pass(lengths: Path, task: str, said: str) -> None:
    found = verdict(
        lengths / "x", [1.0] * 99, [1.0] * 99, fitted=True, task=task,
        policy=Policy(margins={"d": 0.1}),
    )  # fmt: skip
    assert (found.verdict, found.exit_code) == ("invalid", 4)
    assert said in found.cells[0].reason


def test_a_recipe_is_refitted_seed_by_seed(lengths: Path) -> None:
    random = np.random.default_rng(9)
    base = random.random(200)
    seeds = [np.clip(base + shift, 0, 1) for shift in (-0.1, -0.05, -0.2)]
    sides = [
        side(lengths / f"s{i}", seed.tolist(), fitted=True, task="mean")
        for i, seed in enumerate(seeds)
    ]
    before = side(lengths / "b", base.tolist(), fitted=True, task="mean")
    recipe = Recipe(("a", "b", "c"), tuple(sides))
    (found,) = compare("r", "b", [Sides("t", "d", before, recipe)], Policy()).cells
    assert found.method == "seeds"
    assert found.delta == pytest.approx(float(np.mean([seed - base for seed in seeds])))
    assert found.df is not None
    assert found.df < 10


# ---- fixed items


def test_the_reference_case_of_a_fixed_exam_holds_from_cell_to_verdict(tmp_path: Path) -> None:
    given, expected = case("fixed_exam_k4")
    arms = [
        [[1.0] * right + [0.0] * (4 - right) for right in given[f"{name}_correct"]]
        for name in ("baseline", "candidate")
    ]
    policy = Policy(fixed=frozenset({"t"}), margins={"d": 0.05})
    found = verdict(tmp_path, *arms, policy=policy)
    (one,) = found.cells
    assert one.method == "fixed"
    assert "fixed_items" in one.flags
    assert one.delta == pytest.approx(expected["delta"])
    assert one.ci == pytest.approx((expected["lower"], expected["upper"]))
    assert one.p_regressed == pytest.approx(expected["p_regressed"])
    assert "fixed_items" in found.domains[0].flags


def test_fixed_items_tell_less_of_what_they_are_a_sample_of(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    skill = random.random((2, 200))
    arms = [(random.random((200, 4)) < each[:, None]).astype(float).tolist() for each in skill]
    sampled = cell(tmp_path / "s", *arms)
    fixed = cell(tmp_path / "f", *arms, policy=Policy(fixed=frozenset({"t"})))
    assert fixed.delta == sampled.delta
    assert width(fixed) < 0.6 * width(sampled)


def test_fixed_items_of_a_conversation_vary_together(tmp_path: Path) -> None:
    random = np.random.default_rng(3)
    turns = [np.repeat(random.integers(0, 2, (40, 4)), 2, axis=0).astype(float) for _ in range(2)]
    arms = [each.tolist() for each in turns]
    policy = Policy(fixed=frozenset({"t"}))
    clusters = [str(i // 2) for i in range(80)]
    apart = cell(tmp_path / "a", *arms, policy=policy)
    together = cell(tmp_path / "t", *arms, policy=policy, clusters=clusters)
    assert together.delta == apart.delta
    assert width(together) == pytest.approx(math.sqrt(2) * width(apart))


def test_fixed_items_keep_the_weights_of_strata(tmp_path: Path) -> None:
    random = np.random.default_rng(3)
    arms = [random.integers(0, 2, (60, 3)).astype(float).tolist() for _ in range(2)]
    strata = ["a"] * 20 + ["b"] * 40
    policy = Policy(fixed=frozenset({"t"}))
    whole = cell(tmp_path / "w", *arms, strata=strata, weights={"a": 3.0, "b": 1.0}, policy=policy)
    parts = [
        cell(tmp_path / str(a), *(arm[a:b] for arm in arms), policy=policy)
        for a, b in ((0, 20), (20, 60))
    ]
    (one, _, high_one), (other, _, high_other) = map(estimated, parts)
    delta, _, upper = estimated(whole)
    assert delta == pytest.approx(0.75 * one + 0.25 * other)
    reach = math.hypot(0.75 * (high_one - one), 0.25 * (high_other - other))
    assert upper - delta == pytest.approx(reach)


@pytest.mark.parametrize(
    ("k", "more", "said"),
    [
        ((1, 4), {}, "takes two answers per item or more on both sides, and there are 1 and 4"),
        ((4, 4), {"sampling": {"temperature": 0.0}}, "drawn at a temperature above 0"),
        ((4, 4), {"sampling": {}}, "drawn at a temperature above 0"),
        ((4, 4), {"fitted": True}, "its headline is fitted"),
    ],
)
def test_fixed_items_are_refused_where_sampling_says_nothing(
    tmp_path: Path, k: tuple[int, int], more: dict[str, Any], said: str
) -> None:
    arms = [[[1.0] * (count - 1) + [0.0]] * 50 for count in k]
    found = verdict(
        tmp_path, *arms, **more, policy=Policy(fixed=frozenset({"t"}), margins={"d": 0.1})
    )
    assert (found.verdict, found.exit_code) == ("invalid", 4)
    assert said in found.cells[0].reason


CONFIG = """\
baseline: base
checkpoints:
  - {name: base, backend: {name: echo, skill: 0.8}}
  - {name: new, backend: {name: echo, skill: 0.7, seed: 1}}
tasks:
  - {name: mini-arithmetic, items: fixed, epochs: 3, sampling: {temperature: 0.7}}
gate: {margins: {mathematics: 30}}
"""


def test_a_config_may_fix_the_items_of_a_task_and_the_report_says_so(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(CONFIG)
    command = ["run-matrix", str(path), "--results", str(tmp_path / "r"), "--limit", "60"]
    result = CliRunner().invoke(cli, command, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    report = read_verdict(tmp_path / "r" / "report" / "verdict.json")
    assert report.candidates[0].cells[0].method == "fixed"
    (note,) = (note for note in report.notes if "items" in note and "fixed" in note)
    assert "mini-arithmetic" in note
    assert "fixed" in result.output


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("epochs: 3", "epochs: 1", "c.yaml:6: tasks[0].items: `fixed` takes two `epochs` or more"),
        ("temperature: 0.7", "temperature: 0", "here 3 at 0"),
        ("items: fixed", "items: all", "tasks[0].items: input should be 'sample' or 'fixed'"),
        ("tasks:", "pipeline: [{name: s, method: sft, parent: base, data: task:mini-instruct, "
         "seeds: [0, 1]}]\ntasks:", "`seeds:` are judged over items as a sample"),
    ],
)  # fmt: skip
def test_fixed_items_that_cannot_be_are_refused_before_anything_is_asked(
    tmp_path: Path, old: str, new: str, said: str
) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(CONFIG.replace(old, new))
    with pytest.raises(ConfigError) as error:
        resolve(load(path))
    assert said in str(error.value)


def test_sampling_is_part_of_what_a_fixed_exam_is(tmp_path: Path) -> None:
    """A cell of the store says how it was sampled, so a config is not needed to refuse it."""
    task = doubles(60, epochs=2, sampling=Sampling(temperature=0.0))
    held([row("a"), row("b")], [exam(task)], tmp_path)
    policy = Policy(fixed=frozenset({"doubles"}))
    (found,) = of_store(Store(tmp_path), ["a", "b"], policy).candidates[0].cells
    assert "temperature above 0" in found.reason
