"""A checkpoint's results for a model repository on the hub: `.eval_results/*.yaml`, and the card.

Format: https://github.com/huggingface/hub-docs, `docs/hub/eval-results.md`.  The hub shows results
on data sets that are registered there as benchmarks; a task of no data set there has no such file,
but stands in the card's section like the others.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from evalkit.errors import DataError, EvalkitError
from evalkit.interchange.exported import Exported, file_name
from evalkit.storage.files import write_beside

NAME = "model-card"
DEFAULT = "default"
ON_THE_HUB = re.compile(r"[\w.-]+/[\w.-]+(?<!\.json)(?<!\.jsonl)(?<!\.csv)(?<!\.parquet)")
TASK_IDS = {"TIGER-Lab/MMLU-Pro": "mmlu_pro"}
"""What a benchmark's `eval.yaml` calls its task, where that is not the data set's configuration."""

BEGIN, END = "<!-- evalkit:results -->", "<!-- /evalkit:results -->"
SECTION = re.compile(rf"{BEGIN}\n.*?\n{END}\n?", re.DOTALL)


def write(cells: Sequence[Exported], out: Path, now: datetime) -> list[Path]:
    """Writes a file for each task whose data set is known below `out`; returns them."""
    import yaml

    written = []
    for cell in cells:
        entry = _entry(cell, now)
        if entry:
            path = out / ".eval_results" / f"{file_name(cell.task)}.yaml"
            text = yaml.safe_dump([entry], sort_keys=False, allow_unicode=True)
            write_beside(path, text.encode())
            written.append(path)
    return written


def write_section(section: str, card: Path) -> Path:
    """Puts a section into a README.md, in the place of an earlier one; all else stays."""
    try:
        there = card.read_text("utf-8") if card.exists() else ""
    except UnicodeDecodeError:
        raise DataError(f"{card}: not UTF-8: mend it, or give another --out") from None
    whole = f"{BEGIN}\n{section.rstrip()}\n{END}\n"
    if SECTION.search(there):
        text = SECTION.sub(lambda _: whole, there, count=1)
    else:
        text = f"{there.rstrip()}\n\n{whole}" if there.strip() else whole
    write_beside(card, text.encode())
    return card


def _entry(cell: Exported, now: datetime) -> dict[str, Any] | None:
    known = _dataset(cell)
    if not ON_THE_HUB.fullmatch(known.get("id", "")):
        return None
    task_id = known.get("config") or TASK_IDS.get(known["id"], DEFAULT)
    dataset = {"id": known["id"], "task_id": task_id}
    if known.get("revision"):
        dataset["revision"] = known["revision"]
    score, stderr, n = cell.score()
    spread = "" if stderr is None else f" ± {stderr:.4g}"
    harness = cell.exam.get("harness") or "evalkit"
    shots = f", {cell.exam['fewshot']}-shot" if cell.exam.get("fewshot") else ""
    return {
        "dataset": dataset,
        "value": round(score, 6),
        "date": now.date().isoformat(),
        "notes": f"{cell.metric}{spread} (standard error), n = {n}{shots}, by {harness}",
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
    return {"id": source.hub, "revision": source.revision} if source and source.hub else {}
