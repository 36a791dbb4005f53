"""What a person reads of the store and of what there is: verdict files, cells, samples, names."""

from __future__ import annotations

import json
from dataclasses import fields
from difflib import get_close_matches
from pathlib import Path
from statistics import fmean, mode
from typing import Any, cast

from pydantic import ValidationError

from evalkit import plugins
from evalkit.comparison.sides import Side
from evalkit.errors import StoreError, did_you_mean
from evalkit.evidence.pairs import Sat
from evalkit.reporting.cells import stored
from evalkit.storage.store import Answer, Cell, Store
from evalkit.storage.tables import read_table
from evalkit.types import Backend, Scorer, Trainer
from evalkit.verdict import Pictures, Renderer, Report


def read_verdict(path: Path) -> Report:
    """A verdict.json; raises StoreError where it is not one."""
    try:
        return Report.model_validate_json(path.read_bytes())
    except OSError as error:
        raise StoreError(
            f"{path}: {error.strerror}; a run writes it to its report folder"
        ) from None
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise StoreError(f"{path}: not a verdict of schema 1: {where} {first['msg']}") from None


def sat(named: str, results: Path, task: str = "") -> Sat:
    """A cell by its folder, as TASK/CHECKPOINT, or by a checkpoint alone where the task is known.

    Raises StoreError naming what there is.
    """
    folder = Path(named)
    if (folder / "cell.json").exists():
        cell = Cell(folder)
        meta = cell.meta()
        preset = min(meta.get("exams", {}), default="")
        return Sat(meta.get("task", ""), meta["checkpoint"]["name"], cell, preset)
    label, slash, checkpoint = named.rpartition("/")
    found = {(each.task, each.checkpoint): each.side for each in stored(Store(results))}
    side = found.get((label if slash else task, checkpoint))
    if isinstance(side, Side):
        return Sat(label or task, checkpoint, side.cell, side.preset)
    names = [name if task and not slash else f"{of}/{name}" for of, name in found]
    raise StoreError(
        f"no cell at {named}: give a folder like RESULTS/TASK/CHECKPOINT-KEY, or TASK/CHECKPOINT "
        f"of {results}{did_you_mean(named, names)}"
    )


def describe_cell(cell: Cell) -> str:
    """A cell's `cell.json`, and how its samples ended."""
    meta = cell.meta()
    return printable(json.dumps(meta, indent=2, ensure_ascii=False))


def describe_sample(cell: Cell, sample: str) -> str:
    """One sample of a cell: what was asked, what was answered, and how it was graded."""
    answers = [answer for answer in cell.answers().values() if answer.id == sample]
    if not answers:
        ids = sorted({answer.id for answer in cell.answers().values()})
        like = next(iter(get_close_matches(sample, ids, n=1) or ids), "")
        raise StoreError(f"no sample {sample!r} in {cell.path}; an id there is {like!r}")
    grades: dict[int, dict[str, object]] = {}
    for preset in sorted(cell.meta().get("exams", {}), reverse=True):  # the default's last
        rows = read_table(cell.scores_path(preset)).to_pylist()
        grades |= {row["epoch"]: row for row in rows if row["id"] == sample}
    return "\n\n".join(_transcript(answer, grades.get(answer.epoch, {})) for answer in answers)


def _transcript(answer: Answer, grade: dict[str, object]) -> str:
    response = answer.response
    parts = {
        "question": answer.question,
        "reasoning": response.reasoning,
        "answer": response.text,
        "tool calls": "\n".join(f"{call.name}({call.arguments})" for call in response.tool_calls),
        "error": response.error,
        "read as": grade.get("answer"),
        "target": grade.get("target"),
        "outcome": grade.get("outcome"),
        "details": grade.get("details"),
    }
    head = f"── {answer.id} · epoch {answer.epoch} · {response.finish_reason}"
    return "\n".join(
        [printable(head), *(f"{name}: {printable(str(v))}" for name, v in parts.items() if v)]
    )


def printable(text: str) -> str:
    """Text without the control characters by which an answer could drive a terminal."""
    return "".join(c if c.isprintable() or c in "\n\t" else "\ufffd" for c in text)


def about(kind: str) -> list[dict[str, str]]:
    """The plugins of a kind by name, each with what tells it from the others."""
    found = plugins.all_plugins(kind)
    return [{"name": name, "about": _told(each)} for name, each in found.items()]


def listing(kind: str) -> str:
    """A line per plugin of a kind, with what tells it from the others."""
    found = about(kind)
    width = max((len(each["name"]) for each in found), default=0)
    return "\n".join(f"{each['name']:<{width}}  {each['about']}".rstrip() for each in found)


def _told(plugin: object) -> str:
    if isinstance(plugin, Scorer):
        options = ", ".join(each.name for each in fields(cast(Any, plugin.make)))
        return f"{plugin.about}; options: {options or 'none'}"
    if isinstance(plugin, Trainer):
        return f"methods: {', '.join(plugin.methods)}"
    if isinstance(plugin, Backend):
        return f"options: {', '.join(plugin.options) or 'none'}"
    if isinstance(plugin, Pictures):
        return f"{plugin.filename}/"
    return plugin.filename if isinstance(plugin, Renderer) else ""


def lost_samples(cell: Cell, against: Cell) -> str:
    """The samples that a cell scores lower on than another cell of its task, one a line.

    Each line holds, between tabs, the id, both scores, and what became of the answer.
    """
    before, after = _grades(against), _grades(cell)
    if not before.keys() & after.keys():
        raise StoreError(
            f"{cell.path} and {against.path} have no sample in common: give one task's cells"
        )
    sign = 1 if cell.meta().get("higher_is_better", True) else -1
    lost = [
        (sample, was, now, how)
        for sample, (was, _) in sorted(before.items())
        for now, how in [after.get(sample, (was, ""))]
        if sign * now < sign * was
    ]
    return "\n".join(
        f"{printable(sample)}\t{was:g} → {now:g}\t{how}" for sample, was, now, how in lost
    )


def _grades(cell: Cell) -> dict[str, tuple[float, str]]:
    """Mean score and commonest outcome by sample; without the samples that are missing."""
    preset = min(cell.meta().get("exams", {}), default="")
    if not cell.scores_path(preset).exists():
        raise StoreError(f"{cell.path}: nothing was graded yet; run `evalkit run-matrix` first")
    found: dict[str, list[tuple[float, str]]] = {}
    for row in read_table(cell.scores_path(preset), ["id", "value", "outcome"]).to_pylist():
        if row["outcome"] != "errored":
            found.setdefault(row["id"], []).append((row["value"], row["outcome"]))
    return {
        sample: (fmean(value for value, _ in rows), mode(how for _, how in rows))
        for sample, rows in found.items()
    }
