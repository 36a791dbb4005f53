"""Battles out of files in the form that arenas publish: one row a battle, `model_a` and `model_b`.

Who won is `winner` (`model_a`, `model_b`, `tie`, `tie (bothbad)`), or the three columns
`winner_model_a`, `winner_model_b`, `winner_tie`.  Battles of one `question_id`, else of one
`prompt`, belong together.  Style is told from the answers, or from `conv_metadata`'s counts.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from evalkit.errors import DataError
from evalkit.exams import formats
from evalkit.ranking.style import Counts, contrasts, counts_of
from evalkit.stats.battles import Battle

WORTH = {"model_a": 1.0, "model_b": 0.0, "tie": 0.5, "tie (bothbad)": 0.5, "both_bad": 0.5}
PROMPTS = ("question_id", "prompt", "id")
ANSWERS = ("conversation", "response", "answer")
YES = ("1", "1.0", "true", "True")


def read(path: Path, *, styled: bool = False) -> Iterator[Battle]:
    """Every battle of a file; with `styled`, how the two answers differ in style as well.

    Raises DataError naming the row and what is wrong with it.
    """
    for place, row in formats.read(path):
        where = f"{path}: {place}"
        if not isinstance(row, Mapping):
            raise DataError(f"{where}: not a row with `model_a`, `model_b` and `winner`")
        yield Battle(
            _prompt(row, where),
            _player(row, "model_a", where),
            _player(row, "model_b", where),
            _won(row, where),
            _weight(row, where),
            _style(row, where) if styled else (),
        )


def _player(row: Mapping[str, Any], name: str, where: str) -> str:
    found = row.get(name)
    if not isinstance(found, str) or not found.strip():
        raise DataError(f"{where}: `{name}` is missing: who fought?")
    if row.get("model_a") == row.get("model_b"):
        raise DataError(f"{where}: {found!r} against itself")
    return found.strip()


def _won(row: Mapping[str, Any], where: str) -> float:
    if "winner" in row:
        said = str(row["winner"]).strip()
        if said not in WORTH:
            raise DataError(f"{where}: `winner` is {said[:40]!r}: give {', '.join(WORTH)}")
        return WORTH[said]
    columns = {"winner_model_a": 1.0, "winner_model_b": 0.0, "winner_tie": 0.5}
    won = [worth for name, worth in columns.items() if str(row.get(name)).strip() in YES]
    if len(won) != 1:
        raise DataError(f"{where}: no `winner`, nor one of {', '.join(columns)} that is 1")
    return won[0]


def _weight(row: Mapping[str, Any], where: str) -> float:
    given = row.get("weight")
    if given in (None, ""):
        return 1.0
    try:
        weight = float(str(given))
    except ValueError:
        weight = math.nan
    if not 0 < weight < math.inf:
        raise DataError(f"{where}: `weight` is {str(given)[:40]!r}: give a number above 0")
    return weight


def _prompt(row: Mapping[str, Any], where: str) -> str:
    """What the battles of one prompt share; a row that tells nothing is a prompt of its own."""
    found = next((row[name] for name in PROMPTS if row.get(name) not in (None, "", [])), None)
    if found is None:
        return where
    text = found if isinstance(found, str) else json.dumps(found, sort_keys=True, default=str)
    return hashlib.sha256(text.encode(errors="replace")).hexdigest()[:16]


def _style(row: Mapping[str, Any], where: str) -> tuple[float, ...]:
    for name in ANSWERS:
        both = [_said(row.get(f"{name}_{side}")) for side in "ab"]
        if None not in both:
            return contrasts(*(counts_of(text or "") for text in both))
    counts = [_counted(row.get("conv_metadata"), side) for side in "ab"]
    if counts[0] and counts[1]:
        return contrasts(counts[0], counts[1])
    raise DataError(
        f"{where}: nothing to tell style from: give {', '.join(f'{n}_a' for n in ANSWERS)} (and "
        "…_b) or `conv_metadata`, or leave out --style"
    )


def _said(value: Any) -> str | None:
    """An answer's text: as it is, of a list of texts, or what the assistant says in turns."""
    if isinstance(value, str):
        turns = _listed(value)
        if turns is None:
            return value
        value = turns
    if not isinstance(value, list):
        return None
    said = [
        turn.get("content") if isinstance(turn, Mapping) else turn
        for turn in value
        if not isinstance(turn, Mapping) or turn.get("role") == "assistant"
    ]
    return "\n\n".join(str(turn) for turn in said if turn is not None)


def _listed(text: str) -> list[Any] | None:
    """What a CSV has of a list, as JSON; None of any other text."""
    with suppress(ValueError):
        found = json.loads(text) if text.startswith("[") else None
        return found if isinstance(found, list) else None
    return None


def _counted(value: Any, side: str) -> Counts | None:
    """An arena's own counts of one side's tokens and marks."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            return None
    if not isinstance(value, Mapping) or f"sum_assistant_{side}_tokens" not in value:
        return None
    marks = ("header", "list", "bold")
    found = [value.get(f"{mark}_count_{side}") for mark in marks]
    try:
        tokens = float(value[f"sum_assistant_{side}_tokens"])
        headers, lists, bold = (
            float(sum(each.values()) if isinstance(each, Mapping) else each or 0) for each in found
        )
    except (TypeError, ValueError):
        return None
    return Counts(tokens, headers, lists, bold)
