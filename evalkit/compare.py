"""Comparisons to verdicts: one candidate against one other checkpoint, over all their tasks.

The statistics are in `evalkit.stats`; here is decided which numbers go into them, which verdict
survives the worst case of what is missing, and what is said beside it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from evalkit import paired
from evalkit.comparability import comparability
from evalkit.store import Cell
from evalkit.verdict import CandidateVerdict, CellVerdict, DomainVerdict, Outcomes, Overall

if TYPE_CHECKING:
    from evalkit.stats.decision import Decision
    from evalkit.stats.estimate import Estimate

ALPHA = 0.05
ENVIRONMENT, TREATMENT = "environment", "treatment"
BOUNDS: dict[str, tuple[float, float]] = {"worst": (1.0, 0.0), "best": (0.0, 1.0)}
"""What a missing sample of the baseline and of the candidate counts as, at worst and at best."""


@dataclass(frozen=True)
class Policy:
    """What was fixed before the run: the losses tolerated and what gates."""

    margins: Mapping[str, float] = field(default_factory=dict)  # domain or task -> fraction
    gating_cells: frozenset[str] = frozenset()
    weights: Mapping[str, float] = field(default_factory=dict)  # task -> weight in its domain
    any_decline: bool = False
    inconclusive_passes: bool = False
    suspect_fails: bool = False
    advisory: frozenset[str] = frozenset()  # tasks whose judge is too weak to decide anything


@dataclass(frozen=True)
class Side:
    """One checkpoint's cell of one task, as found in the store."""

    cell: Cell
    meta: Mapping[str, Any]  # what `cell.json` says
    preset: str = ""

    @cached_property
    def arm(self) -> paired.Arm:
        """Its scores, read once; raises StoreError where they cannot be read."""
        return paired.load(self.cell, self.meta, self.preset)


@dataclass(frozen=True)
class Measured:
    """One task of a comparison, before any verdict."""

    task: str
    domain: str
    pair: paired.Pair | None
    estimates: Mapping[str, Estimate | None]  # "plain", and "worst", "best" if samples are missing
    invalid: str = ""
    flags: tuple[str, ...] = ()
    differences: tuple[str, ...] = ()
    comparable: bool = True

    def estimate(self, variant: str) -> Estimate | None:
        """Its estimate under one way of filling in what is missing."""
        return self.estimates.get(variant, self.estimates.get("plain"))


@dataclass(frozen=True)
class Sides:
    """The two cells of one task; None where there is no such cell, or no scores in it."""

    task: str
    domain: str
    baseline: Side | None
    candidate: Side | None


def compare(name: str, against: str, sides: Sequence[Sides], policy: Policy) -> CandidateVerdict:
    """The verdict of `name` against `against` over all their tasks."""
    measured = [measure(side) for side in sides]
    plain = _Verdicts(measured, policy, "plain")
    bounds = [
        _Verdicts(measured, policy, variant)
        for variant in BOUNDS
        if any(variant in cell.estimates for cell in measured)
    ]
    cells = [plain.cell(index, bounds) for index in range(len(measured))]
    domains = [plain.domain(domain, bounds) for domain in plain.domains]
    verdict, exit_code = _overall(domains, cells, policy)
    return CandidateVerdict(
        name=name,
        against=against,
        verdict=verdict,
        exit_code=exit_code,
        domains=domains,
        cells=cells,
    )


def measure(sides: Sides) -> Measured:
    """Pairs two cells of a task and estimates their difference, or says why it cannot."""
    task, domain = sides.task, sides.domain
    baseline, candidate = sides.baseline, sides.candidate
    if baseline is None or candidate is None:
        which = "baseline" if baseline is None else "candidate"
        return Measured(task, domain, None, {}, invalid=f"the {which} has no scores here")
    found = comparability(baseline.meta, candidate.meta)
    pair = paired.pair(baseline.arm, candidate.arm)
    reason = pair.invalid
    if not found.same_exam:
        reason = f"two different exams ({'; '.join(found.exam)}): evaluate both alike"
    flags = pair.flags
    flags += (TREATMENT,) if found.treatment else ()
    flags += (ENVIRONMENT,) if found.environment else ()
    return Measured(
        task,
        domain,
        pair,
        {} if reason else _estimates(pair),
        reason,
        flags,
        tuple(found.all),
        found.same_exam,
    )


def _estimates(pair: paired.Pair) -> dict[str, Estimate | None]:
    found: dict[str, Estimate | None] = {"plain": paired.differences(pair).estimate()}
    if paired.has_missing(pair):
        for variant, fill in BOUNDS.items():
            found[variant] = paired.differences(pair, fill).estimate()
    return found


class _Verdicts:
    """The decision table over all cells and domains, under one way of filling what is missing."""

    def __init__(self, measured: Sequence[Measured], policy: Policy, variant: str) -> None:
        from evalkit.stats.families import holm, regression_family

        self.measured = measured
        self.policy = policy
        self.domains = list(dict.fromkeys(cell.domain for cell in measured))
        self.members = {
            domain: [i for i, cell in enumerate(measured) if cell.domain == domain]
            for domain in self.domains
        }
        self.deciding = {
            domain: [i for i in members if measured[i].task not in policy.advisory] or members
            for domain, members in self.members.items()
        }
        self.estimates = [cell.estimate(variant) for cell in measured]
        family = regression_family(
            [[_p(self.estimates[i], "p_regressed") for i in row] for row in self._deciding_rows],
            [[_se(self.estimates[i]) for i in row] for row in self._deciding_rows],
        )
        self.p_domain = dict(zip(self.domains, family.p_domain, strict=True))
        self.p_domain_adjusted = dict(zip(self.domains, family.p_domain_adjusted, strict=True))
        self.p_cell_adjusted = dict.fromkeys(range(len(measured)), 1.0) | {
            i: p
            for members, row in zip(self._deciding_rows, family.p_cell_adjusted, strict=True)
            for i, p in zip(members, row, strict=True)
        }
        self.p_improved = holm([_p(estimate, "p_improved") for estimate in self.estimates])
        self.means = {domain: self._mean(domain) for domain in self.domains}
        improved = holm([_p(self.means[domain], "p_improved") for domain in self.domains])
        self.p_domain_improved = dict(zip(self.domains, improved.tolist(), strict=True))
        self.cell_decisions = [self._decide_cell(i) for i in range(len(measured))]

    @property
    def _deciding_rows(self) -> list[list[int]]:
        return [self.deciding[domain] for domain in self.domains]

    def _mean(self, domain: str) -> Estimate | None:
        """The weighted mean of a domain's cells; none where a cell that counts is invalid."""
        from evalkit.stats.domains import domain_mean

        members = self.members[domain]
        weighed = [i for i in members if self._weight(i) > 0] or members
        found = [estimate for i in weighed if (estimate := self.estimates[i]) is not None]
        if len(found) < len(weighed):
            return None
        return domain_mean(found, [self._weight(i) or 1.0 for i in weighed])

    def _weight(self, index: int) -> float:
        task = self.measured[index].task
        return 0.0 if task in self.policy.advisory else self.policy.weights.get(task, 1.0)

    def margin(self, unit: str, domain: str) -> float | None:
        """The margin of a task or a domain; a cell alone in its domain is its domain."""
        margins = self.policy.margins
        alone = len(self.members[domain]) == 1
        only = self.measured[self.members[domain][0]].task
        names = (unit, domain, only) if alone else (unit,)
        return next((margins[name] for name in names if name in margins), None)

    def _decide_cell(self, index: int) -> Decision:
        from evalkit.stats.decision import decide_cell

        cell = self.measured[index]
        return decide_cell(
            self.estimates[index],
            self.margin(cell.task, cell.domain),
            self.p_cell_adjusted[index],
            float(self.p_improved[index]),
            alpha=ALPHA,
            fail_on_any_decline=self.policy.any_decline,
        )

    def decide_domain(self, domain: str) -> Decision:
        """The verdict of a domain, given its cells'."""
        from evalkit.stats.decision import Evidence, decide_domain
        from evalkit.stats.domains import pooled

        members = self.deciding[domain]
        valid = [estimate for i in members if (estimate := self.estimates[i]) is not None]
        return decide_domain(
            self.means[domain],
            self.margin(domain, domain),
            self.p_domain_adjusted[domain],
            self.p_domain_improved[domain],
            Evidence(
                tuple(self.cell_decisions[i].verdict for i in members),
                pooled(valid).lower if valid else None,
            ),
            alpha=ALPHA,
            fail_on_any_decline=self.policy.any_decline,
        )

    def cell(self, index: int, bounds: Sequence[_Verdicts]) -> CellVerdict:
        """One cell of the report."""
        measured, estimate = self.measured[index], self.estimates[index]
        decisions = [other.cell_decisions[index] for other in bounds]
        decision = _surviving(self.cell_decisions[index], decisions)
        pair = measured.pair
        low, high, higher = pair.candidate.native if pair else (0.0, 1.0, True)
        scores = (paired.score(pair.baseline), paired.score(pair.candidate)) if pair else None
        margin = self.margin(measured.task, measured.domain)
        completed = _both(pair, paired.completed_score)
        return CellVerdict(
            **_unit(estimate, margin),
            task=measured.task,
            domain=measured.domain,
            verdict=decision.verdict,
            reason=measured.invalid,
            gates=self._gates(measured),
            p_regressed_adjusted=self.p_cell_adjusted[index] if estimate else None,
            p_improved_adjusted=float(self.p_improved[index]) if estimate else None,
            flags=_flags(measured, decision, estimate, scores, self.policy),
            n=pair.n if pair else 0,
            epochs=(pair.baseline.epochs, pair.candidate.epochs) if pair else (1, 1),
            baseline_score=scores[0] if scores else None,
            candidate_score=scores[1] if scores else None,
            **_changes(pair, estimate),
            mde80=self._mde(index),
            method=estimate.method if estimate else "",
            comparable=measured.comparable,
            differences=list(measured.differences),
            outcomes=_outcomes(pair),
            lost_to=paired.lost_to(pair) if pair else {},
            completed=completed,
            native=_native(scores, low, high, higher),
        )

    def domain(self, domain: str, bounds: Sequence[_Verdicts]) -> DomainVerdict:
        """One domain of the report."""
        estimate = self.means[domain]
        decision = _surviving(
            self.decide_domain(domain), [other.decide_domain(domain) for other in bounds]
        )
        tasks = [self.measured[i].task for i in self.members[domain]]
        advisory = all(task in self.policy.advisory for task in tasks)
        reasons = [self.measured[i].invalid for i in self.members[domain]]
        return DomainVerdict(
            **_unit(estimate, self.margin(domain, domain)),
            domain=domain,
            verdict=decision.verdict,
            reason="; ".join(filter(None, reasons)) if estimate is None else "",
            gates=self.margin(domain, domain) is not None and not advisory,
            p_regressed_adjusted=self.p_domain_adjusted[domain],
            p_improved_adjusted=self.p_domain_improved[domain],
            flags=[*decision.flags, *(["advisory"] if advisory else [])],
        )

    def _gates(self, cell: Measured) -> bool:
        """Whether a cell gates: it was told to, or has a margin that its domain does not use."""
        alone = len(self.members[cell.domain]) == 1
        own_margin = cell.task in self.policy.margins and not alone
        gates = cell.task in self.policy.gating_cells or own_margin
        return gates and cell.task not in self.policy.advisory

    def _mde(self, index: int) -> float | None:
        from evalkit.stats.power import mde_regressed

        estimate, cell = self.estimates[index], self.measured[index]
        if estimate is None:
            return None
        margin = self.margin(cell.task, cell.domain) or 0.0
        cells = len(self.members[cell.domain])
        return mde_regressed(
            estimate.se, margin, cells_in_domain=cells, n_domains=len(self.domains), alpha=ALPHA
        )


def _surviving(plain: Decision, bounds: Sequence[Decision]) -> Decision:
    """The verdict, if it also stands with what is missing filled in against it."""
    from evalkit.stats.decision import within_missing_bounds

    return within_missing_bounds(plain, *bounds) if bounds else plain


def _overall(
    domains: Sequence[DomainVerdict], cells: Sequence[CellVerdict], policy: Policy
) -> tuple[Overall, int]:
    from evalkit.stats.decision import overall

    units = [unit for unit in (*domains, *cells) if "advisory" not in unit.flags]
    suspects = [u for u in units if u.gates and {"suspect", "small_decline"} & {*u.flags}]
    return overall(
        [unit.verdict for unit in units if unit.gates],
        [unit.verdict for unit in units if not unit.gates],
        suspects_fail=policy.suspect_fails and any(u.verdict == "inconclusive" for u in suspects),
        warn_on_inconclusive=policy.inconclusive_passes,
    )


def _p(estimate: Estimate | None, name: str) -> float:
    return 1.0 if estimate is None else float(getattr(estimate, name))


def _se(estimate: Estimate | None) -> float:
    return float("inf") if estimate is None else estimate.se


def _unit(estimate: Estimate | None, margin: float | None) -> dict[str, Any]:
    if estimate is None:
        return {"margin": margin}
    return {
        "delta": estimate.delta,
        "ci": (estimate.lower, estimate.upper),
        "margin": margin,
        "p_regressed": estimate.p_regressed,
        "p_improved": estimate.p_improved,
    }


def _changes(pair: paired.Pair | None, estimate: Estimate | None) -> dict[str, float]:
    if pair is None or estimate is None:
        return {}
    change = paired.differences(pair).values
    return {"gained": float(change[change > 0].sum()), "lost": float(-change[change < 0].sum())}


def _flags(
    measured: Measured,
    decision: Decision,
    estimate: Estimate | None,
    scores: tuple[float | None, float | None] | None,
    policy: Policy,
) -> list[str]:
    from evalkit.stats.decision import saturated

    flags = [*decision.flags, *measured.flags]
    flags += estimate.flags if estimate else ()
    if estimate and scores and None not in scores:
        changes = _changes(measured.pair, estimate)
        before, after = (value or 0.0 for value in scores)
        if saturated(changes["gained"], changes["lost"], before, after):
            flags.append("saturated")
    if measured.task in policy.advisory:
        flags.append("advisory")
    return list(dict.fromkeys(flags))


def _outcomes(pair: paired.Pair | None) -> Outcomes:
    if pair is None:
        return Outcomes()
    return Outcomes(baseline=paired.counts(pair.baseline), candidate=paired.counts(pair.candidate))


def _both(pair: paired.Pair | None, of: Any) -> tuple[float, float] | None:
    if pair is None:
        return None
    before, after = of(pair.baseline), of(pair.candidate)
    return None if before is None or after is None else (before, after)


def _native(
    scores: tuple[float | None, float | None] | None, low: float, high: float, higher: bool
) -> tuple[float, float] | None:
    if scores is None or None in scores or (low, high, higher) == (0.0, 1.0, True):
        return None
    start, step = (low, high - low) if higher else (high, low - high)
    before, after = (start + step * (value or 0.0) for value in scores)
    return before, after
