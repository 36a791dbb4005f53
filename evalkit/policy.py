"""The policy of a gate: what was fixed before the run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


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

    @property
    def conf(self) -> float:
        """The two-sided level of every interval: each limit is a one-sided bound at α."""
        return 1 - 2 * self.alpha
