"""A checkpoint's cells as lm-eval's files: `results_<date>.json`, `samples_<task>_<date>.jsonl`.

An item's epochs become one line with as many responses, scored by their mean.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson

from evalkit import __version__
from evalkit.interchange.exported import Exported, Graded, file_name
from evalkit.storage.files import write_beside
from evalkit.storage.journal import dumps, repaired

NAME = "lm-eval"


def write(cells: Sequence[Exported], out: Path, now: datetime) -> list[Path]:
    """Writes the files of one checkpoint below `out`; returns them."""
    date = now.replace(tzinfo=None).isoformat().replace(":", "-")
    folder = out / file_name(cells[0].checkpoint)
    written, hashes = [], {}
    for cell in cells:
        lines = _lines(cell)
        if lines:
            path = folder / f"samples_{file_name(cell.task)}_{date}.jsonl"
            write_beside(path, b"".join(dumps(line) + b"\n" for line in lines))
            written.append(path)
            whole = "".join(line[f"{part}_hash"] for line in lines for part in HASHED)
            hashes[file_name(cell.task)] = _sha(whole)
    path = folder / f"results_{date}.json"
    text = orjson.dumps(
        repaired(_results(cells, now, hashes)),
        option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS,
    )
    write_beside(path, text)
    return [path, *written]


HASHED = ("doc", "prompt", "target")


def _results(cells: Sequence[Exported], now: datetime, hashes: dict[str, str]) -> dict[str, Any]:
    named = {file_name(cell.task): cell for cell in cells}
    first = cells[0]
    checkpoint = first.meta.get("checkpoint", {})
    return {
        "results": {task: _numbers(task, cell) for task, cell in named.items()},
        "group_subtasks": {task: [] for task in named},
        "configs": {task: _config(task, cell) for task, cell in named.items()},
        "versions": {task: cell.exam.get("version") for task, cell in named.items()},
        "n-shot": {task: cell.exam.get("fewshot") or 0 for task, cell in named.items()},
        "higher_is_better": {
            task: {cell.metric: cell.higher_is_better} for task, cell in named.items()
        },
        "n-samples": {
            task: {"original": cell.mean()[2], "effective": len(cell.items()) or cell.mean()[2]}
            for task, cell in named.items()
        },
        "config": {
            "model": first.meta.get("environment", {}).get("engine", "evalkit"),
            "model_args": {"pretrained": first.checkpoint},
            "model_sha": checkpoint.get("identity", ""),
            "model_dtype": first.meta.get("environment", {}).get("dtype", ""),
        },
        "date": now.timestamp(),
        "evalkit_version": __version__,
        "task_hashes": hashes,
        "model_source": "evalkit",
        "model_name": first.checkpoint,
        "model_name_sanitized": file_name(first.checkpoint),
        "system_instruction": checkpoint.get("system_prompt") or None,
        "chat_template": None,
        "chat_template_sha": checkpoint.get("chat_template") or None,
    }


def _numbers(task: str, cell: Exported) -> dict[str, Any]:
    score, stderr, n = cell.mean()  # what the samples beside it add up to
    numbers = {
        "name": task,
        "alias": task,
        "sample_len": n,
        f"{cell.metric},none": score,
        f"{cell.metric}_stderr,none": "N/A" if stderr is None else stderr,
    }
    if cell.weights:
        weighted, error, _ = cell.score()
        numbers |= {"weighted,none": weighted, "weighted_stderr,none": error}
    return numbers


def _config(task: str, cell: Exported) -> dict[str, Any]:
    dataset = cell.meta.get("dataset", {})
    return {
        "task": task,
        "dataset_path": dataset.get("id") or task,
        "dataset_name": dataset.get("config") or None,
        "output_type": "multiple_choice" if _by_likelihood(cell) else "generate_until",
        "generation_kwargs": dict(cell.exam.get("sampling") or {}),
        "num_fewshot": cell.exam.get("fewshot") or 0,
        "metric_list": [
            {
                "metric": cell.metric,
                "aggregation": "mean",
                "higher_is_better": cell.higher_is_better,
            }
        ],
        "metadata": {"version": cell.exam.get("version"), "bounds": list(cell.bounds)},
    }


def _by_likelihood(cell: Exported) -> bool:
    return any(each.response.loglikelihoods for each in cell.samples)


def _lines(cell: Exported) -> list[dict[str, Any]]:
    return [_line(index, rows, cell.metric) for index, rows in enumerate(cell.items().values())]


def _line(index: int, rows: Sequence[Graded], metric: str) -> dict[str, Any]:
    first = rows[0]
    known = [each.value for each in rows if math.isfinite(each.value)]
    document = {
        "id": first.id,
        "question": first.question,
        "item": first.item.hex(),
        "target": first.target,
    }
    likelihoods = first.response.loglikelihoods
    answers = [each.answer if each.answer is not None else "[invalid]" for each in rows]
    return {
        "doc_id": index,
        "doc": document,
        "target": first.target,
        "arguments": _arguments(first),
        "resps": [[[str(value), "False"]] for value in likelihoods]
        or [[each.response.text for each in rows]],
        "filtered_resps": [[str(value), "False"] for value in likelihoods] or answers,
        "filter": "none",
        "metrics": [metric],
        "doc_hash": _sha(dumps(document).decode()),
        "prompt_hash": _sha(first.question),
        "target_hash": _sha(first.target),
        metric: sum(known) / len(known) if known else None,
    }


def _arguments(sample: Graded) -> dict[str, Any]:
    options = [""] * max(len(sample.response.loglikelihoods), 1)
    return {
        f"gen_args_{i}": {"arg_0": sample.question, "arg_1": option}
        for i, option in enumerate(options)
    }


def _sha(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()
