"""HumanEval: 164 functions to be completed from their signature and docstring, run against tests.

Chen et al., Evaluating Large Language Models Trained on Code, 2021, arXiv:2107.03374; the program
that is run, and its three seconds, as in openai/human-eval at 6d43fb9.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import partial

from evalkit.errors import DataError
from evalkit.sandbox.limits import Limits
from evalkit.types import Message, Prompt, Response, Rows, Sample, Sampling, Score, Source, Task

from ._code import blocks, graded, passes

SOURCE = Source(
    hub="openai/openai_humaneval",
    revision="7dce6050a7d6d172f3cc5c32aa97f52fa1a2e544",
    folder="humaneval",
    splits={"test": "HumanEval"},
    counts={"test": 164},
    fields=("task_id", "prompt", "entry_point", "canonical_solution", "test"),
    licence="MIT",
    on_hub={"test": "openai_humaneval/test"},
)

LIMITS = Limits(seconds=3.0, clock=12.0, total=30.0)
STOP = ("\nclass", "\ndef", "\n#", "\nif", "\nprint")  # section 3.1 of the paper
BIGCODE_STOP = ("\nclass", "\ndef", "\n#", "\n@", "\nprint", "\nif", "\n```", "<file_sep>")

SIMPLE_EVALS = (
    "Read the following function signature and docstring, and fully implement the function"
    " described. Your response should only contain the code for this function.\n{prompt}"
)
INSTRUCT = (
    "Write a solution to the following problem and make sure that it passes the tests:\n"
    "```python\n{prompt}\n```\n"
)

BLOCK = re.compile(r"```python\n(.*?)```", re.DOTALL)  # as simple-evals finds it


def samples(rows: Rows) -> Iterator[Sample]:
    """The problems in file order, each the beginning of a module."""
    return _samples(rows, str)


def samples_stripped(rows: Rows) -> Iterator[Sample]:
    """The same without the space around the prompt, as BigCode's harness asks them."""
    return _samples(rows, str.strip)


def samples_instruct(rows: Rows) -> Iterator[Sample]:
    """The same as a request to an assistant, in lm-eval's words."""
    return _samples(rows, partial(_chat, INSTRUCT))


def samples_simple_evals(rows: Rows) -> Iterator[Sample]:
    """The same as a request to an assistant, in simple-evals' words."""
    return _samples(rows, partial(_chat, SIMPLE_EVALS))


def _samples(rows: Rows, ask: Callable[[str], Prompt]) -> Iterator[Sample]:
    for row in rows("test"):
        prompt, name = str(row["prompt"]), str(row["entry_point"])
        if not name.isidentifier():
            raise DataError(f"humaneval: {row['task_id']}: entry_point {name!r} is no name")
        yield Sample(
            id=str(row["task_id"]),
            prompt=ask(prompt),
            target=f"{row['test']}\ncheck({name})",
            question=prompt,
            metadata={"entry_point": name, "solution": row["canonical_solution"]},
        )


def _chat(form: str, prompt: str) -> list[Message]:
    return [{"role": "user", "content": form.format(prompt=prompt)}]


def score(sample: Sample, response: Response) -> Score:
    """Right when the prompt and its completion pass the tests."""
    return _score(sample, sample.question + response.text, response.text)


def score_stripped(sample: Sample, response: Response) -> Score:
    """The same for a prompt that was asked without the space around it."""
    return _score(sample, sample.question.strip() + response.text, response.text)


def score_simple_evals(sample: Sample, response: Response) -> Score:
    """The first Python block, or the whole text, less what simple-evals takes for the signature.

    Code without one loses its first character, there as here.
    """
    found = BLOCK.search(response.text)
    code = found[1] if found else response.text
    body = code[code.find(":\n    ") + 2 :]
    return _score(sample, sample.question + body, body)


def score_instruct(sample: Sample, response: Response) -> Score:
    """The first block that defines the function, or the first block, or the whole text."""
    head = f"def {sample.metadata['entry_point']}("
    found = blocks(response.text) or [response.text]
    code = next((block for block in found if head in block), found[0])
    program = sample.question + ("\n" if head in code else "") + code
    return _score(sample, program, code)


def _score(sample: Sample, program: str, answer: str) -> Score:
    if not answer.strip():
        return Score(0.0)
    return graded(answer, partial(passes, program, str(sample.target), LIMITS))


def solution(sample: Sample) -> str:
    """The authors' own body of the function."""
    return str(sample.metadata["solution"])


def solution_on_a_line(sample: Sample) -> str:
    """The body after the line break that a stripped prompt lacks."""
    return f"\n{sample.metadata['solution']}"


def solution_in_chat(sample: Sample) -> str:
    """The whole function, in a block."""
    return f"```python\n{sample.question}{sample.metadata['solution']}```"


GREEDY = Sampling(max_tokens=1024, stop=STOP)
NUCLEUS = Sampling(temperature=0.2, top_p=0.95, max_tokens=1024, stop=STOP)

TASKS = (
    Task(
        name="humaneval",
        domain="code",
        version=1,
        samples=samples,
        score=score,
        sampling=GREEDY,
        runs_code=True,
        solution=solution,
        source=SOURCE,
        presets={
            "codex": {"sampling": NUCLEUS, "epochs": 200},
            "lm-eval-64": {"sampling": NUCLEUS, "epochs": 64},
            "bigcode": {
                "samples": samples_stripped,
                "score": score_stripped,
                "sampling": Sampling(0.2, 0.95, 512, BIGCODE_STOP),
                "epochs": 20,
                "solution": solution_on_a_line,
            },
            "instruct": {
                "samples": samples_instruct,
                "score": score_instruct,
                "sampling": Sampling(max_tokens=2048),
                "solution": solution_in_chat,
            },
            "simple-evals": {
                "samples": samples_simple_evals,
                "score": score_simple_evals,
                "sampling": Sampling(temperature=0.5, max_tokens=2048),
                "epochs": 5,
                "solution": solution_in_chat,
            },
        },
    ),
)
