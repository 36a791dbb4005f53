"""A ranking as it is told: every player's strength with its interval, and who was left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from pydantic import BaseModel, ConfigDict, Field

from evalkit.errors import DataError, UnknownName
from evalkit.ranking.style import FEATURES
from evalkit.reporting.reading import printable
from evalkit.stats.battles import Battle, Strength, comparable, rank
from evalkit.stats.rankings import elo, win_rate
from evalkit.terminal.columns import columns, percent


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Place(_Model):
    """One player."""

    player: str
    rank: int = Field(description="1 + how many are stronger beyond chance: their lower limit is")
    strength: float = Field(description="Bradley-Terry's beta; the anchor's is 0, or the mean")
    ci: tuple[float, float] = Field(description="90 % two-sided, bootstrap over prompts")
    elo: float = Field(description="400 beta / ln 10: the same in Elo points")
    elo_ci: tuple[float, float]
    win_rate: float = Field(description="P(it beats the anchor, or a player of mean strength)")
    battles: int


class Table(_Model):
    """What `evalkit rank` has to say."""

    anchor: str = Field(description="whose strength is 0; empty: the mean of all is")
    places: list[Place] = Field(description="the strongest first")
    battles: int
    prompts: int
    style: dict[str, float] = Field(
        default={},
        description="log odds that one standard step of a feature earns; what is ranked"
        " is what remains",
    )
    left_out: list[str] = Field(
        default=[], description="never lost to, never beat, or never met the others"
    )
    unfitted: float = Field(default=0.0, description="share of resamples without finite strengths")


def table(battles: Sequence[Battle], anchor: str = "", *, styled: bool = False) -> Table:
    """Ranks everybody who can be, by Bradley–Terry; with `styled`, for equal style.

    Raises DataError where nobody can be ranked, UnknownName for an anchor without battles.
    """
    if not battles:
        raise DataError("no battles to rank by")
    players = {name for battle in battles for name in (battle.first, battle.second)}
    if anchor and anchor not in players:
        raise UnknownName("player to count from", anchor, players)
    ranked = comparable(battles)
    if len(ranked) < 2 or (anchor and anchor not in ranked):
        told = f"{anchor!r} never lost to, never beat, or never met the others" if anchor else ""
        raise DataError(told or "nobody both beat and was beaten by the others: more battles")
    fought = [
        battle if styled else replace(battle, style=())
        for battle in battles
        if {battle.first, battle.second} <= ranked
    ]
    found = rank(fought, anchor)
    times = Counter(name for battle in fought for name in (battle.first, battle.second))
    return Table(
        anchor=anchor,
        places=[_place(each, found.places, times[each.player]) for each in found.places],
        battles=len(fought),
        prompts=len({battle.prompt for battle in fought}),
        style=dict(zip(FEATURES, found.style, strict=True)) if styled else {},
        left_out=sorted(players - ranked),
        unfitted=found.unfitted,
    )


def _place(own: Strength, others: Sequence[Strength], battles: int) -> Place:
    return Place(
        player=own.player,
        rank=1 + sum(other.lower > own.upper for other in others),
        strength=own.strength,
        ci=(own.lower, own.upper),
        elo=elo(own.strength),
        elo_ci=(elo(own.lower), elo(own.upper)),
        win_rate=win_rate(own.strength),
        battles=battles,
    )


def text(found: Table) -> str:
    """The ranking for people."""
    against = found.anchor or "the mean"
    head = ["player", "rank", "Elo", "90 % interval", "wins", "battles"]
    rows = [
        [
            printable(place.player),
            str(place.rank),
            f"{place.elo:+.0f}",
            f"{place.elo_ci[0]:+.0f} to {place.elo_ci[1]:+.0f}",
            percent(place.win_rate),
            f"{place.battles:,}",
        ]
        for place in found.places
    ]
    lines = [
        columns(head, rows),
        f"Elo points from {printable(against)}, and the share of battles won against it; of equal "
        "rank are players whose intervals overlap",
        f"{found.battles:,} battles on {found.prompts:,} prompts, which were resampled whole",
    ]
    if found.style:
        told = ", ".join(f"{name} {value:+.2f}" for name, value in found.style.items())
        lines.append(f"for equal style; log odds that style earned: {told}")
    if found.left_out:
        names = ", ".join(map(printable, found.left_out))
        lines.append(f"left out, having no finite strength: {names}")
    if found.unfitted:
        lines.append(f"in {found.unfitted:.1%} of the resamples no finite strengths fit")
    return "\n".join(lines) + "\n"
