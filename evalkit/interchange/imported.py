"""What a log of another harness says of one task, and its way into the store.

An imported cell is an ordinary one: `evalkit compare` and `gate` read it as any other.  Items are
paired by what the log says of the question, never by position.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from evalkit.errors import DataError
from evalkit.grade import outcome
from evalkit.identity import ITEM_BYTES, digest
from evalkit.store import Answer, Cell, Store
from evalkit.tables import SCORE_COLUMNS, write_table
from evalkit.types import Response, Score

UNKNOWN_END = "unknown"
"""The finish reason where the log does not say why an answer ended."""


MOST_EPOCHS = 10_000


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the user asked for; "" and None leave it to the log."""

    name: str = ""  # of the checkpoint
    metric: str = ""
    bounds: tuple[float, float] | None = None
    domain: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """One graded answer of a log."""

    content: bytes  # hash of what the log says of the question
    id: str
    epoch: int
    value: float  # NaN: missing
    question: str
    target: str
    answer: str | None
    request: bytes
    response: Response
    stratum: str = ""


@dataclass(frozen=True, slots=True)
class Aggregate:
    """A score whose samples nobody has."""

    score: float
    stderr: float | None
    n: int


@dataclass(frozen=True, slots=True)
class Metric:
    """What was measured: its name, its scale, and which end of it is the good one."""

    name: str
    bounds: tuple[float, float] = (0.0, 1.0)
    higher_is_better: bool = True


@dataclass(frozen=True, slots=True)
class Asked:
    """The checkpoint as the log names it, and how it was addressed."""

    name: str
    identity: str = ""
    format: str = ""
    system_prompt: str = ""
    chat_template: str = ""


@dataclass(frozen=True, slots=True)
class Imported:
    """One task sat by one checkpoint, as a log has it: rows, or only their aggregate."""

    source: str
    format: str
    task: str
    domain: str
    asked: Asked
    metric: Metric
    exam: Mapping[str, Any]  # what must be equal for two such cells to be comparable
    environment: Mapping[str, str] = field(default_factory=dict)
    dataset: Mapping[str, str] = field(default_factory=dict)  # on the hub: id, config, revision
    rows: Sequence[Row] = ()
    aggregate: Aggregate | None = None


@dataclass(frozen=True, slots=True)
class Skipped:
    """A task of a log that could not be taken over, and why."""

    source: str
    task: str
    reason: str


def keep(found: Imported, store: Store) -> Cell:
    """Writes the cell of an imported task; what was imported into it before is replaced."""
    exam = {
        "task": found.task,
        "harness": found.format,
        "metric": found.metric.name,
        "bounds": list(found.metric.bounds),
        **found.exam,
    }
    asked = {name: getattr(found.asked, name) for name in Asked.__slots__}
    key = digest([asked, exam, bool(found.rows)]).hex()[:8]
    cell = store.cell(found.task, found.asked.name, key)
    items = identities(found)
    cell.path.mkdir(parents=True, exist_ok=True)
    with cell.lock():
        outcomes = _write_rows(found, items, cell)
        cell.write_meta(
            task=found.task,
            domain=found.domain,
            bounds=list(found.metric.bounds),
            higher_is_better=found.metric.higher_is_better,
            checkpoint={**asked, "backend": found.format, "parent": "", "method": ""},
            environment={"harness": found.format, **found.environment},
            exams={"": exam},
            outcomes={"": outcomes},
            names=[found.asked.name],
            imported={"format": found.format, "file": found.source},
            dataset=dict(found.dataset),
            **_totals(found),
        )
    return cell


def _totals(found: Imported) -> dict[str, Any]:
    if found.aggregate and not found.rows:
        whole = found.aggregate
        return {"aggregate": {"score": whole.score, "stderr": whole.stderr, "n": whole.n}}
    return {
        "totals": {
            "answers": len(found.rows),
            "errors": sum(bool(row.response.error) for row in found.rows),
            "prompt_tokens": sum(row.response.prompt_tokens for row in found.rows),
            "completion_tokens": sum(row.response.completion_tokens for row in found.rows),
        }
    }


def identities(found: Imported) -> list[bytes]:
    """The item of every row: its content, and which of several alike it is.

    Raises DataError where one item is there twice in an epoch.
    """
    alike: dict[bytes, set[str]] = defaultdict(set)
    for row in found.rows:
        alike[row.content].add(row.id)
    which = {
        (content, name): index
        for content, names in alike.items()
        for index, name in enumerate(sorted(names))
    }
    seen: set[tuple[bytes, str, int]] = set()
    for row in found.rows:
        if not 0 <= row.epoch < MOST_EPOCHS:
            raise DataError(f"{found.source}: sample {row.id!r} has epoch {row.epoch + 1}")
        if (row.content, row.id, row.epoch) in seen:
            raise DataError(
                f"{found.source}: {found.task}: sample {row.id!r} is there twice; "
                "keep the rows of one run"
            )
        seen.add((row.content, row.id, row.epoch))
    return [
        digest([found.task, row.content.hex(), which[row.content, row.id]])[:ITEM_BYTES]
        for row in found.rows
    ]


def _write_rows(found: Imported, items: Sequence[bytes], cell: Cell) -> dict[str, int]:
    if not found.rows:
        return {}
    metric = found.metric
    best = metric.bounds[1] if metric.higher_is_better else metric.bounds[0]
    scores = [_score(row, item, best) for row, item in zip(found.rows, items, strict=True)]
    scores.sort(key=lambda score: (score["item"], score["epoch"]))
    cell.keep(
        Answer(item, row.id, row.epoch, row.request[:ITEM_BYTES], row.question, row.response)
        for row, item in zip(found.rows, items, strict=True)
    )
    write_table(cell.scores_path(), scores, SCORE_COLUMNS)
    return dict(sorted(Counter(score["outcome"] for score in scores).items()))


def _score(row: Row, item: bytes, best: float) -> dict[str, Any]:
    if math.isfinite(row.value):
        became = outcome(row.response, Score(row.value, row.answer), best)
    elif row.response.error:
        became = "errored"
    else:
        became = "scorer failed: the log has no number for it"
    return {
        "item": item,
        "id": row.id,
        "epoch": row.epoch,
        "value": row.value if math.isfinite(row.value) else math.nan,
        "answer": row.answer,
        "target": row.target,
        "outcome": became,
        "stratum": row.stratum,
        "cluster": "",
        "details": "",
    }


def mean(rows: Iterable[Row]) -> float:
    """Mean over items of the mean over their answers, of the rows that have a number."""
    by_item: dict[tuple[bytes, str], list[float]] = defaultdict(list)
    for row in rows:
        if math.isfinite(row.value):
            by_item[row.content, row.id].append(row.value)
    means = [sum(values) / len(values) for values in by_item.values()]
    return sum(means) / len(means) if means else math.nan
