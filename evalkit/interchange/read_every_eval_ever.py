"""Every Eval Ever 0.3: an aggregate JSON file, with its `_samples.jsonl` beside it or alone.

EvalEval Coalition, https://github.com/evaleval/every_eval_ever; converters from other harnesses
write it.  Every evaluation of a file becomes one cell: its headline is its first metric, or the
one that is asked for.  Samples are paired by input, reference and choices.
"""

from __future__ import annotations

import hashlib
import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from evalkit.errors import DataError
from evalkit.interchange._documents import finite, need, number, read_lines, section, text
from evalkit.interchange._every_eval_ever_samples import rows_of
from evalkit.interchange._metrics import scale
from evalkit.interchange.imported import (
    Aggregate,
    Asked,
    Imported,
    Metric,
    Skipped,
    Unfit,
    Wanted,
)

NAME = "every-eval-ever"
SERIES = "0.3"
SAMPLING = ("temperature", "top_p", "top_k", "max_tokens", "reasoning", "prompt_template")


def recognises(document: Mapping[str, Any]) -> bool:
    """Whether a JSON document is an aggregate file."""
    return "schema_version" in document and isinstance(document.get("evaluation_results"), list)


def read(path: Path, document: Mapping[str, Any], wanted: Wanted) -> Iterator[Imported | Skipped]:
    """Every evaluation of an aggregate file, one for each name."""
    version = need(document, "schema_version", str, str(path))
    if version.rpartition(".")[0] != SERIES:
        raise DataError(f"{path}: schema_version is {version!r}; this reads {SERIES}.x")
    named: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for result in need(document, "evaluation_results", list, str(path)):
        if not isinstance(result, dict):
            raise DataError(f"{path}: `evaluation_results` holds {type(result).__name__}")
        named[need(result, "evaluation_name", str, str(path))].append(result)
    rows = _instances(path, document)
    for name, results in named.items():
        chosen = [
            result for result in results if not wanted.metric or wanted.metric in _ids(result)
        ]
        if not chosen:
            known = ", ".join(sorted({each for result in results for each in _ids(result)}))
            yield Skipped(str(path), name, f"no metric {wanted.metric!r}; there are: {known}")
            continue
        mine = _of(chosen[0], rows.get(name, ()), alone=len(results) == 1)
        try:
            yield _task(path, document, chosen[0], mine, wanted)
        except Unfit as error:
            yield Skipped(str(path), name, str(error))


def _ids(result: Mapping[str, Any]) -> list[str]:
    config = section(result, "metric_config")
    found = (text(config, key) for key in ("metric_id", "metric_name", "metric_kind"))
    return [name for name in found if name] or ["score"]


def _of(
    result: Mapping[str, Any], rows: Sequence[tuple[str, dict[str, Any]]], *, alone: bool
) -> list[tuple[str, dict[str, Any]]]:
    """The rows of one metric: by the result's id; where there is none, of a lone metric all."""
    own = text(result, "evaluation_result_id")
    linked = [(where, row) for where, row in rows if text(row, "evaluation_result_id") == own]
    return linked if own and linked else list(rows) if alone else []


def _instances(
    path: Path, document: Mapping[str, Any]
) -> dict[str, list[tuple[str, dict[str, Any]]]]:
    """The sample rows by evaluation; only the file's name counts, which lies beside this one."""
    details = section(document, "detailed_evaluation_results")
    found: dict[str, list[tuple[str, dict[str, Any]]]] = defaultdict(list)
    samples = path.parent / text(details, "file_path").replace("\\", "/").rsplit("/", 1)[-1]
    if not details or not samples.is_file():
        return found
    checksum, algorithm = text(details, "checksum"), text(details, "hash_algorithm") or "sha256"
    if checksum and algorithm == "sha256":
        with samples.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != checksum.lower():
                raise DataError(f"{samples}: its sha256 is not the one that {path.name} states")
    for where, row in read_lines(samples):
        found[need(row, "evaluation_name", str, where)].append((where, row))
    return found


def _task(
    path: Path,
    document: Mapping[str, Any],
    result: Mapping[str, Any],
    placed: Sequence[tuple[str, dict[str, Any]]],
    wanted: Wanted,
) -> Imported:
    name = need(result, "evaluation_name", str, str(path))
    where = f"{path}: {name}"
    config = need(result, "metric_config", dict, where)
    rows = rows_of(placed)
    aggregate = _aggregate(result, where, bool(rows))
    low, high = finite(config.get("min_score")), finite(config.get("max_score"))
    if low is not None and high is not None and low < high:  # the file states its own
        wanted = replace(wanted, metric=_ids(result)[0], bounds=wanted.bounds or (low, high))
    values = [row.value for row in rows] or [aggregate.score]
    metric = _ids(result)[0]
    source, library = section(result, "source_data"), section(document, "eval_library")
    generation = section(section(result, "generation_config"), "generation_args")
    model = need(document, "model_info", dict, str(path))
    identity = need(model, "id", str, f"{path}: model_info")
    engine = section(model, "inference_engine")
    return Imported(
        source=str(path),
        format=NAME,
        task=name,
        domain=wanted.domain or name,
        asked=Asked(wanted.name or identity.replace("/", "__"), identity),
        metric=Metric(
            metric,
            scale(metric, values, wanted),
            not need(config, "lower_is_better", bool, f"{where}: metric_config"),
        ),
        exam={
            "library": text(library, "name"),
            "dataset": text(source, "dataset_name"),
            "sampling": {key: generation[key] for key in SAMPLING if key in generation},
        },
        environment={
            "engine": " ".join(filter(None, (text(engine, "name"), text(engine, "version")))),
            text(library, "name") or "library": text(library, "version"),
        },
        dataset={"id": text(source, "hf_repo")},
        rows=rows,
        aggregate=aggregate,
    )


def _aggregate(result: Mapping[str, Any], where: str, has_rows: bool) -> Aggregate:
    details = need(result, "score_details", dict, where)
    score = number(details.get("score"))
    if score is None or not math.isfinite(score):
        raise DataError(f"{where}: `score_details.score` is not a number")
    uncertainty = section(details, "uncertainty")
    stderr = finite(section(uncertainty, "standard_error").get("value"))
    n = finite(uncertainty.get("num_samples"))
    if n is None:
        n = finite(section(result, "source_data").get("samples_number"))
    if not has_rows and (n is None or n < 2):
        raise DataError(f"{where}: no samples beside it, and `uncertainty.num_samples` is missing")
    return Aggregate(score, stderr, int(n or 0))
