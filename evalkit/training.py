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

import ctypes
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from evalkit import identity, plugins
from evalkit.errors import EvalkitError, TrainingError
from evalkit.events import Note, Notify
from evalkit.files import write_beside
from evalkit.fingerprint import fingerprint
from evalkit.lock import hold
from evalkit.store import safe
from evalkit.types import Stage, Trainer

FINAL, DONE = "final", "done.json"
ERROR_MARK = "evalkit: "


def train(stage: Stage, parent_identity: str, runs: Path, notify: Notify) -> tuple[Path, str]:
    """The stage's checkpoint and its identity, trained now if it has not been.

    Raises TrainingError naming the log where the stage does not end well.
    """
    trainer = plugins.trainer(stage.method)
    folder = _folder(stage, parent_identity, runs, trainer)
    if not (folder / DONE).exists():
        notify(Note(f"training {stage.name} ({stage.method})"))
        _run_child(stage, folder, trainer)
        final = fingerprint(folder / FINAL)
        write_beside(folder / DONE, json.dumps({"identity": final}).encode())
    return _made(folder)


def found(stage: Stage, parent_identity: str, runs: Path, notify: Notify) -> tuple[Path, str]:
    """The stage's checkpoint and its identity; raises TrainingError if it was not trained yet."""
    folder = _folder(stage, parent_identity, runs, plugins.trainer(stage.method))
    if not (folder / DONE).exists():
        raise TrainingError(
            f"stage {stage.name} has not been trained as the config has it now: "
            "run `evalkit run-matrix` first"
        )
    return _made(folder)


def _folder(stage: Stage, parent_identity: str, runs: Path, trainer: Trainer) -> Path:
    return runs / f"{safe(stage.name)}-{key(stage, parent_identity, trainer)}"


def _made(folder: Path) -> tuple[Path, str]:
    return folder / FINAL, str(json.loads((folder / DONE).read_text())["identity"])


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
    if folder.exists():
        _remove_remains(folder)
    spec = json.dumps({**asdict(stage), "out": str(folder)}, indent=1)
    write_beside(folder / "stage.json", spec.encode())
    log = folder / "train.log"
    with log.open("wb") as output:
        child = subprocess.Popen(
            [sys.executable, "-m", "evalkit.training", str(folder / "stage.json")],
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
        raise TrainingError(f"stage {stage.name} failed: {_why(log, code)}; its log is {log}")


def _remove_remains(folder: Path) -> None:
    """Clears what a stage that died left behind; nothing in it was finished."""
    with hold(folder / "lock"):
        for path in folder.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            elif path.name != "lock":
                path.unlink(missing_ok=True)


def _why(log: Path, code: int) -> str:
    lines = log.read_text(errors="replace").splitlines()
    said = [line.removeprefix(ERROR_MARK) for line in lines if line.startswith(ERROR_MARK)]
    if said:
        return said[-1]
    if code < 0:
        return f"killed by {signal.Signals(-code).name}" + (
            " (out of memory?)" if code == -signal.SIGKILL else ""
        )
    last = next((line for line in reversed(lines) if line.strip()), "it printed nothing")
    return f"exit {code}: {last.strip()[:300]}"


def main() -> None:
    """The child: runs one stage, given as a file."""
    _die_with_parent()
    stage = Stage(**json.loads(Path(sys.argv[1]).read_text()))
    try:
        with hold(Path(stage.out) / "lock"):
            plugins.trainer(stage.method).run(stage)
    except EvalkitError as error:
        print(f"{ERROR_MARK}{error}", flush=True)  # noqa: T201 - the log is the child's stdout
        sys.exit(1)


def _die_with_parent() -> None:
    with suppress(OSError, AttributeError):
        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGTERM)
    if os.getppid() == 1:
        sys.exit(1)


if __name__ == "__main__":
    main()
