"""The logs of tests/fixtures/interchange, and how tests import and compare them."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from evalkit.comparison.policy import Policy
from evalkit.interchange.imported import Imported, Skipped, Wanted
from evalkit.interchange.kept import keep
from evalkit.interchange.reading import read
from evalkit.reporting.report import of_store
from evalkit.storage.store import Store
from evalkit.verdict import CellVerdict, Report

LOGS = Path(__file__).parent / "fixtures" / "interchange"


def results_file(whose: str) -> Path:
    (path,) = (LOGS / "lm-eval" / whose).glob("results_*.json")
    return path


def copied(whose: str, to: Path) -> Path:
    """A copy of an lm-eval log that a test may damage; the path of its results file."""
    shutil.copytree(LOGS / "lm-eval" / whose, to)
    return to / results_file(whose).name


def imports(*paths: Path, **wanted: Any) -> dict[str, Imported]:
    return {each.task: each for each in read(paths, Wanted(**wanted)) if isinstance(each, Imported)}


def skips(*paths: Path, **wanted: Any) -> dict[str, str]:
    found = read(paths, Wanted(**wanted))
    return {each.task: each.reason for each in found if isinstance(each, Skipped)}


def kept(results: Path, name: str, *paths: Path, **wanted: Any) -> None:
    for each in imports(*paths, name=name, **wanted).values():
        keep(each, Store(results))


def compared(results: Path, policy: Policy | None = None) -> tuple[Report, dict[str, CellVerdict]]:
    report = of_store(Store(results), ["base", "tuned"], policy or Policy())
    return report, {cell.task: cell for cell in report.candidates[0].cells}
