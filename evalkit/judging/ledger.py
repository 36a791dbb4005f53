"""What judges were asked, in requests and tokens: each judgment counts once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, TypeAlias

from evalkit.judging.judgments import Judgment
from evalkit.judging.panel import Panel
from evalkit.judging.questions import Docket, Question, every
from evalkit.matrix import Price

Account: TypeAlias = dict[str, "Spent"]
"""What was spent, by the judge's model."""


@dataclass
class Spent:
    """What one judge was asked, and how many tokens that took."""

    calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0

    def add(self, judgment: Judgment) -> None:
        """One judgment, unless it was borrowed from another cell."""
        if not judgment.borrowed:
            self.calls += 1
            self.prompt_tokens += judgment.response.prompt_tokens
            self.completion_tokens += judgment.response.completion_tokens

    def price(self, price: Price) -> float:
        """What it cost."""
        paid = self.prompt_tokens * price.input + self.completion_tokens * price.output
        return paid / 1_000_000

    def __add__(self, other: Spent) -> Spent:
        return Spent(
            self.calls + other.calls,
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
        )


class Ledger:
    """An account of judgments, found by the questions that were asked."""

    def __init__(self, judged: Mapping[str, Judgment]) -> None:
        self.judged = judged
        self.spent: Account = {}
        self._counted: set[str] = set()

    def take(self, question: Question) -> None:
        """Every try of a question; the same one about another answer counts no more."""
        for key in map(question.key, range(question.tries)):
            if key in self.judged and key not in self._counted:
                self._counted.add(key)
                self.spent.setdefault(question.judge.model, Spent()).add(self.judged[key])


def spent_on(
    panel: Panel, dockets: Iterable[Docket], judged: Mapping[str, Judgment], since: int = 0
) -> Account:
    """What the judgments of some dockets took; of questions repeated, from a repeat on."""
    ledger = Ledger(judged)
    for docket in dockets:
        for question in every(panel, docket):
            if question.repeat >= since:
                ledger.take(question)
    return ledger.spent


def added(accounts: Iterable[Mapping[str, Spent]]) -> Account:
    """Several accounts as one."""
    whole: Account = {}
    for account in accounts:
        for model, spent in account.items():
            whole[model] = whole.get(model, Spent()) + spent
    return whole


def read(kept: Mapping[str, Mapping[str, Any]]) -> Account:
    """An account as JSON keeps it."""
    return {str(model): Spent(**each) for model, each in kept.items()}


def written(account: Mapping[str, Spent]) -> dict[str, dict[str, int]]:
    """An account for JSON."""
    return {model: asdict(spent) for model, spent in account.items()}
