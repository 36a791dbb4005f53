"""The choice among checkpoints as text for a terminal."""

from __future__ import annotations

from evalkit.series.best import Best, Place
from evalkit.terminal.columns import columns, percent, points


def table(found: Best) -> str:
    """The choice for people: a table, the best first, and what may be said of it."""
    rows = [
        [
            place.checkpoint,
            percent(place.chosen_by),
            percent(place.score),
            f"{points(place.gain)} [{points(place.gain_ci[0])}, {points(place.gain_ci[1])}]",
            f"{points(place.loss)} [{points(place.loss_ci[0])}, {points(place.loss_ci[1])}]",
            place.worst_domain,
            "yes" if place.on_front else "",
        ]
        for place in found.places
    ]
    head = ["checkpoint", "chose", "held out", "gain", "worst domain", "which", "front"]
    top = found.places[0]
    lines = [
        columns(head, rows),
        f"best: {found.best}, chosen by {found.items[0]} items; the other {found.items[1]} items "
        f"say {percent(top.score)}, {points(top.gain)} points against {found.baseline}",
        "its score on the items that chose it is too high: quote the held-out one",
        *_doubt(found, top),
        *(f"left out: {task}: {why}" for task, why in {**found.invalid, **found.shown}.items()),
    ]
    return "\n".join(lines) + "\n"


def _doubt(found: Best, top: Place) -> list[str]:
    if found.best == found.baseline or top.gain_ci[0] > 0:
        return []
    return [f"the held-out items do not show it to be better than {found.baseline}"]
