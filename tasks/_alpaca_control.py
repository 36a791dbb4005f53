"""The length-controlled win rate of AlpacaEval 2 out of judged answers, and its difference.

With the authors' difficulties it is theirs.  Without, it is fitted anew and goes by another name.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from evalkit import Graded

from ._judged import details, known, raw_metrics

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from evalkit.stats.length_control import Judged, Known
    from evalkit.types import Fitted, ScoreRows

AUTHORS, REFITTED = "lc_win_rate", "lc_win_rate_refitted"


def metrics(graded: Sequence[Graded]) -> dict[str, float]:
    """The raw win rate, and the length-controlled one with its standard error."""
    from evalkit.stats.difficulties import refitted
    from evalkit.stats.length_control import Controlled

    found = raw_metrics(graded)
    if not found:
        return found
    answers = [(each.sample.id, value, noted) for each, value, noted in known(graded)]
    ordered = [answers[at] for at in _order([name for name, _, _ in answers])]
    judged = _judged(ordered)
    fitted = _known([(each.sample.id, details(each)) for each in graded])
    if fitted is None:
        return {**found, REFITTED: refitted([judged])[0]}
    whole = Controlled(judged, fitted).whole
    return {**found, AUTHORS: whole.win_rate, f"{AUTHORS}_se": whole.standard_error}


def refit(before: ScoreRows, after: ScoreRows) -> Fitted:
    """The difference of two checkpoints' length-controlled win rates, on any of their items."""
    import numpy as np

    from evalkit.stats.difficulties import refitted
    from evalkit.stats.length_control import Controlled

    order = _order([row["id"] for row in before])
    place = np.argsort(order)
    cells = [
        _judged([(rows[at]["id"], rows[at]["value"], rows[at]["details"]) for at in order])
        for rows in (before, after)
    ]
    fitted = [_known([(row["id"], row["details"]) for row in rows]) for rows in (before, after)]
    models = [Controlled(c, k) for c, k in zip(cells, fitted, strict=True) if k is not None]

    def controlled(index: NDArray[np.intp]) -> float:
        old, new = (model.win_rate(place[index]) for model in models)
        return new - old

    def anew(index: NDArray[np.intp]) -> float:
        old, new = refitted([cell.take(place[index]) for cell in cells])
        return new - old

    return controlled if len(models) == len(cells) else anew


def _order(names: Sequence[str]) -> NDArray[np.intp]:
    """Where the answers come in the order of their instructions, by which the folds go."""
    import numpy as np

    return np.argsort([int(name) for name in names], kind="stable")


def _judged(rows: Sequence[tuple[str, float, Mapping[str, Any]]]) -> Judged:
    """Judged answers as arrays; one whose length is not known is as long as the reference's."""
    import numpy as np

    from evalkit.stats.length_control import Judged

    lengths = [noted.get("length", (0, 0)) for *_, noted in rows]
    return Judged(
        np.array([int(name) for name, *_ in rows], dtype=np.intp),
        np.array([value for _, value, _ in rows], dtype=float),
        np.array([other - own for own, other in lengths], dtype=float),
    )


def _known(noted: Sequence[tuple[str, Mapping[str, Any]]]) -> Known | None:
    """What the authors fitted for these instructions; None where any of it is not there."""
    import numpy as np

    from evalkit.stats.length_control import Known

    rows = [(int(n), found) for n, found in noted if len(found.get("gamed", ())) == 2]
    rows.sort(key=lambda row: row[0])
    if not rows or len(rows) < len(noted):
        return None
    gamed = np.array([found["gamed"] for _, found in rows], dtype=float)
    difficulty = np.array([found["difficulty"] for _, found in rows], dtype=float)
    if not math.isfinite(float(gamed.sum() + difficulty.sum())):
        return None
    numbers = np.array([number for number, _ in rows], dtype=np.intp)
    return Known(numbers, difficulty, gamed[..., 0], gamed[..., 1])
