"""Checkpoints in a folder of folders, whoever wrote them, and those that a manifest lists.

A folder counts when it holds a whole model and either a mark that its writer leaves last, or
nothing was written to it for a while; where any of its neighbours has such a mark, it needs one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from evalkit.identity.weights import lacks_tokenizer, quiet, saved
from evalkit.training import manifest
from evalkit.training.run_folder import FINAL
from evalkit.types import Saved

MARKS = ("COMPLETED", ".checkpoint_complete", "STABLE")  # open-instruct's two, prime-rl's
STEP = re.compile(r"(\d+)(?!.*\d)")
ELSEWHERE = re.compile(
    r"checkpoint-\d+|(best_)?global_step\d+_hf|(tmp|old)_?.*|\..*|.*\.(tmp|part)"
)
"""What has a rule of its own, and what is not meant to be seen yet."""


def scan(folder: Path, settled: float) -> Iterator[Saved]:
    """The whole checkpoints of a folder, by step: the last number in the name of each."""
    inside = {
        int(match[1]): path
        for path in folder.iterdir()
        if path.is_dir()
        and not ELSEWHERE.fullmatch(path.name)
        and (match := STEP.search(path.name)) is not None
    }
    marked = {path for path in inside.values() if any((path / mark).exists() for mark in MARKS)}
    for step, path in sorted(inside.items()):
        if path in marked or (not marked and quiet(path, settled)):
            found = saved(step, path)
            if found and not lacks_tokenizer(path):
                yield found


def listed(folder: Path) -> Iterator[Saved]:
    """The checkpoints of a manifest, in its order; those that are gone are not among them."""
    for entry in manifest.checkpoints(folder):
        path = folder / entry["path"]
        found = saved(int(entry.get("step", 0)), path) if path.is_dir() else None
        if found:
            yield replace(found, train=entry.get("train", {}), final=entry["path"] == FINAL)
