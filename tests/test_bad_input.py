"""Whatever is wrong with what is compared, it is named, and never passes a gate."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from benchmarks.cells import seal
from benchmarks.recordings import Recorded
from evalkit.cli import cli
from evalkit.errors import EvalkitError
from evalkit.reporting.reading import read_verdict
from evalkit.storage.store import Cell, Store

NAN, INFINITY = math.nan, math.inf

CONFIG = """\
baseline: before
checkpoints: [{name: before}, {name: after}]
tasks: [exam]
gate: {margins: {exam: {points: 20, gate: true}}}
"""


def scores(count: int, value: float = 1.0) -> dict[str, float]:
    return {str(number): value for number in range(count)}


class Bench:
    """Two cells of one task; the baseline's is in order."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.seal("before", Recorded(scores(100)))
        self.seal("after", Recorded(scores(100)))

    def seal(self, name: str, found: Recorded) -> None:
        seal(self.folder / "r", "exam", "exam", name, found)

    def cell(self, name: str) -> Cell:
        return next(c for c in Store(self.folder / "r").cells() if c.meta()["names"] == [name])

    def rewritten(self, change: Callable[[pa.Table], pa.Table]) -> None:
        path = self.cell("after").scores_path()
        pq.write_table(change(pq.read_table(path)), path)

    def gated(self) -> tuple[int, str]:
        """The exit code of the gate, and what it says of the task or of what is wrong."""
        config = self.folder / "c.yaml"
        config.write_text(CONFIG)
        command = ["gate", str(config), "--stored", "--results", str(self.folder / "r")]
        result = CliRunner().invoke(cli, command)
        if isinstance(result.exception, EvalkitError):
            return result.exception.exit_code, str(result.exception)
        assert result.exception is None or isinstance(result.exception, SystemExit)
        report = read_verdict(self.folder / "r" / "report" / "verdict.json")
        return result.exit_code, report.candidates[0].cells[0].reason


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_two_cells_in_order_pass(bench: Bench) -> None:
    assert bench.gated() == (0, "")


ARMS = {
    "other items": ({str(n): 1.0 for n in range(90, 190)}, "only 10 items in common of 100"),
    "no item in common": ({str(n): 1.0 for n in range(500, 600)}, "only 0 items in common"),
    "far fewer items": (scores(50), "only 50 items in common of 100 and 50"),
    "one item": ({"7": 1.0}, "only 1 items in common"),
    "no item": ({}, "only 0 items in common of 100 and 0"),
    "a score that is no number": (scores(100) | {"1": NAN, "2": NAN}, "2.0% of the candidate's"),
    "an endless score": (scores(100) | {"1": INFINITY, "2": -INFINITY}, "2.0% of the candidate's"),
    "a score above the scale": (scores(100) | {"1": 1.5}, "outside the task's bounds 0 to 1"),
    "a score below the scale": (scores(100) | {"1": -0.5}, "outside the task's bounds 0 to 1"),
    "nothing answered": (scores(100, NAN), "100.0% of the candidate's samples are missing"),
}


@pytest.mark.parametrize("name", ARMS)
def test_scores_that_cannot_be_compared_are_invalid(bench: Bench, name: str) -> None:
    values, said = ARMS[name]
    bench.seal("after", Recorded(values))
    code, reason = bench.gated()
    assert code == 4
    assert said in reason


def test_all_in_one_cluster_are_one_piece_of_evidence(bench: Bench) -> None:
    together = dict.fromkeys(scores(100), "one passage")
    for name in ("before", "after"):
        bench.seal(name, Recorded(scores(100), clusters=together))
    code, reason = bench.gated()
    assert (code, reason) == (
        4,
        "1 clusters of items were answered by both sides; it takes two",
    )


def test_all_alike_is_no_certainty(tmp_path: Path) -> None:
    """Nothing changed in 30 items: a loss of 8 points is not ruled out."""
    bench = Bench(tmp_path)
    for name in ("before", "after"):
        bench.seal(name, Recorded(scores(30)))
    assert bench.gated()[0] == 0
    (tmp_path / "c.yaml").write_text(CONFIG)
    report = read_verdict(tmp_path / "r" / "report" / "verdict.json")
    lower, upper = report.candidates[0].cells[0].ci or (0.0, 0.0)
    assert upper == pytest.approx(-lower) == pytest.approx(0.085, abs=0.002)


TABLES: dict[str, tuple[Callable[[pa.Table], pa.Table], str]] = {
    "a sample twice": (lambda t: pa.concat_tables([t, t.slice(0, 1)]), "a sample is there twice"),
    "no values": (lambda t: t.drop_columns(["value"]), "no column value"),
    "words for values": (
        lambda t: t.set_column(3, "value", pa.array(["x"] * len(t))),
        "column value does not hold a number",
    ),
    "an epoch before the first": (
        lambda t: t.set_column(2, "epoch", pa.array([-1] * len(t), pa.int32())),
        "its epochs run from -1",
    ),
    "items without identity": (
        lambda t: t.set_column(0, "item", pa.array(["x"] * len(t))),
        "its items are not identities",
    ),
}


@pytest.mark.parametrize("name", TABLES)
def test_a_table_that_is_not_one_is_invalid_and_named(bench: Bench, name: str) -> None:
    change, said = TABLES[name]
    bench.rewritten(change)
    code, reason = bench.gated()
    assert code == 4
    assert "scores.parquet" in reason
    assert said in reason


@pytest.mark.parametrize("keep", [0.0, 0.5, 0.99])
def test_a_half_written_file_is_invalid_and_named(bench: Bench, keep: float) -> None:
    path = bench.cell("after").scores_path()
    content = path.read_bytes()
    path.write_bytes(content[: int(keep * len(content))])
    code, reason = bench.gated()
    assert code == 4
    assert "not readable as Parquet" in reason


def test_a_file_that_is_gone_is_not_measured(bench: Bench) -> None:
    bench.cell("after").scores_path().unlink()
    code, reason = bench.gated()
    assert code in (2, 4)
    assert "no cells of 'after'" in reason or "no scores" in reason


METAS = {
    "another exam": ({"exams": {"": {"task": "exam", "version": 2}}}, "two different exams"),
    "a scale turned round": ({"bounds": [1.0, 0.0]}, "no margin can be stated"),
    "an endless scale": ({"bounds": [0.0, 1e400]}, "no margin can be stated"),
    "weights that are no shares": (
        {"exams": {"": {"weights": {"a": -1.0}}}},
        "weights of strata are not shares",
    ),
}


@pytest.mark.parametrize("name", METAS)
def test_a_cell_that_says_what_cannot_be_is_invalid(bench: Bench, name: str) -> None:
    changes, said = METAS[name]
    cells = ["after"] if name in ("another exam",) else ["before", "after"]
    for each in cells:
        cell = bench.cell(each)
        meta = json.loads((cell.path / "cell.json").read_text())
        (cell.path / "cell.json").write_text(json.dumps(meta | changes))
    code, reason = bench.gated()
    assert code == 4
    assert said in reason


@pytest.mark.parametrize("text", ["", "{", "[]", '{"schema": 99}', "\x00\x01"])
def test_a_damaged_description_is_one_line_that_names_it(bench: Bench, text: str) -> None:
    path = bench.cell("after").path / "cell.json"
    path.write_text(text)
    code, said = bench.gated()
    assert code == 4
    assert str(path) in said
