"""GPQA: multiple-choice questions by experts of biology, physics and chemistry, hard to look up.

Rein et al., GPQA: A Graduate-Level Google-Proof Q&A Benchmark, COLM 2024, arXiv:2311.12022; asked
as in the authors' `zero_shot_chain_of_thought`, in two turns, and read as in their
`parse_sampled_answer`.  The order of the options is a function of the question and the epoch.

The authors ask that no question appear in plain text online: theirs is an encrypted file.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial

from evalkit.errors import DataError
from evalkit.grading.grade import without_thoughts
from evalkit.types import Asker, Response, Rows, Sample, Sampling, Score, Source, Task

LETTERS = "ABCD"
COUNTS = {"main": 448, "diamond": 198, "extended": 546}
RIGHT = "Correct Answer"
WRONG = ("Incorrect Answer 1", "Incorrect Answer 2", "Incorrect Answer 3")


def source(part: str) -> Source:
    """Where one of the three sets is read from."""
    return Source(
        hub="Idavidrein/gpqa",
        revision="633f5ee89ab8ad4522a9f850766b73f62147ffdd",
        folder="gpqa",
        splits={"test": f"gpqa_{part}"},
        counts={"test": COUNTS[part]},
        fields=("Record ID", "Question", RIGHT, *WRONG, "High-level domain"),
        licence="CC-BY-4.0",
        archive="dataset",
        password="deserted-untie-orchid",
    )


QUESTION = "What is the correct answer to this question: {question}\n\nChoices:\n{options}"
STEPS = "\nLet's think step by step: "
CONCLUDE = (
    "\n\nBased on the above, what is the single, most likely answer choice? Answer in the format"
    ' "The correct answer is (insert answer here)".'
)
DIRECT = '\n\nFormat your response as follows: "The correct answer is (insert answer here)"'
SIMPLE_EVALS = (
    "Answer the following multiple choice question. The last line of your response should be of"
    " the following format: 'Answer: $LETTER' (without quotes) where LETTER is one of ABCD. Think"
    " step by step before answering.\n\n{question}\n\n{options}"
)

FORMS = {
    "steps": (QUESTION + STEPS, "({letter}) {option}"),
    "direct": (QUESTION + DIRECT, "({letter}) {option}"),
    "simple-evals": (SIMPLE_EVALS, "{letter}) {option}"),
}
"""How a question is put, and how an option is."""

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


def samples(rows: Rows) -> Iterator[Sample]:
    """The questions in file order, put so that the steps come before the answer."""
    return _samples(rows, "steps")


def samples_direct(rows: Rows) -> Iterator[Sample]:
    """The questions, of which only the answer is wanted."""
    return _samples(rows, "direct")


def samples_simple_evals(rows: Rows) -> Iterator[Sample]:
    """The questions in the words of simple-evals."""
    return _samples(rows, "simple-evals")


def _samples(rows: Rows, form: str) -> Iterator[Sample]:
    seen: set[str] = set()
    for row in rows("test"):
        identity, right = str(row["Record ID"]), str(row[RIGHT])
        if identity in seen:
            raise DataError(f"gpqa: Record ID {identity} comes twice")
        seen.add(identity)
        whole = Sample(
            id=identity,
            prompt="",
            question=str(row["Question"]),
            choices=(right, *(str(row[name]) for name in WRONG)),
            stratum=str(row["High-level domain"]),
            metadata={"right": right, "form": form},
        )
        yield arranged(whole, 0)


def arranged(sample: Sample, epoch: int) -> Sample:
    """The sample with its options in the order of the epoch, which the question decides."""

    def place(option: str) -> bytes:
        return hashlib.sha256(f"{epoch}\n{sample.question}\n{option}".encode()).digest()

    choices = tuple(sorted(sample.choices, key=place))
    return replace(
        sample,
        prompt=partial(ask, str(sample.metadata["form"]), sample.question, choices),
        target=LETTERS[choices.index(sample.metadata["right"])],
        choices=choices,
    )


def ask(form: str, question: str, choices: Sequence[str]) -> str:
    """A question and its lettered options in one of the forms."""
    whole, each = FORMS[form]
    lines = [
        each.format(letter=letter, option=option)
        for letter, option in zip(LETTERS, choices, strict=True)
    ]
    return whole.format(question=question, options="\n".join(lines))


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


TASK = Task(
    name="gpqa",
    domain="reasoning",
    version=1,
    samples=samples,
    score=score,
    sampling=Sampling(max_tokens=4096),
    solve=solve,
    vary=arranged,
    solution=solution,
    presets={
        "zero-shot": {"samples": samples_direct, "solve": None},
        "simple-evals": {
            "samples": samples_simple_evals,
            "solve": None,
            "score": score_answer_line,
            "sampling": Sampling(temperature=0.5, max_tokens=2048),
            "epochs": 4,
        },
    },
)

TASKS = tuple(replace(TASK, name=f"gpqa-{part}", source=source(part)) for part in COUNTS)
