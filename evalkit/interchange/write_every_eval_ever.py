"""A checkpoint's cells as Every Eval Ever 0.3.0: an aggregate file and a samples file each task.

EvalEval Coalition, https://github.com/evaleval/every_eval_ever, schema of version 0.3.0; the files
lie as its data store lays them: `data/<benchmark>/<developer>/<model>/<uuid>.json`.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from evalkit import __version__
from evalkit.identity.identity import digest
from evalkit.interchange.exported import Exported, Graded, file_name
from evalkit.storage.files import write_beside
from evalkit.storage.journal import dumps

NAME = "every-eval-ever"
VERSION = "0.3.0"


def write(cells: Sequence[Exported], out: Path, now: datetime) -> list[Path]:
    """Writes the files of one checkpoint below `out`; returns them."""
    return [path for cell in cells for path in _write(cell, out, now)]


def _write(cell: Exported, out: Path, now: datetime) -> list[Path]:
    stamp = str(int(now.timestamp()))
    run = f"{cell.task}/{cell.checkpoint}/{stamp}"
    name = str(UUID(bytes=digest(run)[:16], version=4))
    developer, slash, model = cell.checkpoint.partition("/")
    place = (developer, model) if slash else ("unknown", developer)
    folder = Path("data", *(file_name(part) for part in (cell.task, *place)))
    lines = [_instance(each, cell, run) for each in sorted(cell.samples, key=_order)]
    document = _aggregate(cell, run, stamp)
    written = []
    if lines:
        samples = b"".join(dumps(line) + b"\n" for line in lines)
        file = folder / f"{name}_samples.jsonl"
        document["detailed_evaluation_results"] = {
            "format": "jsonl",
            "file_path": file.as_posix(),
            "hash_algorithm": "sha256",
            "checksum": hashlib.sha256(samples).hexdigest(),
            "total_rows": len(lines),
        }
        write_beside(out / file, samples)
        written.append(out / file)
    write_beside(out / folder / f"{name}.json", dumps(document))
    return [out / folder / f"{name}.json", *written]


def _order(each: Graded) -> tuple[bytes, int]:
    return each.item, each.epoch


def _aggregate(cell: Exported, run: str, stamp: str) -> dict[str, Any]:
    checkpoint = cell.meta.get("checkpoint", {})
    engine = cell.meta.get("environment", {}).get("engine", "")
    return {
        "schema_version": VERSION,
        "evaluation_id": run,
        "retrieved_timestamp": stamp,
        "source_metadata": {
            "source_name": "evalkit",
            "source_type": "evaluation_run",
            "source_organization_name": "unknown",
            "evaluator_relationship": "other",
        },
        "eval_library": {
            "name": str(cell.exam.get("harness") or "evalkit"),
            "version": "unknown" if cell.exam.get("harness") else __version__,
        },
        "model_info": {
            "name": cell.checkpoint,
            "id": cell.checkpoint,
            **({"inference_engine": {"name": engine}} if engine else {}),
            "additional_details": {
                "deployment_type": "unknown",
                "model_availability": "unknown",
                "identity": str(checkpoint.get("identity", "")),
            },
        },
        "evaluation_results": [_result(cell, run)],
    }


def _result(cell: Exported, run: str) -> dict[str, Any]:
    score, stderr, n = cell.score()
    low, high = cell.bounds
    uncertainty: dict[str, Any] = {"num_samples": n}
    if stderr is not None:
        uncertainty["standard_error"] = {"value": stderr, "method": "analytic"}
    result: dict[str, Any] = {
        "evaluation_result_id": f"{run}/{cell.metric}",
        "evaluation_name": cell.task,
        "source_data": _source(cell),
        "metric_config": {
            "metric_id": cell.metric,
            "metric_name": cell.metric,
            "lower_is_better": not cell.higher_is_better,
            "score_type": "binary" if cell.binary and cell.samples else "continuous",
            "min_score": low,
            "max_score": high,
            "additional_details": _words(cell.exam),
        },
        "score_details": {"score": score, "uncertainty": uncertainty},
    }
    arguments = _arguments(cell.exam.get("sampling") or {})
    if arguments:
        result["generation_config"] = {"generation_args": arguments}
    return result


def _arguments(sampling: Mapping[str, Any]) -> dict[str, Any]:
    kinds = {"temperature": (int, float), "top_p": (int, float), "max_tokens": (int,)}
    return {
        name: sampling[name] for name, kind in kinds.items() if isinstance(sampling.get(name), kind)
    }


def _source(cell: Exported) -> dict[str, Any]:
    known = cell.meta.get("dataset", {}).get("id", "")
    if known:
        return {"dataset_name": cell.task, "source_type": "hf_dataset", "hf_repo": known}
    return {"dataset_name": cell.task, "source_type": "other"}


def _words(values: Mapping[str, Any]) -> dict[str, str]:
    """Details must be text."""
    return {
        name: value if isinstance(value, str) else dumps(value).decode()
        for name, value in values.items()
    }


def _instance(each: Graded, cell: Exported, run: str) -> dict[str, Any]:
    low, high = cell.bounds
    best, worst = (high, low) if cell.higher_is_better else (low, high)
    missing = not math.isfinite(each.value)
    response = each.response
    line: dict[str, Any] = {
        "schema_version": VERSION,
        "evaluation_id": run,
        "model_id": cell.checkpoint,
        "evaluation_name": cell.task,
        "evaluation_result_id": f"{run}/{cell.metric}",
        "sample_id": each.id,
        "sample_hash": hashlib.sha256(
            (each.question + each.target).encode("utf-8", "replace")
        ).hexdigest(),
        "interaction_type": "single_turn",
        "input": {"raw": each.question, "reference": [each.target] if each.target else []},
        "output": {
            "raw": [response.text],
            **({"reasoning_trace": [response.reasoning]} if response.reasoning else {}),
        },
        "answer_attribution": _attribution(each),
        "evaluation": {"score": worst if missing else each.value, "is_correct": each.value == best},
        "token_usage": {
            "input_tokens": response.prompt_tokens,
            "output_tokens": response.completion_tokens,
            "total_tokens": response.prompt_tokens + response.completion_tokens,
        },
        "metadata": {
            "outcome": each.outcome,
            "finish_reason": response.finish_reason,
            "epoch": str(each.epoch),
            **({"stratum": each.stratum} if each.stratum else {}),
        },
    }
    if missing:
        line["error"] = response.error or each.outcome
    return line


def _attribution(each: Graded) -> list[dict[str, Any]]:
    if each.answer is None:
        return []
    return [
        {
            "turn_idx": 0,
            "source": "output.raw",
            "extracted_value": each.answer,
            "extraction_method": "custom",
            "is_terminal": True,
        }
    ]
