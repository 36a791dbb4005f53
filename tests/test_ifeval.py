"""IFEval: the authors' verdicts, the same every time, and loose never below strict."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from evalkit import plugins
from evalkit.configuration.sections import TaskSection
from evalkit.errors import DataError
from evalkit.exams.exam import sit
from evalkit.grading.grade import by_scorer
from evalkit.types import Graded, Response, Sample, Score
from tasks import _ifeval_checkers as checkers
from tasks.ifeval import TASKS, figures, samples, score, score_loose

DATA = Path(os.environ.get("EVALKIT_DATA", ""))
needs_data = pytest.mark.skipif("EVALKIT_DATA" not in os.environ, reason="EVALKIT_DATA is not set")


def checkable() -> bool:
    try:
        checkers.require()
    except DataError:
        return False
    return True


needs_model = pytest.mark.skipif(not checkable(), reason="no sentence model for NLTK here")

ROW = {
    "key": 1,
    "prompt": "Write in German, without commas.",
    "instruction_id_list": ["language:response_language", "punctuation:no_comma"],
    "kwargs": [{"language": "de", "num_words": None}, {"language": None}],
}
GERMAN = "Das ist ein ganz gewöhnlicher Satz über das Wetter in Hamburg."


def sample(**changed: Any) -> Sample:
    def rows(_split: str) -> Iterator[dict[str, Any]]:
        yield {**ROW, **changed}

    (found,) = samples(rows)
    return found


@needs_model
def test_a_prompt_is_asked_as_it_stands() -> None:
    found = sample()
    assert found.rendered() == ROW["prompt"]
    assert found.target == [
        {"id": "language:response_language", "language": "de"},
        {"id": "punctuation:no_comma"},
    ]


@needs_model
@pytest.mark.parametrize(
    ("text", "strict", "loose"),
    [
        (GERMAN, [True, True], [True, True]),
        (f"Sure, here it is:\n{GERMAN}", [True, False], [True, True]),
        (f"{GERMAN} Ja, wirklich.", [True, False], [True, False]),
        ("This is an ordinary sentence about the weather.", [False, True], [False, True]),
    ],
)
def test_one_checker_judges_strictly_and_loosely(
    text: str, strict: list[bool], loose: list[bool]
) -> None:
    graded = score(sample(), Response(text))
    assert (graded.details["strict"], graded.details["loose"]) == (strict, loose)
    assert graded.value == float(all(strict))
    assert score_loose(sample(), Response(text)).value == float(all(loose))
    assert graded.answer == f"{sum(strict)} of 2"


@needs_model
def test_an_answer_that_ran_into_the_cap_says_so() -> None:
    cut, whole = Response(GERMAN, finish_reason="length"), Response(GERMAN)
    graded = [Graded(sample(), (score(sample(), each),)) for each in (cut, whole)]
    assert figures(graded)["at the token cap"] == 0.5
    assert TASKS[0].sampling.max_tokens > 1280  # lm-eval's cap


@needs_model
def test_thoughts_are_not_judged() -> None:
    grade = by_scorer(TASKS[0])
    from evalkit.storage.answer import Answer

    def outcome(text: str) -> str:
        answer = Answer(b"", "1", 0, b"", "", Response(text))
        return grade(sample(), answer)[1]

    assert outcome(f"<think>Well, in German, then.</think>\n\n{GERMAN}") == "correct"
    assert outcome(f"<think>Well, in German, then. {GERMAN}") == "unclosed_think"


@needs_model
def test_the_same_text_is_always_judged_alike() -> None:
    doubtful = ["ok gut da", "was", "in der", "Hotel Taxi Pizza", "A B C", "die man on"] * 5
    verdicts: dict[str, set[float]] = {}
    for text in doubtful:
        verdicts.setdefault(text, set()).add(score(sample(), Response(text)).value)
    assert {len(found) for found in verdicts.values()} == {1}


@needs_model
def test_a_sign_that_the_checker_would_draw_for_is_drawn_alike() -> None:
    asked = {"let_relation": "at least", "letter": "#", "let_frequency": 1}
    drawn = sample(instruction_id_list=["keywords:letter_frequency"], kwargs=[asked])
    alphabet = [chr(code) for code in range(ord("a"), ord("z") + 1)]
    found = [[score(drawn, Response(letter)).value for letter in alphabet] for _ in range(5)]
    assert found == [found[0]] * 5
    assert sum(found[0]) == 1


@needs_model
def test_a_text_that_takes_too_long_is_an_outcome_of_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(checkers, "SECONDS", 1e-4)
    graded = score(sample(), Response(f"{GERMAN} " * 2000))
    assert (graded.value, graded.outcome) == (0.0, "timed_out")
    assert figures([Graded(sample(), (graded,))])["instruction-level loose"] == 0.0


@needs_model
def test_figures_are_over_answers_and_over_instructions() -> None:
    def graded(strict: list[bool], loose: list[bool]) -> Graded:
        details = {"strict": strict, "loose": loose, "capped": False}
        return Graded(sample(), (Score(float(all(strict)), "", details), None))

    found = figures([graded([True, True], [True, True]), graded([False, True], [True, True])])
    assert found == {
        "prompt-level strict": 0.5,
        "instruction-level strict": 0.75,
        "prompt-level loose": 1.0,
        "instruction-level loose": 1.0,
        "at the token cap": 0.0,
    }
    assert figures([]) == {}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"instruction_id_list": []}, "0 instructions"),
        ({"kwargs": [{}]}, "2 instructions and not as many"),
    ],
)
@needs_model
def test_rows_that_do_not_fit_are_an_error(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        sample(**changed)


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkers, "PACKAGES", ("nltk", "no_such_package"))
    with pytest.raises(DataError, match=r"needs no_such_package: pip install .*\[benchmarks\]"):
        checkers.require.__wrapped__()


def test_without_its_sentence_model_a_run_says_so_in_a_line_and_downloads_nothing(
    tmp_path: Path,
) -> None:
    (tmp_path / "rows.jsonl").write_text(json.dumps(ROW))
    config = tmp_path / "my.yaml"
    config.write_text(
        "baseline: a\ncheckpoints: [{name: a, backend: echo}]\ntasks: [ifeval]\n"
        "data: {ifeval: rows.jsonl}\n"
    )
    environment = {name: os.environ[name] for name in ("PATH",)} | {
        "HOME": str(tmp_path),
        "NLTK_DATA": str(tmp_path),
        "http_proxy": "http://127.0.0.1:9",  # nothing listens there
        "https_proxy": "http://127.0.0.1:9",
    }
    ran = subprocess.run(
        [sys.executable, "-m", "evalkit.cli", "run-matrix", str(config)],
        capture_output=True,
        text=True,
        env=environment,
        cwd=tmp_path,
    )
    assert ran.returncode == 4
    (line,) = ran.stderr.strip().splitlines()
    assert "python -m nltk.downloader punkt_tab" in line
    assert "NLTK_DATA" in line


@cache
def recorded(name: str) -> list[dict[str, Any]]:
    with gzip.open(DATA / "ifeval" / name) as file:
        return [json.loads(line) for line in file]


@cache
def prompts() -> dict[str, Sample]:
    (exam,) = sit(TaskSection(name="ifeval"), None, None)
    return {str(each.prompt): each for each in exam.items.values()}


def official(how: str) -> list[dict[str, Any]]:
    return recorded(f"fork540_eval_results_{how}_gpt4.jsonl.gz")


DRAWN = {"1122"}
"""Where a letter is drawn: the authors' record follows it strictly and not loosely, which no
answer can; each of their verdicts drew its own."""


@needs_data
@needs_model
def test_verdicts_on_recorded_answers_are_the_authors() -> None:
    assert len(prompts()) == 541
    assert len(official("strict")) == 540
    differ = set()
    graded = []
    for strict, loose in zip(official("strict"), official("loose"), strict=True):
        each = prompts()[strict["prompt"]]
        found = score(each, Response(strict["response"]))
        graded.append(Graded(each, (found,)))
        for how, row in (("strict", strict), ("loose", loose)):
            assert [one["id"] for one in each.target] == row["instruction_id_list"]
            if found.details[how] != row["follow_instruction_list"]:
                differ.add(each.id)
    assert differ <= DRAWN
    recorded_strict = sum(row["follow_all_instructions"] for row in official("strict"))
    assert figures(graded)["prompt-level strict"] * 540 == pytest.approx(recorded_strict, abs=1)


@needs_data
@needs_model
def test_loose_is_never_below_strict_however_an_answer_is_cut() -> None:
    for row in official("strict")[::5]:
        each, text = prompts()[row["prompt"]], row["response"]
        middle = len(text) // 2
        for cut in (text, text[:middle], text[middle:], f"*{text}*", text.upper(), text.lower()):
            details = score(each, Response(cut)).details
            pairs = zip(details.get("strict", ()), details.get("loose", ()), strict=True)
            assert all(loose >= strict for strict, loose in pairs)


@needs_data
@needs_model
def test_presets_change_what_counts_and_nothing_else() -> None:
    assert plugins.task("ifeval", "loose").sampling == TASKS[0].sampling
    assert plugins.task("ifeval", "lm-eval").sampling.max_tokens == 1280


@needs_model
def test_as_a_reward_it_wants_instructions_to_follow() -> None:
    from trainers.rewards import load

    reward = load("task:ifeval")
    row = {"prompt": "Write.", "target": [{"id": "punctuation:no_comma"}]}
    assert reward("Write.", "No comma here", row) == 1.0
    assert reward("Write.", "one, two", row) == 0.0
    with pytest.raises(DataError, match="names no instruction"):
        reward("Write.", "one", {"prompt": "Write.", "target": ""})
