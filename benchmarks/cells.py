"""Cells of the store made from scores that are known already, by the store's own writer."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from benchmarks.recordings import Recorded
from evalkit.storage.store import Store
from evalkit.storage.tables import SCORE_COLUMNS, write_table


def seal(results: Path, task: str, domain: str, checkpoint: str, found: Recorded) -> None:
    """Writes one checkpoint's scores of one task as a sealed cell."""
    cell = Store(results).cell(
        task, checkpoint, hashlib.sha256(checkpoint.encode()).hexdigest()[:8]
    )
    cell.path.mkdir(parents=True, exist_ok=True)
    rows = [_row(task, item, score, found) for item, score in found.scores.items()]
    write_table(cell.scores_path(), sorted(rows, key=lambda row: row["item"]), SCORE_COLUMNS)
    said = described(task, domain, checkpoint)
    if found.weights:
        said["exams"][""]["weights"] = found.weights
    cell.write_meta(**said, bounds=found.bounds)


def _row(task: str, item: str, score: float, found: Recorded) -> dict[str, Any]:
    known = score == score
    best = found.bounds[1]
    return dict.fromkeys(SCORE_COLUMNS, "") | {
        "item": hashlib.sha256(f"{task}\0{item}".encode()).digest()[:16],
        "id": item,
        "epoch": 0,
        "value": score,
        "outcome": "correct" if score == best else "wrong" if known else "errored",
        "stratum": found.strata.get(item, ""),
        "cluster": found.clusters.get(item, ""),
    }


def described(task: str, domain: str, checkpoint: str) -> dict[str, Any]:
    """What `cell.json` says of a cell whose making is known by its name alone."""
    sampling = {"temperature": 0.0, "top_p": 1.0, "max_tokens": 1024, "stop": []}
    exam = {"task": task, "version": 1, "preset": "", "fewshot": 0, "ask": "generate"}
    exam |= {"sampling": sampling, "scorer": task, "judge": "", "data": "0123456789abcdef"}
    return {
        "task": task,
        "domain": domain,
        "higher_is_better": True,
        "checkpoint": {"name": checkpoint, "identity": checkpoint, "format": "chat"},
        "environment": {"engine": "recorded"},
        "names": [checkpoint],
        "exams": {"": exam},
    }
