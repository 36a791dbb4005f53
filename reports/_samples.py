"""The samples that a page carries: of every comparison its most telling flips, within a budget.

Texts are kept once, in a pool: a baseline's answer stands against many candidates.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from evalkit.evidence.plain import whole
from evalkit.evidence.telling import RULE
from evalkit.evidence.values import Compared, Evidence, Flips
from evalkit.verdict import CandidateVerdict, CellVerdict, Report

from ._html import ESCAPES
from ._rows import asked, in_reading_order, severity
from ._text import clean

BUDGET = 3_200_000
"""Bytes of samples in a page, so that it stays below 5 MB with all else that it holds."""

LONGEST = 12_000
"""Characters of one text, beyond which its middle is left out."""

MOST_PAIRS, MOST_FLIPS = 60, 200
"""Comparisons of which samples are shown, and samples of one of them, while the budget lasts."""

TEXTS = ("question", "target", "text", "reasoning", "details", "answer")

Plain = dict[str, Any]


@dataclass
class Pool:
    """Texts by their index, each once."""

    texts: list[str] = field(default_factory=list)
    bytes: int = 0
    _known: dict[str, int] = field(default_factory=dict)

    def at(self, text: str) -> int:
        """The index of a text."""
        if text not in self._known:
            self._known[text] = len(self.texts)
            self.texts.append(text)
            self.bytes += size(text)
        return self._known[text]


def size(value: object) -> int:
    """Bytes of a value once it is embedded, with the comma after it."""
    text = json.dumps(value)
    return len(text) + 1 + sum((len(instead) - 1) * text.count(c) for c, instead in ESCAPES.items())


def samples(report: Report, evidence: Evidence) -> Plain:
    """What the page's script shows: comparisons, their flips, and the texts of these."""
    chosen, left_out = _chosen(report)
    pool, spent = Pool(), 0
    pairs: list[Plain] = []
    flips: list[Plain] = []
    for at, (candidate, cell) in enumerate(chosen):
        of = Compared(candidate.name, candidate.against, cell.task)
        found = evidence.flips(of, MOST_FLIPS)
        before, left = len(flips), BUDGET - spent - pool.bytes
        until = spent + pool.bytes + left // (len(chosen) - at)
        for told in _told(evidence, of, found) if left > 0 else ():
            flips.append({"pair": at, **_pooled(told, pool)})
            spent += size(flips[-1])
            if spent + pool.bytes > until:
                break
        pairs.append(_pair(candidate, cell, found, len(flips) - before))
    return {
        "pairs": pairs,
        "flips": flips,
        "texts": pool.texts,
        "rule": RULE,
        "left_out": left_out,
    }


def comparisons(report: Report) -> list[tuple[CandidateVerdict, CellVerdict]]:
    """Every comparison of which samples can be shown, candidates in reading order."""
    return [
        (candidate, cell)
        for candidate in in_reading_order(report)
        for cell in sorted(asked(candidate), key=severity)
        if cell.delta is not None and "unpaired" not in cell.flags
    ]


def _chosen(report: Report) -> tuple[list[tuple[CandidateVerdict, CellVerdict]], int]:
    """The worst comparisons, by task so that a baseline's answers are read once; and the rest."""
    every = comparisons(report)
    worst = sorted(range(len(every)), key=lambda at: (severity(every[at][1]), at))[:MOST_PAIRS]
    kept = [every[at] for at in sorted(worst)]
    return sorted(kept, key=lambda pair: pair[1].task), len(every) - len(kept)


def _told(evidence: Evidence, of: Compared, found: Flips) -> Iterator[Plain]:
    """Its flips in full, three lost ones and then a gained one, in turn."""
    told = evidence.transcripts(of, found.shown)
    lost = [each for each in told if each.flip.delta < 0]
    gained = [each for each in told if each.flip.delta > 0]
    while lost or gained:
        for each in (*lost[:3], *gained[:1]):
            yield whole(each, LONGEST)
        lost, gained = lost[3:], gained[1:]


def _pair(candidate: CandidateVerdict, cell: CellVerdict, found: Flips, shown: int) -> Plain:
    return {
        "candidate": clean(candidate.name, 600),
        "against": clean(candidate.against, 600),
        "task": clean(cell.task, 600),
        "domain": clean(cell.domain, 60),
        "verdict": cell.verdict,
        "lost": found.lost,
        "gained": found.gained,
        "shown": shown,
        "slices": [[clean(name, 60), *moved] for name, moved in found.slices.items()],
        "reason": clean(found.reason, 300),
    }


def _pooled(told: Plain, pool: Pool) -> Plain:
    """The sample with its texts as indices of the pool."""
    found = {name: pool.at(each) if name in TEXTS else each for name, each in told.items()}
    for side in ("before", "after"):
        found[side] = {
            name: pool.at(each)
            if name in TEXTS
            else [pool.at(words) for words in each]
            if name in ("said", "turns")
            else each
            for name, each in told[side].items()
        }
    return found
