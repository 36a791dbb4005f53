"""The authors' checkers of IFEval, from lm-eval's package: found, made the same each time, and run.

They detect languages with langdetect, whose answers differ from call to call unless it is given a
seed, and count sentences by a model of NLTK, which they would download while they are imported.
"""

from __future__ import annotations

import importlib
import logging
import os
import random
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from evalkit.errors import DataError

from ._packages import require as packages
from ._time_limit import time_limit

PACKAGES = ("lm_eval", "langdetect", "nltk", "immutabledict")
MODEL = "tokenizers/punkt_tab"
SEED = 0
SECONDS = 30.0
"""What all checks of one answer may take; some of the patterns are slow on hostile text."""


@cache
def require() -> None:
    """Raises DataError where a package or the sentence model is missing; downloads nothing."""
    packages("ifeval", *PACKAGES)
    if not _has_model():
        raise DataError(
            "ifeval: its checkers need NLTK's sentence model and it is in none of NLTK's folders:"
            " python -m nltk.downloader punkt_tab, or name a folder that has"
            f" {MODEL} in NLTK_DATA"
        )


def _has_model() -> bool:
    """Whether the sentence model is there, the folder `nltk_data` of EVALKIT_DATA looked in too."""
    import nltk

    beside = os.environ.get("EVALKIT_DATA")
    if beside and (folder := str(Path(beside) / "nltk_data")) not in nltk.data.path:
        nltk.data.path.append(folder)
    try:
        nltk.data.find(f"{MODEL}/english")
    except LookupError:
        return False
    return True


@cache
def _checkers() -> Mapping[str, Any]:
    """Their classes by name."""
    require()
    from langdetect import DetectorFactory

    DetectorFactory.seed = SEED  # each detector starts from it anew
    logging.getLogger("lm_eval.tasks.ifeval.instructions").setLevel(logging.CRITICAL)
    found: Mapping[str, Any] = importlib.import_module(
        "lm_eval.tasks.ifeval.instructions_registry"
    ).INSTRUCTION_DICT
    return found


def loosened(text: str) -> list[str]:
    """The seven other readings of an answer: without its first line, its last, its asterisks."""
    lines = text.split("\n")
    cut = ["\n".join(part).strip() for part in (lines[1:], lines[:-1], lines[1:-1])]
    return [text.replace("*", ""), *cut, *(part.replace("*", "") for part in cut)]


def followed(
    instructions: Sequence[Mapping[str, Any]], prompt: str, readings: Sequence[str]
) -> list[list[bool]] | None:
    """Whether each instruction is followed in each reading, by one checker for all of them.

    None where that takes too long.
    """
    checkers = [_checker(instruction, prompt) for instruction in instructions]
    distinct = list(dict.fromkeys(readings))
    try:
        with time_limit(SECONDS):
            known = [
                {text: bool(text.strip() and checker.check_following(text)) for text in distinct}
                for checker in checkers
            ]
    except TimeoutError:
        return None
    return [[verdicts[text] for text in readings] for verdicts in known]


def _checker(instruction: Mapping[str, Any], prompt: str) -> Any:
    """One instruction's checker; what it draws in place of an argument is always the same.

    In two of the authors' prompts (1122 and 1129) a sign is to be counted, and their checker of
    letters counts one that it draws in its place.
    """
    name = instruction["id"]
    arguments = {key: value for key, value in instruction.items() if key != "id"}
    checker = _checkers()[name](name)
    state = random.getstate()
    random.seed(SEED)
    try:
        checker.build_description(**arguments)
        if "prompt" in (checker.get_instruction_args() or ()):
            checker.build_description(prompt=prompt)
    finally:
        random.setstate(state)
    return checker
