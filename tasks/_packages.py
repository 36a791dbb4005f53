"""Packages that a scorer needs, looked for before anything is asked."""

from __future__ import annotations

from importlib.util import find_spec

from evalkit.errors import DataError


def require(task: str, *packages: str) -> None:
    """Raises DataError naming the packages that are not installed."""
    missing = [name for name in packages if find_spec(name) is None]
    if missing:
        raise DataError(
            f"{task}: its scorer needs {', '.join(missing)}:"
            " pip install 'posttrain-evalkit[benchmarks]'"
        )
