"""The tasks of a comparison as the report tells them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from evalkit.comparison import paired, triage
from evalkit.comparison.bounds import broken
from evalkit.comparison.decided import Decided
from evalkit.comparison.measured import Measured
from evalkit.comparison.policy import Policy
from evalkit.stats.cell import Estimate
from evalkit.stats.decision import Decision, saturated, within_missing_bounds
from evalkit.stats.intervals import change_sums
from evalkit.verdict import CellVerdict, Outcomes

DISPLAYED_ONLY = "displayed only: its role is off"


def cells(plain: Decided, bounds: Sequence[Decided]) -> list[CellVerdict]:
    """Every cell of the report: its estimate, its verdict, and what is said beside them."""
    cut = triage.truncation_ps([each.pair for each in plain.measured])
    return [_cell(plain, bounds, index, p) for index, p in enumerate(cut)]


def _cell(
    plain: Decided, bounds: Sequence[Decided], index: int, p_truncation: float | None
) -> CellVerdict:
    measured, estimate = plain.measured[index], plain.estimates[index]
    decisions = [other.cells[index] for other in bounds]
    decision = surviving(plain.cells[index], decisions)
    pair = measured.pair
    known = pair.candidate if pair else measured.unpaired[1] if measured.unpaired else None
    low, high, higher = known.native if known else (0.0, 1.0, True)
    scores = _scores(measured)
    margin = plain.margin(measured.task, measured.domain)
    off = measured.task in plain.policy.off
    limits = {}
    if pair is not None and not off:
        limits = broken(pair.candidate, measured.task, measured.domain, plain.policy)
    reasons = [measured.invalid, *limits.values(), *([DISPLAYED_ONLY] if off else [])]
    gained, lost = _moved(measured)
    return CellVerdict(
        **unit(estimate, margin),
        task=measured.task,
        domain=measured.domain,
        verdict="regressed" if limits else decision.verdict,
        reason="; ".join(filter(None, reasons)),
        gates=plain.gates(index),
        p_regressed_adjusted=plain.p_cell_adjusted[index] if estimate and not off else None,
        p_improved_adjusted=plain.p_improved[index] if estimate and not off else None,
        flags=[
            *(f"bound:{name}" for name in limits),
            *_flags(measured, decision, scores, gained + lost, plain.policy),
        ],
        n=pair.n if pair else estimate.n if estimate else 0,
        epochs=(pair.baseline.epochs, pair.candidate.epochs) if pair else (1, 1),
        baseline_score=scores[0] if scores else None,
        candidate_score=scores[1] if scores else None,
        gained=gained,
        lost=lost,
        mde80=plain.mde80(index),
        method=estimate.method if estimate else "",
        comparable=measured.comparable,
        differences=list(measured.differences),
        outcomes=_outcomes(pair),
        lost_to=paired.lost_to(pair) if pair else {},
        completed=triage.completed_scores(pair) if pair else None,
        p_truncation=p_truncation,
        native=_native(scores, low, high, higher),
    )


def _scores(measured: Measured) -> tuple[float | None, float | None] | None:
    if measured.pair:
        return measured.pair.baseline.score, measured.pair.candidate.score
    if measured.unpaired:
        return measured.unpaired[0].score, measured.unpaired[1].score
    return None


def surviving(plain: Decision, bounds: Sequence[Decision]) -> Decision:
    """The verdict, if it also stands with what is missing filled in against it."""
    return within_missing_bounds(plain, *bounds) if bounds else plain


def unit(estimate: Estimate | None, margin: float | None) -> dict[str, Any]:
    """The fields that a cell and a domain have in common."""
    if estimate is None:
        return {"margin": margin}
    return {
        "delta": estimate.delta,
        "ci": (estimate.lower, estimate.upper),
        "margin": margin,
        "p_regressed": estimate.p_regressed,
        "p_improved": estimate.p_improved,
        "df": estimate.df,
    }


def _moved(measured: Measured) -> tuple[float, float]:
    """The sums of the rises and of the falls in item score."""
    if "plain" not in measured.changes:
        return 0.0, 0.0
    gained, lost, _ = change_sums(measured.changes["plain"].values)
    return gained, lost


def _flags(
    measured: Measured,
    decision: Decision,
    scores: tuple[float | None, float | None] | None,
    moved: float,
    policy: Policy,
) -> list[str]:
    estimate = measured.estimate("plain")
    flags = [*decision.flags, *measured.flags]
    flags += estimate.flags if estimate else ()
    if measured.pair and estimate and scores and None not in scores:
        before, after = (value or 0.0 for value in scores)
        if saturated(moved, 0.0, before, after):
            flags.append("saturated")
    if measured.task in policy.advisory:
        flags.append("advisory")
    return list(dict.fromkeys(flags))


def _outcomes(pair: paired.Pair | None) -> Outcomes:
    if pair is None:
        return Outcomes()
    return Outcomes(baseline=pair.baseline.outcomes, candidate=pair.candidate.outcomes)


def _native(
    scores: tuple[float | None, float | None] | None, low: float, high: float, higher: bool
) -> tuple[float, float] | None:
    if scores is None or None in scores or (low, high, higher) == (0.0, 1.0, True):
        return None
    start, step = (low, high - low) if higher else (high, low - high)
    before, after = (start + step * (value or 0.0) for value in scores)
    return before, after
