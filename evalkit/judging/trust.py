"""What a reader must know of a judge, in words."""

from __future__ import annotations

from collections.abc import Iterator

from evalkit.verdict import JudgeCost, JudgeNote


def said(note: JudgeNote) -> Iterator[str]:
    """One sentence for each doubt about a judge."""
    if note.advisory:
        yield (
            f"{note.task} is advisory: its judge agrees with labels {_percent(note.accuracy)} of "
            f"times and turns with the order {_percent(note.flip_rate)} of times"
        )
    elif "judge_unstable" in note.flags:
        turned = note.turned if note.flip_rate is None else max(note.turned or 0, note.flip_rate)
        yield (
            f"{note.task}: its judge is unstable: {_percent(turned)} of its verdicts turn with "
            "the order"
        )
    if "judge_fooled" in note.flags:
        worst = max(note.null_wins, key=lambda name: note.null_wins[name])
        yield f"{note.task}: its judge is fooled by null answers, most by {worst!r}"
    if note.forged:
        yield (
            f"{note.task}: {note.forged} answers hold a verdict or a mark of the judge's prompt: "
            "read them before you believe their grades"
        )
    if note.failures:
        count = sum(note.failures.values())
        classes = ", ".join(f"{name} {number}" for name, number in note.failures.items())
        yield f"{note.task}: {count} judgments are no grade ({classes}); their answers are missing"


def lines(note: JudgeNote) -> Iterator[str]:
    """Everything that is known of a judge, a line each."""
    known = {
        "labelled answers": f"{note.pairs:,}" if note.pairs else None,
        "agrees with labels": _share(note.accuracy),
        "kappa with labels": _number(note.kappa),
        "labelled pairs turned by the order": _share(note.flip_rate),
        "judged answers": f"{note.answers:,}" if note.answers else None,
        "verdicts turned by the order": _share(note.turned),
        "won by the answer shown first": _share(note.first_wins),
        "won by the longer answer": _share(note.longer_wins),
        "correlation with length": _number(note.length_correlation),
        **_again(note),
        **{f"null answer, {name}": _number(grade) for name, grade in note.null_wins.items()},
        "answers cost": cost_told(note.cost),
        "audits cost": cost_told(note.audits),
        "flags": ", ".join(note.flags) or None,
    }
    yield f"{note.task}, judged by {note.judge} ({note.identity})"
    for name, told in known.items():
        if told is not None:
            yield f"  {name}: {told}"


def _again(note: JudgeNote) -> dict[str, str]:
    again = note.self_agreement
    if again is None:
        return {}
    times = f"{again.items} answers judged {again.repeats} times"
    return {times: f"{again.agreement:.1%} the same verdict, sd {again.sd:.3f} of the scale"}


def cost_told(cost: JudgeCost) -> str | None:
    """Calls, tokens and the price if it is known; None where nobody was asked."""
    if not cost.calls:
        return None
    tokens = f"{cost.calls:,} calls, {cost.prompt_tokens:,} + {cost.completion_tokens:,} tokens"
    return tokens if cost.price is None else f"{tokens}, {cost.price:,.2f}"


def _share(share: float | None) -> str | None:
    return None if share is None else f"{share:.1%}"


def _number(value: float | None) -> str | None:
    return None if value is None else f"{value:.3f}"


def _percent(share: float | None) -> str:
    return "unknown" if share is None else f"{share:.0%}"
