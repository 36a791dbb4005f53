"""One line of lm-eval's samples: a document under one filter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from evalkit.identity.identity import digest
from evalkit.interchange._documents import need, section, text
from evalkit.interchange.imported import UNKNOWN_END, Row
from evalkit.types import Response

QUESTIONS = ("question", "query", "problem", "prompt", "input", "instruction", "text")
UNREADABLE = ("[invalid]", "")


def row(line: Mapping[str, Any], value: float, where: str) -> Row:
    """One document of a samples file, with its score under the headline."""
    document = need(line, "doc", dict, where) if "doc_hash" not in line else section(line, "doc")
    arguments = [part for part in section(line, "arguments").values() if isinstance(part, dict)]
    prompt = text(arguments[0], "arg_0") if arguments else ""
    options = [text(part, "arg_1") for part in arguments]
    likelihoods = _likelihoods(line.get("resps"))
    answer = _answer(line.get("filtered_resps"), likelihoods, options)
    said = line.get("resps")
    return Row(
        content=digest(text(line, "doc_hash") or digest(document).hex()),
        id=text(line, "doc_id"),
        epoch=0,
        value=value,
        question=next((q for n in QUESTIONS if isinstance(q := document.get(n), str)), prompt),
        target=text(line, "target"),
        answer=answer,
        request=digest(text(line, "prompt_hash") or prompt),
        response=Response(
            text="" if likelihoods else _first(said),
            finish_reason=UNKNOWN_END,
            loglikelihoods=likelihoods,
        ),
    )


def _first(value: Any) -> str:
    """The innermost first element of nested lists, as text."""
    while isinstance(value, list) and value:
        value = value[0]
    return value if isinstance(value, str) else ""


def _likelihoods(responses: Any) -> tuple[float, ...]:
    """One for each option, of responses like [[["-1.2", "False"]], …]; else none."""
    try:
        if all(str(each[0][1]) in ("True", "False") for each in responses):
            return tuple(float(each[0][0]) for each in responses)
    except (TypeError, LookupError, ValueError):
        pass
    return ()


def _answer(filtered: Any, likelihoods: tuple[float, ...], options: Sequence[str]) -> str | None:
    if likelihoods:
        best = likelihoods.index(max(likelihoods))
        return options[best].strip() if best < len(options) else str(best)
    answer = _first(filtered)
    return None if answer in UNREADABLE else answer
