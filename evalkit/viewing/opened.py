"""A viewer of a results folder: which report it shows, and its page."""

from __future__ import annotations

from pathlib import Path

from evalkit import plugins
from evalkit.comparison.policy import Policy
from evalkit.errors import ConfigError, StoreError, UnknownName
from evalkit.reporting.cells import stored
from evalkit.reporting.reading import read_verdict
from evalkit.reporting.report import of_store
from evalkit.storage.store import Store
from evalkit.verdict import Renderer, Report
from evalkit.viewing.columns import give_back_memory
from evalkit.viewing.desk import Desk
from evalkit.viewing.server import Viewer

PAGE = "html"
"""The renderer whose page is served."""


def opened(results: Path, verdict: Path | None, baseline: str | None, port: int) -> Viewer:
    """The server, listening but not answering yet."""
    give_back_memory()
    report = _report(results, verdict, baseline)
    desk = Desk(results, report)
    if not desk.pairs:
        raise StoreError(f"{results}: no two checkpoints sat one task there: nothing to hold apart")
    renderer = plugins.report_format(PAGE)
    assert isinstance(renderer, Renderer)
    assert renderer.serve is not None
    page = renderer.serve(report, desk.evidence, desk.data())
    try:
        return Viewer(desk, page, port)
    except OSError as error:
        raise ConfigError(f"--port {port}: {error.strerror}; give another, or none") from None


def _report(results: Path, verdict: Path | None, baseline: str | None) -> Report:
    """The verdict given, else the one of the last run, else one of what the results hold."""
    last = results / "report" / "verdict.json"
    if verdict or (last.exists() and not baseline):
        return read_verdict(verdict or last)
    names = list(dict.fromkeys(cell.checkpoint for cell in stored(Store(results))))
    if not baseline:
        known = ", ".join(sorted(names)) or "nothing"
        raise StoreError(
            f"{last}: no such file; give --baseline, one of what the results hold: {known}"
        )
    if baseline not in names:
        raise UnknownName(f"checkpoint of {results}", baseline, names)
    others = [name for name in names if name != baseline]
    return of_store(Store(results), [baseline, *others], Policy())
