"""A plan kept on disk: what was fixed before the first question stays fixed when a run resumes.

The strata are made from what the store holds; without the file, a checkpoint evaluated meanwhile
would change the order of the items, and what was asked could be chosen by its outcome.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from evalkit.errors import StoreError
from evalkit.fast.looks import CellPlan, DomainPlan
from evalkit.storage.files import write_beside

SCHEMA = 2


def kept(path: Path) -> list[DomainPlan] | None:
    """The plan in a file; None where there is no file.  Raises StoreError on a damaged one."""
    try:
        found = json.loads(path.read_bytes())
        if found["schema"] != SCHEMA:
            raise ValueError
        return [_domain(row) for row in found["domains"]]
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError):
        raise StoreError(
            f"{path}: not a plan of looks; remove it, and the looks are planned anew "
            "(the answers are kept)"
        ) from None


def keep(path: Path, plans: list[DomainPlan]) -> None:
    """Writes a plan."""
    rows = [asdict(plan) for plan in plans]
    for cell in (cell for row in rows for cell in row["cells"]):
        cell["items"] = [item.hex() for item in cell["items"]]
        cell["strata"] = cell["strata"].tolist()
    write_beside(path, json.dumps({"schema": SCHEMA, "domains": rows}).encode())


def _domain(row: dict[str, Any]) -> DomainPlan:
    return DomainPlan(**{**row, "cells": tuple(_cell(cell) for cell in row["cells"])})


def _cell(row: dict[str, Any]) -> CellPlan:
    items = tuple(bytes.fromhex(item) for item in row["items"])
    strata = np.array(row["strata"], dtype=np.intp)
    sizes = tuple(row["sizes"])
    if not sizes or min(sizes) < 1 or sum(sizes) != len(items) or len(sizes) != len(strata):
        raise ValueError
    return CellPlan(**{**row, "items": items, "sizes": sizes, "strata": strata})
