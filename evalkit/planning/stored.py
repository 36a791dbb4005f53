"""What the results folder already holds of a matrix, for planning: nothing is written."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from evalkit.comparison.comparability import under
from evalkit.comparison.sides import Joined, Side, cells_of
from evalkit.errors import DataError, EvalkitError
from evalkit.events import silent
from evalkit.exams.exam import Exam
from evalkit.identity import identity
from evalkit.judging.session import questions_due
from evalkit.matrix import Matrix, Row
from evalkit.planning.spread import Transition
from evalkit.seat import Seat, seating
from evalkit.storage.store import Cell, Store
from evalkit.training.pipeline import identified, trained

GRADED_LATER = ("data", "judge")
"""Parts of an exam that a plan need not match to learn from a cell."""


@dataclass(frozen=True)
class Shelf:
    """The cells of a matrix, and all others of the folder."""

    matrix: Matrix
    seated: tuple[Seat, ...]  # of the checkpoints that are there
    stored: tuple[tuple[Cell, Mapping[str, Any]], ...]  # the one used last comes last
    unknown: int  # checkpoints that are not there yet
    results: Path

    def seats(self, exam: Exam) -> list[Seat]:
        """The seats of an exam."""
        return [seat for seat in self.seated if seat.exam is exam]

    def judging(self, exam: Exam) -> int:
        """What judges have yet to be asked about answers that are there, their audits included."""
        with suppress(DataError):  # its rows are not at hand
            return questions_due(self.matrix, exam, self.seats(exam), self.results)
        return 0

    def past(self, exam: Exam) -> list[Mapping[str, Any]]:
        """The `cell.json` of every cell of that task, asked by the same sampling."""
        sampling = _as_stored(exam)["sampling"]
        metas = [meta for _, meta in self.stored if meta.get("task") == exam.task.name]
        same = [
            meta
            for meta in metas
            if any(sat.get("sampling") == sampling for sat in meta.get("exams", {}).values())
        ]
        return same or metas

    def alone(self, exam: Exam) -> dict[str, Side]:
        """Every checkpoint's graded cell of the exam, the baseline's first."""
        own = {s.row.checkpoint.name: _side(exam, s.cell, s.cell.meta()) for s in self.seats(exam)}
        others = {
            meta["checkpoint"]["name"]: _side(exam, cell, meta)
            for cell, meta in self.stored
            if meta.get("task") == exam.task.name and "checkpoint" in meta
        }
        found = {**others, **own}
        order = sorted(found, key=lambda name: name != self.matrix.baseline)
        return {name: side for name in order if (side := found[name]) is not None}

    def together(self, parts: Sequence[Exam]) -> dict[str, Joined]:
        """Every checkpoint's graded cells of the parts of an exam as one, the baseline's first."""
        known = {exam.label: self.alone(exam) for exam in parts}
        first, *others = known.values()
        names = [name for name in first if all(name in other for other in others)]
        return {name: Joined({part: own[name] for part, own in known.items()}) for name in names}

    def transitions(self, known: Mapping[str, Side | Joined]) -> list[Transition]:
        """Pairs of graded cells, the most telling last: this file's own, in its order."""
        pairs = [pair for pair in self.matrix.pairs if pair[0] in known and pair[1] in known]
        if not pairs and len(known) > 1:
            *_, before, after = sorted(known, key=lambda name: _last_used(known[name]))
            pairs = [(after, before)]
        return [Transition(a, b, known[a], known[b]) for a, b in pairs]


def shelf(matrix: Matrix, results: Path) -> Shelf:
    """Looks a matrix up in a results folder; checkpoints that are not there are only counted."""
    there = [row for each in matrix.rows if (row := _found(each, matrix, results))]
    store = Store(results)
    cells = sorted(((cell, cell.meta()) for cell in store.cells()), key=lambda x: _used(x[0]))
    seats = seating(replace(matrix, rows=tuple(there)), store)
    return Shelf(
        _with_judges(matrix, results),
        tuple(seats),
        tuple(cells),
        len(matrix.rows) - len(there),
        results,
    )


def _found(row: Row, matrix: Matrix, results: Path) -> Row | None:
    """The row with its identity; None where its weights are not there yet."""
    name = row.checkpoint.name
    with suppress(EvalkitError, OSError):
        if name in {stage.name for stage in matrix.stages}:
            made = trained(matrix, results, silent, (name,), make=False)
            return next(row for row in made.rows if row.checkpoint.name == name)
        return identified(replace(matrix, rows=(row,), judge=None)).rows[0]
    return None


def _with_judges(matrix: Matrix, results: Path) -> Matrix:
    """The matrix with its judges' identities, where they are there already."""
    names = {judge.checkpoint.name for judge in matrix.judges}
    stages = tuple(stage.name for stage in matrix.stages if stage.name in names)
    with suppress(EvalkitError, OSError):
        made = trained(matrix, results, silent, stages, make=False) if stages else matrix
        known = identified(replace(made, rows=()))
        return replace(matrix, judge=known.judge, jury=known.jury)
    return matrix


def items_of(exam: Exam) -> int:
    """How many items it has; by the benchmark's own count where its rows are not at hand."""
    try:
        return len(exam.due)
    except DataError:
        counts = exam.task.source.counts if exam.task.source else {}
        if exam.data is not None or "test" not in counts:
            raise
        return min(counts["test"], exam.limit or counts["test"])


def effective(exam: Exam, n: int) -> float:
    """The items that a mean over all alike would need for the precision of the weighted strata."""
    weights = exam.task.weights
    if not weights:
        return n
    counts = Counter(sample.stratum for sample in exam.items.values())
    whole = sum(weights.values())
    rows = [(weight / whole, counts[name]) for name, weight in weights.items() if weight > 0]
    if not all(count for _, count in rows):
        return n  # its cells will be invalid, and say so
    return 1 / sum(share**2 / count for share, count in rows)


def _side(exam: Exam, cell: Cell, meta: Mapping[str, Any]) -> Side | None:
    """A cell as a side of a comparison, if it was graded as the exam says."""
    preset = exam.task.preset
    sat = meta.get("exams", {}).get(preset)
    if not sat or not cell.scores_path(preset).exists():
        return None
    wanted = _as_stored(exam)
    if any(sat.get(name) != value for name, value in wanted.items() if name not in GRADED_LATER):
        return None
    return Side(cell, under(meta, preset), preset)


def _as_stored(exam: Exam) -> dict[str, Any]:
    return dict(json.loads(json.dumps(identity.exam(exam.task))))


def _last_used(side: Side | Joined) -> int:
    return max(_used(cell.cell) for cell in cells_of(side))


def _used(cell: Cell) -> int:
    return (cell.path / "cell.json").stat().st_mtime_ns
