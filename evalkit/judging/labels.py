"""Answers whose grade is known: what a judge is audited on.

A task may bring labelled pairs of its own.  A user's file adds some for any judged task, a row an
answer (`id` names the benchmark's item; without it `question` is a question of its own):

    {"id": "17", "answer_a": "…", "answer_b": "…", "winner": "a" | "b" | "tie"}
    {"question": "…", "answer": "…", "score": 7, "reference": "…"}

An answer that was given in several turns is a list of texts.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from evalkit.errors import DataError
from evalkit.exams import formats
from evalkit.exams.exam import Exam
from evalkit.judging.questions import Case, rubric_of
from evalkit.types import Response, Sample

WINNERS = {"a": 1.0, "first": 1.0, "b": 0.0, "second": 0.0, "tie": 0.5}


@dataclass(frozen=True, slots=True)
class Labelled:
    """An answer, and the grade that it should get."""

    case: Case
    grade: float


def labelled(exam: Exam, path: Path | None) -> list[Labelled]:
    """The task's own labelled pairs, then those of a file; raises DataError naming a bad line."""
    rubric = rubric_of(exam)
    own = [
        Labelled(
            Case(pair.sample, Response(pair.first), Response(pair.second)),
            WINNERS[pair.winner],
        )
        for pair in (rubric.audit() if rubric.audit else ())
    ]
    return own + (list(_of_file(exam, path)) if path else [])


def _of_file(exam: Exam, path: Path) -> Iterator[Labelled]:
    by_id = {sample.id: sample for sample in exam.items.values()}
    some = next(iter(by_id.values()))
    for place, row in formats.read(path):
        if not isinstance(row, dict):
            raise DataError(f"{path}: {place}: not an object with named fields")
        try:
            yield _row(exam, row, by_id, some)
        except (KeyError, TypeError, ValueError) as error:
            what = f"no {error}" if isinstance(error, KeyError) else str(error)
            raise DataError(f"{path}: {place}: {what}; see docs/judging.md for its form") from None


def _row(exam: Exam, row: dict[str, Any], by_id: dict[str, Sample], some: Sample) -> Labelled:
    rubric = rubric_of(exam)
    if "id" in row and str(row["id"]) not in by_id:
        raise ValueError(f"{exam.label} has no item {row['id']!r}")
    sample = by_id[str(row["id"])] if "id" in row else _own(some, str(row["question"]))
    if rubric.pairwise:
        answers = (_answer(row["answer_a"]), _answer(row["answer_b"]))
        return Labelled(Case(sample, *answers), WINNERS[row["winner"]])
    grade = float(row["score"])
    low, high = rubric.scale
    if not low <= grade <= high:
        raise ValueError(f"score {grade:g} is not from {low:g} to {high:g}")
    if "reference" in row:
        sample = replace(sample, target=row["reference"])
    return Labelled(Case(sample, _answer(row["answer"])), grade)


def _own(some: Sample, question: str) -> Sample:
    """A question that is no item: what the task's prompts need besides is another item's."""
    return replace(some, id=question, prompt=question, question=question)


def _answer(given: object) -> Response:
    if isinstance(given, list):
        turns = tuple(map(str, given))
        return Response(turns[-1], turns=turns)
    return Response(str(given))
