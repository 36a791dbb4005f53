"""An imported task's way into the store.

An imported cell is an ordinary one: `evalkit compare` and `gate` read it as any other.  Items are
paired by what the log says of the question, never by position.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

from evalkit.errors import DataError
from evalkit.grading.grade import outcome
from evalkit.grading.manner import Reading
from evalkit.identity.identity import ITEM_BYTES, digest
from evalkit.interchange.imported import Asked, Imported, Row
from evalkit.storage.store import Answer, Cell, Store
from evalkit.storage.tables import SCORE_COLUMNS, write_table
from evalkit.types import Score

OF_RESPONSE = ("text", "finish_reason", "loglikelihoods", "error")
MOST_EPOCHS = 10_000


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
        "manner": _manner(found),
        "totals": {
            "answers": len(found.rows),
            "errors": sum(bool(row.response.error) for row in found.rows),
            "prompt_tokens": sum(row.response.prompt_tokens for row in found.rows),
            "completion_tokens": sum(row.response.completion_tokens for row in found.rows),
        },
    }


def _manner(found: Imported) -> dict[str, Any]:
    reading = Reading(len({row.content for row in found.rows}))
    for row in found.rows:
        of_response = {name: getattr(row.response, name) for name in OF_RESPONSE}
        reading.take({"epoch": row.epoch, "question": row.question, **of_response})
    return reading.told()


def identities(found: Imported) -> list[bytes]:
    """The item of every row: its content, and which of several alike it is.

    Raises DataError where one item is there twice in an epoch.
    """
    alike = _alike(found)
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


def _alike(found: Imported) -> dict[bytes, set[str]]:
    """The ids of the rows of each content."""
    alike: dict[bytes, set[str]] = defaultdict(set)
    for row in found.rows:
        alike[row.content].add(row.id)
    return alike


def _write_rows(found: Imported, items: Sequence[bytes], cell: Cell) -> dict[str, int]:
    if not found.rows:
        return {}
    metric = found.metric
    best = metric.bounds[1] if metric.higher_is_better else metric.bounds[0]
    alike = _alike(found)
    scores = [
        _score(row, item, best, row.content.hex()[:16] if len(alike[row.content]) > 1 else "")
        for row, item in zip(found.rows, items, strict=True)
    ]
    scores.sort(key=lambda score: (score["item"], score["epoch"]))
    cell.keep(
        Answer(item, row.id, row.epoch, row.request[:ITEM_BYTES], row.question, row.response)
        for row, item in zip(found.rows, items, strict=True)
    )
    write_table(cell.scores_path(), scores, SCORE_COLUMNS)
    return dict(sorted(Counter(score["outcome"] for score in scores).items()))


def _score(row: Row, item: bytes, best: float, cluster: str) -> dict[str, Any]:
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
        "cluster": cluster,  # one question under two ids is no second piece of evidence
        "details": "",
    }
