"""Which of lm-eval's task files say anything about a name, told from their text.

lm-eval's own index reads some 14,000 files as YAML, in ten seconds of CPU time.  Here they are
searched as text, and only those that declare a name are read.
"""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from evalkit.errors import DataError

SUFFIX = ".yaml"
NO_TASK_FILES = (".py", ".pyc", ".md", ".json", ".jsonl", ".csv", ".parquet", ".txt")
IGNORED = {"__pycache__", ".ipynb_checkpoints"}

DECLARED = re.compile(
    rb"""^["']?(?:task|group)["']?[ \t]*:[ \t]*"""
    rb"""["']?([^\s"'#\[{][^"'#\r\n]*?)["']?[ \t]*(?:\#.*)?\r?$""",
    re.MULTILINE,
)
TAGS = re.compile(rb"""^["']?tag["']?[ \t]*:.*(?:\r?\n(?:[ \t]+|-).*)*""", re.MULTILINE)
INCLUDES = re.compile(
    rb"""^["']?include["']?[ \t]*:[ \t]*["']?([^"'#\r\n]*[^"'#\s])""", re.MULTILINE
)


def own_folder() -> Path:
    """Where lm-eval keeps its task files; raises DataError where it is not installed."""
    spec = find_spec("lm_eval")
    if spec is None or not spec.submodule_search_locations:
        raise DataError("lm-eval is not installed: pip install 'posttrain-evalkit[benchmarks]'")
    return Path(spec.submodule_search_locations[0], "tasks").resolve()


@dataclass(frozen=True, slots=True)
class Index:
    """What the files of a folder say about names, as text; in the order of their paths."""

    declared: Mapping[bytes, Sequence[Path]]  # a task or a group -> files that may declare it
    tags: Mapping[Path, bytes]
    including: Mapping[Path, Sequence[Path]]  # a file -> those that include it


def index_of(folder: Path) -> Index:
    """lm-eval's own files stay as they are; a user's may change while a process lives."""
    return _own_index(folder) if folder == own_folder() else _read_index(folder)


@cache
def _own_index(folder: Path) -> Index:
    return _read_index(folder)


def _read_index(folder: Path) -> Index:
    declared: dict[bytes, list[Path]] = defaultdict(list)
    including: dict[Path, list[Path]] = defaultdict(list)
    tags: dict[Path, bytes] = {}
    for path, text in _texts(folder):
        if path.suffix == SUFFIX:
            for name in DECLARED.findall(text):
                declared[name].append(path)
        if found := TAGS.findall(text):
            tags[path] = b"\n".join(found)
        for other in INCLUDES.findall(text):
            target = os.path.normpath(path.parent / other.decode(errors="replace"))
            including[Path(target)].append(path)
    return Index(dict(declared), tags, dict(including))


def _texts(folder: Path) -> list[tuple[Path, bytes]]:
    """Every file that may be a task file, or be included by one."""
    if folder.is_file():
        return [(folder, folder.read_bytes())]
    found = []
    for root, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if name not in IGNORED]
        for name in files:
            if not name.endswith(NO_TASK_FILES):
                path = Path(root, name)
                found.append((path, path.read_bytes()))
    return sorted(found, key=lambda each: each[0].as_posix())
