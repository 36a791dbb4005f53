"""Comparisons to verdicts: one candidate against one other checkpoint, over all their tasks.

Here is told which verdict survives the worst case of what is missing, and what is said beside it.
"""

from __future__ import annotations

from collections.abc import Sequence

from evalkit.comparison.decided import Decided
from evalkit.comparison.estimated import measure
from evalkit.comparison.fixed import FLAG as FIXED
from evalkit.comparison.paired import BOUNDS
from evalkit.comparison.policy import Policy
from evalkit.comparison.sides import Sides
from evalkit.comparison.told import cells, surviving, unit
from evalkit.stats.decision import overall
from evalkit.verdict import CandidateVerdict, CellVerdict, DomainVerdict, Overall

SILENT = {"advisory", "off"}
"""Flags of what counts for nothing."""


def compare(name: str, against: str, sides: Sequence[Sides], policy: Policy) -> CandidateVerdict:
    """The verdict of `name` against `against` over all their tasks."""
    measured = measure(sides, policy.conf, policy.fixed)
    plain = Decided(measured, policy, "plain")
    bounds = [
        Decided(measured, policy, variant)
        for variant in BOUNDS
        if any(variant in cell.estimates for cell in measured)
    ]
    told = cells(plain, bounds)
    domains = [_domain(plain, bounds, domain) for domain in plain.domains]
    verdict, exit_code = _overall(domains, told, policy)
    return CandidateVerdict(
        name=name,
        against=against,
        verdict=verdict,
        exit_code=exit_code,
        domains=domains,
        cells=told,
    )


def _domain(plain: Decided, bounds: Sequence[Decided], domain: str) -> DomainVerdict:
    """One domain of the report."""
    estimate = plain.means[domain]
    decision = surviving(
        plain.decide_domain(domain), [other.decide_domain(domain) for other in bounds]
    )
    tasks = [plain.measured[i].task for i in plain.members[domain]]
    advisory = all(task in plain.policy.advisory for task in tasks)
    reasons = [plain.measured[i].invalid for i in plain.members[domain]]
    return DomainVerdict(
        **unit(estimate, plain.margin(domain, domain)),
        domain=domain,
        verdict=decision.verdict,
        reason="; ".join(filter(None, reasons)) if estimate is None else "",
        gates=plain.margin(domain, domain) is not None and not advisory,
        p_regressed_adjusted=plain.p_domain_adjusted[domain],
        p_improved_adjusted=plain.p_domain_improved[domain],
        flags=[
            *decision.flags,
            *(["advisory"] if advisory else []),
            *(["seeds"] if estimate and estimate.seeds else []),
            *([FIXED] if {*tasks} & plain.policy.fixed else []),
        ],
    )


def _overall(
    domains: Sequence[DomainVerdict], cells: Sequence[CellVerdict], policy: Policy
) -> tuple[Overall, int]:
    units = [unit for unit in (*domains, *cells) if not SILENT & {*unit.flags}]
    suspects = [u for u in units if u.gates and {"suspect", "small_decline"} & {*u.flags}]
    return overall(
        [unit.verdict for unit in units if unit.gates],
        [unit.verdict for unit in units if not unit.gates],
        suspects_fail=policy.suspect_fails and any(u.verdict == "inconclusive" for u in suspects),
        warn_on_inconclusive=policy.inconclusive_passes,
    )
