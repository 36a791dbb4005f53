"""What it costs to hold a million rows of training data against benchmarks.

    EVALKIT_DATA=… python -m benchmarks.contamination build/contamination [ROWS]

The rows are conversations and texts of random words, drawn as often as words are; one in ten
thousand holds a question of a benchmark, which has to be found.  In turn with the search, the
same file is only read and parsed, which is the least that anything can cost.
"""

from __future__ import annotations

import random
import resource
import sys
import time
from itertools import accumulate, chain
from pathlib import Path

import orjson

from evalkit.contamination.asked import asked
from evalkit.contamination.found import contamination
from evalkit.exams.exam import Exam
from evalkit.identity import identity

WORDS = 180  # in a row, on the average
PLANTED = 10_000


def main() -> None:
    """Writes the rows once, and measures."""
    folder = Path(sys.argv[1])
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 1_000_000
    folder.mkdir(parents=True, exist_ok=True)
    exams, _ = asked(None, ())
    path = folder / f"rows-{count}.jsonl"
    if not path.exists():
        write(path, count, exams)
    size = path.stat().st_size
    items = sum(len(exam.due) for exam in exams)
    print(f"{count:,} rows, {size / 1e9:.2f} GB; {len(exams)} tasks, {items:,} items")
    began = time.monotonic()
    with path.open("rb") as file:
        for line in file:
            orjson.loads(line)
    print(f"only parsed, by one core: {time.monotonic() - began:.1f} s")
    began, used = time.monotonic(), cpu()
    notes, rows = contamination(exams, [path])
    wall, seconds = time.monotonic() - began, cpu() - used
    found = sum(note.touched for note in notes)
    print(
        f"{rows:,} rows: {wall:.1f} s by the clock, {seconds:.1f} s of CPU; {found:,} items found"
    )
    peaks = [
        resource.getrusage(who).ru_maxrss / 1024
        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    ]
    print(f"peak memory: {peaks[0]:.0f} MiB, and {peaks[1]:.0f} MiB the largest of its processes")


def write(path: Path, count: int, exams: list[Exam]) -> None:
    """Rows of random words, with questions planted among them."""
    chance = random.Random(0)
    questions = [identity.question_of(sample) for exam in exams for sample in exam.every()]
    words = sorted(set(chain.from_iterable(question.split() for question in questions)))
    rank = list(accumulate(1 / (n + 2) for n in range(len(words))))
    chance.shuffle(words)
    with path.open("wb") as file:
        for number in range(count):
            length = chance.randint(20, 2 * WORDS - 20)
            text = " ".join(chance.choices(words, cum_weights=rank, k=length))
            if number % PLANTED == 0:
                text = chance.choice(questions)
            file.write(orjson.dumps(row(text, number)) + b"\n")


def row(text: str, number: int) -> dict[str, object]:
    """A text as one of three kinds of rows."""
    half = len(text) // 2 if number % PLANTED else len(text)
    turns = [
        {"role": "user", "content": text[:half]},
        {"role": "assistant", "content": text[half:] or "Yes."},
    ]
    kinds: list[dict[str, object]] = [
        {"messages": turns},
        {"text": text},
        {"prompt": text[:half], "completion": text[half:]},
    ]
    return kinds[number % 3]


def cpu() -> float:
    """Seconds of CPU time of this process and of those that have ended."""
    own, others = (
        resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    return own.ru_utime + own.ru_stime + others.ru_utime + others.ru_stime


if __name__ == "__main__":
    main()
