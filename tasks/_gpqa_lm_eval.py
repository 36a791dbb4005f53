"""GPQA as lm-eval's tasks of version 2.2 ask and read it: likelihoods of letters, or texts.

What its filters find is found here in the same order, in time linear in an answer's length.
"""

from __future__ import annotations

import re
import string
import sys
import unicodedata
from collections import deque
from collections.abc import Mapping, Sequence
from functools import cache

from evalkit.types import Asker, Graded, Response, Sample, Score

from ._gpqa_forms import LETTERS, lm_eval_text

STRICT = re.compile(r"(?<=The answer is )(.*)(?=.)")
IN_BRACKETS = re.compile(r"\([A-Z]\)")
AFTER_COLON = re.compile(r":\s*+([A-D])")
NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


async def prefer(sample: Sample, model: Asker) -> Response:
    """How likely each letter in brackets is after the question."""
    asked = [f" ({letter})" for letter in LETTERS]
    found = await model.loglikelihood(sample.rendered(), asked)
    return Response(loglikelihoods=tuple(each.total for each in found))


def score_likeliest(sample: Sample, response: Response) -> Score:
    """Right when the likeliest letter is the right one: lm-eval's `acc` and `acc_norm` alike."""
    likely = response.loglikelihoods
    if len(likely) != len(LETTERS):
        return Score(0.0)
    answer = LETTERS[max(range(len(LETTERS)), key=likely.__getitem__)]
    return Score(float(answer == sample.target), answer)


def score_flexible(sample: Sample, response: Response) -> Score:
    """Right by `flexible-extract`; what `strict-match` says of it is among the details."""
    found = flexible(response.text, sample.choices)
    kept = {"strict-match": strict(response.text) == sample.target.lower()}
    return Score(float(found == sample.target), found, kept)


def figures(graded: Sequence[Graded]) -> Mapping[str, float]:
    """The share that `strict-match` finds right."""
    scores = [score for each in graded for score in each.scores if score is not None]
    right = [bool(score.details.get("strict-match")) for score in scores]
    return {"strict-match": sum(right) / len(right)} if right else {}


def strict(text: str) -> str | None:
    """What lm-eval compares with the letter: what follows "The answer is ", less its last sign."""
    found = STRICT.search(text)
    return found[1].strip().lower().translate(NO_PUNCTUATION) if found else None


def flexible(text: str, choices: Sequence[str]) -> str | None:
    """The last letter in brackets, else of the last option that is written, else after a colon."""
    bracketed = deque(IN_BRACKETS.finditer(text), maxlen=1)
    if bracketed:
        return bracketed[0][0][1]
    letters = {
        _plain(lm_eval_text(each)): letter for each, letter in zip(choices, LETTERS, strict=True)
    }
    options = sorted(map(re.escape, letters), key=len, reverse=True)
    written = deque(re.finditer("|".join(options), _plain(text)), maxlen=1)
    if written and written[0][0].strip():
        return letters.get(written[0][0].strip())
    coloned = deque(AFTER_COLON.finditer(text), maxlen=1)
    return coloned[0][1] if coloned else None


def _plain(text: str) -> str:
    return text.lower().translate(_marks())


@cache
def _marks() -> dict[int, None]:
    """Every punctuation mark of Unicode, as what is left out."""
    signs = range(sys.maxunicode + 1)
    return dict.fromkeys(sign for sign in signs if unicodedata.category(chr(sign))[0] == "P")
