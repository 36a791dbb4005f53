"""A report written: `verdict.json`, `report.md`, and the formats that were asked for."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from evalkit import plugins
from evalkit.evidence.values import NO_SAMPLES, Evidence
from evalkit.storage.files import write_beside
from evalkit.verdict import Pictures, Renderer, Report


def write(
    report: Report, folder: Path, formats: Iterable[str], evidence: Evidence = NO_SAMPLES
) -> list[Path]:
    """Writes `verdict.json`, `report.md` and the formats asked for; returns the files."""
    written: list[Path] = []
    for name in dict.fromkeys(("json", "markdown", *formats)):
        renderer = plugins.report_format(name)
        written.append(folder / renderer.filename)
        write_one(renderer, report, written[-1], evidence)
    return written


def write_one(
    renderer: Renderer | Pictures, report: Report, path: Path, evidence: Evidence
) -> None:
    """Writes one format to a file, or its pictures into a folder."""
    if isinstance(renderer, Pictures):
        for name, content in renderer.draw(report):
            write_beside(path / name, content)
    else:
        write_beside(path, renderer.render(report, evidence).encode("utf-8", "replace"))
