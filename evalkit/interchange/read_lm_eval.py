"""lm-eval's `results_<date>.json` with its `samples_<task>_<date>.jsonl`, or alone.

Biderman et al. 2024, "Lessons from the Trenches on Reproducible Evaluation", arXiv:2405.14782.

A task becomes one cell: its headline is the first `metric,filter` of its results, or the one that
is asked for.  A samples file has a line for each document and filter; those of the headline's
filter are taken.  Documents are paired by `doc_hash`.  A score that is not the mean of its samples
(perplexity, F1 over the corpus), or whose samples are not there, is taken as a bare number.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from evalkit.errors import DataError
from evalkit.identity.identity import digest
from evalkit.interchange._documents import finite, need, number, read_lines, section, text
from evalkit.interchange._lm_eval_headline import Headline, headline_of
from evalkit.interchange._lm_eval_samples import row
from evalkit.interchange._metrics import scale
from evalkit.interchange.imported import (
    Aggregate,
    Asked,
    Imported,
    Metric,
    Row,
    Skipped,
    Unfit,
    Wanted,
    mean,
)

NAME = "lm-eval"
DATE = re.compile(r"\d{4}-\d\d-\d\dT[0-9.+-]+$")
ADDRESS = re.compile(r" at 0x[0-9a-f]+")
NOT_THE_EXAM = ("metadata", "fewshot_split", "dataset_kwargs")
TOLERANCE = 1e-6


def recognises(document: Mapping[str, Any]) -> bool:
    """Whether a JSON document is a results file."""
    return isinstance(document.get("results"), dict) and "configs" in document


def read(path: Path, document: Mapping[str, Any], wanted: Wanted) -> Iterator[Imported | Skipped]:
    """Every task of a results file; groups are left to their tasks."""
    results = need(document, "results", dict, str(path))
    groups = {name for name, parts in section(document, "group_subtasks").items() if parts}
    for task in sorted(results.keys() - groups):
        numbers = need(results, task, dict, f"{path}: results")
        try:
            yield _task(path, document, task, headline_of(task, numbers, wanted.metric), wanted)
        except Unfit as error:
            yield Skipped(str(path), task, str(error))


def _task(
    path: Path, document: Mapping[str, Any], task: str, headline: Headline, wanted: Wanted
) -> Imported:
    rows = _rows(path, document, task, headline)
    values = [row.value for row in rows] or [headline.score]
    config = section(section(document, "configs"), task)
    better = section(section(document, "higher_is_better"), task).get(headline.metric)
    bounds = _stated(config) or scale(headline.metric, values, wanted)
    return Imported(
        source=str(path),
        format=NAME,
        task=task,
        domain=wanted.domain or _group(document, task),
        asked=_asked(document, wanted),
        metric=Metric(headline.metric, bounds, better is not False),
        exam=_exam(document, task, config, headline),
        environment=_environment(document),
        dataset={
            "id": text(config, "dataset_path"),
            "config": text(config, "dataset_name"),
            "revision": text(section(config, "dataset_kwargs"), "revision"),
        },
        rows=rows,
        aggregate=Aggregate(headline.score, headline.stderr, _count(path, document, task)),
    )


def _stated(config: Mapping[str, Any]) -> tuple[float, float] | None:
    """The scale that evalkit's own export notes, and lm-eval keeps."""
    stated = section(config, "metadata").get("bounds")
    if not isinstance(stated, list) or len(stated) != 2:
        return None
    low, high = finite(stated[0]), finite(stated[1])
    return None if low is None or high is None or not low < high else (low, high)


def _count(path: Path, document: Mapping[str, Any], task: str) -> int:
    counts = section(section(document, "n-samples"), task)
    known = finite(counts.get("effective"))
    if known is None:
        known = finite(section(section(document, "results"), task).get("sample_len"))
    if known is None or known < 2:
        raise DataError(f"{path}: `n-samples` says of {task} no number of samples of 2 or more")
    return int(known)


def _group(document: Mapping[str, Any], task: str) -> str:
    """The outermost group of a task; itself without one."""
    groups = section(document, "group_subtasks")
    for _ in range(len(groups)):
        outer = next((name for name, parts in groups.items() if task in (parts or ())), task)
        if outer == task:
            break
        task = outer
    return task


def _asked(document: Mapping[str, Any], wanted: Wanted) -> Asked:
    config = section(document, "config")
    name = text(document, "model_name") or text(document, "model_name_sanitized")
    return Asked(
        name=wanted.name or name.replace("/", "__") or "unnamed",
        identity=text(config, "model_sha") or name,
        format="chat" if document.get("chat_template") else "completion",
        system_prompt=text(document, "system_instruction"),
        chat_template=text(document, "chat_template_sha"),
    )


def _exam(
    document: Mapping[str, Any], task: str, config: Mapping[str, Any], headline: Headline
) -> dict[str, Any]:
    shots = section(document, "n-shot").get(task)
    sampling = {
        **section(config, "generation_kwargs"),
        **section(section(document, "config"), "gen_kwargs"),
    }
    exam = {
        "version": section(document, "versions").get(task),
        "fewshot": shots,
        "ask": text(config, "output_type"),
        "sampling": sampling,
        "filter": headline.filter,
        "config": _config_hash(config),
    }
    if shots:
        exam["fewshot_seed"] = section(document, "config").get("fewshot_seed")
    return exam


def _config_hash(config: Mapping[str, Any]) -> str:
    """Hash of a task's own YAML: what it asks, of which rows, and how it reads answers."""
    kept = {name: value for name, value in config.items() if name not in NOT_THE_EXAM}
    plain = ADDRESS.sub("", repr(sorted(kept.items())))
    return digest(plain).hex()[:16]


def _environment(document: Mapping[str, Any]) -> dict[str, str]:
    config = section(document, "config")
    found = {
        "engine": text(config, "model") or text(document, "model_source"),
        "lm_eval": text(document, "lm_eval_version"),
        "transformers": text(document, "transformers_version"),
        "dtype": text(config, "model_dtype"),
        "device": text(config, "device"),
        "fewshot_as_multiturn": text(document, "fewshot_as_multiturn"),
    }
    return {name: value for name, value in found.items() if value}


def _rows(path: Path, document: Mapping[str, Any], task: str, headline: Headline) -> Sequence[Row]:
    """The samples of the headline; none where the score is not their mean, or they are gone."""
    date = DATE.search(path.stem)
    samples = path.parent / f"samples_{task}_{date[0] if date else ''}.jsonl"
    if samples.parent != path.parent or not samples.is_file():
        return ()
    rows: list[Row] = []
    for where, line in read_lines(samples):
        if text(line, "filter") not in (headline.filter, ""):
            continue
        if headline.metric not in line:
            raise DataError(f"{where}: `{headline.metric}` is missing")
        said = line[headline.metric]
        value = math.nan if said is None else number(said)
        if value is None:  # counts that only make a number together
            return ()
        rows.append(row(line, value, where))
    due = _count(path, document, task)
    if len({row.id for row in rows}) != due:
        raise DataError(f"{samples}: {len(rows)} samples of {headline.filter}, {due} were asked")
    whole = all(math.isfinite(row.value) for row in rows)
    return rows if not whole or abs(mean(rows) - headline.score) < TOLERANCE else ()
