"""A framework in an environment of its own: which version it is, and where its files are."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path

SECONDS = 60
CODE = """
import importlib.metadata, importlib.util, json, sys
found = importlib.util.find_spec(sys.argv[2])
try:
    version = importlib.metadata.version(sys.argv[1])
except importlib.metadata.PackageNotFoundError:
    version = ""
print(json.dumps([version, list(found.submodule_search_locations) if found else []]))
"""


@dataclass(frozen=True)
class Installed:
    """A package as an interpreter finds it."""

    version: str  # "" where it is not installed
    folder: Path | None  # its files


@cache
def installed(python: str, distribution: str, package: str) -> Installed | None:
    """What an interpreter has of a package; None where there is no such interpreter here."""
    if shutil.which(python) is None:
        return None
    command = [python, "-c", CODE, distribution, package]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=True)
        version, folders = json.loads(done.stdout)
    except (OSError, subprocess.SubprocessError, ValueError):
        return None
    return Installed(str(version), Path(folders[0]) if folders else None)


@cache
def checked_out(folder: Path) -> str:
    """The commit that a checkout is at, shortened; empty where that cannot be told."""
    command = ["git", "-C", str(folder), "rev-parse", "--short=12", "HEAD"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()
