"""What a reader must know of a judge, in words."""

from __future__ import annotations

from collections.abc import Iterator

from evalkit.verdict import JudgeNote


def said(note: JudgeNote) -> Iterator[str]:
    """One sentence for each doubt about a judge."""
    if note.advisory:
        yield (
            f"{note.task} is advisory: its judge agrees with labels {_percent(note.accuracy)} of "
            f"times and turns with the order {_percent(note.flip_rate)} of times"
        )
    elif "judge_unstable" in note.flags:
        turned = note.turned if note.flip_rate is None else max(note.turned or 0, note.flip_rate)
        yield f"{note.task}: its judge is unstable: {_percent(turned)} of its verdicts turn with the order"
    if "judge_fooled" in note.flags:
        worst = max(note.null_wins, key=lambda name: note.null_wins[name])
        yield f"{note.task}: its judge is fooled by null answers, most by {worst!r}"
    if note.failures:
        count = sum(note.failures.values())
        classes = ", ".join(f"{name} {number}" for name, number in note.failures.items())
        yield f"{note.task}: {count} judgments are no grade ({classes}); their answers are missing"


def _percent(share: float | None) -> str:
    return "unknown" if share is None else f"{share:.0%}"
