"""A lock file: every package of an environment, pinned, with what is to be known of it in comments.

# What the environment is for, in one line.
# check: a module that must import, another
# size: 3.4 GB
package==1.2.3
"""

from __future__ import annotations

import hashlib
import platform
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from evalkit.errors import ConfigError, UnknownName

FOLDER = Path(__file__).parent
PINNED = re.compile(r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)==(?P<version>[A-Za-z0-9.!]+)")


@dataclass(frozen=True)
class Recipe:
    """What an environment is for, and what it holds."""

    name: str
    lock: Path
    about: str
    pinned: Mapping[str, str]  # package -> version
    checks: tuple[str, ...] = ()  # modules that must import
    size: str = ""  # what it takes on disk, in words
    digest: str = field(default="")  # of the lock, for this interpreter and machine


def recipes() -> dict[str, Recipe]:
    """Every environment there is a lock for, by name."""
    return {path.stem: read(path) for path in sorted(FOLDER.glob("*.txt"))}


def recipe(name: str) -> Recipe:
    """The environment of that name; raises UnknownName with the nearest one."""
    found = recipes()
    if name not in found:
        raise UnknownName("environment", name, found)
    return found[name]


def read(path: Path) -> Recipe:
    """A lock file; raises ConfigError on a line that pins nothing."""
    about, said, pinned = "", {"check": "", "size": ""}, {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        words = line.removeprefix("#").strip()
        key, colon, value = words.partition(": ")
        if line.startswith("#") and colon and key in said:
            said[key] = value
        elif line.startswith("#"):
            about = about or words
        elif found := PINNED.fullmatch(words):
            pinned[found["name"]] = found["version"]
        elif words:
            raise ConfigError(f"{path}:{number}: {words!r} is not pinned: write name==version")
    checks = tuple(filter(None, said["check"].replace(" ", "").split(",")))
    return Recipe(path.stem, path, about, pinned, checks, said["size"], _digest(path))


def _digest(path: Path) -> str:
    interpreter = (*sys.version_info[:2], platform.system(), platform.machine())
    whole = path.read_bytes() + repr(interpreter).encode()
    return hashlib.sha256(whole).hexdigest()[:8]
