"""The words in which GPQA is asked, by its authors and by others, with worked examples or without.

Rein et al., arXiv:2311.12022, `baselines/utils.py` of github.com/idavidrein/gpqa at 486b89c;
openai/simple-evals; lm-eval's `tasks/gpqa`, version 2.2.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evalkit.errors import DataError
from evalkit.types import Rows

LETTERS = "ABCD"
SHOTS = 5
EXAMPLES = "chain_of_thought_examples"
"""The authors' five examples, under the name that their file has."""

QUESTION = "What is the correct answer to this question: {question}\n\nChoices:\n{options}"
SHOWN = "Question: {question}\nChoices:\n{options}\n"
LM_EVAL = "What is the correct answer to this question:{question}\nChoices:\n{options}\n"
STEPS = "Let's think step by step: "


BY_EXPERTS = (
    "Here are some example questions from experts. Answer the final question yourself, following"
    " the format of the previous questions exactly.\n"
)


@dataclass(frozen=True, slots=True)
class Form:
    """How a question is put, and how an option is."""

    whole: str
    option: str = "({letter}) {option}"
    before: str = ""  # what opens it, before the examples
    tidy: bool = False  # options are rid of what lm-eval takes for marks of another data set


FORMS = {
    "steps": Form(QUESTION + "\n" + STEPS),
    "direct": Form(
        QUESTION
        + '\n\nFormat your response as follows: "The correct answer is (insert answer here)"'
    ),
    "five-shot": Form(
        SHOWN
        + "When you're ready to answer, please use the format"
        + ' "The correct answer is (insert answer here).',
        before=BY_EXPERTS,
    ),
    "five-shot-steps": Form(
        SHOWN
        + "Give step by step reasoning before you answer, and when you're ready to answer, please"
        + ' use the format "The correct answer is (insert answer here)":\n',
        before="Here are some example questions from experts. An explanation is given before the"
        " final answer. Answer the final question yourself, giving your reasoning beforehand.\n",
    ),
    "simple-evals": Form(
        "Answer the following multiple choice question. The last line of your response should be of"
        " the following format: 'Answer: $LETTER' (without quotes) where LETTER is one of ABCD."
        " Think step by step before answering.\n\n{question}\n\n{options}",
        "{letter}) {option}",
    ),
    "lm-eval": Form(LM_EVAL + "Answer:", tidy=True),
    "lm-eval-steps": Form(LM_EVAL + STEPS, tidy=True),
    "lm-eval-shots": Form(SHOWN + "Answer:", before=BY_EXPERTS, tidy=True),
    "lm-eval-shots-steps": Form(SHOWN + STEPS, before=BY_EXPERTS, tidy=True),
}


def ask(form: str, question: str, choices: Sequence[str], examples: str = "") -> str:
    """A question after what comes before it in one of the forms, worked examples among that."""
    return f"{FORMS[form].before}{examples}{put(form, question, choices)}"


def put(form: str, question: str, choices: Sequence[str]) -> str:
    """A question and its lettered options alone."""
    how = FORMS[form]
    tidy = lm_eval_text if how.tidy else str
    lines = [
        how.option.format(letter=letter, option=tidy(option))
        for letter, option in zip(LETTERS, choices, strict=True)
    ]
    return how.whole.format(question=question, options="\n".join(lines))


def lm_eval_text(text: str) -> str:
    """An option as lm-eval shows it."""
    return text.strip().replace(" [title]", ". ").replace("  ", " ")


def of_the_authors(rows: Rows, *, explained: bool) -> str:
    """The authors' five worked examples, of their own file; raises DataError where it is absent."""
    try:
        found = [each for row in rows("examples") for each in row["questions"]]
        return "".join(_shown(each, explained) for each in found)
    except DataError as error:
        raise DataError(
            f"{error}: the authors' five worked examples are prompts/{EXAMPLES}.json of "
            "github.com/idavidrein/gpqa: put it beside the questions"
        ) from None
    except (AttributeError, KeyError, TypeError) as error:
        raise DataError(f"gpqa: {EXAMPLES}: not the authors' file: {error!r}") from None


def _shown(example: Mapping[str, Any], explained: bool) -> str:
    choices = example["choices"]
    lines = "\n".join(f"({letter}) {option}" for letter, option in choices.items())
    steps = f"{STEPS}\n{example['explanation']}\n" if explained else ""
    asked = SHOWN.format(question=example["question"], options=lines)
    return f"{asked}{steps}The correct answer is ({example['correct_answer']})\n"


def of_the_set(form: str, asked: Sequence[tuple[str, Sequence[str], str]]) -> list[str]:
    """For each question, five others of its set as worked examples, in lm-eval's form.

    A question comes with its options and the letter of the right one.  The examples of one are
    those that follow it in an order that the texts decide, whatever is asked.
    """
    order = sorted(range(len(asked)), key=lambda at: hashlib.sha256(asked[at][0].encode()).digest())
    shown = [f"{put(form, *asked[at][:2])} ({asked[at][2]})\n\n" for at in order]
    found = dict(zip(order, _following(shown), strict=True))
    return [found[at] for at in range(len(asked))]


def _following(shown: Sequence[str]) -> Iterator[str]:
    """The five texts after each, around in a ring."""
    for at in range(len(shown)):
        around = [*shown[at + 1 :], *shown[:at]] if at + SHOTS >= len(shown) else shown[at + 1 :]
        yield "".join(around[:SHOTS])
