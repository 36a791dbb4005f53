"""The decision table: from an interval, a margin and adjusted p-values to a verdict.

A tolerated decline is looked at before a decline is: where L > −m the margin says that the loss
does not matter.  "Not significant" is never a pass, and "not proven safe" is never a regression.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from evalkit.stats.cell import Estimate

if TYPE_CHECKING:  # pydantic costs more than the arithmetic
    from evalkit.verdict import Outcome, Overall

SATURATED_CHANGES = 5
SATURATED_SCORES = (0.03, 0.97)
PASSING = ("improved", "no_regression")
SEVERITY = (1, 4, 3, 0)  # exit codes, worst first


@dataclass(frozen=True, slots=True)
class Decision:
    """One unit's verdict and what a reader must know beside it."""

    verdict: Outcome
    flags: tuple[str, ...] = ()

    @property
    def suspect(self) -> bool:
        """Whether it is undecided in spite of evidence of a decline."""
        return self.verdict == "inconclusive" and bool({"suspect", "small_decline"} & {*self.flags})


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a domain's cells say of its alarm: their verdicts, and how low their pooled mean may be.

    `pooled_lower` is `domains.pooled(...).lower`; None where no cell was measured.
    """

    cells: tuple[str, ...]
    pooled_lower: float | None = None


def decide_cell(
    estimate: Estimate | None,
    margin: float | None,
    p_regressed_adjusted: float,
    p_improved_adjusted: float,
    *,
    alpha: float = 0.05,
    fail_on_any_decline: bool = False,
) -> Decision:
    """The verdict of a cell; None for the estimate is a cell that could not be measured.

    Without a margin (None or 0), or unpaired, a cell can regress and improve, but not pass.
    """
    if estimate is None:
        return Decision("invalid")
    declined = p_regressed_adjusted <= alpha
    verdict = _first_row(
        estimate,
        margin or 0.0,
        improved=p_improved_adjusted <= alpha,
        regressed=declined and estimate.upper < 0,
        regressed_first=fail_on_any_decline,
    )
    flags = {
        "small_decline": verdict in PASSING and declined,
        "improved?": verdict == "no_regression" and estimate.lower > 0,
        "beyond_margin": verdict == "regressed" and _beyond(estimate, margin),
        # Here p̃ ≤ α would mean U ≥ 0: test and interval disagree, so no decline is announced.
        "suspect": verdict == "inconclusive" and estimate.p_regressed <= alpha,
    }
    return Decision(verdict, _set(flags))


def decide_domain(
    estimate: Estimate | None,
    margin: float | None,
    p_regressed_adjusted: float,
    p_improved_adjusted: float,
    evidence: Evidence,
    *,
    alpha: float = 0.05,
    fail_on_any_decline: bool = False,
) -> Decision:
    """The verdict of a domain; None for the estimate: a cell of positive weight is invalid.

    An alarm needs a witness: a regressed cell, or a pooled mean that may be as low as −margin.
    """
    m = margin or 0.0
    declined = p_regressed_adjusted <= alpha
    cell_regressed = "regressed" in evidence.cells
    reaches_margin = evidence.pooled_lower is not None and evidence.pooled_lower <= -m
    regressed = declined and (cell_regressed or reaches_margin or fail_on_any_decline)
    diffuse = regressed and not cell_regressed
    if estimate is None:
        return (
            Decision("regressed", _set({"diffuse": diffuse})) if regressed else Decision("invalid")
        )
    verdict = _first_row(
        estimate,
        m,
        improved=p_improved_adjusted <= alpha,
        regressed=regressed,
        regressed_first=fail_on_any_decline,
    )
    undecided, passing = verdict == "inconclusive", verdict in PASSING
    flags = {
        "small_decline": declined and (undecided or (passing and not cell_regressed)),
        "improved?": verdict == "no_regression" and estimate.lower > 0,
        "mixed": passing and cell_regressed,  # says more than `small_decline`, and replaces it
        "beyond_margin": verdict == "regressed" and _beyond(estimate, margin),
        "diffuse": verdict == "regressed" and diffuse,
        "suspect": undecided and not declined and estimate.p_regressed <= alpha,
    }
    return Decision(verdict, _set(flags))


def within_missing_bounds(decision: Decision, worst: Decision, best: Decision) -> Decision:
    """The verdict that stands however the missing samples would have come out.

    A pass must hold with every one of them against the candidate, a regression with every one
    in its favour.
    """
    if decision.verdict in PASSING:
        return worst if worst.verdict in PASSING else _undecided(decision)
    if decision.verdict == "regressed" and best.verdict != "regressed":
        return _undecided(decision)
    return decision


def saturated(gained: float, lost: float, score0: float, score1: float) -> bool:
    """Whether the benchmark can hardly tell these two apart: few changes, or a scale's end."""
    low, high = SATURATED_SCORES
    return (
        gained + lost < SATURATED_CHANGES
        or min(score0, score1) >= high
        or max(score0, score1) <= low
    )


def overall(
    gating: Sequence[str],
    detectors: Sequence[str],
    *,
    suspects_fail: bool = False,
    warn_on_inconclusive: bool = False,
) -> tuple[Overall, int]:
    """A candidate's verdict and exit code from its units' verdicts, worst claim first.

    A detector counts only when it regressed, or as proof that something was measured.
    `suspects_fail`: a gating unit is suspect and the user asked that this be a failure.
    """
    units = [*gating, *detectors]
    if "regressed" in units:
        return "regressed", 1
    if "invalid" in gating or all(verdict == "invalid" for verdict in units):
        return "invalid", 4
    if "inconclusive" in gating:
        return "inconclusive", 1 if suspects_fail else 0 if warn_on_inconclusive else 3
    return ("improved" if "improved" in gating else "passed"), 0


def worst(candidates: Sequence[tuple[Overall, int]]) -> tuple[Overall, int]:
    """The verdict of several candidates together: the worst exit code, 1 > 4 > 3 > 0.

    Among equals the weakest claim: all must have improved for the whole to have.
    """
    claims = ("regressed", "invalid", "inconclusive", "passed", "improved")
    return min(candidates, key=lambda each: (SEVERITY.index(each[1]), claims.index(each[0])))


def _first_row(
    estimate: Estimate, margin: float, *, improved: bool, regressed: bool, regressed_first: bool
) -> Outcome:
    if regressed and regressed_first:
        return "regressed"
    if estimate.lower > 0 and improved:
        return "improved"
    if margin > 0 and estimate.lower > -margin and "unpaired" not in estimate.flags:
        return "no_regression"
    return "regressed" if regressed else "inconclusive"


def _beyond(estimate: Estimate, margin: float | None) -> bool:
    return margin is not None and estimate.upper < -margin


def _undecided(decision: Decision) -> Decision:
    return Decision("inconclusive", ("missing", *decision.flags))


def _set(flags: dict[str, bool]) -> tuple[str, ...]:
    return tuple(name for name, holds in flags.items() if holds)
