"""Training what is missing: each stage of a pipeline in a child process of its own.

A stage's key is what it is trained from: parent's identity, data, reward, arguments, code and
package versions, seed.  What has been trained under a key is not trained again, and a training
that died goes on where its last whole checkpoint is.

    <results>/runs/<stage>-<key8>/
        stage.json    what was asked for
        evalkit.jsonl the manifest: one line per checkpoint
        metrics.jsonl what the training logged, step by step
        train.log     what the trainer printed
        final/        the checkpoint
        done.json     its identity; there only once all of it is
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

from evalkit import plugins
from evalkit.errors import EvalkitError, TrainingError
from evalkit.events import Note, Notify
from evalkit.identity.fingerprint import fingerprint
from evalkit.processes.children import ERROR_MARK, end_with, why
from evalkit.storage.files import write_beside
from evalkit.storage.lock import hold
from evalkit.storage.store import safe
from evalkit.training.run_folder import DONE, FINAL, Made, finished, reached
from evalkit.training.stage_key import key, lineage
from evalkit.types import Stage, Trainer

LEAST_ROOM = 2**20  # bytes; with less, whatever failed did so for want of room


def train(stage: Stage, parent_identity: str, runs: Path, notify: Notify) -> Made:
    """The stage's checkpoint and its identity, trained now if it has not been.

    Raises TrainingError naming the log where the stage does not end well.
    """
    trainer = plugins.trainer(stage.method, stage.trainer)
    folder = _folder(stage, parent_identity, runs, trainer)
    known = finished(folder)
    if known is None:
        by = f" by {trainer.name}" if trainer.launched else ""
        step = reached(folder) if trainer.resumes else 0
        onwards = f" from step {step}" if step else ""
        notify(Note(f"training {stage.name} ({stage.method}{by}){onwards}"))
        stage = replace(stage, lineage=lineage(stage, parent_identity))
        _run_child(stage, folder, trainer)
        known = finished(folder)
    if known is None:
        raise TrainingError(f"stage {stage.name} left no {folder / DONE}: run again")
    return known


def made(stage: Stage, parent_identity: str, runs: Path) -> Made | None:
    """The stage's checkpoint and its identity, if it has been trained."""
    trainer = plugins.trainer(stage.method, stage.trainer)
    return finished(_folder(stage, parent_identity, runs, trainer))


def found(stage: Stage, parent_identity: str, runs: Path, notify: Notify) -> Made:
    """The stage's checkpoint and its identity; raises TrainingError if it was not trained yet."""
    known = made(stage, parent_identity, runs)
    if known is None:
        raise TrainingError(
            f"stage {stage.name} has not been trained as the config has it now: "
            "run `evalkit run-matrix` first"
        )
    return known


def _folder(stage: Stage, parent_identity: str, runs: Path, trainer: Trainer) -> Path:
    return runs / f"{safe(stage.name)}-{key(stage, parent_identity, trainer)}"


def _run_child(stage: Stage, folder: Path, trainer: Trainer) -> None:
    trainer.check(stage)
    if folder.exists() and not trainer.resumes and not _remove_remains(folder):
        return
    spec = json.dumps({**asdict(stage), "out": str(folder)}, indent=1)
    write_beside(folder / "stage.json", spec.encode())
    spec_file, log = str(folder / "stage.json"), folder / "train.log"
    with log.open("ab") as output:
        start = output.tell()
        child = subprocess.Popen(
            [sys.executable, "-m", "evalkit.training.stage", spec_file, str(os.getpid())],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            code = child.wait()
        except BaseException:
            child.terminate()
            child.wait()
            raise
    if code != 0:
        reason = why(log, code, start)
        raise TrainingError(f"stage {stage.name} failed: {reason}; its log is {log}")


def _remove_remains(folder: Path) -> bool:
    """Clears what a stage that died left behind; False if another run has just finished it."""
    with hold(folder / "lock"):
        if (folder / DONE).exists():
            return False
        for path in folder.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            elif path.name != "lock":
                path.unlink(missing_ok=True)
    return True


def main() -> None:
    """The child: runs one stage, given as a file, and says when all of it is there."""
    end_with(int(sys.argv[2]))
    stage = Stage(**json.loads(Path(sys.argv[1]).read_text()))
    try:
        with hold(Path(stage.out) / "lock"):
            attempt(plugins.trainer(stage.method, stage.trainer).run, stage)
            final = fingerprint(Path(stage.out) / FINAL)
            write_beside(Path(stage.out) / DONE, json.dumps({"identity": final}).encode())
    except EvalkitError as error:
        print(f"{ERROR_MARK}{error}", flush=True)  # noqa: T201 - the log is the child's stdout
        sys.exit(1)


def attempt(run: Callable[[Stage], None], stage: Stage) -> None:
    """Runs a training; raises TrainingError where the disk is full, whoever says so."""
    try:
        run(stage)
    except EvalkitError:
        raise
    except Exception as error:
        if not _no_room(error, stage.out):
            raise
        raise TrainingError(
            f"no room left on the disk of {stage.out}: make some and run again; what was saved "
            "whole is kept"
        ) from error


def _no_room(error: BaseException, folder: str) -> bool:
    """Libraries wrap a full disk in errors of their own, or print it only."""
    full = getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT)
    said = any(os.strerror(code) in str(error) for code in (errno.ENOSPC, errno.EDQUOT))
    return full or said or shutil.disk_usage(folder).free < LEAST_ROOM


if __name__ == "__main__":
    main()
