"""A distribution of a test's own, which this process and its children find."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from textwrap import dedent

import pytest

from evalkit import plugins


@contextmanager
def trainer_installed(
    folder: Path, monkeypatch: pytest.MonkeyPatch, module: str, source: str
) -> Iterator[None]:
    """Installs a module that declares trainers, and a cache of its own, for as long as it lasts."""
    site = folder / "site"
    about = site / f"{module}-1.0.dist-info"
    about.mkdir(parents=True)
    (site / f"{module}.py").write_text(dedent(source))
    (about / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {module.replace('_', '-')}\nVersion: 1.0\n"
    )
    (about / "entry_points.txt").write_text(f"[evalkit.trainers]\nwriter = {module}\n")
    root = str(Path(__file__).parent.parent)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(site), root]))
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
    monkeypatch.syspath_prepend(str(site))
    plugins.forget()
    yield
    plugins.forget()
    sys.modules.pop(module, None)
