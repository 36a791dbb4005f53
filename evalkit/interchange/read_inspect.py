"""Logs of inspect-ai: `.eval` archives and `.json` files.

UK AI Security Institute, Inspect, https://inspect.aisi.org.uk.

A log becomes one cell: its headline is the scorer that the log itself names so, else the first.
Questions are paired by their input and options in any order, and by their id where that is a name;
a number may be a position in a shuffled data set.  Epochs become epochs.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from evalkit.errors import DataError, did_you_mean
from evalkit.identity import digest
from evalkit.interchange._archive import Archive
from evalkit.interchange._documents import as_object, count, need, number, parse, section, text
from evalkit.interchange._metrics import scale
from evalkit.interchange.imported import Asked, Imported, Metric, Row, Skipped, Wanted
from evalkit.types import Response

NAME = "inspect"
SAMPLE = re.compile(r"samples/[^/\\]+\.json")
LETTERS = {"C": 1.0, "I": 0.0, "P": 0.5, "N": 0.0}
WORDS = {"yes": 1.0, "true": 1.0, "no": 0.0, "false": 0.0}
CUT_OFF = ("max_tokens", "model_length")
ATTACHMENT = "attachment://"
SAMPLING = (
    *("temperature", "top_p", "top_k", "max_tokens", "stop_seqs", "frequency_penalty"),
    *("presence_penalty", "num_choices", "best_of", "reasoning_effort", "reasoning_tokens"),
)


def recognises(document: Mapping[str, Any]) -> bool:
    """Whether a JSON document is a log."""
    return isinstance(document.get("eval"), dict) and "status" in document


def read_archive(path: Path, wanted: Wanted) -> Iterator[Imported | Skipped]:
    """The task of an `.eval` file."""
    with Archive(path) as archive:
        where = f"{path}: header.json"
        header = as_object(parse(archive.read("header.json"), where), where)
        yield _task(path, header, _archived(archive), wanted)


def _archived(archive: Archive) -> Iterator[tuple[str, dict[str, Any]]]:
    for name in archive.names():
        if SAMPLE.fullmatch(name):
            where = f"{archive.path}: {name}"
            yield where, as_object(parse(archive.read(name), where), where)


def read(path: Path, document: Mapping[str, Any], wanted: Wanted) -> Iterator[Imported | Skipped]:
    """The task of a `.json` log."""
    samples = need(document, "samples", list, str(path))
    placed = ((f"{path}: samples[{i}]", sample) for i, sample in enumerate(samples))
    yield _task(path, document, ((w, as_object(s, w)) for w, s in placed), wanted)


def _task(
    path: Path,
    header: Mapping[str, Any],
    samples: Iterable[tuple[str, Mapping[str, Any]]],
    wanted: Wanted,
) -> Imported:
    status = text(header, "status")
    if status != "success":
        raise DataError(
            f"{path}: the log's status is {status!r}: finish it by `inspect eval-retry`"
        )
    spec = need(header, "eval", dict, str(path))
    task = need(spec, "task", str, f"{path}: eval").rsplit("/", 1)[-1]
    scorer, _, part = _scorer(path, header, wanted.metric).partition(".")
    rows = [_row(sample, scorer, part, where) for where, sample in samples]
    if not rows:
        raise DataError(f"{path}: no samples in it: run inspect with --log-samples")
    _check_complete(path, spec, rows)
    name = f"{scorer}.{part}" if part else scorer
    plan = section(header, "plan")
    config = {**section(plan, "config"), **section(spec, "model_generate_config")}
    dataset = section(spec, "dataset")
    return Imported(
        source=str(path),
        format=NAME,
        task=task,
        domain=wanted.domain or task,
        asked=_asked(spec, config, wanted),
        metric=Metric(name, scale(name, (row.value for row in rows), wanted)),
        exam={
            "version": spec.get("task_version"),
            "sampling": {key: config[key] for key in SAMPLING if config.get(key) is not None},
            "task_args": section(spec, "task_args"),
            "solver": _steps(plan),
            "dataset": text(dataset, "name"),
        },
        environment=_environment(spec),
        dataset={"id": text(dataset, "location")},
        rows=rows,
    )


def _scorer(path: Path, header: Mapping[str, Any], wanted: str) -> str:
    """The headline scorer; `SCORER.KEY` asks for one value of a scorer that gives several."""
    results = need(header, "results", dict, str(path))
    scores = need(results, "scores", list, f"{path}: results")
    names = [text(each, "scorer") for each in scores if isinstance(each, dict)]
    headline = text(section(results, "headline"), "scorer") or next(iter(names), "")
    if wanted and wanted.partition(".")[0] not in names:
        raise DataError(f"{path}: no scorer {wanted!r}{did_you_mean(wanted, names)}")
    if not headline:
        raise DataError(f"{path}: `results.scores` is empty: score the log by `inspect score`")
    return wanted or headline


def _check_complete(path: Path, spec: Mapping[str, Any], rows: list[Row]) -> None:
    epochs = count(section(spec, "config").get("epochs")) or 1
    asked = {row.id for row in rows}
    if len(rows) != len(asked) * epochs:
        due = len(asked) * epochs
        raise DataError(f"{path}: {len(rows)} answers, but {due} were asked: the log is not whole")


def _steps(plan: Mapping[str, Any]) -> str:
    steps = plan.get("steps")
    named = [
        [text(step, "solver"), section(step, "params")]
        for step in (steps if isinstance(steps, list) else [])
        if isinstance(step, dict)
    ]
    names = ", ".join(str(name) for name, _ in named)
    return f"{names} {digest(named).hex()[:8]}"


def _asked(spec: Mapping[str, Any], config: Mapping[str, Any], wanted: Wanted) -> Asked:
    model = text(spec, "model") or "unnamed"
    return Asked(
        name=wanted.name or model.replace("/", "__"),
        identity=model,
        format="chat",
        system_prompt=text(config, "system_message"),
    )


def _environment(spec: Mapping[str, Any]) -> dict[str, str]:
    engine = text(spec, "model").partition("/")[0]
    return {"engine": engine, "inspect_ai": text(section(spec, "packages"), "inspect_ai")}


def _row(sample: Mapping[str, Any], scorer: str, part: str, where: str) -> Row:
    if "input" not in sample or "id" not in sample:
        raise DataError(f"{where}: `{'input' if 'id' in sample else 'id'}` is missing")
    attached = section(sample, "attachments")
    question = _said(sample["input"], attached)
    options = sample.get("choices")
    options = sorted(map(str, options)) if isinstance(options, list) else []
    name = sample["id"] if isinstance(sample["id"], str) else ""
    score = section(section(sample, "scores"), scorer)
    target = sample.get("target", "")
    answer = score.get("answer")
    response = _response(sample, attached)
    return Row(
        content=digest([question, options, name]),
        id=str(sample["id"]),
        epoch=max(count(sample.get("epoch")), 1) - 1,
        value=math.nan if response.error else _value(score.get("value"), part),
        question=question,
        target=target if isinstance(target, str) else ", ".join(map(str, target)),
        answer=None if answer in (None, "") else str(answer),
        request=digest([question, options]),
        response=response,
    )


def _value(value: Any, part: str) -> float:
    """A score's value as a number: C, I, P and N as inspect counts them; NaN where it is none."""
    if part and isinstance(value, dict):
        value = value.get(part)
    if isinstance(value, str):
        known = LETTERS.get(value, WORDS.get(value.lower()))
        try:
            return float(value) if known is None else known
        except ValueError:
            return math.nan
    found = number(value)
    return math.nan if found is None else found


def _response(sample: Mapping[str, Any], attached: Mapping[str, Any]) -> Response:
    output, failed = section(sample, "output"), section(sample, "error")
    choices = output.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else {}
    first = first if isinstance(first, dict) else {}
    usage = section(output, "usage")
    reason = text(first, "stop_reason") or "unknown"
    cut = reason in CUT_OFF or bool(sample.get("limit"))
    return Response(
        text=_content(section(first, "message").get("content"), attached),
        finish_reason="length" if cut else reason,
        prompt_tokens=count(usage.get("input_tokens")),
        completion_tokens=count(usage.get("output_tokens")),
        error=(text(failed, "message") or "the sample failed") if failed else "",
    )


def _said(value: Any, attached: Mapping[str, Any]) -> str:
    """What the user says in an input: text, or the turns of a conversation."""
    if not isinstance(value, list):
        return _content(value, attached)
    turns = [turn for turn in value if isinstance(turn, dict) and turn.get("role") != "system"]
    return "\n\n".join(_content(turn.get("content"), attached) for turn in turns)


def _content(value: Any, attached: Mapping[str, Any]) -> str:
    """A message's text; a part that is not text stands as its hash."""
    if isinstance(value, list):
        return "\n".join(_part(part, attached) for part in value)
    found = "" if value is None else str(value)
    if found.startswith(ATTACHMENT):
        return str(attached.get(found.removeprefix(ATTACHMENT), found))
    return found


def _part(part: Any, attached: Mapping[str, Any]) -> str:
    if isinstance(part, dict) and part.get("type") in ("text", "reasoning"):
        return _content(part.get("text", part.get("reasoning")), attached)
    return digest(part).hex()
