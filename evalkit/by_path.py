"""A user's own Python file, imported by its path: `./my_benchmark.py`.

It is imported under its own name, from its own folder, as Python would if it were started there:
so it may import its neighbours, and other processes find what it defines.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType

from evalkit.errors import ConfigError

SUFFIX = ".py"


def parted(name: str) -> tuple[str, str]:
    """The path and what is named in the file, of `file.py:name` or `file.py`; else two empty."""
    if name.endswith(SUFFIX):
        return name, ""
    path, colon, wanted = name.rpartition(f"{SUFFIX}:")
    return (path + SUFFIX, wanted) if colon else ("", "")


def module(path: Path) -> ModuleType:
    """The module in a file; raises ConfigError where it cannot be imported from there."""
    path, name = path.resolve(), path.stem
    if not path.is_file():
        raise ConfigError(f"no file at {path}")
    if not name.isidentifier():
        raise ConfigError(f"{path}: {name!r} cannot be imported: letters, digits and _ only")
    folder = str(path.parent)
    if folder not in sys.path:
        sys.path.append(folder)
        importlib.invalidate_caches()
    try:
        found = importlib.import_module(name)
    except Exception as error:  # whatever a user's file does when it is imported
        said = " ".join(f"{type(error).__name__}: {error}".split())
        raise ConfigError(f"{path}: cannot be imported: {said[:300]}") from None
    if Path(found.__file__ or "").resolve() != path:
        raise ConfigError(
            f"{path}: another module is called {name}, {found.__file__}: rename yours"
        )
    return found
