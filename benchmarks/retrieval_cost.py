"""What retrieval costs beside the model: `python -m benchmarks.retrieval_cost [FOLDER]`.

The questions of MMLU-Pro, where EVALKIT_DATA has them, else generated ones, each looked up in
10,000 passages of 150 words: those of FOLDER, or generated ones whose words are as common as in
English (the n-th commonest once for every n of the commonest).  CPU seconds, of one core.
"""

from __future__ import annotations

import argparse
import os
import random
import resource
import time
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import accumulate
from pathlib import Path
from tempfile import TemporaryDirectory

from evalkit import Sample
from evalkit.configuration.sections import TaskSection
from evalkit.exams.data import VARIABLE
from evalkit.exams.exam import sit
from evalkit.retrieval import TEMPLATE, Context, described
from evalkit.retrieval.library import opened

WORDS = 150
VOCABULARY = 30_000


def main() -> None:
    """Prints a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, help="documents of one's own")
    parser.add_argument("--passages", type=int, default=10_000)
    parser.add_argument("--questions", type=int, default=12_032)
    given = parser.parse_args()
    with TemporaryDirectory() as place:
        os.environ["XDG_CACHE_HOME"] = place
        folder = given.folder or _written(Path(place) / "documents", given.passages)
        _measure(folder, _questions(given.questions))


def _measure(folder: Path, samples: list[Sample]) -> None:
    rows = []
    began = time.process_time()
    retrieval = described(folder, 3, WORDS, TEMPLATE)
    rows.append(("documents told by content", time.process_time() - began))
    began = time.process_time()
    Context(retrieval)
    rows.append(("the index made", time.process_time() - began))
    opened.cache_clear()
    began = time.process_time()
    context = Context(retrieval)
    rows.append(("the index opened again", time.process_time() - began))
    began = time.process_time()
    found = sum(bool(context.of(sample)) for sample in samples)
    rows.append(
        (f"{len(samples):,} questions, {found:,} with passages", time.process_time() - began)
    )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print("| | CPU s |\n|:--|--:|")
    for name, seconds in rows:
        print(f"| {name} | {seconds:.2f} |")
    print(f"\nPeak memory: {peak} MiB.")


def _questions(count: int) -> list[Sample]:
    if os.environ.get(VARIABLE):
        (exam,) = sit(TaskSection(name="mmlu-pro"), None, count)
        return [sample for _, sample in exam.stream()]
    chance, draw = random.Random(1), _draw()
    texts = (" ".join(draw(chance, 90)) for _ in range(count))
    return [Sample(str(number), "", question=text) for number, text in enumerate(texts)]


def _written(folder: Path, passages: int) -> Path:
    """A file of so many paragraphs, a passage each."""
    folder.mkdir()
    with (folder / "all.txt").open("w") as file:
        file.writelines(f"{paragraph}\n\n" for paragraph in _paragraphs(passages))
    return folder


def _paragraphs(count: int) -> Iterator[str]:
    chance, draw = random.Random(0), _draw()
    return (" ".join(draw(chance, WORDS)) for _ in range(count))


def _draw() -> Callable[[random.Random, int], list[str]]:
    """Draws so many words; real ones where the questions are, so that they meet."""
    words = list(dict.fromkeys(_known_words())) or [f"w{rank}" for rank in range(VOCABULARY)]
    weights = list(accumulate(1 / rank for rank in range(1, len(words) + 1)))
    return lambda chance, count: chance.choices(words, cum_weights=weights, k=count)


def _known_words() -> Iterator[str]:
    """The words of the questions, the commonest first."""
    if os.environ.get(VARIABLE):
        (exam,) = sit(TaskSection(name="mmlu-pro"), None, None)
        counts = Counter(
            word for _, sample in exam.stream() for word in sample.question.lower().split()
        )
        yield from (word for word, _ in counts.most_common(VOCABULARY))


if __name__ == "__main__":
    main()
