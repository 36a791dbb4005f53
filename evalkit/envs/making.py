"""Making an environment from its lock, checking it, and finding its interpreter."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from evalkit.envs.locks import Recipe, recipe
from evalkit.errors import EvalkitError
from evalkit.events import Note, Notify
from evalkit.storage.files import cache_folder, write_beside
from evalkit.storage.lock import hold

MARK = "evalkit.json"
"""Written last: a folder without it was only half made."""

CHECK = """\
import importlib, importlib.metadata as metadata, json, sys
pinned, modules = json.loads(sys.argv[1])
for name, wanted in pinned.items():
    try:
        found = metadata.version(name).partition("+")[0]
    except metadata.PackageNotFoundError:
        found = "not there"
    if found != wanted:
        sys.exit(f"{name} is {found}, not {wanted}")
for name in modules:
    try:
        importlib.import_module(name)
    except Exception as error:
        sys.exit(f"{name} does not import: {type(error).__name__}: {error}")
"""


def root() -> Path:
    """The folder that holds the environments."""
    return cache_folder() / "envs"


def folder_of(found: Recipe) -> Path:
    """The folder that an environment has, once it is made."""
    return root() / f"{found.name}-{found.digest}"


def python_in(folder: Path) -> Path:
    """The interpreter of an environment."""
    return folder / "bin" / "python"


def is_made(found: Recipe) -> bool:
    """Whether all of it is there."""
    folder = folder_of(found)
    return (folder / MARK).exists() and python_in(folder).exists()


def python_of(name: str) -> Path:
    """The interpreter of an environment; raises EvalkitError where it has not been made."""
    found = recipe(name)
    if not is_made(found):
        raise EvalkitError(f"the environment {name} is not there: `evalkit env {name}` makes it")
    return python_in(folder_of(found))


def make(name: str, notify: Notify) -> Path:
    """The interpreter of an environment, made now if it has not been.

    Raises EvalkitError naming the log where pip fails.
    """
    found = recipe(name)
    folder = folder_of(found)
    if not is_made(found):
        with hold(root() / f"{folder.name}.lock"):
            if not is_made(found):
                _make(found, folder, notify)
    return python_in(folder)


def _make(found: Recipe, folder: Path, notify: Notify) -> None:
    size = f", about {found.size}" if found.size else ""
    notify(Note(f"making {found.name}: {len(found.pinned)} packages{size}, in {folder}"))
    shutil.rmtree(folder, ignore_errors=True)
    log = folder.with_suffix(".log")
    log.unlink(missing_ok=True)
    _call([sys.executable, "-m", "venv", str(folder)], log, found.name)
    pip = [str(python_in(folder)), "-m", "pip", "--disable-pip-version-check", "install"]
    # The lock lists everything, so what packages ask for beyond it is left out on purpose.
    _call([*pip, "--no-deps", "--no-input", "-r", str(found.lock)], log, found.name)
    if wrong := _wrong(found):
        raise EvalkitError(
            f"{found.name} was installed and does not work: {wrong}; its log is {log}"
        )
    taken = sum(path.lstat().st_size for path in folder.rglob("*"))
    write_beside(folder / MARK, json.dumps({"bytes": taken}).encode())


def _call(command: list[str], log: Path, name: str) -> None:
    with log.open("ab") as output:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=outside(),
            check=False,
        )
    if done.returncode:
        lines = log.read_text(errors="replace").split("\n")
        said = next((line for line in reversed(lines) if line.startswith("ERROR")), "")
        raise EvalkitError(f"{name} could not be made: {said or 'see the log'}; its log is {log}")


def check(name: str) -> None:
    """Raises EvalkitError where an environment is not what its lock says, or does not work."""
    found = recipe(name)
    if wrong := _wrong(found):
        folder = folder_of(found)
        raise EvalkitError(f"{name}: {wrong}; remove {folder} and run `evalkit env {name}` again")


def _wrong(found: Recipe) -> str:
    """What is wrong with an environment, in a line; empty where nothing is."""
    python = str(python_in(folder_of(found)))
    wanted = json.dumps([dict(found.pinned), list(found.checks)])
    done = subprocess.run(
        [python, "-c", CHECK, wanted], capture_output=True, text=True, env=outside(), check=False
    )
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    return (lines[-1] if lines else f"exit {done.returncode}") if done.returncode else ""


def size_of(found: Recipe) -> int:
    """Bytes that an environment took when it was made; 0 where that is not known."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        return int(json.loads((folder_of(found) / MARK).read_bytes())["bytes"])
    return 0


def outside() -> dict[str, str]:
    """This process's variables without those that would bring its own packages along."""
    ours = ("PYTHONHOME", "PYTHONPATH", "VIRTUAL_ENV", "PYTHONSTARTUP")
    return {name: value for name, value in os.environ.items() if name not in ours}


def inside(python: Path) -> Mapping[str, str]:
    """The variables of a process that runs in an environment."""
    folder = python.parent.parent
    path = f"{python.parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    return {**outside(), "VIRTUAL_ENV": str(folder), "PATH": path}
