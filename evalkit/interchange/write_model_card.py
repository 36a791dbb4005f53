"""A checkpoint's scores as the `.eval_results/*.yaml` of a model repository on the hub.

Format: https://github.com/huggingface/hub-docs, `docs/hub/eval-results.md`.  The hub shows results
on data sets that are registered there as benchmarks; a task of no data set there is left out.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from evalkit.errors import DataError, EvalkitError
from evalkit.files import write_beside
from evalkit.interchange.exported import Exported, file_name

NAME = "model-card"
DEFAULT = "default"
ON_THE_HUB = re.compile(r"[\w.-]+/[\w.-]+(?<!\.json)(?<!\.jsonl)(?<!\.csv)(?<!\.parquet)")


def write(cells: Sequence[Exported], out: Path, now: datetime) -> list[Path]:
    """Writes a file for each task whose data set is known below `out`; returns them.

    Raises DataError where none is.
    """
    import yaml

    written = []
    for cell in cells:
        entry = _entry(cell, now)
        if entry:
            path = out / ".eval_results" / f"{file_name(cell.task)}.yaml"
            text = yaml.safe_dump([entry], sort_keys=False, allow_unicode=True)
            write_beside(path, text.encode())
            written.append(path)
    if not written:
        tasks = ", ".join(cell.task for cell in cells)
        raise DataError(f"no task has a data set on the hub, which a model card needs: {tasks}")
    return written


def _entry(cell: Exported, now: datetime) -> dict[str, Any] | None:
    known = _dataset(cell)
    if not ON_THE_HUB.fullmatch(known.get("id", "")):
        return None
    dataset = {"id": known["id"], "task_id": known.get("config") or DEFAULT}
    if known.get("revision"):
        dataset["revision"] = known["revision"]
    score, stderr, n = cell.score()
    spread = "" if stderr is None else f" ± {stderr:.4g}"
    shots = f", {cell.exam['fewshot']}-shot" if cell.exam.get("fewshot") else ""
    return {
        "dataset": dataset,
        "value": round(score, 6),
        "date": now.date().isoformat(),
        "evaluation_framework": str(cell.exam.get("harness") or "evalkit"),
        "notes": f"{cell.metric}{spread} (standard error), n = {n}{shots}",
    }


def _dataset(cell: Exported) -> dict[str, str]:
    """Where a task's questions come from: as its log says, or as the task here does."""
    told = {name: str(value) for name, value in cell.meta.get("dataset", {}).items()}
    if told.get("id"):
        return told
    from evalkit import plugins

    try:
        source = plugins.task(str(cell.meta["task"])).source
    except EvalkitError:  # an imported task that nobody here knows
        return {}
    return {"id": source.hub, "revision": source.revision} if source else {}
