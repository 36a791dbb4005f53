"""What judging took: requests, tokens, and by the user's table of prices, money."""

from __future__ import annotations

from collections.abc import Mapping

from evalkit.judging.ledger import Spent
from evalkit.matrix import Price
from evalkit.verdict import JudgeCost


def cost_of(account: Mapping[str, Spent], prices: Mapping[str, Price]) -> JudgeCost:
    """The cost of judgments; without a price where one of the judges has none."""
    spent = {model: each for model, each in account.items() if each.calls}
    known = [each.price(prices[model]) for model, each in spent.items() if model in prices]
    return JudgeCost(
        calls=sum(each.calls for each in spent.values()),
        prompt_tokens=sum(each.prompt_tokens for each in spent.values()),
        completion_tokens=sum(each.completion_tokens for each in spent.values()),
        price=sum(known) if spent and len(known) == len(spent) else None,
    )
