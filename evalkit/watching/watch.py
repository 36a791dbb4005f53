"""The watch itself: looks every few seconds, keeps what is new, evaluates one after the other.

Keeping goes on while a checkpoint is evaluated, so that what is rotated away meanwhile is not
lost.  What was kept or evaluated is told from the watch's folder alone, so that a watch that was
stopped goes on where it was.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from evalkit.events import Note, Notify
from evalkit.storage import lock
from evalkit.training.run_folder import DONE
from evalkit.watching import evaluation, keeping
from evalkit.watching.finding import found
from evalkit.watching.keeping import Kept
from evalkit.watching.subject import Watch
from evalkit.watching.surroundings import scrubbed


@dataclass
class _Turn:
    """Which checkpoint is being evaluated, and what could not be."""

    kept: Kept | None = None
    process: subprocess.Popen[bytes] | None = None
    failed: list[str] = field(default_factory=list)
    told: set[str] = field(default_factory=set)  # of what is no model until somebody makes one


@dataclass(frozen=True)
class Manner:
    """How a run is followed."""

    over: Callable[[], bool]  # whether its training has ended
    once: bool = False  # evaluate what is there now, and end
    every: float = 10.0  # seconds between looks
    settled: float = 10.0  # seconds without a write, where no last file says that all is there
    devices: str = ""  # of the evaluations


def follow(watch: Watch, manner: Manner, notify: Notify) -> list[str]:
    """Follows a run until it is over and all is evaluated; returns what could not be.

    Raises StoreError where another watch of the same run is under way.
    """
    watch.folder.mkdir(parents=True, exist_ok=True)
    turn = _Turn()
    with lock.hold(watch.folder / "lock"):
        try:
            while True:
                ended = manner.over()  # asked first: what is saved last is then found below
                _keep_new(watch, turn, 0.0 if ended else manner.settled, notify)
                busy = _advance(watch, turn, notify, manner.devices)
                if (ended or manner.once) and not busy:
                    return [*turn.failed, *sorted(turn.told)]
                time.sleep(min(manner.every, 0.5) if turn.process else manner.every)
        finally:
            _stop(turn)


def _keep_new(watch: Watch, turn: _Turn, settled: float, notify: Notify) -> None:
    known = {kept.name for kept in keeping.everything(watch.folder)}
    told, turn.told = turn.told, set()
    for each in found(Path(watch.source), settled):
        name = "final" if each.saved.final else f"step-{each.saved.step}"
        if name in known:
            continue
        if each.saved.by_hand:
            if each.saved.path not in told:
                notify(Note(f"warning: {each.saved.by_hand}"))
            turn.told.add(each.saved.path)
            continue
        kept = keeping.keep(each, watch.folder)
        gone = f"{each.saved.path} was removed before it could be kept"
        notify(Note(f"kept {kept.called(watch.run)}" if kept else f"warning: {gone}"))


def _advance(watch: Watch, turn: _Turn, notify: Notify, devices: str) -> bool:
    """Ends an evaluation that is done and begins the next; False where nothing is left to do."""
    if turn.process and turn.process.poll() is None:
        return True
    if turn.process and turn.kept:
        _finish(watch, turn, turn.kept, turn.process.returncode, notify)
    turn.kept = turn.process = None
    done = keeping.evaluated(watch.folder)
    left = [k for k in keeping.everything(watch.folder) if k.name not in done]
    left = [kept for kept in left if kept.called(watch.run) not in turn.failed]
    if not left:
        return False
    turn.kept = left[0]
    notify(Note(f"evaluating {turn.kept.called(watch.run)}"))
    turn.process = subprocess.Popen(
        evaluation.command(watch, turn.kept.name),
        stdin=subprocess.DEVNULL,
        env=scrubbed(os.environ, devices),
    )
    return True


def _finish(watch: Watch, turn: _Turn, kept: Kept, code: int, notify: Notify) -> None:
    if code == 0:
        keeping.release(kept, watch.folder)
        return
    turn.failed.append(kept.called(watch.run))
    notify(Note(f"warning: {turn.failed[-1]} could not be evaluated (exit {code})"))


def _stop(turn: _Turn) -> None:
    if turn.process and turn.process.poll() is None:
        turn.process.terminate()
        turn.process.wait()


def until_over(source: Path, pid: int | None) -> Callable[[], bool]:
    """Tells when a run is over: its process has ended, or nobody trains the stage any more."""
    if pid is not None:
        return lambda: not lock.alive(pid)
    if (source / "stage.json").exists():
        return lambda: (source / DONE).exists() or not lock.held(source / "lock")
    return lambda: False
