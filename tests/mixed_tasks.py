"""Tasks of every kind that a run may be killed in: in turns, judged, by likelihood, costly.

A plugin module of its own; `plugged(folder)` makes child processes find it.  Servers that repeat
what they are asked answer it, and every scorer is a function of that text.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from evalkit import Opinion, Response, Rows, Rubric, Sample, Sampling, Score, Task
from evalkit.judging.rubrics import both_orders, target
from evalkit.types import Asker

ROOT = Path(__file__).parents[1]
COUNT = int(os.environ.get("MIXED_COUNT", "40"))


def plugged(folder: Path) -> dict[str, str]:
    """Variables of a process that finds these tasks; writes what makes them found."""
    about = folder / "evalkit_mixed-1.0.dist-info"
    about.mkdir(parents=True, exist_ok=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: evalkit-mixed\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[evalkit.tasks]\nmixed = tests.mixed_tasks\n")
    return {"PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)])}


def draw(text: str) -> int:
    """A number that belongs to a text."""
    return hashlib.sha256(text.encode()).digest()[0]


def questions(name: str) -> Callable[[Rows], Iterator[Sample]]:
    """So many different questions."""

    def samples(_: Rows) -> Iterator[Sample]:
        for number in range(COUNT):
            yield Sample(f"{name}-{number}", f"{name} question {number} is", f"reference {number}")

    return samples


def choices(_: Rows) -> Iterator[Sample]:
    """Questions with three options each."""
    for number in range(COUNT // 2):
        options = (f" abc {number}", f" abcd{number} efg", f" a{number}")
        yield Sample(f"c-{number}", f"choice {number} is", options[number % 3], choices=options)


def score(sample: Sample, response: Response) -> Score:
    """Right for three texts in five."""
    return Score(float(draw(response.text) % 5 < 3), response.text[:40])


def slow(sample: Sample, response: Response) -> Score:
    """The same, after some work; each time it is done is written down."""
    if log := os.environ.get("MIXED_LOG"):
        with open(log, "a") as file:
            file.write(f"{sample.id}\n")
    text = response.text
    for _ in range(3_000):
        text = hashlib.sha256(text.encode()).hexdigest()
    return score(sample, response)


async def ask_back(sample: Sample, asker: Asker) -> Response:
    """Two turns, the second about the first."""
    first = await asker.generate(f"{sample.prompt} first")
    second = await asker.generate(f"{first.text} then", sampling=Sampling(max_tokens=7))
    return Response(second.text, turns=(first.text, second.text))


def compare(sample: Sample, first: str, second: str) -> str:
    """What a judge is asked."""
    return f"{sample.id}: {first} or {second}"


def read(response: Response) -> Opinion:
    """What a judge said."""
    return Opinion((1.0, 0.0, 0.5)[draw(response.text) % 3])


RUBRIC = Rubric(1, both_orders(compare), read, against=target)

TASKS = (
    Task("mixed-plain", "plain", 1, questions("p"), score, epochs=2),
    Task("mixed-turns", "turns", 1, questions("t"), score, solve=ask_back),
    Task("mixed-choice", "choice", 1, choices, score, ask="loglikelihood"),
    Task("mixed-costly", "costly", 1, questions("k"), slow, costly=True),
    Task(
        "mixed-judged",
        "judged",
        1,
        questions("j"),
        rubric=RUBRIC,
    ),
)
