"""What an estimate is made from, and what it says: the values that `evalkit.stats` passes on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from evalkit.stats.distributions import FloatArray

Numbers: TypeAlias = NDArray[np.integer[Any]]

Clusters: TypeAlias = Sequence[str | int] | Numbers
"""Which cluster each item belongs to, by name or by number."""


@dataclass(frozen=True, slots=True)
class Differences:
    """A cell's item differences (candidate − baseline, paired), and what shape they have."""

    values: FloatArray
    binary: bool  # both arms have one 0/1 score per item
    clusters: Clusters | None = None
    lattice: int | None = None  # every difference is a multiple of 1/lattice
    strata: Numbers | None = None  # the stratum of each item, by number; None: the mean over items
    weights: Sequence[float] = ()  # of each stratum in the mean; 0 leaves it out


@dataclass(frozen=True, slots=True)
class Estimate:
    """Candidate − baseline on the oriented scale; every limit is a one-sided bound."""

    delta: float
    lower: float
    upper: float
    se: float  # (upper - lower) / 2z unless the method says otherwise: never 0
    p_regressed: float
    p_improved: float
    n: int  # independent units: items, or clusters where items come in clusters
    method: str  # tango | quasi_tango | cluster | stratified | bootstrap | unpaired | fixed | seeds
    flags: tuple[str, ...] = ()
    seeds: tuple[float, ...] = ()  # the delta of each training seed, where several were averaged
    se_items: float = 0.0  # beside the spread between seeds
    df: float | None = None  # Satterthwaite's, of an estimate over seeds
