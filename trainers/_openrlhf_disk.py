"""What OpenRLHF leaves on disk: models written in place, and states that only DeepSpeed reads."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from evalkit import Saved
from evalkit.identity.weights import lacks_tokenizer, quiet, saved

from ._launched import FINAL
from .checkpoints import QUIET_SECONDS, by_hand, numbered

CHECKPOINT = re.compile(r"(?:best_)?global_step(\d+)_hf")
STATES = re.compile(r"global_step(\d+)")


def scan(run: Path, settled: float = QUIET_SECONDS) -> Sequence[Saved]:
    """The whole checkpoints of a run: exported ones, and last the one of its end.

    Weights are written first and the tokenizer last, in place, so that nothing may be written
    for `settled` seconds.  A step that only DeepSpeed can read is among them, to be told of.
    """

    def whole(step: int, folder: Path) -> Saved | None:
        written = not lacks_tokenizer(folder) and quiet(folder, settled)
        return saved(step, folder) if written else None

    def states(step: int, folder: Path) -> Saved | None:
        model = run / f"global_step{step}_hf"
        there = any(folder.glob("*model_states.pt")) and _latest(folder.parent) >= step
        alone = there and not model.exists() and quiet(folder, settled)
        return by_hand(step, folder, "deepspeed") if alone else None

    found = list(numbered(run, CHECKPOINT, whole))
    for place in (run, run / "_actor"):
        found += numbered(place, STATES, states)
    last = whole(max((each.step for each in found), default=0), run / FINAL)
    return [*found, *([replace(last, final=True)] if last else [])]


def _latest(folder: Path) -> int:
    """The step that DeepSpeed's tracker names, the last whole one; -1 where it names none."""
    try:
        match = STATES.fullmatch((folder / "latest").read_text(encoding="utf-8").strip())
    except (OSError, UnicodeDecodeError):
        return -1
    return int(match[1]) if match else -1
