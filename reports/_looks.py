"""How far a fast gate went into each domain, in words."""

from __future__ import annotations

from collections.abc import Iterator

from evalkit.verdict import CandidateVerdict, DomainLooks

from ._text import clean, count


def looks(candidate: CandidateVerdict) -> list[str]:
    """A line per domain; none where nothing was asked in looks."""
    return ["; ".join(_phrases(domain)) for domain in candidate.sequential]


def _phrases(found: DomainLooks) -> Iterator[str]:
    share = found.asked / found.items if found.items else 0.0
    most = "" if found.cap == found.items else f", at most {count(found.cap)}"
    yield (
        f"{clean(found.domain, 60)}: look {found.looks} of {found.planned}, asked "
        f"{count(found.asked)} of {count(found.items)} items ({share:.0%}{most})"
    )
    if found.pass_statistic is not None and found.fail_statistic is not None:
        yield f"T(−m) {_signed(found.pass_statistic)}, passes at {_bound(found.pass_bound)}"
        yield f"−T(0) {_signed(found.fail_statistic)}, regresses at {_bound(found.fail_bound)}"
    if found.strata > 1:
        made = f" from {found.history} earlier checkpoints" if found.history >= 3 else ""
        yield f"{found.strata} strata{made}"


def _bound(bound: float | None) -> str:
    return "no value yet" if bound is None else f"{bound:.2f}"


def _signed(statistic: float) -> str:
    return f"{statistic:.2f}".replace("-", "−")
