r"""AIME: thirty competition problems a year, each answer an integer from 0 to 999.

Mathematical Association of America, American Invitational Mathematics Examination, 2024 and 2025.
Thirty problems say little once, so each is asked sixteen times and the score is the mean (avg@16).
They are too few for a verdict all the same: the two years are judged as one exam of sixty.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator
from dataclasses import replace

from evalkit.errors import DataError
from evalkit.grading.mathematics import verify
from evalkit.types import Response, Rows, Sample, Sampling, Score, Source, Task, Whole

from ._packages import require

PROMPT = "{problem}\n\nPlease reason step by step, and put your final answer within \\boxed{{}}."
LM_EVAL = "Question: {problem}\nAnswer:"
EVALCHEMY = "Problem: {problem}\nMark your solution with \\boxed\nAnswer:"
LIGHTEVAL = (
    "Solve the following math problem efficiently and clearly.  The last line of your response"
    " should be of the following format: 'Therefore, the final answer is: $\\boxed{{ANSWER}}$. I"
    " hope it is correct' (without quotes) where ANSWER is just the final number or expression"
    " that solves the problem. Think step by step before answering.\n\n{problem}"
)

BOX = "\\boxed{"
INTEGER = re.compile(r"([+-]?(?:\d{1,30}|\d{1,3}(?:,\d{3}){1,9}))(?:\.0{1,30})?")
STATED = re.compile(r"answer(?:\s++is)?+\s*+:?+[\s*$]*+(\d{1,30})(?!\w|[.,]\d)", re.IGNORECASE)
TAIL = 2_000
"""Characters of an answer without a box in which math-verify looks for one."""

SOURCES = {
    2024: Source(
        hub="HuggingFaceH4/aime_2024",
        revision="2fe88a2f1091d5048c0f36abc874fb997b3dd99a",
        folder="aime24",
        splits={"test": "qwen2.5-math_aime24_test"},
        counts={"test": 30},
        fields=("id", "problem", "answer"),
        licence="problems © MAA",
        on_hub={"test": "data/train"},
    ),
    2025: Source(
        hub="math-ai/aime25",
        revision="563bb8404243c5f09de6ec262f2db674fe5bce9b",
        folder="aime25",
        splits={"test": "evalchemy_aime25"},
        counts={"test": 30},
        fields=("id", "problem", "answer"),
        licence="problems © MAA",
        on_hub={"test": "test"},
    ),
}


def samples(rows: Rows, form: str = PROMPT) -> Iterator[Sample]:
    """The problems, in the order of the file."""
    require("aime", "math_verify")
    for row in rows("test"):
        identity, answer = str(row["id"]), integer(str(row["answer"]))
        if answer is None or not 0 <= answer <= 999:
            raise DataError(f"aime: problem {identity}: {row['answer']!r} is not from 0 to 999")
        problem = str(row["problem"])
        yield Sample(identity, form.format(problem=problem), answer, problem)


def samples_lm_eval(rows: Rows) -> Iterator[Sample]:
    """The problems as lm-eval asks them."""
    require("aime@lm-eval", "lm_eval")
    return samples(rows, LM_EVAL)


def samples_evalchemy(rows: Rows) -> Iterator[Sample]:
    """The problems as evalchemy asks them."""
    return samples(rows, EVALCHEMY)


def samples_lighteval(rows: Rows) -> Iterator[Sample]:
    """The problems as lighteval asks them."""
    return samples(rows, LIGHTEVAL)


def integer(text: str) -> int | None:
    """The integer that a text is, dollar signs and blanks around it aside."""
    found = INTEGER.fullmatch(text.strip("$ \t\n"))
    return int(found[1].replace(",", "")) if found else None


def boxed(text: str) -> str | None:
    r"""What stands in the last \boxed{…} that is closed."""
    end = len(text)
    while (start := text.rfind(BOX, 0, end)) >= 0:
        depth = 1
        for found in re.finditer(r"[{}]", text[start + len(BOX) : end]):
            depth += 1 if found[0] == "{" else -1
            if depth == 0:
                return text[start + len(BOX) :][: found.start()]
        end = start
    return None


def score(sample: Sample, response: Response) -> Score:
    """Right when the answer in the last box, or else the last one stated, is the same integer.

    What is no plain integer is read by math-verify.
    """
    text, box = response.text, boxed(response.text)
    stated = deque(STATED.finditer(text), maxlen=1) if box is None else ()
    plain = box if box is not None else stated[0][1] if stated else ""
    number = integer(plain)
    if number is not None:
        return Score(float(number == sample.target), str(number), {"stage": "integer"})
    if not text.strip():
        return Score(0.0)
    looked_at = text[-TAIL:] if box is None else f"{BOX}{box[:TAIL]}}}"
    found = verify(looked_at, f"${sample.target}$")
    if found.timed_out:
        return Score(0.0, outcome="timed_out")
    answer = str(sample.target) if found.equal else found.answer
    return Score(float(found.equal), answer, {"stage": "math-verify"} if answer else {})


def score_lm_eval(sample: Sample, response: Response) -> Score:
    """Whatever lm-eval's own function says; it compares texts."""
    from lm_eval.tasks.aime.utils import process_results

    right = process_results({"answer": str(sample.target)}, [response.text])["exact_match"]
    return Score(float(right), response.text[-TAIL:].strip() or None)


def solution(sample: Sample) -> str:
    """The answer alone, in a box."""
    return f"{BOX}{sample.target}}}"


def solution_lm_eval(sample: Sample) -> str:
    """The answer alone."""
    return str(sample.target)


SAMPLING = Sampling(temperature=0.6, top_p=0.95, max_tokens=32_768)
STOP = ("Question:", "</s>", "<|im_end|>", "<|eot_id|>")

TASK = Task(
    name="aime",
    domain="mathematics",
    version=1,
    samples=samples,
    score=score,
    sampling=SAMPLING,
    epochs=16,
    solution=solution,
    presets={
        "lm-eval": {
            "samples": samples_lm_eval,
            "score": score_lm_eval,
            "solution": solution_lm_eval,
            "sampling": Sampling(max_tokens=32_768, stop=STOP),
            "epochs": 1,
        },
        "evalchemy": {
            "samples": samples_evalchemy,
            "sampling": Sampling(temperature=0.7, max_tokens=32_768),
            "epochs": 10,
        },
        "lighteval": {"samples": samples_lighteval, "epochs": 64},
    },
)

BOTH_YEARS = Whole("aime", tuple(f"aime-{year}" for year in SOURCES))

TASKS = tuple(
    replace(TASK, name=f"aime-{year}", source=source, part_of=BOTH_YEARS)
    for year, source in SOURCES.items()
)
