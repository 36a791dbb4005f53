"""The first checkpoint of a chain that is worse than its good end, in few questions.

Binary search: the far end is tested, then ⌈log₂T⌉ checkpoints between.  It assumes that the chain
stays worse once it is worse; where it recovers in between, one of the declines is found.

Every test is the ordinary comparison with the good end, at α/(1 + ⌈log₂T⌉), so that all tests of
a search together err with probability ≤ α (Bonferroni): a checkpoint that lost more than a margin
is called fine, or one that lost less in the unit that convicts it is called worse.  A test begins
with few items and asks more while it is inconclusive; its looks share its α, each but the first
having half of what the next has.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil, log2
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from evalkit.terminal.columns import columns, points
from evalkit.verdict import CandidateVerdict, Unit

Answer = Literal["worse", "fine", "inconclusive", "invalid"]
Result = Literal["found", "none", "open", "invalid"]
EXIT_CODES: dict[Result, int] = {"found": 1, "none": 0, "open": 3, "invalid": 4}


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Look(_Model):
    """One checkpoint compared with the good end on so many items."""

    checkpoint: str
    limit: int = Field(description="items of each task, at most")
    alpha: float = Field(description="one-sided, of this look alone")
    answer: Answer
    why: str = Field(description="the units that decide")
    asked: int = Field(description="new answers, of both checkpoints")


class Bisection(_Model):
    """What `evalkit bisect` has to say."""

    chain: list[str]
    alpha: float = Field(description="that any of the tests errs, at most")
    tests: int = Field(description="at most: the far end, and one for every halving")
    result: Result
    good: str = Field(description="the last checkpoint shown to be fine")
    bad: str = Field(default="", description="the first shown to be worse; empty: none is")
    undecided: str = Field(default="", description="the checkpoint that could not be decided")
    looks: list[Look]

    @property
    def exit_code(self) -> int:
        """1 where a checkpoint is worse, 0 where none is, 3 inconclusive, 4 invalid."""
        return EXIT_CODES[self.result]

    @property
    def asked(self) -> int:
        """All new answers."""
        return sum(look.asked for look in self.looks)


@dataclass(frozen=True)
class Plan:
    """What is fixed before anything is asked."""

    chain: tuple[str, ...]
    limits: tuple[int, ...]  # items of each task at every look
    alpha: float = 0.05

    @property
    def tests(self) -> int:
        """The most tests that a search can take: the far end, and ⌈log₂T⌉ between."""
        return 1 + ceil(log2(len(self.chain) - 1))

    def level(self, look: int) -> float:
        """The α of one look: ½, ¼, … of its test's from the last backwards, the first the rest."""
        after = len(self.limits) - 1 - look
        share = 0.5**after if look == 0 else 0.5 ** (after + 1)
        return self.alpha / self.tests * share


def looks(start: int, items: int) -> tuple[int, ...]:
    """Items at every look: from `start`, doubled until it is all of them."""
    sizes = [min(start, items)]
    while sizes[-1] < items:
        sizes.append(min(2 * sizes[-1], items))
    return tuple(sizes)


def bisect(plan: Plan, look: Callable[[str, int, float], Look]) -> Bisection:
    """Searches the chain; `look(checkpoint, limit, alpha)` asks, compares and says what it saw."""
    seen: list[Look] = []

    def test(at: int) -> Answer:
        for number, limit in enumerate(plan.limits):
            seen.append(look(plan.chain[at], limit, plan.level(number)))
            if seen[-1].answer != "inconclusive":
                break
        return seen[-1].answer

    good, bad = 0, len(plan.chain)
    at = bad - 1  # the far end first
    while (answer := test(at)) in ("worse", "fine"):
        good, bad = (good, at) if answer == "worse" else (at, bad)
        if bad - good < 2:
            break
        at = (good + bad) // 2
    return _concluded(plan, seen, good, bad, at)


def _concluded(plan: Plan, seen: list[Look], good: int, bad: int, at: int) -> Bisection:
    last = seen[-1].answer
    open_: Result = "invalid" if last == "invalid" else "open"
    none: Result = "none" if bad == len(plan.chain) else "found"
    decided = last in ("worse", "fine")
    return Bisection(
        chain=list(plan.chain),
        alpha=plan.alpha,
        tests=plan.tests,
        result=none if decided else open_,
        good=plan.chain[good],
        bad=plan.chain[bad] if bad < len(plan.chain) else "",
        undecided="" if decided else plan.chain[at],
        looks=seen,
    )


def answered(verdict: CandidateVerdict) -> tuple[Answer, str]:
    """What a comparison with the good end says of a checkpoint, and by which units.

    Worse: a unit with a margin regressed beyond it, U < −m.  Fine: every gating unit is shown to
    lie within its margin.  What has no margin has no say: it cannot be worse by more than that.
    """
    units = [*verdict.domains, *verdict.cells]
    worse = [u for u in units if u.verdict == "regressed" and "beyond_margin" in u.flags]
    if worse:
        return "worse", _told(worse)
    gating = [unit for unit in units if unit.gates]
    invalid = [unit for unit in gating if unit.verdict == "invalid"]
    if invalid:
        return "invalid", "; ".join(dict.fromkeys(u.reason for u in invalid if u.reason))
    open_ = [unit for unit in gating if unit.verdict not in ("improved", "no_regression")]
    return ("inconclusive", _told(open_)) if open_ else ("fine", _told(gating))


def _told(units: Sequence[Unit]) -> str:
    told = {
        f"{getattr(unit, 'task', unit.domain)} {points(unit.delta)}"
        for unit in units
        if unit.delta is not None
    }
    return ", ".join(sorted(told))


def text(found: Bisection) -> str:
    """The search for people: every look, then the result."""
    rows = [
        [each.checkpoint, str(each.limit), each.answer, str(each.asked), each.why]
        for each in found.looks
    ]
    head = ["checkpoint", "items a task", "against the good end", "asked", "points"]
    error = (
        f"{found.asked} answers asked, {len({each.checkpoint for each in found.looks})} of "
        f"{len(found.chain) - 1} checkpoints tested; all tests together err with probability "
        f"≤ {found.alpha:g}, if what is worse stays worse"
    )
    return "\n".join([columns(head, rows), _result(found), error]) + "\n"


def _result(found: Bisection) -> str:
    if found.result == "found":
        return f"first worse: {found.bad}; {found.good} before it is not"
    if found.result == "none":
        return f"nothing to find: {found.good} is within the margin of {found.chain[0]}"
    end = f" and {found.bad}, which is worse" if found.bad else " and the end"
    return (
        f"{found.undecided} could not be decided ({found.result}): the first worse one, if any, "
        f"lies between {found.good}, which is not,{end}"
    )
