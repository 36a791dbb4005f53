"""What a candidate's looks found, as a verdict."""

from __future__ import annotations

import math

from evalkit.comparison.policy import Policy
from evalkit.fast.looking import Looking
from evalkit.fast.looks import DomainPlan
from evalkit.stats.clock import Taken
from evalkit.stats.decision import overall
from evalkit.verdict import CandidateVerdict, CellVerdict, DomainLooks, DomainVerdict, Outcome


def verdict_of(looking: Looking, name: str, against: str, policy: Policy) -> CandidateVerdict:
    """The verdict on a candidate: regressed where a domain is, passed where all have passed."""
    domains = [_domain(looking, plan) for plan in looking.plans]
    cells = [
        _out_of_bounds(task, plan.domain, looking)
        for plan in looking.plans
        for task in dict.fromkeys(looking.joints.judged_as(cell.task) for cell in plan.cells)
        if task in looking.broken
    ]
    verdict, exit_code = overall(
        [domain.verdict for domain in domains],
        [cell.verdict for cell in cells],
        warn_on_inconclusive=policy.inconclusive_passes,
    )
    return CandidateVerdict(
        name=name,
        against=against,
        verdict=verdict,
        exit_code=exit_code,
        domains=domains,
        cells=cells,
        sequential=[_looks(plan, looking.taken[plan.domain]) for plan in looking.plans],
    )


def _domain(looking: Looking, plan: DomainPlan) -> DomainVerdict:
    taken = looking.taken[plan.domain]
    invalid = looking.invalid.get(plan.domain, "")
    found = taken[-1].found if taken else "continue"
    verdict: Outcome = "invalid" if invalid else "inconclusive" if found == "continue" else found
    stopped = verdict == "inconclusive" and not (taken and taken[-1].last)
    what = "a bound was broken" if looking.broken else "another domain regressed"
    limits = taken[-1].limits if taken and not invalid else None
    flags = {
        "stopped": stopped,
        "beyond_margin": verdict == "regressed" and limits is not None and limits[1] < -plan.margin,
    }
    return DomainVerdict(
        domain=plan.domain,
        verdict=verdict,
        reason=invalid or (f"{what} first" if stopped else ""),
        delta=taken[-1].look.delta if limits else None,
        ci=limits,
        margin=plan.margin,
        gates=True,
        flags=[name for name, holds in flags.items() if holds],
    )


def _out_of_bounds(task: str, domain: str, looking: Looking) -> CellVerdict:
    """A task whose answers ended badly too often; of its score the looks say nothing."""
    bounds = looking.broken[task]
    parts = next((each.parts for each in looking.joints.whole if each.label == task), ())
    return CellVerdict(
        task=task,
        domain=domain,
        verdict="regressed",
        reason="; ".join(bounds.values()),
        flags=[f"bound:{name}" for name in bounds],
        parts=list(parts),
    )


def _looks(plan: DomainPlan, taken: list[Taken]) -> DomainLooks:
    known = DomainLooks(
        domain=plan.domain,
        looks=len(taken),
        planned=plan.looks,
        asked=plan.asked(len(taken)),
        cap=plan.cap,
        items=plan.items,
        strata=sum(int(cell.strata.max()) + 1 for cell in plan.cells),
        history=min(cell.history for cell in plan.cells),
    )
    if not taken:
        return known
    last = taken[-1]
    return known.model_copy(
        update={
            "information": last.information,
            "pass_statistic": last.pass_statistic,
            "pass_bound": _finite(last.pass_bound),
            "fail_statistic": last.fail_statistic,
            "fail_bound": _finite(last.fail_bound),
        }
    )


def _finite(bound: float) -> float | None:
    return bound if math.isfinite(bound) else None
