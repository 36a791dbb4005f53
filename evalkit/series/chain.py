"""The checkpoints between two of a matrix, from the one that is taken for good to the other."""

from __future__ import annotations

from evalkit.errors import ConfigError, UnknownName
from evalkit.matrix import Matrix

FEWEST = 3


def chain(matrix: Matrix, start: str = "", end: str = "") -> tuple[str, ...]:
    """The lineage by parent from `start` (the baseline) to `end` (the last of the file).

    Where `end` names no parent, the order of the file between the two.  Raises UnknownName,
    and ConfigError where the lineage does not lead there or holds fewer than three.
    """
    names = [row.checkpoint.name for row in matrix.rows]
    first, last = start or matrix.baseline, end or names[-1]
    for name in (first, last):
        if name not in names:
            raise UnknownName("checkpoint", name, names)
    parents = {row.checkpoint.name: row.checkpoint.parent for row in matrix.rows}
    found = _lineage(parents, first, last) if parents[last] else _order(names, first, last)
    if len(found) < FEWEST:
        raise ConfigError(
            f"from {first} to {last} are {len(found)} checkpoints; a bisection takes "
            f"{FEWEST} or more: two are what `evalkit compare` is for"
        )
    return found


def _lineage(parents: dict[str, str], first: str, last: str) -> tuple[str, ...]:
    found = [last]
    while found[-1] != first:
        parent = parents[found[-1]]
        if parent not in parents or parent in found:
            raise ConfigError(
                f"the lineage of {last} goes back to {found[-1]}, not to {first}: "
                f"give --from {found[-1]}, or a `parent:`"
            )
        found.append(parent)
    return tuple(reversed(found))


def _order(names: list[str], first: str, last: str) -> tuple[str, ...]:
    begin, end = names.index(first), names.index(last)
    if begin > end:
        raise ConfigError(f"{first} comes after {last} in the file: exchange --from and --to")
    return tuple(names[begin : end + 1])
