"""Bounds on how answers may end: limits on what was counted, not claims about a population.

A rate is the share of a candidate's samples; a broken bound fails it whatever its score did.
"""

from __future__ import annotations

from evalkit.comparison.arm import Arm
from evalkit.comparison.policy import Policy

RATES = {
    "truncated": ("truncated", "unclosed_think"),
    "unparsed": ("unparsed", "empty"),
    "refused": ("refused",),
    "errored": (),  # whatever has no score: it never reached the scorer, or broke it
}
"""Rate -> the outcome classes it counts."""


def rate(arm: Arm, name: str) -> float:
    """The share of the samples due that ended so and did not earn full marks."""
    if name == "errored":
        return arm.missing
    return sum(arm.outcomes.get(how, 0) for how in RATES[name]) / max(1, arm.ends.size)


def broken(
    candidate: Arm, task: str, domain: str, policy: Policy, due: int | None = None
) -> dict[str, str]:
    """The bounds that a candidate breaks in a task: rate -> in words.

    With `due`, the answers to be had in the end, those that it breaks whatever the rest will be.
    """
    found = {}
    for name in RATES:
        bound, share = policy.bound(name, task, domain), rate(candidate, name)
        if due:
            share *= candidate.ends.size / due
        if bound is not None and share > bound:
            found[name] = f"{share:.1%} of its answers {name}: the bound is {bound:.1%}"
    return found
