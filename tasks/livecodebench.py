"""LiveCodeBench: contest problems by date, each solved by a program that passes all of its tests.

Jain et al., LiveCodeBench: Holistic and Contamination Free Evaluation of Large Language Models for
Code, ICLR 2025, arXiv:2403.07974; code generation, prompts and rules of comparison as in
LiveCodeBench/LiveCodeBench at 28fef95, six seconds a test.

A name states the release and, if only a part of it is asked, the dates of the contests:
`livecodebench:release_v5`, `livecodebench:release_v6:2024-08-01..2025-02-01`.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from functools import cache, lru_cache, partial
from typing import Any

from evalkit.errors import ConfigError, DataError
from evalkit.exams.large_fields import Stored
from evalkit.sandbox.limits import MIB, Failed, Limits
from evalkit.sandbox.program import opened
from evalkit.types import (
    Family,
    Graded,
    Message,
    Response,
    Rows,
    Sample,
    Sampling,
    Score,
    Source,
    Task,
)

from . import _livecodebench_driver as driver
from ._code import OUTCOMES
from ._livecodebench_cases import cases_of

COUNTS = {"test": 400, "test2": 111, "test3": 101, "test4": 101, "test5": 167, "test6": 175}
PARTS = tuple(COUNTS)  # the files that the releases added, first to last
FIELDS = ("question_content", "public_test_cases", "private_test_cases", "contest_date")

SOURCE = Source(
    hub="livecodebench/code_generation_lite",
    revision="0fe84c3912ea0c4d4a78037083943e8f0c4dd505",
    folder="livecodebench",
    splits={part: part for part in PARTS},
    counts=COUNTS,
    fields=("question_id", "question_content", "contest_date", "public_test_cases",
            "private_test_cases", "metadata", "difficulty"),
    licence="CC",
    collected=True,
    large=("private_test_cases",),
)  # fmt: skip

EXAMPLES = {"stdin": "few_shot_generation_stdin", "func": "few_shot_generation_func"}

SECONDS = 6.0
LIMITS = Limits(seconds=SECONDS, clock=4 * SECONDS, memory=4096 * MIB, output=64 * MIB)
DRIVER = inspect.getsource(driver)

SYSTEM = (
    "You are an expert Python programmer. You will be given a question (problem specification)"
    " and will generate a correct Python program that matches the specification and passes all"
    " tests."
)
WITH_STARTER = (
    "You will use the following starter code to write the solution to the problem and enclose"
    " your code within delimiters."
)
WITHOUT_STARTER = (
    "Read the inputs from stdin solve the problem and write the answer to stdout (do not directly"
    " test on the sample inputs). Enclose your code within delimiters as follows. Ensure that when"
    " the python program runs, it reads the inputs, runs the algorithm and writes output to"
    " STDOUT."
)
ANSWER = "### Answer: (use the provided format with backticks)\n\n"

RELEASE = re.compile(r"(?:release_)?v([1-6])(?:_v([1-6]))?")
WINDOW = re.compile(r"(\d{4}-\d\d-\d\d)?\.\.(\d{4}-\d\d-\d\d)?")


@dataclass(frozen=True, slots=True)
class Edition:
    """Which problems are asked: files of the data, and the first and last day of contests."""

    parts: tuple[str, ...]
    first: date = date.min
    last: date = date.max


def edition(name: str) -> Edition:
    """What a name stands for: `release_v5`, `v6`, `v2_v4`, or one of them and `:from..to`."""
    release, colon, window = name.partition(":")
    found, dates = RELEASE.fullmatch(release), WINDOW.fullmatch(window or "..")
    if not found or not dates or (colon and not any(dates.groups())):
        raise ConfigError(
            f"livecodebench:{name} is no edition; write livecodebench:release_v6 (v1 to v6), or"
            " livecodebench:release_v6:2024-08-01..2025-02-01"
        )
    last = int(found[2] or found[1])
    first = 1 if release.startswith("release_") else int(found[1])
    try:
        days = [date.fromisoformat(day) if day else None for day in dates.groups()]
    except ValueError as error:
        raise ConfigError(f"livecodebench:{name}: {error}") from None
    return Edition(PARTS[first - 1 : last], days[0] or date.min, days[1] or date.max)


def problems(rows: Rows, asked: Edition) -> Iterator[Mapping[str, Any]]:
    """The rows of an edition, in the order of its files."""
    seen: set[str] = set()
    for part in asked.parts:
        for row in rows(part):
            if row["question_id"] in seen:
                raise DataError(f"livecodebench: question_id {row['question_id']} comes twice")
            seen.add(row["question_id"])
            if asked.first <= _day(row) <= asked.last:
                yield row


def _day(row: Mapping[str, Any]) -> date:
    try:
        return date.fromisoformat(str(row["contest_date"])[:10])
    except ValueError as error:
        raise DataError(f"livecodebench: {row['question_id']}: {error}") from None


def sample(row: Mapping[str, Any]) -> Sample:
    """One problem, as the authors ask a chat model; its tests stay in the file until graded."""
    private = row["private_test_cases"]
    return Sample(
        id=str(row["question_id"]),
        prompt=partial(conversation, row),
        target=private.sha256,
        question=str(row["question_content"]),
        stratum=str(row["difficulty"]),
        metadata={
            "public": row["public_test_cases"],
            "private": private,
            "function": json.loads(row["metadata"]).get("func_name") or "",
        },
    )


def conversation(row: Mapping[str, Any]) -> list[Message]:
    """The authors' prompt for chat models."""
    starter = str(row.get("starter_code") or "")
    code, how = (starter, WITH_STARTER) if starter else ("# YOUR CODE HERE", WITHOUT_STARTER)
    asked = (
        f"### Question:\n{row['question_content']}\n\n### Format: {how}\n"
        f"```python\n{code}\n```\n\n{ANSWER}"
    )
    return [{"role": "system", "content": SYSTEM}, {"role": "user", "content": asked}]


def completion(row: Mapping[str, Any], example: Callable[[str], Mapping[str, Any]]) -> str:
    """The authors' prompt for base models: one worked problem of its kind, then the problem."""
    starter = str(row.get("starter_code") or "")
    shown = example("func" if starter else "stdin")
    parts = []
    for question, begun, answer in (
        (shown["question"], shown.get("sample_code"), f"{shown['answer']}\n\n"),
        (row["question_content"], starter, ""),
    ):
        parts.append(f"### Question\n{question}\n\n")
        parts.append(f"### Starter Code\n{begun}\n\n" if starter else "")
        parts.append(f"### Answer\n\n{answer}")
    return "".join(parts)


def code_of(text: str) -> str:
    """What stands between the last two lines that have a fence; "" where there are none."""
    lines = text.split("\n")
    fences = [number for number, line in enumerate(lines) if "```" in line]
    return "\n".join(lines[fences[-2] + 1 : fences[-1]]) if len(fences) > 1 else ""


def score(sample: Sample, response: Response) -> Score:
    """Right when the program of the last block passes every test."""
    return _score(sample, code_of(response.text))


def score_base(sample: Sample, response: Response) -> Score:
    """The same for an answer that is a program and nothing else."""
    return _score(sample, response.text.strip())


def _score(sample: Sample, code: str) -> Score:
    if not code.strip():
        return Score(0.0)
    function = str(sample.metadata["function"])
    tests = _cases(sample.metadata["public"], sample.metadata["private"])
    limits = replace(LIMITS, total=4 * ((SECONDS + 1) * len(tests) + 5))
    number = 0
    try:
        with opened(limits) as program:
            program.run(DRIVER)
            program.call("load", code, function)
            for number, (given, expected) in enumerate(tests, 1):
                answer = program.call("returned" if function else "printed", given)
                if not _right(answer, expected, function):
                    return Score(0.0, code, {"test": number, "ended": "wrong answer"})
    except Failed as failed:
        details = {"test": number, "ended": failed.how, "said": failed.said}
        return Score(0.0, code, details, OUTCOMES.get(failed.how, ""))
    return Score(1.0, code)


@lru_cache(maxsize=4)  # the answers to one problem are graded one after the other
def _cases(public: str, private: Stored) -> list[tuple[str, str]]:
    return [*cases_of(public), *cases_of(private.read())]


def _right(answer: Any, expected: str, function: str) -> bool:
    if not function:
        return same_output(str(answer), expected)
    try:
        return bool(answer == json.loads(expected))
    except ValueError:  # no answer is right where the data are broken
        return False


def same_output(printed: str, expected: str) -> bool:
    """Line by line: the same but for the space around it, or the same numbers."""
    found, wanted = (text.strip().split("\n") for text in (printed, expected))
    return len(found) == len(wanted) and all(map(_same_line, found, wanted))


def _same_line(found: str, wanted: str) -> bool:
    found, wanted = found.strip(), wanted.strip()
    if found == wanted:
        return True
    try:
        left, right = ([Decimal(word) for word in line.split()] for line in (found, wanted))
        return left == right
    except ArithmeticError:
        return False


def figures(graded: Sequence[Graded]) -> Mapping[str, float]:
    """pass@1 by difficulty."""
    found: dict[str, float] = {}
    for level in ("easy", "medium", "hard"):
        each = [
            score.value
            for one in graded
            if one.sample.stratum == level
            for score in one.scores
            if score is not None
        ]
        if each:
            found[f"pass@1 {level}"] = sum(each) / len(each)
    return found


def tasks(name: str) -> tuple[Task, ...]:
    """The task of one edition."""
    asked = edition(name)

    def samples(rows: Rows) -> Iterator[Sample]:
        return map(sample, problems(rows, asked))

    def samples_base(rows: Rows) -> Iterator[Sample]:
        @cache
        def example(kind: str) -> Mapping[str, Any]:
            return next(rows(kind))

        for row in problems(rows, asked):
            yield replace(sample(row), prompt=partial(completion, row, example))

    return (
        Task(
            name=f"livecodebench:{name}",
            domain="code",
            version=1,
            samples=samples,
            score=score,
            sampling=Sampling(temperature=0.2, top_p=0.95, max_tokens=2000, stop=("###",)),
            epochs=10,
            runs_code=True,
            metrics=figures,
            source=replace(
                SOURCE, splits={**{part: part for part in ("test", *asked.parts)}, **EXAMPLES}
            ),
            presets={"base": {"samples": samples_base, "score": score_base, "fewshot": 1}},
        ),
    )


FAMILIES = (
    Family(
        "livecodebench",
        "code; contest problems of a release, v1 to v6, and of dates: livecodebench:release_v6",
        tasks,
    ),
)
