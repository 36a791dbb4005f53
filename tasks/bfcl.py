"""BFCL: 3,641 requests to be answered with calls of functions, or with none where none fits.

Patil et al., The Berkeley Function Calling Leaderboard (BFCL): From Tool Use to Agentic Evaluation
of Large Language Models, ICML 2025; the categories of one turn, as in `bfcl-eval` 2026.3.23 (V4).
`bfcl` tells a model of its functions in the prompt and reads calls from its text; `bfcl-fc`
offers them as tools.  The score is what V4 makes of these categories, as shares of one.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from evalkit.errors import DataError
from evalkit.types import Response, Rows, Sample, Sampling, Score, Source, Task

from ._bfcl import asking, figures
from ._bfcl.answers import Language, native, prompted, written
from ._bfcl.calls import Call, Unreadable
from ._bfcl.checking import TYPES, fault
from ._bfcl.solutions import as_text, as_tool_calls
from ._bfcl.tree import Grammar, grammar

CHECKED = tuple(name for name in figures.COUNTS if "relevance" not in name)
"""The categories with ground truths: in the others it is asked whether there is a call at all."""

IRRELEVANT = ("irrelevance", "live_irrelevance")
TRUTHS = {name: f"{name} answers" for name in CHECKED}
OTHER_LANGUAGES: dict[str, Grammar] = {"simple_java": "java", "simple_javascript": "javascript"}

MOST_SHOWN, MOST_SAID = 2000, 300
"""Characters of the calls, and of what is wrong with them, that are kept with a score."""

AT = "bfcl_eval/data"
FILES = {
    **{name: f"/BFCL_v4_{name}" for name in figures.COUNTS},
    **{split: f"/possible_answer/BFCL_v4_{name}" for name, split in TRUTHS.items()},
}
SOURCE = Source(
    hub="",  # the hub has the files of V3
    revision="6ea57973c7a6097fd7c5915698c54c17c5b1b6c8",
    folder="bfcl_v4",
    splits=FILES,
    counts={
        **figures.COUNTS,
        **{split: figures.COUNTS[name] for name, split in TRUTHS.items()},
    },
    fields=("id",),
    licence="Apache-2.0",
    elsewhere={
        split: (
            f"package:bfcl-eval/{AT}{file}.json",
            "github:ShishirPatil/gorilla@6ea57973c7a6097fd7c5915698c54c17c5b1b6c8"
            f"/berkeley-function-call-leaderboard/{AT}{file}.json",
        )
        for split, file in FILES.items()
    },
)


def samples(rows: Rows) -> Iterator[Sample]:
    """The requests by category, their functions described in the system prompt."""
    for sample, functions in _samples(rows):
        turns = sample.rendered()
        assert not isinstance(turns, str)
        yield replace(sample, prompt=partial(asking.prompt, turns, functions))


def samples_native(rows: Rows) -> Iterator[Sample]:
    """The same, the functions as tools."""
    for sample, functions in _samples(rows):
        yield replace(sample, tools=asking.tools(functions))


def _samples(rows: Rows) -> Iterator[tuple[Sample, list[asking.Function]]]:
    """The requests as they are in the data, each with its functions as a model is told of them."""
    for language in OTHER_LANGUAGES.values():
        grammar(language)  # a package that is not there is told before anything is asked
    for category in figures.COUNTS:
        truths = _truths(rows, category)
        for row in rows(category):
            identity, functions = str(row["id"]), _field(row, "function")
            if category in TRUTHS and identity not in truths:
                raise DataError(f"bfcl: {identity} has no ground truth")
            _check(identity, functions, category)
            turns = _field(row, "question")[0]
            said = "\n".join(f"{turn['role']}: {turn['content']}" for turn in turns)
            yield (
                Sample(
                    id=identity,
                    prompt=turns,
                    target=truths.get(identity, []),
                    question=f"{said}\n{json.dumps(functions, ensure_ascii=False)}",
                    stratum=category,
                    cluster=cluster(identity),
                    metadata={"functions": functions},
                ),
                asking.described(functions, language_of(category)),
            )


def _truths(rows: Rows, category: str) -> dict[str, Any]:
    split = TRUTHS.get(category)
    return {str(row["id"]): _field(row, "ground_truth") for row in rows(split)} if split else {}


def _field(row: Mapping[str, Any], name: str) -> list[Any]:
    if not isinstance(row.get(name), list):
        raise DataError(f"bfcl: {row['id']}: {name} is no list")
    found: list[Any] = row[name]
    return found


def _check(identity: str, functions: list[dict[str, Any]], category: str) -> None:
    """Raises DataError where an argument's type is none of its language's."""
    types = TYPES[language_of(category)]
    for function in functions if category in CHECKED else ():
        for name, rule in function["parameters"]["properties"].items():
            known = rule["type"] in types.named
            if known and rule["type"] in types.listed:
                known = rule["items"]["type"] in types.named
            if not known:
                raise DataError(f"bfcl: {identity}: argument {name!r} is of no known type")


def language_of(category: str) -> Language:
    """The language that a category's functions are in."""
    return OTHER_LANGUAGES.get(category, "python")


def cluster(identity: str) -> str:
    """Live requests with the same functions, told by the second number: `live_simple_3-2-0`."""
    category, _, numbers = identity.rpartition("_")
    return f"{category} {numbers.split('-')[1]}" if "-" in numbers else ""


def score(sample: Sample, response: Response) -> Score:
    """Right when the text consists of the calls that are due, or of none where none is."""
    return _score(sample, partial(prompted, response, language_of(sample.stratum)), str)


def score_native(sample: Sample, response: Response) -> Score:
    """The same of the calls of tools that were made."""
    return _score(sample, partial(native, response), asking.undotted)


def _score(sample: Sample, read: Callable[[], list[Call]], rename: Callable[[str], str]) -> Score:
    """An answer that cannot be read makes no calls, which is right where none is due."""
    try:
        calls = read()
    except Unreadable as error:
        right = sample.stratum in IRRELEVANT
        return Score(float(right), None, {"fault": str(error)[:MOST_SAID]})
    answer = written(calls)[:MOST_SHOWN].encode(errors="backslashreplace").decode()
    wrong = _fault(calls, sample, rename)
    return Score(float(not wrong), answer, {"fault": wrong[:MOST_SAID]} if wrong else {})


def _fault(calls: list[Call], sample: Sample, rename: Callable[[str], str]) -> str:
    if sample.stratum in CHECKED:
        functions, language = sample.metadata["functions"], language_of(sample.stratum)
        return fault(calls, sample.target, functions, language, rename)
    if sample.stratum in IRRELEVANT:
        return "a call, where none is due" if calls else ""
    return "" if calls else "no call"


def solution(sample: Sample) -> str:
    """The calls as text; nothing where none is due."""
    return as_text(sample, language_of(sample.stratum))


def solution_native(sample: Sample) -> str:
    """The calls of tools, as models are trained to write them; nothing where none is due."""
    return as_tool_calls(sample, language_of(sample.stratum))


def _presets() -> dict[str, dict[str, Any]]:
    named = {name: weights for name, weights in figures.SINGLE_TURN.items() if name != "v4"}
    return {name: {"weights": figures.every(weights)} for name, weights in named.items()}


def _task(name: str, **own: Any) -> Task:
    return Task(
        name=name,
        domain="function-calling",
        version=1,
        sampling=Sampling(temperature=0.001, max_tokens=4096),
        metrics=figures.figures,
        weights=figures.every(figures.SINGLE_TURN["v4"]),
        source=SOURCE,
        size=sum(count for split, count in SOURCE.counts.items() if " " not in split),
        presets=_presets(),
        **own,
    )


TASKS = (
    _task("bfcl", samples=samples, score=score, solution=solution),
    _task("bfcl-fc", samples=samples_native, score=score_native, solution=solution_native),
)
