"""What a training run logged: one table, step by step, whichever framework wrote it.

    {"step": 20, "loss": 0.71, "entropy": 1.9, "reward": 0.31}

`metrics.jsonl` lies in the run's folder, one line a log.  Names are TRL's, and whoever reads
another framework's log writes them so: `loss`, `kl`, `entropy`, `reward`, `reward_std`,
`frac_reward_zero_std`, `completions/clipped_ratio`, `rewards/chosen`, `rewards/margins`, ….
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import orjson

NAME = "metrics.jsonl"
MOST = 200  # points of a curve in a report
TIMES = ("runtime", "per_second", "step_time")  # what depends on the clock
COUNTS = ("epoch", "num_tokens", "total_flos", "step")

Curve: TypeAlias = list[tuple[int, float]]
"""(step, value), in the order of steps; a value that is no number is NaN."""


def append(folder: str | Path, step: int, values: Mapping[str, Any]) -> None:
    """Adds what was logged at a step; whatever is no number, or of the clock, is left out."""
    numbers = {
        name: float(value)
        for name, value in values.items()
        if isinstance(value, int | float) and not name.endswith(TIMES) and name not in COUNTS
    }
    if numbers:
        with (Path(folder) / NAME).open("ab") as file:
            file.write(orjson.dumps({"step": step, **numbers}) + b"\n")


def read(folder: str | Path) -> dict[str, Curve]:
    """Every curve of a run by name; of a step that was logged twice the later one counts.

    A run that was resumed repeats the steps since its last checkpoint.
    """
    path = Path(folder) / NAME
    lines = path.read_bytes().split(b"\n") if path.exists() else []
    found: dict[str, dict[int, float]] = {}
    for line in lines[:-1]:  # what stands after the last line break is torn
        try:
            row = orjson.loads(line)
            step = int(row.pop("step"))
        except (ValueError, TypeError, KeyError, AttributeError):
            continue
        for name, value in row.items():
            if value is None or isinstance(value, int | float):
                found.setdefault(str(name), {})[step] = math.nan if value is None else value
    return {name: sorted(found[name].items()) for name in sorted(found)}


def thinned(curve: Curve, most: int = MOST) -> Curve:
    """At most so many points of a curve, evenly spread, the first and the last among them."""
    if len(curve) <= most:
        return curve
    return [curve[round(i * (len(curve) - 1) / (most - 1))] for i in range(most)]


def flags(curves: Mapping[str, Curve]) -> list[str]:
    """What in the curves of a run warns of trouble, in words; they decide nothing."""
    found = [said for name, curve in curves.items() if (said := _broken(name, curve))]
    for judge in (_no_signal, _cut_off, _collapsed, _far_away, _displaced):
        said = judge({name: _ends(curve) for name, curve in curves.items()})
        found += [said] if said else []
    return found


Ends: TypeAlias = tuple[float, float]
"""The mean of a curve's first quarter and that of its last."""


def _ends(curve: Curve) -> Ends:
    values = [value for _, value in curve if math.isfinite(value)]
    quarter = max(1, len(values) // 4)
    return _mean(values[:quarter]), _mean(values[-quarter:])


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else math.nan


def _broken(name: str, curve: Curve) -> str:
    if name not in ("loss", "reward", "kl", "grad_norm"):
        return ""
    step = next((step for step, value in curve if not math.isfinite(value)), None)
    return "" if step is None else f"{name} was no number at step {step}"


def _no_signal(ends: Mapping[str, Ends]) -> str:
    _, last = ends.get("frac_reward_zero_std", (0.0, 0.0))
    if not last >= 0.8:
        return ""
    return (
        f"in {last:.0%} of the groups every answer earned the same reward: nothing was left to "
        "learn from"
    )


def _cut_off(ends: Mapping[str, Ends]) -> str:
    first, last = ends.get("completions/clipped_ratio", (0.0, 0.0))
    if not last > max(0.1, 1.5 * first):
        return ""
    return f"{last:.0%} of the answers were cut off in the end, {first:.0%} at first"


def _collapsed(ends: Mapping[str, Ends]) -> str:
    first, last = ends.get("entropy", (0.0, 0.0))
    if "reward" not in ends or not last < 0.15 * first:  # supervision is meant to lower it
        return ""
    return f"entropy fell from {first:.3g} to {last:.3g}: answers hardly vary any more"


def _far_away(ends: Mapping[str, Ends]) -> str:
    first, last = ends.get("kl", (0.0, 0.0))
    if "reward" not in ends or not last > max(0.2, 2 * first):
        return ""
    return f"KL to the reference rose from {first:.3g} to {last:.3g} per token"


def _displaced(ends: Mapping[str, Ends]) -> str:
    chosen, margins = ends.get("rewards/chosen"), ends.get("rewards/margins")
    if not chosen or not margins:
        return ""
    if not (chosen[1] < min(0.0, chosen[0]) - 0.1 and margins[1] > margins[0]):
        return ""
    return (
        f"the chosen answers became less likely (reward {chosen[1]:+.3g}) while margins rose: "
        "likelihood displacement"
    )
