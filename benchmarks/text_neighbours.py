"""How alike two models' differences are on neighbouring pieces of a text: why runs are clusters.

    python -m benchmarks.text_neighbours [--characters 1500000]

Two character models, one that has learnt code and one that has learnt prose and some code, predict
texts that neither has seen: modules of the standard library, and what packages say of themselves.
"""

from __future__ import annotations

import argparse
import math
import random
import sysconfig
from collections import Counter
from collections.abc import Iterable
from importlib.metadata import distributions
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tasks.bits_per_byte import RUN, pieces

ORDER = 5
CHARACTERS_KNOWN = 5_000
LAGS = (1, 2, 4, 8)


class Characters:
    """A model of characters after up to five others, each order backed by the one below."""

    def __init__(self, text: str) -> None:
        self._seen: list[Counter[str]] = [Counter() for _ in range(ORDER + 2)]
        for length in range(1, ORDER + 2):
            starts = range(len(text) - length + 1)
            self._seen[length].update(text[start : start + length] for start in starts)
        self._seen[0][""] = len(text)

    def bits_per_byte(self, text: str) -> float:
        """Of a text, from its first character on."""
        bits = -sum(math.log2(self._probability(text, at)) for at in range(len(text)))
        return bits / len(text.encode())

    def _probability(self, text: str, at: int) -> float:
        found = 1 / CHARACTERS_KNOWN
        for order in range(min(ORDER, at) + 1):
            context = text[at - order : at]
            times = self._seen[order][context]
            if not times:
                break
            share = self._seen[order + 1][context + text[at]] / times
            found = (times * share + 3 * found) / (times + 3)
        return found


def modules() -> list[str]:
    """The standard library's, in an order that is no order."""
    paths = sorted(Path(sysconfig.get_paths()["stdlib"]).glob("*.py"))
    random.Random(0).shuffle(paths)
    return [path.read_text(encoding="utf-8", errors="replace") for path in paths]


def descriptions() -> list[str]:
    """What installed packages say of themselves."""
    found = {each.name: each.read_text("METADATA") or "" for each in distributions()}
    return [found[name] for name in sorted(found)]


def head(texts: Iterable[str], characters: int) -> str:
    """As much of them as asked for."""
    return "".join(islice((character for text in texts for character in text), characters))


def correlations(differences: NDArray[np.float64]) -> list[float]:
    """Of each piece's difference with that of the piece so many further on."""
    left = differences - differences.mean()
    spread = float((left**2).mean())
    return [float((left[lag:] * left[:-lag]).mean()) / spread for lag in LAGS]


def understated(differences: NDArray[np.float64]) -> float:
    """Times by which the standard error is larger with runs as clusters than without any."""
    whole = len(differences) // RUN
    means = differences[: whole * RUN].reshape(whole, RUN).mean(axis=1)
    clustered = means.std(ddof=1) / math.sqrt(whole)
    return float(clustered / (differences.std(ddof=1) / math.sqrt(len(differences))))


def main() -> None:
    """Prints a row a text."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--characters", type=int, default=1_500_000)
    size = parser.parse_args().characters
    code, prose = modules(), descriptions()
    learnt = Characters(head(code[:60], size // 2))
    other = Characters(head(prose[::2], size // 3) + head(code[:20], size // 6))
    print("| text | pieces | correlation at 1 | 2 | 4 | 8 | standard error, times |")
    print("|:--|--:|--:|--:|--:|--:|--:|")
    for name, texts in (("modules", code[60:]), ("descriptions", prose[1::2])):
        cut = list(pieces(head(texts, size).splitlines(keepends=True)))
        found = np.array([learnt.bits_per_byte(each) - other.bits_per_byte(each) for each in cut])
        shown = [f"{value:.2f}" for value in (*correlations(found), understated(found))]
        print(f"| {name} | {len(cut)} | {' | '.join(shown)} |")


if __name__ == "__main__":
    main()
