"""Judgments as they are kept: in the folder of the cell that they are about, one line each.

A judgment is known by the judge, the question, how it is sampled, and which repeat and try it is:
the same question is never asked twice, whichever cell it comes from.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evalkit.identity import identity
from evalkit.storage import journal
from evalkit.storage.store import JUDGMENTS
from evalkit.types import Response

TEXT = ("text", "finish_reason", "error")
COUNTS = ("prompt_tokens", "completion_tokens")


@dataclass(frozen=True, slots=True)
class Judgment:
    """What a judge said to one question, or why it said nothing."""

    response: Response
    borrowed: bool = False  # from another cell, whose answer was the same: it cost nothing here


def key(judge: str, asked: str, attempt: int = 0) -> str:
    """What a judgment is known by: the judge's identity, the request's with its repeat, the try."""
    tries = [attempt] if attempt else []
    return identity.digest([judge, asked, *tries]).hex()[:32]


def file_of(folder: Path) -> Path:
    """Where a folder's judgments are."""
    return folder / JUDGMENTS


def known(folder: Path) -> dict[str, Judgment]:
    """Every judgment of a folder; of a question asked again after an error, the later one.

    Raises StoreError on a line that is not one.
    """
    found: dict[str, Judgment] = {}
    for number, row in enumerate(journal.read(file_of(folder)), 1):
        try:
            found[str(row["key"])] = Judgment(_response(row), bool(row.get("borrowed")))
        except (KeyError, TypeError, ValueError):
            raise journal.damaged(file_of(folder), number) from None
    return found


def line(key: str, response: Response, *, borrowed: bool = False) -> dict[str, Any]:
    """A judgment as one journal line; fields that hold nothing are left out, but for its text."""
    row: dict[str, Any] = {name: getattr(response, name) for name in (*TEXT, *COUNTS)}
    row["logprobs"] = [dict(place) for place in response.logprobs]
    row["borrowed"] = borrowed
    kept = {name: value for name, value in row.items() if value or name == "text"}
    return {"key": key, **kept}


def _response(row: Mapping[str, Any]) -> Response:
    """The judge's answer; a line of an earlier version has its text alone."""
    return Response(
        text=str(row.get("text", "")),
        finish_reason=str(row.get("finish_reason", "stop")),
        error=str(row.get("error", "")),
        prompt_tokens=int(row.get("prompt_tokens", 0)),
        completion_tokens=int(row.get("completion_tokens", 0)),
        logprobs=tuple(map(_likeliest, row.get("logprobs", ()))),
    )


def _likeliest(top: Mapping[str, Any]) -> dict[str, float]:
    return {str(token): float(value) for token, value in dict(top).items()}
