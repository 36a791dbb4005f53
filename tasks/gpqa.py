"""GPQA: multiple-choice questions by experts of biology, physics and chemistry, hard to look up.

Rein et al., GPQA: A Graduate-Level Google-Proof Q&A Benchmark, COLM 2024, arXiv:2311.12022; asked
as in the authors' `zero_shot_chain_of_thought`, in two turns, and read as in their
`parse_sampled_answer`.  The order of the options is a function of the question and the epoch.

The authors ask that no question appear in plain text online: theirs is an encrypted file.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

from evalkit.errors import DataError
from evalkit.grading.grade import without_thoughts
from evalkit.types import Asker, Response, Rows, Sample, Sampling, Score, Source, Task

from . import _gpqa_lm_eval as lm_eval
from ._gpqa_forms import EXAMPLES, LETTERS, SHOTS, ask, of_the_authors, of_the_set

COUNTS = {"main": 448, "diamond": 198, "extended": 546}
RIGHT = "Correct Answer"
WRONG = ("Incorrect Answer 1", "Incorrect Answer 2", "Incorrect Answer 3")


def source(part: str, *, examples: bool = False) -> Source:
    """Where one of the three sets is read from, and the authors' worked examples."""
    return Source(
        hub="Idavidrein/gpqa",
        revision="633f5ee89ab8ad4522a9f850766b73f62147ffdd",
        folder="gpqa",
        splits={"test": f"gpqa_{part}"} | ({"examples": EXAMPLES} if examples else {}),
        counts={"test": COUNTS[part]},
        fields=("Record ID", "Question", RIGHT, *WRONG, "High-level domain"),
        licence="CC-BY-4.0",
        archive="dataset",
        password="deserted-untie-orchid",
    )


CONCLUDE = (
    "\n\nBased on the above, what is the single, most likely answer choice? Answer in the format"
    ' "The correct answer is (insert answer here)".'
)
PATTERNS = tuple(
    re.compile(pattern)
    for pattern in (
        r"answer is \((.)\)",
        r"Answer: \((.)\)",
        r"answer: \((.)\)",
        r"answer \((.)\)",
        r"\((.)\)",
    )
)
ANSWER_LINE = re.compile(r"(?i)Answer[ \t]*:[ \t]*\$?([A-D])\$?")


def samples(rows: Rows, form: str = "steps") -> Iterator[Sample]:
    """The questions in file order, put so that the steps come before the answer."""
    return (_asked(each, form) for each in _questions(rows))


def samples_direct(rows: Rows) -> Iterator[Sample]:
    """The questions, of which only the answer is wanted."""
    return samples(rows, "direct")


def samples_five_shot(rows: Rows) -> Iterator[Sample]:
    """The questions after the authors' five worked examples."""
    examples = of_the_authors(rows, explained=False)
    return (_asked(each, "five-shot", examples) for each in _questions(rows))


def samples_five_shot_steps(rows: Rows) -> Iterator[Sample]:
    """The same, with the steps that lead to each answer."""
    examples = of_the_authors(rows, explained=True)
    return (_asked(each, "five-shot-steps", examples) for each in _questions(rows))


def samples_simple_evals(rows: Rows) -> Iterator[Sample]:
    """The questions in the words of simple-evals."""
    return samples(rows, "simple-evals")


def samples_lm_eval(rows: Rows) -> Iterator[Sample]:
    """The questions in the words of lm-eval, of which a letter is due."""
    return samples(rows, "lm-eval")


def samples_lm_eval_steps(rows: Rows) -> Iterator[Sample]:
    """The questions in the words of lm-eval, answered in steps."""
    return samples(rows, "lm-eval-steps")


def samples_lm_eval_shots(rows: Rows) -> Iterator[Sample]:
    """The questions after five others, of which a letter is due."""
    return _after_others(rows, "lm-eval-shots")


def samples_lm_eval_shots_steps(rows: Rows) -> Iterator[Sample]:
    """The questions after five others, answered in steps."""
    return _after_others(rows, "lm-eval-shots-steps")


def _after_others(rows: Rows, form: str) -> Iterator[Sample]:
    found = [_asked(each, form) for each in _questions(rows)]
    shown = of_the_set(form, [(each.question, each.choices, each.target) for each in found])
    return (_asked(each, form, before) for each, before in zip(found, shown, strict=True))


def _asked(sample: Sample, form: str, examples: str = "") -> Sample:
    """A question in one of the forms, its options in the order of the first epoch."""
    put = {**sample.metadata, "form": form, "examples": examples}
    return arranged(replace(sample, metadata=put), 0)


def _questions(rows: Rows) -> Iterator[Sample]:
    seen: set[str] = set()
    for row in rows("test"):
        identity, right = str(row["Record ID"]), str(row[RIGHT])
        if identity in seen:
            raise DataError(f"gpqa: Record ID {identity} comes twice")
        seen.add(identity)
        yield Sample(
            id=identity,
            prompt="",
            question=str(row["Question"]),
            choices=(right, *(str(row[name]) for name in WRONG)),
            stratum=str(row["High-level domain"]),
            metadata={"right": right},
        )


def arranged(sample: Sample, epoch: int) -> Sample:
    """The sample with its options in the order of the epoch, which the question decides."""

    def place(option: str) -> bytes:
        return hashlib.sha256(f"{epoch}\n{sample.question}\n{option}".encode()).digest()

    choices = tuple(sorted(sample.choices, key=place))
    how = sample.metadata
    return replace(
        sample,
        prompt=partial(ask, how["form"], sample.question, choices, how["examples"]),
        target=LETTERS[choices.index(how["right"])],
        choices=choices,
    )


async def solve(sample: Sample, model: Asker) -> Response:
    """Steps first, then the answer to which they lead; what is said of both is of the answer.

    Steps that were cut off are said to be so.  A thought that was never closed leads to nothing.
    """
    first = await model.generate(sample.rendered())
    steps = without_thoughts(first)
    if steps.reasoning.lstrip().startswith("<think>"):
        return first
    second = await model.generate(f"{sample.rendered()}{steps.text}{CONCLUDE}")
    cut = "length" in (first.finish_reason, second.finish_reason)
    return replace(
        second,
        finish_reason="length" if cut else second.finish_reason,
        turns=(first.text, second.text),
        prompt_tokens=0,  # those of both turns are counted together
        completion_tokens=0,
    )


def letter(text: str) -> str | None:
    """What the authors read: the first pattern whose first place has one of the letters."""
    for pattern in PATTERNS:
        found = pattern.search(text)
        if found and found[1] in LETTERS:
            return found[1]
    return None


def answer_line(text: str) -> str | None:
    """What simple-evals reads: the letter of the first `Answer: X`."""
    found = ANSWER_LINE.search(text)
    return found[1] if found else None


def score(sample: Sample, response: Response) -> Score:
    """Right when the letter that the authors' patterns find is the right one."""
    return _score(sample, response, letter)


def score_answer_line(sample: Sample, response: Response) -> Score:
    """Right when the letter of the first `Answer: X` is the right one."""
    return _score(sample, response, answer_line)


def _score(sample: Sample, response: Response, read: Callable[[str], str | None]) -> Score:
    answer = read(response.text)
    return Score(float(answer == sample.target), answer)


def solution(sample: Sample) -> str:
    """The answer in the forms that are asked for."""
    return f"The correct answer is ({sample.target})\nAnswer: {sample.target}"


LM_EVAL_LIKELY = {
    "solve": lm_eval.prefer,
    "ask": "loglikelihood",
    "score": lm_eval.score_likeliest,
}
LM_EVAL_WRITTEN = {
    "solve": None,
    "score": lm_eval.score_flexible,
    "metrics": lm_eval.figures,
    "sampling": Sampling(max_tokens=256, stop=("</s>",)),
}
AUTHORS_SHOTS = {"solve": None, "fewshot": SHOTS, "sampling": Sampling(max_tokens=1000)}


def presets(part: str) -> dict[str, dict[str, Any]]:
    """The ways in which the benchmark is asked elsewhere."""
    shown = {**AUTHORS_SHOTS, "source": source(part, examples=True)}
    return {
        "zero-shot": {"samples": samples_direct, "solve": None},
        "five-shot": {**shown, "samples": samples_five_shot},
        "five-shot-cot": {**shown, "samples": samples_five_shot_steps},
        "simple-evals": {
            "samples": samples_simple_evals,
            "solve": None,
            "score": score_answer_line,
            "sampling": Sampling(temperature=0.5, max_tokens=2048),
            "epochs": 4,
        },
        "lm-eval-zeroshot": {**LM_EVAL_LIKELY, "samples": samples_lm_eval},
        "lm-eval-n-shot": {**LM_EVAL_LIKELY, "samples": samples_lm_eval_shots, "fewshot": SHOTS},
        "lm-eval-cot-zeroshot": {**LM_EVAL_WRITTEN, "samples": samples_lm_eval_steps},
        "lm-eval-cot-n-shot": {
            **LM_EVAL_WRITTEN,
            "samples": samples_lm_eval_shots_steps,
            "fewshot": SHOTS,
        },
        "lm-eval-generative-n-shot": {
            **LM_EVAL_WRITTEN,
            "samples": samples_lm_eval_shots,
            "fewshot": SHOTS,
            "sampling": Sampling(max_tokens=256, stop=("</s>", "Question:", "<|im_end|>")),
        },
    }


TASKS = tuple(
    Task(
        name=f"gpqa-{part}",
        domain="reasoning",
        version=1,
        samples=samples,
        score=score,
        sampling=Sampling(max_tokens=4096),
        solve=solve,
        vary=arranged,
        solution=solution,
        source=source(part),
        presets=presets(part),
    )
    for part in COUNTS
)
