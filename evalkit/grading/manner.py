"""How answers read: how long they are, how many refuse, and which language they are in.

What post-training changes without being asked to shows here first.  It is told beside the score
and decides nothing.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from evalkit.grading.grade import declines, without_thoughts
from evalkit.types import Response

if TYPE_CHECKING:
    from py3langid.langid import LanguageIdentifier

SAMPLE = 1_000
"""Answers whose language is looked at: the first in the order of items, which is a shuffle."""
HEAD = 2_000
PROSE = 500
"""Characters of a text that are looked at, and of its prose."""
LETTERS = 20
"""Letters below which no language can be told; an ideograph or a kana is worth four."""
SURE = 0.5
"""Probability below which py3langid is taken to have told nothing."""
SHOWN = 5

NOT_PROSE = re.compile(
    r"```.*?(?:```|\Z)|`[^`\n]*`|\w+://\S+"  # code, addresses
    r"|\$\$.*?\$\$|\$[^$\n]*\$|\\\(.*?\\\)|\\\[.*?\\\]",  # formulas
    re.DOTALL,
)
IDEOGRAPH = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]")
UNTOLD = {"und", "zxx"}  # as py3langid says that it cannot tell, or that it is no language
VARIANTS = {"pcm": "en", "yue": "zh", "wuu": "zh", "arz": "ar", "ary": "ar", "nn": "no", "nb": "no"}
"""Languages that short texts of another are taken for."""


class Reading:
    """What is told of a cell's answers, taken one by one in the order of the table.

    Of each item's answers as many have their language looked at as it takes to have a sample.
    """

    columns = ("epoch", "question", "text", "finish_reason", "loglikelihoods", "error")

    def __init__(self, items: int) -> None:
        self._epochs = max(1, SAMPLE // max(items, 1))
        self._answers = self._characters = self._refused = 0
        self._looked = self._compared = self._elsewhere = 0
        self._languages: Counter[str] = Counter()

    def take(self, row: Mapping[str, Any]) -> None:
        """Reads one answer; what was not written by the model, or is not there, is left out."""
        if row["error"] or row["loglikelihoods"]:
            return
        whole = Response(row["text"] or "", finish_reason=row["finish_reason"] or "")
        response = without_thoughts(whole)
        self._answers += 1
        self._characters += len(response.text)
        self._refused += declines(response)
        if row["epoch"] < self._epochs and self._looked < SAMPLE:
            self._looked += 1
            self._look(row["question"] or "", response.text)

    def _look(self, question: str, answer: str) -> None:
        found = language(answer)
        if found:
            self._languages[found] += 1
            asked = language(question)
            if asked:
                self._compared += 1
                self._elsewhere += found != asked

    def told(self) -> dict[str, Any]:
        """What `cell.json` notes; nothing where no answer was written."""
        if not self._answers:
            return {}
        known, compared = self._languages.total(), self._compared
        common = self._languages.most_common(SHOWN)
        return {
            "answers": self._answers,
            "characters": round(self._characters / self._answers, 1),
            "refused": round(self._refused / self._answers, 6),
            "compared": compared,
            "other_language": round(self._elsewhere / compared, 6) if compared else None,
            "languages": {name: round(count / known, 6) for name, count in common},
        }


def language(text: str) -> str | None:
    """The language of a text's prose, by its ISO 639 code; None where it cannot be told.

    It is a function of the text alone: py3langid draws nothing.
    """
    prose = NOT_PROSE.sub(" ", text[:HEAD])[:PROSE]
    letters = sum(map(str.isalpha, prose)) + 3 * len(IDEOGRAPH.findall(prose))
    if letters < LETTERS:
        return None
    name = str(_identifier().classify(prose)[0])
    return None if name in UNTOLD else VARIANTS.get(name, name)


@cache
def _identifier() -> LanguageIdentifier:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True, min_confidence=SURE)


def averaged(told: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What was told of several cells that count alike, as of one."""
    languages: Counter[str] = Counter()
    for each in told:
        for name, share in each["languages"].items():
            languages[name] += share / len(told)
    elsewhere = [each["other_language"] for each in told if each["other_language"] is not None]
    return {
        "answers": sum(each["answers"] for each in told),
        "characters": sum(each["characters"] for each in told) / len(told),
        "refused": sum(each["refused"] for each in told) / len(told),
        "compared": sum(each["compared"] for each in told),
        "other_language": sum(elsewhere) / len(elsewhere) if elsewhere else None,
        "languages": dict(languages.most_common(SHOWN)),
    }
