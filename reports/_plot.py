"""A figure before it is drawn, and the few marks that all figures are made of.

Coordinates are pixels from the upper left corner, so that text and marks line up; only the axis
that shows numbers has units of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ._palette import colour

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH = 760
SMALL, TEXT = 11.0, 12.5
MARKERS = {"improved": "^", "regressed": "v", "no_regression": "o", "inconclusive": "o"}
"""An inconclusive estimate is drawn hollow, an invalid one not at all."""


@dataclass(frozen=True, slots=True)
class Plot:
    """One figure: what it shows, in words, and how it is drawn."""

    name: str  # of its files
    title: str
    says: str  # for those who cannot see it
    height: int
    draw: Callable[[Figure], None]
    width: int = WIDTH


def page(figure: Figure) -> Axes:
    """Axes over the whole figure, in pixels."""
    width, height = figure.get_size_inches() * figure.dpi
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, width), ylim=(height, 0))
    axes.axis("off")
    return axes


def panel(figure: Figure, box: tuple[float, float, float, float]) -> Axes:
    """Axes within left, top, width and height in pixels, without a frame."""
    width, height = figure.get_size_inches() * figure.dpi
    left, top, wide, high = box
    axes = figure.add_axes(
        (left / width, 1 - (top + high) / height, wide / width, high / height), zorder=1
    )
    axes.patch.set_visible(False)
    for side in axes.spines.values():
        side.set_visible(False)
    axes.tick_params(length=0, labelsize=SMALL, labelcolor=colour("muted"))
    return axes


def write(axes: Axes, at: tuple[float, float], text: str, role: str = "ink", **how: Any) -> None:
    """Text with its baseline's middle at a place; `ha`, `weight` and `size` as in matplotlib."""
    axes.text(*at, text, color=colour(role), **{"va": "center_baseline", "size": TEXT, **how})


def rule(axes: Axes, xs: tuple[float, float], ys: tuple[float, float], role: str = "rule") -> None:
    """A thin line."""
    axes.plot(xs, ys, color=colour(role), linewidth=1, solid_capstyle="butt", zorder=0)


def estimate(
    axes: Axes, at: tuple[float, float], ci: tuple[float, float], verdict: str, role: str
) -> None:
    """A point with its horizontal interval."""
    x, y = at
    axes.plot(ci, (y, y), color=colour(role), linewidth=1.8, solid_capstyle="butt", zorder=2)
    mark(axes, (x, y), verdict, role)


def mark(axes: Axes, at: tuple[float, float], verdict: str, role: str) -> None:
    """The marker of a verdict."""
    hollow = verdict == "inconclusive"
    axes.plot(
        *([value] for value in at),
        marker=MARKERS.get(verdict, "o"),
        markersize=6.5,
        markerfacecolor=colour("paper") if hollow else colour(role),
        markeredgecolor=colour(role),
        markeredgewidth=1.4,
        linestyle="none",
        clip_on=False,
        zorder=3,
    )
