"""MMLU-Pro: 12,032 questions from 14 subjects, each with up to ten options, answered in steps.

Wang et al., MMLU-Pro: A More Robust and Challenging Multi-Task Language Understanding Benchmark,
NeurIPS 2024, arXiv:2406.01574; prompt and extraction as in TIGER-AI-Lab/MMLU-Pro at f418b11,
`evaluate_from_local.py`.  Upstream guesses at random where it finds no answer; here such an
answer is unparsed and earns nothing.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterator
from functools import cache, partial
from typing import Any

from evalkit.errors import DataError
from evalkit.exams.data import parse_list
from evalkit.types import Response, Rows, Sample, Sampling, Score, Source, Task

LETTERS = "ABCDEFGHIJ"
SHOTS = 5
INTRODUCTION = (
    "The following are multiple choice questions (with answers) about {subject}. Think step by"
    ' step and then finish your answer with "the answer is (X)" where X is the correct letter'
    " choice.\n"
)
LIGHTEVAL = (
    "Answer the following multiple choice question. The last line of your response should be of the"
    " following format: 'Answer: $LETTER' (without quotes) where LETTER is one of {letters}. Think"
    " step by step before answering.\n\n{question}\n\n{options}\n\nAnswer:"
)
THINK = "Answer: Let's think step by step."
EXAMPLES_THINK = "A: Let's think step by step."  # how the worked answers begin in the data

SOURCE = Source(
    hub="TIGER-Lab/MMLU-Pro",
    revision="b189ec765aa7ed75c8acfea42df31fdae71f97be",  # main since 2026-05-02
    folder="mmlu_pro",
    splits={"test": "mmlu_pro_test_data", "validation": "mmlu_pro_val_data"},
    counts={"test": 12_032, "validation": 70},
    fields=("question_id", "question", "options", "answer", "category"),
    licence="MIT",
)

ANSWER_IS = re.compile(r"answer is \(?([A-J])\)?")
ANSWER_COLON = re.compile(r"[aA]nswer:(?=\s*([A-J]))")
ANSWER_LINE = re.compile(r"(?i:answer)[ \t]*+:[ \t$*(]*+([A-J])(?![A-Za-z])")
STANDALONE = re.compile(r"\b[A-J]\b")


Options = tuple[str, ...]
Asking = Callable[[str, str, Options], str]
"""A prompt by subject, question and options."""


def samples(rows: Rows) -> Iterator[Sample]:
    """The test questions in file order; worked examples are read when a prompt is first asked."""
    return _samples(rows, _after_examples(rows, INTRODUCTION + "\n\n\n", str))


def samples_lm_eval(rows: Rows) -> Iterator[Sample]:
    """The same as lm-eval puts it: no blank lines above the examples, and none around options."""
    return _samples(rows, _after_examples(rows, INTRODUCTION, str.strip))


def samples_lighteval(rows: Rows) -> Iterator[Sample]:
    """The questions without examples, in lighteval's words."""
    return _samples(rows, _lighteval)


def _samples(rows: Rows, asking: Asking) -> Iterator[Sample]:
    seen: set[str] = set()
    for row in rows("test"):
        identity, options, answer = str(row["question_id"]), options_of(row), str(row["answer"])
        if identity in seen:
            raise DataError(f"mmlu-pro: question_id {identity} comes twice")
        if answer not in tuple(LETTERS[: len(options)]):
            raise DataError(f"mmlu-pro: question_id {identity}: answer {answer!r} is no option")
        seen.add(identity)
        yield Sample(
            id=identity,
            prompt=partial(asking, row["category"], str(row["question"]), options),
            target=answer,
            question=str(row["question"]),
            choices=options,
            stratum=row["category"],
        )


def _after_examples(rows: Rows, introduction: str, tidy: Callable[[str], str]) -> Asking:
    @cache
    def examples() -> dict[str, list[dict[str, Any]]]:
        found: dict[str, list[dict[str, Any]]] = {}
        for row in rows("validation"):
            found.setdefault(row["category"], []).append(row)
        return found

    @cache
    def prefix(subject: str) -> str:
        shown = worked_examples(subject, examples().get(subject, []), tidy)
        return introduction.format(subject=subject) + shown

    def asking(subject: str, question: str, options: Options) -> str:
        return f"{prefix(subject)}{ask(question, options, tidy)}{THINK}"

    return asking


def _lighteval(_: str, question: str, options: Options) -> str:
    letters = LETTERS[: len(options)]
    lines = [f"{letter}: {option}" for letter, option in zip(letters, options, strict=True)]
    return LIGHTEVAL.format(letters=letters, question=question, options="\n".join(lines))


def options_of(row: dict[str, Any]) -> tuple[str, ...]:
    """The options that are there: upstream pads some questions with "N/A"."""
    return tuple(str(option) for option in parse_list(row["options"]) if option != "N/A")


def worked_examples(
    subject: str, examples: list[dict[str, Any]], tidy: Callable[[str], str] = str
) -> str:
    """The subject's first five questions with their worked answers."""
    if len(examples) < SHOTS:
        raise DataError(
            f"mmlu-pro: {len(examples)} worked examples of {subject!r} in the validation split,"
            f" {SHOTS} are needed"
        )
    parts = []
    for row in examples[:SHOTS]:
        worked = str(row.get("cot_content") or "").replace(EXAMPLES_THINK, THINK)
        parts.append(f"{ask(row['question'], options_of(row), tidy)}{worked}\n\n")
    return "".join(parts)


def ask(question: str, options: Options, tidy: Callable[[str], str] = str) -> str:
    """A question and its lettered options."""
    shown = zip(LETTERS, options, strict=False)
    lines = [f"{letter}. {tidy(option)}\n" for letter, option in shown]
    return f"Question:\n{question}\nOptions:\n{''.join(lines)}"


def answer_is(text: str) -> str | None:
    """Stage one: the first `answer is (X)`."""
    found = ANSWER_IS.search(text)
    return found[1] if found else None


def answer_colon(text: str) -> str | None:
    r"""Stage two: the last `Answer: X` on the first line that has one.

    This is upstream's `.*[aA]nswer:\s*([A-J])`, which takes quadratic time where nothing matches.
    """
    last: re.Match[str] | None = None
    for found in ANSWER_COLON.finditer(text):
        if last is not None and "\n" in text[last.end() : found.start()]:
            break
        last = found
    return last[1] if last else None


def last_letter(text: str) -> str | None:
    r"""Stage three: the last letter from A to J that stands alone.

    This is upstream's `\b[A-J]\b(?!.*\b[A-J]\b)` over all lines, which is quadratic in the number
    of such letters; here the first one is looked for from the end.
    """
    found = STANDALONE.search(text[::-1])
    return found[0] if found else None


STAGES = {"answer is X": answer_is, "answer: X": answer_colon, "last letter": last_letter}


def score(sample: Sample, response: Response) -> Score:
    """Right when the first of the three stages that finds a letter finds the right one."""
    return _score(sample, response, tuple(STAGES))


def score_two_stages(sample: Sample, response: Response) -> Score:
    """Upstream's extraction from 2024-05-23 to 2024-07-09, before it had a stage three."""
    return _score(sample, response, tuple(STAGES)[:2])


def score_first_stage(sample: Sample, response: Response) -> Score:
    """lm-eval's extraction: stage one alone."""
    return _score(sample, response, tuple(STAGES)[:1])


def score_answer_line(sample: Sample, response: Response) -> Score:
    """Right when the last `Answer: X` has the right letter."""
    found = deque(ANSWER_LINE.finditer(response.text), maxlen=1)
    answer = found[0][1] if found else None
    return Score(float(answer == sample.target), answer)


def _score(sample: Sample, response: Response, stages: tuple[str, ...]) -> Score:
    for stage in stages:
        answer = STAGES[stage](response.text)
        if answer is not None:
            return Score(float(answer == sample.target), answer, {"stage": stage})
    return Score(0.0)


def solution(sample: Sample) -> str:
    """An answer in the forms that are asked for."""
    return f"The answer is ({sample.target}).\nAnswer: {sample.target}"


TASKS = (
    Task(
        name="mmlu-pro",
        domain="knowledge",
        version=1,
        samples=samples,
        score=score,
        sampling=Sampling(max_tokens=2048, stop=("Question:",)),
        solution=solution,
        source=SOURCE,
        fewshot=SHOTS,
        presets={
            "two-stage": {"score": score_two_stages},
            "lm-eval": {"samples": samples_lm_eval, "score": score_first_stage},
            "lighteval": {
                "samples": samples_lighteval,
                "score": score_answer_line,
                "sampling": Sampling(max_tokens=8192),
                "fewshot": 0,
            },
        },
    ),
)
