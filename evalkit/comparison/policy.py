"""The policy of a gate: what was fixed before the run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from evalkit.exams.wholes import Joints

EVERYWHERE = "all"
"""In place of a task or a domain: a bound on all of them."""


@dataclass(frozen=True)
class Policy:
    """What was fixed before the run: the losses tolerated and what gates."""

    margins: Mapping[str, float] = field(default_factory=dict)  # domain or task -> fraction
    gating_cells: frozenset[str] = frozenset()
    weights: Mapping[str, float] = field(default_factory=dict)  # task -> weight in its domain
    any_decline: bool = False
    inconclusive_passes: bool = False
    suspect_fails: bool = False
    alpha: float = 0.05  # one-sided error rate of each family, and of each limit
    advisory: frozenset[str] = frozenset()  # tasks whose judge is too weak to decide anything
    fixed: frozenset[str] = frozenset()  # tasks whose items are fixed, not a sample of others
    off: frozenset[str] = frozenset()  # tasks that are displayed only: in no family, no domain
    shown: Mapping[str, str] = field(default_factory=dict)  # those that are as parts, and why
    whole_run: bool = False  # whether all candidates of a run are one family of tests
    candidates: int = 1  # how many share the family
    forced: frozenset[str] = frozenset()  # margins that gate however little the data can show
    bounds: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    # rate -> task, domain or EVERYWHERE -> the largest share tolerated

    def bound(self, rate: str, task: str, domain: str) -> float | None:
        """The largest share tolerated: the task's own, else its domain's, else everybody's."""
        limits = self.bounds.get(rate, {})
        names = (task, domain, EVERYWHERE)
        return next((limits[name] for name in names if name in limits), None)

    def with_parts(self, known: Joints) -> Policy:
        """The same where some exams are asked in parts, which are displayed only.

        What they are parts of is as its parts are: a judge too weak for one is so for all.
        """
        weak = {each.label for each in known.whole if self.advisory.intersection(each.parts)}
        shown = {part: why for part, why in known.shown.items() if part not in self.off}
        return replace(
            self,
            off=self.off.union(known.shown),
            gating_cells=self.gating_cells.difference(known.shown),
            shown={**self.shown, **shown},
            advisory=self.advisory | weak,
        )

    @property
    def conf(self) -> float:
        """The two-sided level of every interval: each limit is a one-sided bound at α."""
        return 1 - 2 * self.alpha
