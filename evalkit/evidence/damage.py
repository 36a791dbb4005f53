"""Files that are not what they should be: whatever a damaged cell makes fail is one error."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from evalkit.errors import StoreError


@contextmanager
def readable(what: str) -> Iterator[None]:
    """Turns what a damaged file makes fail into a StoreError that says so."""
    try:
        yield
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        told = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise StoreError(f"{what}: damaged ({told}); restore the cell from a copy") from None
