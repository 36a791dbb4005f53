"""Another distribution with plugins, installed for as long as a test lasts."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from evalkit import plugins


@contextmanager
def distribution(folder: Path, sources: Mapping[str, str]) -> Iterator[Path]:
    """A package `outside` in a folder, with a module of each kind: kind -> its source."""
    about = folder / "outside-1.0.dist-info"
    (folder / "outside").mkdir()
    about.mkdir()
    (folder / "outside" / "__init__.py").touch()
    points = ""
    for kind, source in sources.items():
        (folder / "outside" / f"{kind}.py").write_text(source)
        points += f"[evalkit.{kind}]\nsomething = outside.{kind}\n"
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: outside\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(points)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        patch.setenv("PYTHONPATH", str(folder))  # a trainer runs in a child
        patch.chdir(folder)
        plugins.forget()
        yield folder
    plugins.forget()
    for name in [name for name in sys.modules if name.partition(".")[0] == "outside"]:
        del sys.modules[name]
