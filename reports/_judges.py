"""How far a judge may be trusted, in one sentence."""

from __future__ import annotations

from collections.abc import Iterator

from evalkit.verdict import JudgeCost, JudgeNote

from ._text import clean, percent


def judge(note: JudgeNote) -> str:
    """One judge of one task: how it did in its audits, on the answers, and what follows."""
    facts = "; ".join([_labelled(note), *_answered(note), *_spent(note.cost), *_audited(note)])
    told = f"{clean(note.judge, 60)} on {clean(note.task, 60)}: {facts}"
    return told + ("; ADVISORY: too weak to decide, it never gates" if note.advisory else "")


def _labelled(note: JudgeNote) -> str:
    if not (note.pairs or note.advisory):
        return "not held against labels"
    accuracy = "unknown" if note.accuracy is None else f"{percent(note.accuracy)} %"
    flips = "unknown" if note.flip_rate is None else f"{percent(note.flip_rate)} %"
    kappa = "" if note.kappa is None else f" (κ {note.kappa:.2f})"
    return f"accuracy {accuracy}{kappa}, position flips {flips}, {note.pairs:,} labelled pairs"


def _answered(note: JudgeNote) -> Iterator[str]:
    """What its judgments of this report's answers show."""
    if note.turned is not None:
        yield f"{percent(note.turned)} % of {note.answers:,} answers turned by the order"
    if note.longer_wins is not None:
        yield f"the longer one won {percent(note.longer_wins)} %"
    again = note.self_agreement
    if again is not None:
        yield f"{percent(again.agreement)} % of {again.items} the same in {again.repeats} repeats"
    if note.null_wins:
        worst = max(note.null_wins, key=lambda name: note.null_wins[name])
        yield f"null answers earn {note.null_wins[worst]:.2f} at most ({clean(worst, 30)})"
    if note.failures:
        yield f"{sum(note.failures.values()):,} judgments are no grade"


def _spent(cost: JudgeCost) -> Iterator[str]:
    if cost.calls:
        tokens = f"{cost.prompt_tokens:,} + {cost.completion_tokens:,} tokens"
        paid = "" if cost.price is None else f", {cost.price:,.2f} paid"
        yield f"{cost.calls:,} calls, {tokens}{paid}"


def _audited(note: JudgeNote) -> Iterator[str]:
    yield from (f"its audits {told}" for told in _spent(note.audits))
