"""Training what is missing: each stage of a pipeline in a child process of its own.

A stage's key is what it is trained from: parent's identity, data, reward, arguments, code and
package versions, seed.  What has been trained under a key is not trained again.

    <results>/runs/<stage>-<key8>/
        stage.json    what was asked for
        evalkit.jsonl the manifest: one line per checkpoint
        train.log     what the trainer printed
        final/        the checkpoint
        done.json     its identity; there only once all of it is
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TypeAlias

from evalkit import identity, plugins
from evalkit.children import ERROR_MARK, end_with, why
from evalkit.errors import EvalkitError, TrainingError
from evalkit.events import Note, Notify
from evalkit.files import write_beside
from evalkit.fingerprint import fingerprint
from evalkit.lock import hold
from evalkit.store import safe
from evalkit.types import Stage, Trainer

FINAL, DONE = "final", "done.json"

Made: TypeAlias = tuple[Path, str]
"""A checkpoint's folder and its identity."""


def train(stage: Stage, parent_identity: str, runs: Path, notify: Notify) -> Made:
    """The stage's checkpoint and its identity, trained now if it has not been.

    Raises TrainingError naming the log where the stage does not end well.
    """
    trainer = plugins.trainer(stage.method)
    folder = _folder(stage, parent_identity, runs, trainer)
    known = _made(folder)
    if known is None:
        notify(Note(f"training {stage.name} ({stage.method})"))
        _run_child(stage, folder, trainer)
        known = _made(folder)
    if known is None:
        raise TrainingError(f"stage {stage.name} left no {folder / DONE}: run again")
    return known


def made(stage: Stage, parent_identity: str, runs: Path) -> Made | None:
    """The stage's checkpoint and its identity, if it has been trained."""
    return _made(_folder(stage, parent_identity, runs, plugins.trainer(stage.method)))


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


def _made(folder: Path) -> Made | None:
    """What is there now counts, if it was overwritten since; what is gone keeps its identity."""
    final = folder / FINAL
    try:
        known = str(json.loads((folder / DONE).read_bytes())["identity"])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError):
        raise TrainingError(f"{folder / DONE} cannot be read: remove it to train again") from None
    return final, fingerprint(final) if final.is_dir() else known


def key(stage: Stage, parent_identity: str, trainer: Trainer) -> str:
    """The head of sha256 over all that a stage's weights depend on: 8 hexadecimal digits."""
    whole = identity.digest(
        [
            stage.method,
            parent_identity,
            [[_content(source), weight] for source, weight in stage.data.items()],
            _content(stage.reward) if stage.reward else "",
            dict(stage.args),
            stage.seed,
            _files(plugins.source_files(trainer.run.__module__)),
            [[name, _version(name)] for name in trainer.packages],
        ]
    )
    return whole.hex()[:8]


def _content(source: str) -> str:
    """What a data source or a reward is, by content."""
    if source.startswith("task:"):
        found = plugins.task(source.removeprefix("task:"))
        return _files(plugins.source_files(found.samples.__module__))
    path, _, function = source.partition(".py:")
    return _files([f"{path}.py" if function else path]) + function


def _files(paths: Iterable[str]) -> str:
    whole = hashlib.sha256()
    for path in paths:
        with Path(path).open("rb") as file:
            whole.update(hashlib.file_digest(file, "sha256").digest())
    return whole.hexdigest()


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "none"


def _run_child(stage: Stage, folder: Path, trainer: Trainer) -> None:
    trainer.check(stage)
    if folder.exists() and not _remove_remains(folder):
        return
    spec = json.dumps({**asdict(stage), "out": str(folder)}, indent=1)
    write_beside(folder / "stage.json", spec.encode())
    spec_file, log = str(folder / "stage.json"), folder / "train.log"
    with log.open("wb") as output:
        child = subprocess.Popen(
            [sys.executable, "-m", "evalkit.training", spec_file, str(os.getpid())],
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
        raise TrainingError(f"stage {stage.name} failed: {why(log, code)}; its log is {log}")


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
            plugins.trainer(stage.method).run(stage)
            final = fingerprint(Path(stage.out) / FINAL)
            write_beside(Path(stage.out) / DONE, json.dumps({"identity": final}).encode())
    except EvalkitError as error:
        print(f"{ERROR_MARK}{error}", flush=True)  # noqa: T201 - the log is the child's stdout
        sys.exit(1)


if __name__ == "__main__":
    main()
