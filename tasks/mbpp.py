"""MBPP: 500 short functions asked for in a sentence and three asserts, which they are run against.

Austin et al., Program Synthesis with Large Language Models, 2021, arXiv:2108.07732; three-shot
prompt, the shots and the split by task_id as in google-research/mbpp, `README.md`.  Nothing is
published that runs the programs: the ten seconds are ours, for the authors' own solution of 123
takes two to three.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cache, partial
from typing import Any

from evalkit.errors import DataError
from evalkit.exams.data import parse_list
from evalkit.sandbox.limits import Limits
from evalkit.types import Message, Prompt, Response, Rows, Sample, Sampling, Score, Source, Task

from ._code import blocks, graded, passes

SHOTS = (2, 3, 4)  # the task_ids of the worked examples


def split_of(row: Mapping[str, Any]) -> str:
    """The split of a row by its task_id; both editions of the data hold all four."""
    number = int(row["task_id"])
    if number <= 10:
        return "prompt"
    if "text" not in row:
        return "sanitized" if number <= 510 else "sanitized training"
    return "test" if number <= 510 else "training"


SOURCE = Source(
    hub="google-research-datasets/mbpp",
    revision="4bb6404fdc6cacfda99d4ac4205087b89d32030c",
    folder="mbpp",
    splits={"test": "mbpp", "prompt": "mbpp", "sanitized": "sanitized-mbpp"},
    counts={"test": 500, "prompt": 10, "sanitized": 257},
    fields=("task_id", "code", "test_list"),
    licence="CC-BY-4.0",
    on_hub={"test": "full/test", "prompt": "full/prompt", "sanitized": "sanitized/test"},
    split_of=split_of,
)

LIMITS = Limits(seconds=10.0, clock=40.0, total=60.0)
ASK = (
    "You are an expert Python programmer, and here is your task: {text} Your code should pass"
    " these tests:\n\n{tests}\n[BEGIN]\n"
)
DONE = "[DONE]"
INSTRUCT = (
    "You are an expert Python programmer, and here is your task:\n{text}\nYour code should pass"
    " these tests:\n{tests}"
)
BIGCODE = '"""\n{text}\n{first}\n"""\n'
BIGCODE_STOP = ("\nclass", "\nassert", '\n"""', "\nprint", "\nif", "\n<|/", "\n```")

Row = Mapping[str, Any]
Ask = Callable[[Row, Callable[[], list[Row]]], Prompt]


def samples(rows: Rows) -> Iterator[Sample]:
    """The problems 11 to 510, after three worked examples."""
    return _samples(rows, "test", _completion)


def samples_sanitized(rows: Rows) -> Iterator[Sample]:
    """Those of them that the authors verified by hand, some reworded."""
    return _samples(rows, "sanitized", _completion)


def samples_instruct(rows: Rows) -> Iterator[Sample]:
    """The problems as a conversation, in lm-eval's words."""
    return _samples(rows, "test", _conversation)


def samples_bigcode(rows: Rows) -> Iterator[Sample]:
    """The problems as docstrings with one test and no examples, as BigCode's harness asks them."""
    return _samples(rows, "test", _docstring)


def _samples(rows: Rows, split: str, ask: Ask) -> Iterator[Sample]:
    @cache
    def examples() -> list[Row]:
        known = {int(row["task_id"]): row for row in rows("prompt")}
        if not known.keys() >= {*SHOTS}:
            raise DataError(f"mbpp: the worked examples, task_ids {SHOTS}, are not in the data")
        return [known[number] for number in SHOTS]

    for row in rows(split):
        setup = [*parse_list(row.get("test_imports") or []), row.get("test_setup_code") or ""]
        yield Sample(
            id=str(row["task_id"]),
            prompt=partial(ask, row, examples),
            target=_tests(row),
            question=_text(row),
            metadata={"setup": "\n".join(setup).strip(), "solution": row["code"]},
        )


def _text(row: Row) -> str:
    return str(row.get("text") or row.get("prompt") or "")


def _tests(row: Row) -> str:
    return "\n".join(str(test) for test in parse_list(row["test_list"]))


def _completion(row: Row, examples: Callable[[], list[Row]]) -> str:
    shots = (f"{_asked(each)}{each['code']}\n{DONE}\n\n" for each in examples())
    return "".join(shots) + _asked(row)


def _asked(row: Row) -> str:
    return ASK.format(text=_text(row), tests=_tests(row))


def _conversation(row: Row, examples: Callable[[], list[Row]]) -> list[Message]:
    turns: list[Message] = []
    for each in (*examples(), row):
        asked = INSTRUCT.format(text=_text(each), tests=_tests(each))
        turns.append({"role": "user", "content": asked})
        turns.append({"role": "assistant", "content": f"```python\n{each['code']}\n```"})
    return turns[:-1]


def _docstring(row: Row, _examples: Callable[[], list[Row]]) -> str:
    return BIGCODE.format(text=_text(row), first=_tests(row).partition("\n")[0])


def score(sample: Sample, response: Response) -> Score:
    """Right when what was written before [DONE] passes the asserts."""
    return _score(sample, response.text.partition(DONE)[0])


def score_instruct(sample: Sample, response: Response) -> Score:
    """The same for the first block of an answer, or for all of it where there is none."""
    return _score(sample, next(iter(blocks(response.text)), response.text))


def _score(sample: Sample, code: str) -> Score:
    if not code.strip():
        return Score(0.0)
    setup = str(sample.metadata["setup"])
    return graded(code, partial(passes, code, str(sample.target), LIMITS, setup))


def solution(sample: Sample) -> str:
    """The authors' own function."""
    return str(sample.metadata["solution"])


def solution_in_chat(sample: Sample) -> str:
    """The same in a block."""
    return f"```python\n{sample.metadata['solution']}\n```"


TASKS = (
    Task(
        name="mbpp",
        domain="code",
        version=1,
        samples=samples,
        score=score,
        sampling=Sampling(max_tokens=512, stop=(DONE,)),
        runs_code=True,
        solution=solution,
        source=SOURCE,
        fewshot=len(SHOTS),
        presets={
            "lm-eval": {"sampling": Sampling(max_tokens=256, stop=(DONE,))},
            "sanitized": {"samples": samples_sanitized, "size": 257},
            "bigcode": {
                "samples": samples_bigcode,
                "sampling": Sampling(0.1, 0.95, 512, BIGCODE_STOP),
                "epochs": 15,
                "fewshot": 0,
            },
            "instruct": {
                "samples": samples_instruct,
                "score": score_instruct,
                "sampling": Sampling(max_tokens=1024),
                "solution": solution_in_chat,
            },
        },
    ),
)
