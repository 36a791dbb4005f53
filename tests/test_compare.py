"""What may be said of two cells, and when nothing may be."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from evalkit.comparison.comparability import comparability
from evalkit.comparison.compare import compare
from evalkit.comparison.policy import Policy
from evalkit.comparison.rows import Rows, known_items
from evalkit.comparison.scores import load
from evalkit.comparison.sides import Side, Sides
from evalkit.identity import identity
from evalkit.storage.store import Cell
from evalkit.storage.tables import SAMPLES, SCORE_COLUMNS, read_table, write_table
from evalkit.verdict import CandidateVerdict, CellVerdict, DomainVerdict
from tests.small_exams import checkpoint, doubles

TASK = doubles(10)
NAN = math.nan


def item(number: int) -> bytes:
    return number.to_bytes(16, "big")


def side(
    folder: Path,
    values: Sequence[float | Sequence[float]],
    *,
    first: int = 0,
    clusters: Sequence[str] = (),
    **meta: Any,
) -> Side:
    """A cell on disk with these scores, one list of epochs per item."""
    rows = []
    for number, value in enumerate(values):
        for epoch, each in enumerate([value] if isinstance(value, int | float) else value):
            outcome = "errored" if math.isnan(each) else "correct" if each == 1 else "wrong"
            row = dict.fromkeys(SCORE_COLUMNS, "") | {
                "item": item(first + number),
                "epoch": epoch,
                "value": each,
                "outcome": outcome,
                "cluster": clusters[number] if clusters else "",
            }
            rows.append(row)
    folder.mkdir(parents=True)
    cell = Cell(folder)
    write_table(cell.scores_path(), rows, SCORE_COLUMNS)
    exam = {**identity.exam(TASK), "data": "d"}
    whole = {"checkpoint": {"name": folder.name}, "exam": exam, "environment": {"engine": "x"}}
    return Side(cell, {**whole, **meta})


def ones(right: int, wrong: int) -> list[float]:
    return [1.0] * right + [0.0] * wrong


def drop(n: int, lost: int) -> tuple[list[float], list[float]]:
    """Two arms of n items, all right before, so many lost after."""
    return ones(n, 0), ones(n - lost, lost)


class Bench:
    """Tasks of a comparison, written cell by cell."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.sides: list[Sides] = []

    def add(
        self, task: str, domain: str, before: Sequence[Any], after: Sequence[Any], **more: Any
    ) -> Bench:
        shift = more.pop("shift", 0)
        self.sides.append(
            Sides(
                task,
                domain,
                side(self.folder / task / "before", before, **more),
                side(self.folder / task / "after", after, first=shift, **more),
            )
        )
        return self

    def verdict(self, **policy: Any) -> CandidateVerdict:
        return compare("after", "before", self.sides, Policy(**policy))

    def cell(self, **policy: Any) -> CellVerdict:
        return self.verdict(**policy).cells[0]

    def domain(self, **policy: Any) -> DomainVerdict:
        return self.verdict(**policy).domains[0]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """A comparison without tasks yet."""
    return Bench(tmp_path)


def test_a_clear_loss_is_a_regression_and_exits_1(bench: Bench) -> None:
    found = bench.add("t", "d", *drop(400, 60)).verdict(margins={"d": 0.02})
    assert (found.verdict, found.exit_code) == ("regressed", 1)
    assert found.cells[0].lost == 60
    assert found.cells[0].gained == 0
    assert found.cells[0].delta == pytest.approx(-0.15)
    assert "beyond_margin" in found.cells[0].flags


def test_a_clear_gain_is_an_improvement(bench: Bench) -> None:
    before, after = drop(400, 60)
    found = bench.add("t", "d", after, before).verdict(margins={"d": 0.02})
    assert (found.verdict, found.exit_code) == ("improved", 0)


def test_equal_cells_pass_within_a_margin_and_are_unclear_without(bench: Bench) -> None:
    bench.add("t", "d", ones(200, 200), ones(200, 200))
    assert bench.verdict(margins={"d": 0.05}).verdict == "passed"
    without = bench.verdict()
    assert without.cells[0].verdict == "inconclusive"
    assert without.cells[0].ci is not None
    assert without.cells[0].ci[0] < 0 < without.cells[0].ci[1]
    assert "saturated" in without.cells[0].flags


def test_a_regression_counts_even_where_nothing_gates(bench: Bench) -> None:
    assert bench.add("t", "d", *drop(400, 60)).verdict().exit_code == 1


@pytest.mark.parametrize(
    ("shift", "verdict", "flagged"),
    [
        (0, "no_regression", False),
        (5, "no_regression", False),
        (30, "no_regression", True),
        (60, "invalid", False),
        (1000, "invalid", False),
    ],
)
def test_items_must_be_the_same_for_nearly_all(
    bench: Bench, shift: int, verdict: str, flagged: bool
) -> None:
    bench.add("t", "d", [1.0] * 1000, [1.0] * 1000, shift=shift)
    cell = bench.cell(margins={"d": 0.05})
    assert cell.verdict == verdict
    assert ("partial_overlap" in cell.flags) is flagged
    assert cell.n == 1000 - shift
    if verdict == "invalid":
        assert f"only {1000 - shift} items in common of 1000" in cell.reason
        assert bench.verdict(margins={"d": 0.05}).exit_code == 4


def test_items_are_paired_by_identity_not_by_position(tmp_path: Path) -> None:
    values = [float(i % 3 == 0) for i in range(300)]
    before = side(tmp_path / "a", values)
    after = side(tmp_path / "b", values)
    path = after.cell.scores_path()
    rows = read_table(path).to_pylist()
    write_table(path, rows[::-1], SCORE_COLUMNS)
    found = compare("b", "a", [Sides("t", "d", before, after)], Policy())
    assert (found.cells[0].lost, found.cells[0].gained) == (0, 0)


def test_the_items_of_a_task_are_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[set[str]] = []

    def reading(*given: Any, **more: Any) -> pa.Table:
        table = read_table(*given, **more)
        read.append({"item", "epoch"} & {*table.column_names})
        return table

    monkeypatch.setattr("evalkit.comparison.scores.read_table", reading)
    before, after = (side(tmp_path / name, ones(150, 50)) for name in ("a", "b"))
    assert before.arm.items is after.arm.items
    assert read == [{"item", "epoch"}, set()]


def test_cells_may_be_read_by_several_threads() -> None:
    columns = {"item": pa.array([item(1)], pa.binary(16)), "epoch": pa.array([0], pa.int32())}
    tables = [
        pa.table(columns, metadata={SAMPLES: b"1 of another task %d" % number})
        for number in range(5_000)
    ]
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(2) as pool:
            reading = pool.submit(lambda: [Rows.of(table) for table in tables])
            while not reading.done():
                known_items()
            assert len(reading.result()) == 5_000
    finally:
        sys.setswitchinterval(before)


@pytest.mark.parametrize("order", [slice(None, None, -1), slice(1, None)])
def test_a_file_that_others_wrote_again_is_read_whole(tmp_path: Path, order: slice) -> None:
    values = [float(i % 3 == 0) for i in range(300)]
    before, after = side(tmp_path / "a", values), side(tmp_path / "b", values)
    path = after.cell.scores_path()
    said = pq.read_metadata(path).metadata
    table = pq.read_table(path).take([*range(300)][order])
    with pq.ParquetWriter(path, table.schema) as writer:
        writer.write_table(table)
        if len(table) < 300:  # it may keep what the file said of itself
            writer.add_key_value_metadata({SAMPLES: said[SAMPLES]})
    found = compare("b", "a", [Sides("t", "d", before, after)], Policy())
    assert (found.cells[0].lost, found.cells[0].gained) == (0, 0)


def test_over_one_percent_missing_is_invalid_on_either_side(bench: Bench) -> None:
    whole, holes = [1.0] * 200, [NAN] * 3 + [1.0] * 197
    bench.add("a", "d", whole, holes).add("b", "d", holes, whole).add("c", "d", whole, whole)
    cells = bench.verdict(margins={"c": 0.05}).cells
    assert [cell.verdict for cell in cells] == ["invalid", "invalid", "no_regression"]
    assert "1.5% of the candidate's samples are missing" in cells[0].reason
    assert "1.5% of the baseline's samples are missing" in cells[1].reason


def test_a_pass_must_survive_what_is_missing(bench: Bench) -> None:
    whole = [1.0] * 995 + [0.0] * 5
    holes = [NAN] * 8 + whole[8:]
    bench.add("t", "d", whole, holes)
    tight = bench.cell(margins={"d": 0.008})
    assert tight.verdict == "inconclusive"
    assert "missing" in tight.flags
    assert bench.cell(margins={"d": 0.05}).verdict == "no_regression"


def test_a_regression_must_survive_what_is_missing(bench: Bench) -> None:
    before, after = ones(1000, 0), [NAN] * 9 + ones(980, 11)
    found = bench.add("t", "d", before, after).cell()
    assert found.verdict == "regressed"  # 11 lost for certain
    few = Bench(bench.folder / "few").add("t", "d", [NAN] * 9 + ones(991, 0), ones(994, 6)).cell()
    assert few.verdict == "inconclusive"


def test_an_item_missing_on_one_side_is_left_out_of_the_estimate(bench: Bench) -> None:
    before, after = ones(500, 0), [NAN] * 4 + ones(446, 50)
    cell = bench.add("t", "d", before, after).cell()
    assert cell.delta == pytest.approx(-50 / 496)
    assert cell.lost == 50


@pytest.mark.parametrize("bad", [1.5, -0.5, 1e300])
def test_a_score_outside_the_bounds_is_invalid(bench: Bench, bad: float) -> None:
    cell = bench.add("t", "d", [1.0] * 50, [bad] + [1.0] * 49).cell(margins={"d": 0.05})
    assert cell.verdict == "invalid"
    assert "the candidate has scores outside the task's bounds 0 to 1" in cell.reason


@pytest.mark.parametrize("bad", [math.inf, -math.inf, NAN])
def test_a_score_that_is_no_number_is_a_missing_sample(bench: Bench, bad: float) -> None:
    cell = bench.add("t", "d", [1.0] * 50, [bad] + [1.0] * 49).cell(margins={"d": 0.05})
    assert cell.verdict == "invalid"
    assert "2.0% of the candidate's samples are missing" in cell.reason


@pytest.mark.parametrize("count", [0, 1])
def test_one_item_is_not_enough(bench: Bench, count: int) -> None:
    cell = bench.add("t", "d", [1.0] * count, [0.0] * count).cell(margins={"d": 0.05})
    assert cell.verdict == "invalid"
    assert f"{count} items were answered by both sides" in cell.reason


@pytest.mark.parametrize("count", [2, 3, 5, 12])
@pytest.mark.parametrize("values", [(1.0, 1.0), (1.0, 0.0), (0.0, 0.0), (0.5, 0.5), (0.25, 0.75)])
def test_a_handful_of_items_says_something_without_failing(
    bench: Bench, count: int, values: tuple[float, float]
) -> None:
    cell = bench.add("t", "d", [values[0]] * count, [values[1]] * count).cell(margins={"d": 0.05})
    assert cell.verdict != "invalid"
    assert cell.ci is not None
    assert cell.ci[0] < cell.ci[1]


def test_two_different_exams_are_invalid_whatever_the_scores(tmp_path: Path) -> None:
    before, after = drop(400, 60)
    exam = {**identity.exam(replace(TASK, fewshot=5)), "data": "d"}
    sides = Sides("t", "d", side(tmp_path / "a", before), side(tmp_path / "b", after, exam=exam))
    found = compare("b", "a", [sides], Policy(margins={"d": 0.05}))
    assert (found.verdict, found.exit_code) == ("invalid", 4)
    assert not found.cells[0].comparable
    assert "two different exams (fewshot: 0 → 5)" in found.cells[0].reason
    assert found.cells[0].delta is None


def test_a_missing_cell_is_invalid_and_named(tmp_path: Path) -> None:
    before = side(tmp_path / "a", [1.0] * 20)
    for sides, which in (
        (Sides("t", "d", before, None), "candidate"),
        (Sides("t", "d", None, before), "baseline"),
    ):
        found = compare("b", "a", [sides], Policy())
        assert found.exit_code == 4
        assert found.cells[0].reason == f"the {which} has no scores here: run the matrix"


@pytest.mark.parametrize("content", [b"", b"junk", b"PAR1" * 9])
def test_damaged_scores_are_named_never_taken_for_a_verdict(tmp_path: Path, content: bytes) -> None:
    broken, good = side(tmp_path / "a", [1.0] * 50), side(tmp_path / "b", [1.0] * 50)
    broken.cell.scores_path().write_bytes(content)
    fine = (side(tmp_path / "c", [1.0] * 50), side(tmp_path / "d", [1.0] * 50))
    found = compare("b", "a", [Sides("t", "d", broken, good), Sides("u", "e", *fine)], Policy())
    assert [cell.verdict for cell in found.cells] == ["invalid", "inconclusive"]
    assert "a/scores.parquet: not readable as Parquet" in found.cells[0].reason


def test_a_domain_with_one_cell_shares_its_margin_and_its_verdict(bench: Bench) -> None:
    bench.add("t", "d", ones(380, 20), ones(378, 22))
    for margins in ({"d": 0.05}, {"t": 0.05}):
        found = bench.verdict(margins=margins)
        cell, domain = found.cells[0], found.domains[0]
        assert cell.margin == domain.margin == 0.05
        assert (cell.verdict, cell.delta, cell.ci) == (domain.verdict, domain.delta, domain.ci)
        assert domain.gates
        assert not cell.gates
    assert bench.cell(margins={"other": 0.05}).margin is None


def test_a_task_among_several_gates_only_when_told_to(bench: Bench) -> None:
    small = ones(12, 8)
    bench.add("a", "d", small, small).add("b", "d", [1.0] * 900, [1.0] * 900)
    tolerant = bench.verdict(margins={"a": 0.01})
    assert tolerant.cells[0].margin == 0.01
    assert not tolerant.cells[0].gates
    assert tolerant.exit_code == 0
    told = bench.verdict(margins={"a": 0.01}, gating_cells=frozenset({"a"}))
    assert told.cells[0].gates
    assert told.exit_code == 3


def test_a_domain_is_the_weighted_mean_of_its_cells(bench: Bench) -> None:
    before, after = drop(200, 40)
    bench.add("a", "d", before, after).add("b", "d", before, before)
    assert bench.domain().delta == pytest.approx(-0.1)
    assert bench.domain(weights={"b": 3.0}).delta == pytest.approx(-0.05)
    assert bench.domain(weights={"b": 0.0}).delta == pytest.approx(-0.2)


def test_a_domain_with_an_invalid_cell_is_invalid_unless_another_regressed(bench: Bench) -> None:
    whole = [1.0] * 400
    bench.add("a", "d", whole, [NAN] * 400).add("b", "d", whole, whole)
    found = bench.verdict(margins={"d": 0.05})
    assert (found.domains[0].verdict, found.exit_code) == ("invalid", 4)
    other = Bench(bench.folder / "other").add("a", "d", whole, [NAN] * 400)
    found = other.add("b", "d", *drop(400, 80)).verdict(margins={"d": 0.05})
    assert (found.domains[0].verdict, found.exit_code) == ("regressed", 1)


def test_small_declines_everywhere_regress_the_domain_where_no_cell_does(bench: Bench) -> None:
    for task in "abcdef":
        bench.add(task, "d", ones(300, 0) + ones(0, 300), ones(285, 15) + ones(7, 293))
    found = bench.verdict(margins={"d": 0.001})
    assert found.domains[0].verdict == "regressed"
    assert all(cell.verdict != "regressed" for cell in found.cells)
    assert "diffuse" in found.domains[0].flags


@pytest.mark.parametrize(
    ("regressed", "invalid", "unclear", "code"),
    [
        (True, True, True, 1),
        (False, True, True, 4),
        (False, False, True, 3),
        (False, False, False, 0),
        (True, False, False, 1),
    ],
)
def test_the_worst_decides_regressed_then_invalid_then_unclear(
    bench: Bench, regressed: bool, invalid: bool, unclear: bool, code: int
) -> None:
    bench.add("fine", "fine", [1.0] * 900, [1.0] * 900)
    if regressed:
        bench.add("bad", "bad", *drop(900, 200))
    if invalid:
        bench.add("none", "none", [1.0] * 100, [NAN] * 100)
    if unclear:
        bench.add("few", "few", ones(6, 6), ones(6, 6))
    margins = {domain: 0.02 for domain in ("fine", "bad", "none", "few")}
    assert bench.verdict(margins=margins).exit_code == code


def test_what_is_unclear_may_be_let_pass_and_a_suspect_may_fail(bench: Bench) -> None:
    bench.add("t", "d", ones(90, 10), ones(86, 14)).add("u", "e", ones(50, 50), ones(50, 50))
    margins = {"d": 0.01, "e": 0.01}
    assert bench.verdict(margins=margins).exit_code == 3
    assert bench.verdict(margins=margins, inconclusive_passes=True).exit_code == 0
    assert "suspect" in bench.domain(margins=margins).flags
    assert bench.verdict(margins=margins, suspect_fails=True).exit_code == 1


def test_a_decline_inside_the_margin_passes_unless_any_decline_fails(bench: Bench) -> None:
    bench.add("t", "d", ones(2000, 0), ones(1980, 20))
    inside = bench.verdict(margins={"d": 0.05})
    assert inside.exit_code == 0
    assert "small_decline" in inside.domains[0].flags
    assert bench.verdict(margins={"d": 0.05}, any_decline=True).exit_code == 1


def test_an_advisory_task_decides_nothing(bench: Bench) -> None:
    bench.add("chat", "chat", *drop(400, 200)).add("t", "d", [1.0] * 900, [1.0] * 900)
    margins = {"chat": 0.02, "d": 0.02}
    assert bench.verdict(margins=margins).exit_code == 1
    found = bench.verdict(
        margins=margins, advisory=frozenset({"chat"}), gating_cells=frozenset({"chat"})
    )
    assert found.exit_code == 0
    assert "advisory" in found.cells[0].flags
    assert not found.cells[0].gates
    assert not found.domains[0].gates


def test_an_advisory_task_decides_nothing_in_a_domain_it_shares_either(bench: Bench) -> None:
    bench.add("chat", "d", *drop(400, 200)).add("t", "d", ones(300, 100), ones(299, 101))
    with_it = bench.verdict(margins={"d": 0.001})
    assert with_it.domains[0].verdict == "regressed"
    without = bench.verdict(margins={"d": 0.001}, advisory=frozenset({"chat"}))
    assert without.domains[0].verdict == "inconclusive"
    assert without.domains[0].delta == pytest.approx(-1 / 400)
    assert without.exit_code == 3


def test_lower_is_better_turns_the_sign(tmp_path: Path) -> None:
    meta: dict[str, Any] = {"bounds": [0.0, 10.0], "higher_is_better": False}
    before = side(tmp_path / "a", [2.0, 4.0] * 100, **meta)
    after = side(tmp_path / "b", [4.0, 8.0] * 100, **meta)
    cell = compare("b", "a", [Sides("t", "d", before, after)], Policy()).cells[0]
    assert cell.verdict == "regressed"
    assert cell.baseline_score == pytest.approx(0.7)
    assert cell.candidate_score == pytest.approx(0.4)
    assert cell.delta == pytest.approx(-0.3)
    assert cell.native == pytest.approx((3.0, 6.0))


def test_several_samples_per_item_are_averaged_first(bench: Bench) -> None:
    cell = bench.add("t", "d", [[1.0, 0.0, 1.0, 1.0]] * 100, [[0.0, 0.5]] * 100).cell()
    assert cell.baseline_score == pytest.approx(0.75)
    assert cell.candidate_score == pytest.approx(0.25)
    assert cell.delta == pytest.approx(-0.5)
    assert cell.epochs == (4, 2)


def test_samples_of_one_cluster_widen_the_interval(bench: Bench) -> None:
    before = ones(200, 200)
    after = [1.0 - v if i % 40 < 8 else v for i, v in enumerate(before)]
    clusters = [f"passage {i // 8}" for i in range(400)]
    apart = Bench(bench.folder / "apart").add("t", "d", before, after).cell()
    together = bench.add("t", "d", before, after, clusters=clusters).cell()
    assert together.method == "cluster"
    assert apart.ci is not None
    assert together.ci is not None
    assert together.ci[1] - together.ci[0] > apart.ci[1] - apart.ci[0]


def test_treatment_and_environment_are_listed_and_flagged_not_held_against(tmp_path: Path) -> None:
    before = side(tmp_path / "a", [1.0] * 300, environment={"engine": "x", "dtype": "float32"})
    after = side(
        tmp_path / "b",
        [1.0] * 300,
        environment={"engine": "y 2"},
        checkpoint={"name": "b", "system_prompt": "Be brief. " * 20, "format": "chat"},
    )
    cell = compare("b", "a", [Sides("t", "d", before, after)], Policy(margins={"d": 0.05})).cells[0]
    assert cell.verdict == "no_regression"
    assert {"treatment", "environment"} <= {*cell.flags}
    assert "format: none → chat" in cell.differences
    assert "dtype: float32 → none" in cell.differences
    assert "engine: x → y 2" in cell.differences
    assert all(len(difference) < 120 for difference in cell.differences)


def test_exams_are_compared_part_by_part() -> None:
    one = {"checkpoint": {}, "exam": {"sampling": {"temperature": 0.0, "top_p": 1.0}, "judge": ""}}
    two = {"checkpoint": {}, "exam": {"sampling": {"temperature": 0.6, "top_p": 1.0}, "judge": "j"}}
    found = comparability(one, two)
    assert found.exam == ["judge: none → j", "sampling.temperature: 0.0 → 0.6"]
    assert not found.same_exam
    assert comparability(one, one).same_exam


def test_what_became_of_the_lost_is_told(bench: Bench) -> None:
    cell = bench.add("t", "d", *drop(100, 30)).cell()
    assert cell.lost_to == {"wrong": 30}
    assert cell.outcomes.baseline == {"correct": 100}
    assert cell.outcomes.candidate == {"correct": 70, "wrong": 30}


def test_every_item_hash_is_kept_whole_also_with_zero_bytes(tmp_path: Path) -> None:
    hashes = [b"\0" * 16, b"a" + b"\0" * 15, b"\0" * 15 + b"a", checkpoint().identity.encode()[:16]]
    hashes[3] = hashes[3].ljust(16, b"\0")
    rows = [
        dict.fromkeys(SCORE_COLUMNS, "") | {"item": h, "epoch": 0, "value": float(i % 2)}
        for i, h in enumerate(hashes)
    ]
    write_table(Cell(tmp_path).scores_path(), rows, SCORE_COLUMNS)
    arm = load(Cell(tmp_path), {}, "")
    assert len(arm.items) == 4
    assert arm.score == 0.5


def test_the_same_sample_twice_is_no_verdict(tmp_path: Path) -> None:
    before, after = side(tmp_path / "a", [1.0] * 200), side(tmp_path / "b", [1.0] * 200)
    path = after.cell.scores_path()
    rows = read_table(path).to_pylist()
    write_table(path, [*rows, {**rows[0], "value": 0.0}], SCORE_COLUMNS)
    found = compare("b", "a", [Sides("t", "d", before, after)], Policy(margins={"d": 0.05}))
    assert (found.verdict, found.exit_code) == ("invalid", 4)
    assert "b/scores.parquet: a sample is there twice" in found.cells[0].reason


@pytest.mark.parametrize("bounds", [(0.0, math.inf), (-math.inf, 0.0), (1.0, 1.0), (1.0, 0.0)])
def test_a_scale_without_two_finite_bounds_never_passes(
    tmp_path: Path, bounds: tuple[float, float]
) -> None:
    sides = [side(tmp_path / name, ones(150, 50), bounds=bounds) for name in ("a", "b")]
    found = compare("b", "a", [Sides("t", "d", *sides)], Policy(margins={"d": 0.05}))
    assert (found.verdict, found.exit_code) == ("invalid", 4)
    assert "a scale needs two finite bounds" in found.cells[0].reason


@pytest.mark.parametrize(
    ("before", "after", "shift"),
    [
        ([1.0] * 200, [1.0] * 200, 200),
        ([1.0] * 200, [1.0] * 180, 0),
        ([1.0] * 180, [1.0] * 200, 0),
        ([NAN] * 200, [NAN] * 200, 0),
        ([1.0] * 197 + [NAN] * 3, [1.0] * 200, 0),
        ([1.0] * 199 + [1.2], [1.0] * 199 + [1.2], 0),
        ([-0.1] * 200, [-0.1] * 200, 0),
        ([1.0], [1.0], 0),
        ([], [1.0] * 200, 0),
        ([1.0] * 200, [], 0),
        ([], [], 0),
    ],
)
def test_bad_input_is_invalid_however_wide_the_margin(
    bench: Bench, before: list[float], after: list[float], shift: int
) -> None:
    found = bench.add("t", "d", before, after, shift=shift).verdict(
        margins={"d": 0.99}, inconclusive_passes=True
    )
    assert (found.verdict, found.exit_code) == ("invalid", 4)
    assert found.cells[0].reason


def test_scores_cut_off_halfway_are_no_verdict(tmp_path: Path) -> None:
    before, after = side(tmp_path / "a", [1.0] * 200), side(tmp_path / "b", [1.0] * 200)
    whole = after.cell.scores_path().read_bytes()
    after.cell.scores_path().write_bytes(whole[: len(whole) // 2])
    found = compare("b", "a", [Sides("t", "d", before, after)], Policy(margins={"d": 0.99}))
    assert (found.verdict, found.exit_code) == ("invalid", 4)
    assert "b/scores.parquet: not readable as Parquet" in found.cells[0].reason
