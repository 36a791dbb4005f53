"""A report's comparisons, flat: a row for each domain and each task of each candidate."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from evalkit.verdict import CandidateVerdict, CellVerdict, DomainVerdict, Report


class Comparison(NamedTuple):
    """One domain or task of one candidate; scores and deltas are fractions, oriented."""

    candidate: str
    against: str
    domain: str
    task: str  # "": the domain as a whole
    verdict: str
    delta: float | None
    low: float | None  # of the interval
    high: float | None
    margin: float | None
    gates: bool
    p_regressed: float | None  # adjusted
    p_improved: float | None
    n: int | None
    before: float | None  # score of the checkpoint compared against
    after: float | None
    lost: float | None
    gained: float | None
    flags: str
    reason: str


def comparisons(report: Report) -> Iterator[Comparison]:
    """The rows, as the report orders them."""
    for candidate in report.candidates:
        for domain in candidate.domains:
            yield _row(candidate, domain)
        for cell in candidate.cells:
            yield _row(candidate, cell)._replace(
                task=cell.task,
                n=cell.n,
                before=cell.baseline_score,
                after=cell.candidate_score,
                lost=cell.lost,
                gained=cell.gained,
            )


def _row(candidate: CandidateVerdict, unit: DomainVerdict | CellVerdict) -> Comparison:
    low, high = unit.ci or (None, None)
    return Comparison(
        candidate=candidate.name,
        against=candidate.against,
        domain=unit.domain,
        task="",
        verdict=unit.verdict,
        delta=unit.delta,
        low=low,
        high=high,
        margin=unit.margin,
        gates=unit.gates,
        p_regressed=unit.p_regressed_adjusted,
        p_improved=unit.p_improved_adjusted,
        n=None,
        before=None,
        after=None,
        lost=None,
        gained=None,
        flags=" ".join(unit.flags),
        reason=unit.reason,
    )
