"""The samples of Every Eval Ever: one line an answer, with its evaluation."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from evalkit.errors import DataError
from evalkit.identity.identity import digest
from evalkit.interchange._documents import count, need, number, section, text
from evalkit.interchange.imported import UNKNOWN_END, Row
from evalkit.types import Response


def rows_of(placed: Sequence[tuple[str, dict[str, Any]]]) -> list[Row]:
    """The samples of one metric, each with its place; one that comes again is another epoch."""
    epochs: dict[tuple[bytes, str], int] = defaultdict(int)
    rows: list[Row] = []
    for where, line in placed:
        row = _row(line, where, 0)
        epoch = epochs[row.content, row.id]
        epochs[row.content, row.id] += 1
        rows.append(row if not epoch else _row(line, where, epoch))
    return rows


def _row(line: Mapping[str, Any], where: str, epoch: int) -> Row:
    asked, graded = need(line, "input", dict, where), need(line, "evaluation", dict, where)
    question = need(asked, "raw", str, f"{where}: input")
    reference = [str(each) for each in asked.get("reference") or ()]
    choices = sorted(str(each) for each in asked.get("choices") or ())
    score = number(graded.get("score"))
    if score is None:
        raise DataError(f"{where}: `evaluation.score` is missing")
    answer = _answer(line.get("answer_attribution"))
    usage, error = section(line, "token_usage"), text(line, "error")
    return Row(
        content=digest([question, sorted(reference), choices]),
        id=need(line, "sample_id", str, where),
        epoch=epoch,
        value=math.nan if error else score,
        question=question,
        target=", ".join(reference),
        answer=answer,
        request=digest(text(asked, "formatted") or question),
        response=Response(
            text=_said(line) or answer or "",
            finish_reason=text(section(line, "metadata"), "finish_reason") or UNKNOWN_END,
            prompt_tokens=count(usage.get("input_tokens")),
            completion_tokens=count(usage.get("output_tokens")),
            error=error,
        ),
        stratum=text(section(line, "metadata"), "stratum"),
    )


def _answer(attributions: Any) -> str | None:
    last = attributions[-1] if isinstance(attributions, list) and attributions else None
    return (text(last, "extracted_value") or None) if isinstance(last, dict) else None


def _said(line: Mapping[str, Any]) -> str:
    raw = section(line, "output").get("raw")
    if isinstance(raw, list):
        return "\n".join(map(str, raw))
    turns = line.get("messages")
    spoken = [turn for turn in turns or () if isinstance(turn, dict)]
    return next((text(t, "content") for t in reversed(spoken) if t.get("role") == "assistant"), "")
