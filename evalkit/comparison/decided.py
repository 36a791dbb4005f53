"""Every decision of one comparison: families of p-values, domain means, the decision table.

The arithmetic is in `evalkit.stats`; here is decided which numbers go into it.
"""

from __future__ import annotations

from collections.abc import Sequence

from evalkit.comparison.measured import Measured
from evalkit.comparison.paired import Variant
from evalkit.comparison.policy import Policy
from evalkit.stats.cell import Estimate
from evalkit.stats.decision import Decision, Evidence, decide_cell, decide_domain
from evalkit.stats.designs import seeds_mean
from evalkit.stats.domains import domain_mean, pooled
from evalkit.stats.families import holm, regression_family
from evalkit.stats.power import mde_regressed


class Decided:
    """The decision table over all cells and domains, under one way of filling what is missing."""

    def __init__(self, measured: Sequence[Measured], policy: Policy, variant: Variant) -> None:
        self.measured = measured
        self.policy = policy
        judged = [i for i, cell in enumerate(measured) if cell.task not in policy.off]
        self.domains = list(dict.fromkeys(measured[i].domain for i in judged))
        self.members = {
            domain: [i for i in judged if measured[i].domain == domain] for domain in self.domains
        }
        self.deciding = {
            domain: [i for i in members if measured[i].task not in policy.advisory] or members
            for domain, members in self.members.items()
        }
        self.estimates = [cell.estimate(variant) for cell in measured]
        self.means = {domain: self._mean(domain) for domain in self.domains}
        family = regression_family(
            [[_p(self.estimates[i], "p_regressed") for i in row] for row in self._deciding_rows],
            [[_se(self.estimates[i]) for i in row] for row in self._deciding_rows],
            disjoint=[
                self._disjoint(row) and self._over_seeds(domain) is None
                for domain, row in zip(self.domains, self._deciding_rows, strict=True)
            ],
            pooled=[self._over_seeds(domain) for domain in self.domains],
            candidates=policy.candidates,
        )
        self.p_domain = dict(zip(self.domains, family.p_domain, strict=True))
        self.p_domain_adjusted = dict(zip(self.domains, family.p_domain_adjusted, strict=True))
        self.p_cell_adjusted = dict.fromkeys(range(len(measured)), 1.0) | {
            i: p
            for members, row in zip(self._deciding_rows, family.p_cell_adjusted, strict=True)
            for i, p in zip(members, row, strict=True)
        }
        raised = self._improved([self.estimates[i] for i in judged])
        self.p_improved = dict(zip(judged, raised, strict=True))
        improved = self._improved([self.means[domain] for domain in self.domains])
        self.p_domain_improved = dict(zip(self.domains, improved, strict=True))
        self.cells = [self._decide_cell(i) for i in range(len(measured))]

    def _improved(self, units: Sequence[Estimate | None]) -> list[float]:
        """Adjusted p-values of "it improved", Holm over cells or over domains."""
        p = holm([_p(unit, "p_improved") for unit in units])
        return [min(1.0, self.policy.candidates * each) for each in p.tolist()]

    @property
    def _deciding_rows(self) -> list[list[int]]:
        return [self.deciding[domain] for domain in self.domains]

    def _mean(self, domain: str) -> Estimate | None:
        """The weighted mean of a domain's cells; none where a cell that counts is invalid."""
        members = self.members[domain]
        weighed = [i for i in members if self._weight(i) > 0] or members
        found = [estimate for i in weighed if (estimate := self.estimates[i]) is not None]
        if len(found) < len(weighed):
            return None
        weights = [self._weight(i) or 1.0 for i in weighed]
        if len(found) > 1 and all(estimate.seeds for estimate in found):
            return seeds_mean(found, weights, self.policy.conf)
        return domain_mean(found, weights, disjoint=self._disjoint(weighed))

    def _disjoint(self, members: Sequence[int]) -> bool:
        """Whether no two of these cells share items, as two presets of one task do."""
        tasks = {self.measured[i].task.partition("@")[0] for i in members}
        return len(tasks) == len(members)

    def _over_seeds(self, domain: str) -> float | None:
        """p of a domain's mean over training seeds, which move all of its cells together."""
        mean = self.means[domain]
        return mean.p_regressed if mean and mean.seeds else None

    def _weight(self, index: int) -> float:
        task = self.measured[index].task
        return 0.0 if task in self.policy.advisory else self.policy.weights.get(task, 1.0)

    def margin(self, unit: str, domain: str) -> float | None:
        """The margin of a task or a domain; a cell alone in its domain is its domain."""
        if unit in self.policy.off:
            return None
        margins = self.policy.margins
        alone = len(self.members[domain]) == 1
        only = self.measured[self.members[domain][0]].task
        names = (unit, domain, only) if alone else (unit,)
        return next((margins[name] for name in names if name in margins), None)

    def _decide_cell(self, index: int) -> Decision:
        cell = self.measured[index]
        if cell.task in self.policy.off:
            return Decision("inconclusive" if self.estimates[index] else "invalid", ("off",))
        return decide_cell(
            self.estimates[index],
            self.margin(cell.task, cell.domain),
            self.p_cell_adjusted[index],
            self.p_improved[index],
            alpha=self.policy.alpha,
            fail_on_any_decline=self.policy.any_decline,
        )

    def decide_domain(self, domain: str) -> Decision:
        """The verdict of a domain, given its cells'."""
        members = self.deciding[domain]
        valid = [estimate for i in members if (estimate := self.estimates[i]) is not None]
        return decide_domain(
            self.means[domain],
            self.margin(domain, domain),
            self.p_domain_adjusted[domain],
            self.p_domain_improved[domain],
            Evidence(
                tuple(self.cells[i].verdict for i in members),
                pooled(valid, self.policy.conf).lower if valid else None,
            ),
            alpha=self.policy.alpha,
            fail_on_any_decline=self.policy.any_decline,
        )

    def gates(self, index: int) -> bool:
        """Whether a cell can hold the candidate up: only if it was told to."""
        task = self.measured[index].task
        return task in self.policy.gating_cells and task not in self.policy.advisory

    def mde80(self, index: int) -> float | None:
        """The smallest decline of a cell that is called regressed 80 % of times."""
        estimate, cell = self.estimates[index], self.measured[index]
        if estimate is None or cell.task in self.policy.off:
            return None
        margin = self.margin(cell.task, cell.domain) or 0.0
        cells = len(self.members[cell.domain])
        return mde_regressed(
            estimate.se,
            margin,
            cells_in_domain=cells,
            n_domains=len(self.domains) * self.policy.candidates,
            alpha=self.policy.alpha,
        )


def _p(estimate: Estimate | None, name: str) -> float:
    return 1.0 if estimate is None else float(getattr(estimate, name))


def _se(estimate: Estimate | None) -> float:
    return float("inf") if estimate is None else estimate.se
