"""How answers read: their length, refusals and language, beside the score and never in it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from evalkit import plugins
from evalkit.comparison.policy import Policy
from evalkit.grading.manner import SAMPLE, Reading, averaged, language
from evalkit.reporting.report import of_run, of_store
from evalkit.storage.store import Store
from evalkit.types import Request, Response, Rows, Sample
from evalkit.verdict import CheckpointScore, Manner, Report
from reports._drift import drifts
from tests.small_exams import Answering, doubles, exam, held, row

ENGLISH = "The sum of the two numbers is larger than either of them, as anyone can see."
GERMAN = "Die Summe der beiden Zahlen ist größer als jede von ihnen, wie jeder sehen kann."

TEXTS = {
    "en": ENGLISH,
    "de": GERMAN,
    "fr": "La somme des deux nombres est plus grande que chacun d'eux, comme on peut le voir.",
    "es": "La suma de los dos números es mayor que cada uno de ellos, como se puede ver.",
    "ru": "Сумма двух чисел больше каждого из них, как может видеть каждый.",
    "zh": "这两个数的和大于其中任何一个，这是显而易见的。",
    "ja": "二つの数の和は、どちらの数よりも大きいことがわかります。",
    "ar": "مجموع العددين أكبر من كل واحد منهما كما يمكن لأي شخص أن يرى.",
    "hi": "दोनों संख्याओं का योग उनमें से प्रत्येक से बड़ा है, जैसा कि कोई भी देख सकता है।",
    "ko": "두 수의 합은 각각의 수보다 크다는 것을 누구나 알 수 있습니다.",
}


@pytest.mark.parametrize("expected", TEXTS)
def test_a_sentence_tells_its_language(expected: str) -> None:
    assert language(TEXTS[expected]) == expected


@pytest.mark.parametrize("expected", TEXTS)
def test_code_formulas_and_addresses_are_no_prose(expected: str) -> None:
    text = f"```python\nfor element in elements: print(element)\n```\n{TEXTS[expected]}"
    assert language(f"$\\frac{{ab}}{{cd}}$ https://example.org/a/long/path {text}") == expected


@pytest.mark.parametrize(
    "text",
    ["", "B", "42", "\\boxed{70}", "x = 3, y = 4", "```\nreturn the_sum(of, these)\n```", "-" * 99],
)
def test_what_is_hardly_a_text_tells_none(text: str) -> None:
    assert language(text) is None


def test_a_language_is_a_function_of_the_text() -> None:
    doubtful = [f"{word} {word}s and la {word}" for word in ("pizza", "hotel", "taxi", "radio")]
    first = [language(text) for text in doubtful]
    assert [language(text) for text in doubtful[::-1]][::-1] == first
    assert all([language(text) for text in doubtful] == first for _ in range(5))


@pytest.mark.parametrize(
    "piece", ["```", "$", "\\(", "\\[", "`", "http://", "a", " ", "漢", "\ud800"]
)
def test_hostile_text_is_read_at_once(piece: str) -> None:
    start = time.process_time()
    language(piece * (1_000_000 // len(piece)))
    assert time.process_time() - start < 2.0


def answer(text: str, **more: Any) -> dict[str, Any]:
    return {"epoch": 0, "question": ENGLISH, "text": text, "finish_reason": "stop",
            "loglikelihoods": None, "error": "", **more}  # fmt: skip


def told(*answers: dict[str, Any], items: int = 10) -> dict[str, Any]:
    reading = Reading(items)
    for each in answers:
        reading.take(each)
    return reading.told()


def test_length_refusals_and_language_are_counted() -> None:
    found = told(
        answer(ENGLISH), answer(GERMAN), answer("I'm sorry, but I can't help with that request."),
        answer("70"), answer(f"<think>{GERMAN * 9}</think>\n{ENGLISH}"),
    )  # fmt: skip
    assert found["answers"] == 5
    assert found["characters"] == pytest.approx((2 * len(ENGLISH) + len(GERMAN) + 46 + 2) / 5)
    assert found["refused"] == 0.2
    assert (found["compared"], found["other_language"]) == (4, 0.25)
    assert found["languages"] == {"en": 0.75, "de": 0.25}


def test_what_nobody_wrote_is_left_out() -> None:
    assert told(answer(ENGLISH, error="it broke"), answer("A", loglikelihoods=[-1.0, -2.0])) == {}
    found = told(answer("", finish_reason="content_filter"), answer("70"))
    assert (found["refused"], found["other_language"], found["languages"]) == (0.5, None, {})


def test_languages_are_looked_at_in_a_sample_of_all_items() -> None:
    found = told(
        *[answer(ENGLISH, epoch=epoch) for _ in range(300) for epoch in range(6)], items=300
    )
    assert (found["answers"], found["compared"]) == (1800, 900)
    found = told(*[answer(ENGLISH) for _ in range(SAMPLE + 50)], items=SAMPLE + 50)
    assert found["compared"] == SAMPLE


def test_cells_of_a_recipe_are_averaged() -> None:
    one = told(answer(ENGLISH), answer(ENGLISH))
    other = told(answer("70"), answer("70"))
    found = Manner.model_validate(averaged([one, other]))
    assert (found.answers, found.characters) == (4, (len(ENGLISH) + 2) / 2)
    assert (found.compared, found.other_language) == (2, 0.0)


def questions(_: Rows) -> Iterator[Sample]:
    for number in range(120):
        yield Sample(str(number), f"{ENGLISH} What is twice {number}?", str(2 * number))


TASK = doubles(120, samples=questions)


def speaking(*words: str) -> Answering:
    """Says the first to most questions, the others to every fifth."""

    def say(request: Request) -> Response:
        number = int(request.sample.id)
        return Response(words[-1] if number % 5 == 0 else words[0])

    return say


def compared(tmp_path: Path) -> Report:
    rows = [row("base", speaking(ENGLISH)), row("sft", speaking(f"{ENGLISH} " * 3, GERMAN))]
    return of_run(held(rows, [exam(TASK)], tmp_path))


def manner_of(report: Report, checkpoint: str) -> Manner:
    (score,) = (score for score in report.scores if score.checkpoint == checkpoint)
    assert score.manner is not None
    return score.manner


def test_a_report_tells_how_each_checkpoints_answers_read(tmp_path: Path) -> None:
    report = compared(tmp_path)
    assert manner_of(report, "base").characters == len(ENGLISH)
    assert manner_of(report, "base").other_language == 0.0
    assert manner_of(report, "sft").other_language == 0.2
    assert manner_of(report, "sft").languages == {"en": 0.8, "de": 0.2}
    (line,) = drifts(report)
    assert line.startswith("sft against base, doubles: answers of 76 → ")
    assert line.endswith("0.0 → 20.0 % in another language than asked in")


def test_what_a_store_holds_is_told_again(tmp_path: Path) -> None:
    report = compared(tmp_path)
    again = of_store(Store(tmp_path), ["base", "sft"], Policy())
    assert manner_of(again, "sft") == manner_of(report, "sft")
    shown = plugins.report_format("terminal").render(again)
    assert "How answers read, where it changed" in shown
    assert "20.0 % in another language" in " ".join(shown.split())


@pytest.mark.parametrize("damaged", [{"answers": "many"}, {"characters": 1}, {"x": 1}])
def test_a_cell_that_tells_nonsense_tells_nothing(tmp_path: Path, damaged: dict[str, Any]) -> None:
    compared(tmp_path)
    for cell in Store(tmp_path).cells():
        meta = json.loads((cell.path / "cell.json").read_text())
        (cell.path / "cell.json").write_text(json.dumps(meta | {"manner": damaged}))
    report = of_store(Store(tmp_path), ["base", "sft"], Policy())
    assert [score.manner for score in report.scores] == [None, None]
    assert drifts(report) == []


def score(checkpoint: str, **manner: Any) -> CheckpointScore:
    plain = {"answers": 500, "characters": 100.0, "refused": 0.0, "compared": 400,
             "other_language": 0.0}  # fmt: skip
    read = Manner.model_validate(plain | manner)
    return CheckpointScore(checkpoint=checkpoint, task="doubles", domain="d", n=500, manner=read)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({}, []),
        ({"characters": 140.0}, []),
        ({"characters": 160.0}, ["answers of 100 → 160 characters"]),
        ({"characters": 60.0}, ["answers of 100 → 60 characters"]),
        ({"refused": 0.015}, []),
        ({"refused": 0.05}, ["0.0 → 5.0 % refuse"]),
        ({"other_language": None}, []),
        ({"other_language": 0.5, "compared": 2}, []),  # chance
        ({"other_language": 0.1}, ["0.0 → 10.0 % in another language than asked in"]),
    ],
)
def test_only_what_is_worth_a_look_is_told(
    tmp_path: Path, changed: dict[str, Any], said: list[str]
) -> None:
    report = compared(tmp_path)
    scores = [score("base"), score("sft", **changed)]
    found = drifts(report.model_copy(update={"scores": scores}))
    assert [line.partition("doubles: ")[2] for line in found] == said
