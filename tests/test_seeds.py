"""A recipe trained with several seeds: its mean, with the spread between the seeds counted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from evalkit.comparison.policy import Policy
from evalkit.configuration.config import load
from evalkit.configuration.resolve import resolve
from evalkit.errors import ConfigError, StoreError
from evalkit.reporting import report as reporting
from evalkit.stats.designs import seeds, seeds_mean
from evalkit.stats.estimate import estimate
from evalkit.storage.store import Store
from evalkit.types import Task
from evalkit.verdict import CandidateVerdict
from tests.small_exams import doubles, echo, exam, held, matrix

TASK = doubles(400, solution=lambda sample: str(sample.target))
NAMES = ["sft-s0", "sft-s1", "sft-s2"]
RECIPE = ",".join(NAMES)


def ran(results: Path, skills: Sequence[float], *tasks: Task) -> Store:
    rows = [echo("base", 0.8)]
    rows += [echo(name, skill, seed) for seed, (name, skill) in enumerate(
        zip(NAMES, skills, strict=False), 1)]  # fmt: skip
    held(rows, [exam(task) for task in tasks or (TASK,)], results)
    return Store(results)


def compared(store: Store, *names: str, **policy: object) -> CandidateVerdict:
    found = reporting.of_store(store, ["base", *names], Policy(**policy))  # type: ignore[arg-type]
    return found.candidates[0]


def test_a_recipe_is_the_mean_of_its_seeds_with_their_spread_counted(tmp_path: Path) -> None:
    store = ran(tmp_path, [0.8, 0.7, 0.6])
    cell = compared(store, RECIPE).cells[0]
    singles = [compared(store, name).cells[0] for name in NAMES]
    deltas = [single.delta for single in singles if single.delta is not None]
    assert cell.delta == pytest.approx(np.mean(deltas))
    assert cell.method == "seeds"
    assert "seeds" in cell.flags
    assert cell.df is not None
    assert 2 < cell.df < 8  # three seeds that differ much: hardly more than two
    assert cell.ci is not None
    assert cell.ci[1] - cell.ci[0] > max(s.ci[1] - s.ci[0] for s in singles if s.ci)


def test_seeds_that_agree_leave_the_items_error_alone(tmp_path: Path) -> None:
    cell = compared(ran(tmp_path, [0.7, 0.7, 0.7]), RECIPE).cells[0]
    assert cell.df is not None
    assert cell.df > 8
    assert cell.verdict == "regressed"


def test_one_bad_seed_does_not_convict_a_recipe(tmp_path: Path) -> None:
    store = ran(tmp_path, [0.8, 0.8, 0.5])
    assert compared(store, "sft-s2").verdict == "regressed"
    assert compared(store, RECIPE).cells[0].verdict == "inconclusive"


def test_a_domain_counts_that_a_seed_moves_all_of_its_cells() -> None:
    random = np.random.default_rng(4)
    shifts = np.array([-0.1, 0.0, 0.1])
    parts = [
        seeds(shifts + 0.01 * j, estimate(random.normal(0, 0.3, 500), binary=False).se, 500)
        for j in range(4)
    ]
    mean = seeds_mean(parts, [1.0] * 4)
    assert mean.delta == pytest.approx(0.015)
    assert mean.se > 0.9 * max(part.se for part in parts)  # four cells, and yet no halving
    assert mean.seeds == pytest.approx((shifts + 0.015).tolist())


def test_the_domain_of_a_recipe_is_flagged_with_its_degrees_of_freedom(tmp_path: Path) -> None:
    second = replace(TASK, name="again")
    found = compared(ran(tmp_path, [0.8, 0.7, 0.6], TASK, second), RECIPE)
    (domain,) = found.domains
    assert "seeds" in domain.flags
    assert domain.df is not None
    assert domain.df < 10
    assert domain.p_regressed is not None
    worst = min(cell.p_regressed for cell in found.cells if cell.p_regressed is not None)
    assert domain.p_regressed > worst / 2  # two cells moved by the same seeds are no two witnesses


def test_seeds_asked_different_exams_are_invalid_and_named(tmp_path: Path) -> None:
    store = ran(tmp_path, [0.8, 0.8])
    held([echo("sft-s2", 0.8, 9)], [exam(replace(TASK, version=2))], tmp_path)
    found = compared(store, RECIPE)
    assert (found.verdict, found.exit_code) == ("invalid", 4)
    assert "sft-s2 against sft-s0: two different exams (version: 1 → 2)" in found.cells[0].reason


def test_seeds_asked_unequally_often_are_invalid(tmp_path: Path) -> None:
    store = ran(tmp_path, [0.8, 0.8])
    held([echo("sft-s2", 0.8, 9)], [exam(replace(TASK, epochs=2))], tmp_path)
    assert (
        "sft-s2 against sft-s0: 2 answers an item, not 1" in compared(store, RECIPE).cells[0].reason
    )


def test_a_seed_without_results_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no cells of 'sft-s2'"):
        compared(ran(tmp_path, [0.8, 0.8]), RECIPE)


@pytest.mark.parametrize("name", ["sft-s0,sft-s0", "sft-s0,", ",sft-s0"])
def test_every_seed_is_given_once(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="give each seed's checkpoint once"):
        compared(ran(tmp_path, [0.8, 0.8]), name)


def test_the_baseline_is_no_seed_of_a_candidate(tmp_path: Path) -> None:
    store = ran(tmp_path, [0.8, 0.8])
    with pytest.raises(ConfigError, match="base is the baseline"):
        compared(store, "sft-s0,base")


def test_a_run_judges_the_recipe_in_place_of_its_seeds(tmp_path: Path) -> None:
    rows = [echo("base", 0.8), *(echo(name, 0.79, seed) for seed, name in enumerate(NAMES, 1))]
    policy = Policy(margins={"arithmetic": 0.15})
    whole = held(rows, [exam(TASK)], tmp_path, recipes={"sft": tuple(NAMES)}, policy=policy)
    found = reporting.of_run(whole)
    assert [(each.name, each.against) for each in found.candidates] == [("sft", "base")]
    assert found.candidates[0].domains[0].verdict == "no_regression"
    assert [score.checkpoint for score in found.scores] == ["base", *NAMES, "sft"]


PIPELINE = """\
baseline: base
checkpoints: [{name: base, model: weights, backend: {name: echo}}]
pipeline:
  - {name: sft, method: sft, parent: base, data: task:mini-arithmetic, seeds: [0, 7]}
  - {name: dpo, method: dpo, parent: sft, data: task:mini-arithmetic, seeds: [0, 7]}
tasks: [mini-arithmetic]
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "c.yaml"
    path.write_text(text)
    return path


def test_a_stage_with_seeds_is_one_stage_a_seed(tmp_path: Path) -> None:
    whole = resolve(load(written(tmp_path, PIPELINE)))
    told = [(stage.name, stage.parent, stage.seed) for stage in whole.stages]
    assert told == [
        ("sft-s0", "base", 0),
        ("sft-s7", "base", 7),
        ("dpo-s0", "sft-s0", 0),
        ("dpo-s7", "sft-s7", 7),
    ]
    assert whole.recipes == {"sft": ("sft-s0", "sft-s7"), "dpo": ("dpo-s0", "dpo-s7")}
    assert whole.pairs == [("sft", "base"), ("dpo", "base"), ("dpo", "sft")]


def test_a_recipe_is_compared_with_the_one_checkpoint_that_all_its_seeds_started_from() -> None:
    names = ["base", "sft", "dpo-s0", "dpo-s1"]
    parents = ["", "base", "sft", "sft"]
    rows = [
        replace(row, checkpoint=replace(row.checkpoint, parent=parent))
        for row, parent in zip([echo(name, 0.5) for name in names], parents, strict=True)
    ]
    whole = matrix(rows, [exam(TASK)], recipes={"dpo": ("dpo-s0", "dpo-s1")})
    assert whole.pairs == [("sft", "base"), ("dpo", "base"), ("dpo", "sft")]


def staged(results: Path, *gains: float) -> Store:
    """SFT with seeds that lie far apart, and DPO from each of them with these gains."""
    skills = [0.9, 0.7, 0.5]
    rows = [echo("base", 0.8), *(echo(f"sft-s{i}", skill, i) for i, skill in enumerate(skills))]
    rows += [
        echo(f"dpo-s{i}", skill + gain, i)
        for i, (skill, gain) in enumerate(zip(skills, gains, strict=True))
    ]
    held(rows, [exam(TASK)], results)
    return Store(results)


def test_two_recipes_are_held_against_each_other_seed_by_seed(tmp_path: Path) -> None:
    store = staged(tmp_path, -0.05, -0.06, -0.05)
    names = [",".join(f"{stage}-s{i}" for i in range(3)) for stage in ("sft", "dpo")]
    (cell,) = reporting.of_store(store, names, Policy()).candidates[0].cells
    assert cell.delta == pytest.approx(-0.053, abs=0.02)
    assert cell.verdict == "regressed"  # though the seeds lie 20 points apart
    shuffled = reporting.of_store(store, [names[0], "dpo-s2,dpo-s0,dpo-s1"], Policy())
    assert shuffled.candidates[0].cells[0].verdict == "inconclusive"


def test_unequally_many_seeds_are_invalid(tmp_path: Path) -> None:
    store = staged(tmp_path, 0.0, 0.0, 0.0)
    found = reporting.of_store(store, ["sft-s0,sft-s1", RECIPE.replace("sft", "dpo")], Policy())
    assert "2 seeds against 3: give both as many" in found.candidates[0].cells[0].reason


def test_a_name_may_stand_for_its_seeds(tmp_path: Path) -> None:
    store = staged(tmp_path, -0.05, -0.06, -0.05)
    found = reporting.of_store(store, ["sft", "dpo"], Policy(), seeds=True)
    named = [",".join(f"{stage}-s{i}" for i in range(3)) for stage in ("sft", "dpo")]
    written_out = reporting.of_store(store, named, Policy())
    assert (found.candidates[0].name, found.candidates[0].against) == ("dpo", "sft")
    assert found.candidates[0].cells == written_out.candidates[0].cells
    one = reporting.of_store(store, ["base", "dpo"], Policy(), seeds=True)
    assert "seeds" in one.candidates[0].cells[0].flags


@pytest.mark.parametrize(
    ("old", "new", "line", "said"),
    [
        ("seeds: [0, 7]}\n  - {name: dpo", "seeds: [3]}\n  - {name: dpo", 4, "two different seeds"),
        ("seeds: [0, 7]}\n  - {name: dpo", "seeds: [3, 3]}\n  - {name: dpo", 4, "two different"),
        ("arithmetic, seeds: [0, 7]}\ntasks", "arithmetic}\ntasks", 5, "sft has seeds: give"),
        ("arithmetic, seeds: [0, 7]}\ntasks", "arithmetic, seeds: [7, 8]}\ntasks", 5, "sft has"),
        ("base, data", "base, seed: 1, data", 4, "`seeds:` says it already"),
        ("name: base,", "name: sft,", 4, "'sft' is a checkpoint too"),
        ("method: dpo", "method: dop", 5, "unknown training method"),
        ("baseline: base", "baseline: sft", 1, "did you mean 'sft-s"),
    ],
)
def test_seeds_that_do_not_fit_are_told_with_their_line(
    tmp_path: Path, old: str, new: str, line: int, said: str
) -> None:
    assert old in PIPELINE
    with pytest.raises(ConfigError) as error:
        resolve(load(written(tmp_path, PIPELINE.replace(old, new))))
    assert f"c.yaml:{line}: " in str(error.value)
    assert said in str(error.value)
