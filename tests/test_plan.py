"""What is told before a run: power by hand-checked formulas, and where its figures are from."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from evalkit.cli import cli
from evalkit.commands._plan_table import table
from evalkit.comparison.policy import Policy
from evalkit.errors import DataError
from evalkit.exams.exam import Exam
from evalkit.planning.plan import Plan, plan
from evalkit.planning.spread import Spread, Transition, spread
from evalkit.planning.stored import items_of
from evalkit.reporting.report import of_run
from evalkit.stats.distributions import normal_cdf
from evalkit.stats.power import mde_regressed
from evalkit.storage.store import Store
from evalkit.types import Request, Response, Rows, Sample, Sampling, Source
from tests.small_exams import (
    doubles,
    echo,
    exam,
    held,
    matrix,
    right,
    right_below,
    row,
)
from tests.test_policy import ends, side

MATHS = doubles(200)
WORDS = doubles(300, name="words", domain="language")


def planned(folder: Path, exams: list[Exam], **policy: Any) -> Plan:
    rows = [row("base"), row("sft", right_below(150))]
    return plan(matrix(rows, exams, policy=Policy(**policy)), folder)


def test_an_empty_folder_is_planned_from_the_table_and_says_so(tmp_path: Path) -> None:
    found = planned(tmp_path / "none", [exam(MATHS)], margins={"arithmetic": 0.05})
    (task,), (domain,) = found.tasks, found.domains
    assert (task.n, task.sd, task.source[:8]) == (200, 0.45, "planned:")
    assert domain.se == pytest.approx(0.45 / math.sqrt(200))
    assert domain.mde80 == pytest.approx(2.4865 * domain.se, rel=1e-4)
    assert domain.p_pass == pytest.approx(float(normal_cdf(0.05 / domain.se - 1.64485)), rel=1e-4)
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    ("name", "n", "epochs", "mde80", "family"),
    [
        ("mmlu-pro", 12_032, 1, 1.0, 1.6),
        ("bfcl", 4000, 1, 1.3, 2.0),
        ("livecodebench", 880, 1, 3.2, 5.0),
        ("ifeval", 541, 1, 4.2, 6.5),
        ("gpqa-diamond", 198, 1, 8.8, 13.8),
        ("aime", 60, 16, 7.1, 11.0),
    ],
)
def test_the_planning_table_gives_the_published_figures(
    name: str, n: int, epochs: int, mde80: float, family: float
) -> None:
    se = spread(replace(MATHS, name=name, epochs=epochs), [], {}).sd / math.sqrt(n)
    assert 100 * mde_regressed(se, 0.0) == pytest.approx(mde80, abs=0.1)
    lone = mde_regressed(se, 0.0, cells_in_domain=3, n_domains=7)
    assert 100 * lone == pytest.approx(family, abs=0.1)


def test_the_items_that_are_needed_do_let_it_pass_so_often(tmp_path: Path) -> None:
    found = planned(tmp_path, [exam(MATHS)], margins={"arithmetic": 0.05})
    for need in found.domains[0].needs:
        more = replace(MATHS, samples=doubles(need.items).samples)
        again = planned(tmp_path, [exam(more)], margins={"arithmetic": 0.05})
        assert again.domains[0].p_pass == pytest.approx(need.power, abs=0.002)


def test_the_suggested_margin_is_passed_97_times_in_100(tmp_path: Path) -> None:
    suggested = planned(tmp_path, [exam(MATHS)]).domains[0].suggested_margin
    found = planned(tmp_path, [exam(MATHS)], margins={"arithmetic": suggested})
    assert 0.97 <= (found.p_pass or 0) < 0.99
    assert found.impossible == ()


def test_what_gates_is_multiplied_and_counted_once(tmp_path: Path) -> None:
    margins = {"arithmetic": 0.06, "language": 0.05}
    both = [exam(MATHS), exam(WORDS)]
    found = planned(tmp_path, both, margins=margins, gating_cells=frozenset(["words"]))
    first, second = (domain.p_pass or 0 for domain in found.domains)
    assert found.p_pass == pytest.approx(first * second)


def test_where_nothing_gates_there_is_no_chance_to_tell(tmp_path: Path) -> None:
    found = planned(tmp_path, [exam(MATHS)])
    assert found.p_pass is None
    assert "Nothing gates" in table(found)


def test_a_margin_that_will_be_refused_is_named_beforehand(tmp_path: Path) -> None:
    found = planned(tmp_path, [exam(MATHS)], margins={"arithmetic": 0.01})
    (said,) = found.impossible
    assert said.startswith("arithmetic: a margin of 1 points is refused")
    assert said in " ".join(table(found).split())
    meant = {"margins": {"arithmetic": 0.01}, "forced": frozenset(["arithmetic"])}
    assert planned(tmp_path, [exam(MATHS)], **meant).impossible == ()


def test_a_task_that_is_off_is_in_no_domain(tmp_path: Path) -> None:
    found = planned(tmp_path, [exam(MATHS), exam(WORDS)], off=frozenset(["words"]))
    assert [domain.name for domain in found.domains] == ["arithmetic"]
    assert found.tasks[1].role == "off"
    assert "displayed only: words" in table(found)


def test_weights_count_in_the_domain(tmp_path: Path) -> None:
    exams = [exam(MATHS), exam(replace(WORDS, domain="arithmetic"))]
    found = planned(tmp_path, exams, weights={"doubles": 3.0, "words": 1.0})
    first, second = (task.se for task in found.tasks)
    assert found.domains[0].se == pytest.approx(math.hypot(0.75 * first, 0.25 * second))


def test_the_spread_is_measured_from_the_last_transition(tmp_path: Path) -> None:
    rows = [echo("base", 0.9), echo("sft", 0.8), echo("dpo", 0.5)]
    rows[2] = replace(rows[2], checkpoint=replace(rows[2].checkpoint, parent="sft"))
    task = exam(replace(doubles(200), solution=lambda sample: str(sample.target)))
    report = of_run(held(rows, [task], tmp_path))
    (found,) = plan(matrix(rows, [task]), tmp_path).tasks
    lower, upper = report.candidates[-1].cells[0].ci or (0, 0)
    assert found.source == "measured: dpo against sft, 200 items"
    assert found.se == pytest.approx((upper - lower) / (2 * 1.6448536))


def test_a_checkpoint_asked_several_times_tells_the_spread_of_an_unchanged_one(
    tmp_path: Path,
) -> None:
    task = exam(replace(doubles(300, epochs=4), solution=lambda sample: str(sample.target)))
    held([echo("base", 0.7)], [task], tmp_path)
    rows = [echo("base", 0.7), echo("new", 0.7, seed=5)]
    (found,) = plan(matrix(rows, [task]), tmp_path).tasks
    assert found.source.startswith("measured: base against itself, k = 4")
    assert found.sd == pytest.approx(math.sqrt(2 * 0.7 * 0.3 / 4), rel=0.1)


def test_another_sampling_is_another_exam_and_tells_nothing(tmp_path: Path) -> None:
    rows = [row("base"), row("sft", right_below(150))]
    held(rows, [exam(MATHS)], tmp_path)
    hotter = exam(replace(MATHS, sampling=Sampling(temperature=1.0)))
    assert planned(tmp_path, [hotter]).tasks[0].source.startswith("planned")
    assert planned(tmp_path, [exam(MATHS)]).tasks[0].source.startswith("measured")


def test_cells_of_other_checkpoints_tell_the_spread_too(tmp_path: Path) -> None:
    held([row("old"), row("older", right_below(100))], [exam(MATHS)], tmp_path)
    found = planned(tmp_path, [exam(MATHS)]).tasks[0]
    assert found.source.startswith("measured: ")
    assert found.effort.answered == 0


def test_more_answers_per_item_help_only_what_sampling_costs(tmp_path: Path) -> None:
    known = Spread(0.5, "", True, between=0.04, within=0.40)
    assert known.at(4) == pytest.approx(math.sqrt(0.04 + 0.1))
    assert known.epochs_for(0.3) == 8  # 0.04 + 0.4/8 = 0.3²
    assert known.epochs_for(0.2) is None  # 0.04 stays, however many answers
    assert Spread(0.5, "").epochs_for(0.3) is None
    before = side(tmp_path / "0", [["correct", "wrong"], ["wrong", "correct"]] * 50)
    after = side(tmp_path / "1", [["wrong", "correct"], ["correct", "wrong"]] * 50)
    noise = spread(replace(MATHS, epochs=2), [Transition("b", "a", after, before)], {})
    assert noise.within == pytest.approx(1.0)
    assert noise.between == pytest.approx(0.0, abs=0.01)


def test_a_transition_that_cannot_be_compared_is_passed_over(tmp_path: Path) -> None:
    before = side(tmp_path / "0", ends(correct=90, wrong=10))
    other = side(tmp_path / "1", ends(correct=90, wrong=10), exam="another")
    few = side(tmp_path / "2", ends(correct=5, wrong=5))
    for candidate in (other, few):
        assert not spread(MATHS, [Transition("b", "a", candidate, before)], {}).measured


def test_only_what_is_missing_is_counted_as_left_to_do(tmp_path: Path) -> None:
    held([row("base")], [exam(MATHS, limit=50)], tmp_path)
    effort = planned(tmp_path, [exam(MATHS)]).tasks[0].effort
    assert (effort.requests, effort.answered, effort.missing) == (400, 50, 350)


def test_time_and_tokens_are_those_of_the_cells_before(tmp_path: Path) -> None:
    def wordy(request: Request) -> Response:
        return replace(right(request), prompt_tokens=7, completion_tokens=11)

    held([row("base", wordy)], [exam(MATHS)], tmp_path)
    (cell,) = Store(tmp_path).cells()
    assert cell.meta()["pace"]["answers"] == 200
    cell.write_meta(pace={"answers": 200, "seconds": 10.0})
    effort = planned(tmp_path, [exam(MATHS)]).tasks[0].effort
    assert (effort.prompt_tokens, effort.completion_tokens) == (1400, 2200)
    assert effort.seconds == pytest.approx(10.0)


def test_before_any_answer_tokens_are_bounded_by_what_may_be_written(tmp_path: Path) -> None:
    plan = planned(tmp_path, [exam(MATHS)])
    (task,) = plan.tasks
    most = 400 * MATHS.sampling.max_tokens
    assert (task.effort.completion_tokens, task.effort.most_tokens) == (None, most)
    assert f"≤ {most:,}" in table(plan)


def test_a_benchmark_whose_rows_are_not_here_is_planned_by_its_official_count(
    tmp_path: Path,
) -> None:
    def nowhere(rows: Rows) -> Iterable[Sample]:
        raise DataError("not here")

    source = Source("no/such", "r", "none", {"test": "t"}, {"test": 541}, ())
    task = replace(MATHS, samples=nowhere, source=source)
    assert items_of(exam(task)) == 541
    assert items_of(exam(task, limit=100)) == 100
    with pytest.raises(DataError, match="not here"):
        items_of(replace(exam(task), data=tmp_path))


CONFIG = """\
baseline: base
checkpoints:
  - {name: base, model: weights, backend: {name: echo, skill: 0.9}}
  - {name: sft, backend: {name: echo, skill: 0.8}}
pipeline: [{name: later, method: sft, parent: base, data: task:mini-instruct}]
tasks: [mini-arithmetic]
gate: {margins: {mathematics: 1.0}}
"""


def command(folder: Path, *more: str, text: str = CONFIG) -> Result:
    (folder / "c.yaml").write_text(text)
    given = ["plan", str(folder / "c.yaml"), "--results", str(folder / "r"), *more]
    return CliRunner().invoke(cli, given)


def test_the_command_asks_nothing_and_writes_nothing(tmp_path: Path) -> None:
    result = command(tmp_path)
    assert result.exit_code == 0
    assert not (tmp_path / "r").exists()
    assert "3 checkpoints, baseline base" in result.output
    assert "a margin of 1 points is refused" in result.output


def test_no_number_is_cut_short_where_a_domain_has_two_tasks(tmp_path: Path) -> None:
    rows = [json.dumps({"prompt": f"{n} + 1?", "target": str(n + 1)}) for n in range(12_000)]
    (tmp_path / "sums.jsonl").write_text("\n".join(rows))
    own = "{name: sums-of-one, data: sums.jsonl, scorer: exact, domain: mathematics}"
    text = CONFIG.replace("[mini-arithmetic]", f"[mini-arithmetic, {own}]")
    result = command(tmp_path, text=text)
    assert result.exit_code == 0, result.output
    assert "12,000" in result.output
    assert "…" not in result.output


def test_the_plan_is_to_be_had_as_json(tmp_path: Path) -> None:
    found = json.loads(command(tmp_path, "--format", "json", "--limit", "100").output)
    assert found["tasks"][0]["n"] == 100
    assert found["tasks"][0]["effort"]["requests"] == 300
    assert found["domains"][0]["needs"][1]["power"] == 0.97


def test_a_damaged_cell_is_named(tmp_path: Path) -> None:
    cell = tmp_path / "r/mini-arithmetic/base-0"
    cell.mkdir(parents=True)
    (cell / "cell.json").write_text("{")
    result = command(tmp_path)
    assert "not JSON; remove the file" in str(result.exception)
