"""The checkpoint that did it is found, with few questions, or the bracket that holds it is told."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from click.testing import CliRunner

from evalkit.cli import cli
from evalkit.comparison.policy import Policy
from evalkit.errors import ConfigError, UnknownName
from evalkit.events import silent
from evalkit.matrix import Matrix, Row
from evalkit.series.bisection import Answer, Bisection, Look, Plan, bisect, looks, text
from evalkit.series.chain import chain
from evalkit.series.culprit import search
from evalkit.types import Response
from tests.small_exams import Log, backend, checkpoint, doubles, exam, matrix, right_below, row

ITEMS = 800
TASK = doubles(ITEMS)
POLICY = Policy(margins={"arithmetic": 0.04})


def lineage(scores: Sequence[int], **fields: object) -> tuple[Matrix, dict[str, Log]]:
    """A chain of checkpoints that answer so many of the questions, and what each is asked."""
    rows, logs = [], {}
    for number, right in enumerate(scores):
        name = f"step-{number}"
        who, logs[name] = backend(right_below(right))
        parent = f"step-{number - 1}" if number else ""
        rows.append(Row(checkpoint(name, parent=parent), who))
    whole = {"policy": POLICY, **fields}
    return matrix(rows, [exam(TASK)], **whole), logs


def asked(logs: dict[str, Log]) -> int:
    return sum(len(log.asked) for log in logs.values())


@pytest.mark.parametrize("culprit", [1, 4, 5, 8])
def test_the_culprit_is_found_wherever_it_is(tmp_path: Path, culprit: int) -> None:
    scores = [720 - number - 160 * (number >= culprit) for number in range(9)]
    whole, logs = lineage(scores)
    found = search(whole, chain(whole), tmp_path, silent)
    assert (found.result, found.bad, found.exit_code) == ("found", f"step-{culprit}", 1)
    assert found.good == f"step-{culprit - 1}"
    tested = {look.checkpoint for look in found.looks}
    assert len(tested) <= found.tests == 4
    assert asked(logs) == found.asked
    assert asked(logs) < 0.5 * len(scores) * ITEMS


def test_a_large_decline_is_told_from_few_items(tmp_path: Path) -> None:
    whole, logs = lineage([800, 800, 400])
    found = search(whole, chain(whole), tmp_path, silent)
    assert found.bad == "step-2"
    assert len(logs["step-2"].asked) == 100


def test_asking_again_asks_nothing(tmp_path: Path) -> None:
    whole, _ = lineage([720, 718, 500, 497])
    first = search(whole, chain(whole), tmp_path, silent)
    again, logs = lineage([720, 718, 500, 497])
    second = search(again, chain(again), tmp_path, silent)
    assert asked(logs) == second.asked == 0
    assert [look.answer for look in first.looks] == [look.answer for look in second.looks]
    assert first.bad == second.bad == "step-2"


def test_no_decline_is_no_culprit(tmp_path: Path) -> None:
    whole, logs = lineage([720, 300, 719])  # what lies between is never asked: see the docs
    found = search(whole, chain(whole), tmp_path, silent)
    assert (found.result, found.bad, found.exit_code) == ("none", "", 0)
    assert logs["step-1"].asked == []
    assert "nothing to find: step-2 is within the margin of step-0" in text(found)


def test_a_checkpoint_near_the_margin_leaves_a_bracket(tmp_path: Path) -> None:
    whole, _ = lineage([720, 720, 693, 400, 400])
    found = search(whole, chain(whole), tmp_path, silent)
    assert (found.result, found.exit_code) == ("open", 3)
    assert (found.good, found.undecided, found.bad) == ("step-0", "step-2", "step-4")
    assert [look.limit for look in found.looks if look.checkpoint == "step-2"] == [
        100,
        200,
        400,
        800,
    ]
    assert "step-2 could not be decided (open)" in text(found)
    assert "step-4, which is worse" in text(found)


def test_a_checkpoint_that_cannot_be_asked_is_invalid_and_told_why(tmp_path: Path) -> None:
    whole, _ = lineage([720, 720, 500])
    broken = Row(whole.rows[2].checkpoint, backend(lambda _: Response(error="no server"))[0])
    whole = replace(whole, rows=(*whole.rows[:2], broken))
    found = search(whole, chain(whole), tmp_path, silent)
    assert (found.result, found.exit_code) == ("invalid", 4)
    assert "no server" in found.looks[-1].why
    assert len(found.looks) == 1


def test_without_a_margin_nothing_says_what_is_worse(tmp_path: Path) -> None:
    whole, logs = lineage([720, 720, 500], policy=Policy())
    with pytest.raises(ConfigError, match="takes a margin"):
        search(whole, chain(whole), tmp_path, silent)
    assert asked(logs) == 0


def test_a_limit_is_never_exceeded(tmp_path: Path) -> None:
    whole, logs = lineage([720, 700, 690])
    whole = replace(whole, exams=(exam(TASK, 150),))
    found = search(whole, chain(whole), tmp_path, silent)
    assert [look.limit for look in found.looks] == [100, 150]
    assert max(len(log.asked) for log in logs.values()) == 150


@pytest.mark.parametrize("first", [2, 100, 300, 800, 5000])
@pytest.mark.parametrize("length", [3, 4, 9, 17, 100])
def test_all_looks_of_all_tests_share_one_alpha(first: int, length: int) -> None:
    plan = Plan(tuple(map(str, range(length))), looks(first, ITEMS))
    spent = [plan.level(number) for number in range(len(plan.limits))]
    assert plan.tests * sum(spent) == pytest.approx(0.05)
    assert all(before <= after for before, after in pairwise(spent))
    assert plan.limits[-1] == ITEMS


def hypothetical(plan: Plan, answers: dict[str, Answer]) -> Bisection:
    def look(name: str, limit: int, alpha: float) -> Look:
        answer = answers[name]
        return Look(checkpoint=name, limit=limit, alpha=alpha, answer=answer, why="", asked=1)

    return bisect(plan, look)


@pytest.mark.parametrize("length", range(3, 40))
def test_every_place_of_every_chain_is_found_within_the_tests_planned(length: int) -> None:
    names = tuple(map(str, range(length)))
    plan = Plan(names, (10,))
    for culprit in range(1, length):
        answers: dict[str, Answer] = {
            name: "worse" if number >= culprit else "fine" for number, name in enumerate(names)
        }
        found = hypothetical(plan, answers)
        assert found.bad == names[culprit]
        assert found.good == names[culprit - 1]
        assert len(found.looks) <= plan.tests


def rows(**parents: str) -> Matrix:
    return matrix([row(name, parent=parent) for name, parent in parents.items()], [exam(TASK)])


def test_a_chain_is_the_lineage_and_branches_are_left_out() -> None:
    whole = rows(base="", sft="base", other="base", dpo="sft", grpo="dpo")
    assert chain(whole) == ("base", "sft", "dpo", "grpo")
    assert chain(whole, "sft") == ("sft", "dpo", "grpo")
    assert chain(whole, "", "dpo") == ("base", "sft", "dpo")


def test_a_chain_without_parents_is_the_order_of_the_file() -> None:
    whole = rows(a="", b="", c="", d="")
    assert chain(whole) == ("a", "b", "c", "d")
    assert chain(whole, "b", "d") == ("b", "c", "d")
    with pytest.raises(ConfigError, match="d comes after b in the file"):
        chain(whole, "d", "b")


def test_a_chain_that_does_not_lead_there_says_where_it_goes() -> None:
    whole = rows(base="", other="", sft="other", dpo="sft")
    with pytest.raises(ConfigError, match="goes back to other, not to base: give --from other"):
        chain(whole)
    with pytest.raises(ConfigError, match="goes back to"):
        chain(rows(base="", a="b", b="a"))


def test_a_chain_takes_three_checkpoints_that_are_there() -> None:
    whole = rows(base="", sft="base", dpo="sft")
    with pytest.raises(ConfigError, match="from sft to dpo are 2 checkpoints"):
        chain(whole, "sft")
    with pytest.raises(UnknownName, match=r"'dop'; did you mean 'dpo'\?"):
        chain(whole, "", "dop")


CONFIG = """\
baseline: s0
checkpoints:
  - {name: s0, backend: {name: echo, skill: 0.9}}
  - {name: s1, backend: {name: echo, skill: 0.89}, parent: s0}
  - {name: s2, backend: {name: echo, skill: 0.6}, parent: s1}
  - {name: s3, backend: {name: echo, skill: 0.61}, parent: s2}
tasks: [mini-arithmetic]
gate: {margins: {mathematics: 8.0}}
"""


def test_the_command_finds_it_and_exits_1(tmp_path: Path) -> None:
    config = tmp_path / "c.yaml"
    config.write_text(CONFIG)
    call = ["bisect", str(config), "--results", str(tmp_path / "r")]
    shown = CliRunner().invoke(cli, call)
    assert shown.exit_code == 1
    assert "first worse: s2; s1 before it is not" in shown.output
    told = json.loads(CliRunner().invoke(cli, [*call, "--format", "json"]).stdout)
    assert (told["bad"], told["good"], told["tests"]) == ("s2", "s1", 3)
    upto = CliRunner().invoke(cli, [*call, "--to", "s1"], catch_exceptions=True)
    assert isinstance(upto.exception, ConfigError)
