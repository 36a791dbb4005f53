"""One writer per folder; a dead one is not waited for."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from evalkit.errors import StoreError
from evalkit.storage.lock import _remove, hold

HOLDER = """
import sys, time
from pathlib import Path
from evalkit.storage.lock import hold
with hold(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


@contextmanager
def holder(path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A real process that holds the lock; killed in the end."""
    command = [sys.executable, "-c", HOLDER, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        yield process
        process.kill()


def test_a_second_writer_is_refused_and_told_the_process(tmp_path: Path) -> None:
    with (
        holder(tmp_path / "lock") as owner,
        pytest.raises(StoreError, match=rf"written by process {owner.pid}: wait"),
        hold(tmp_path / "lock"),
    ):
        pass


def test_the_same_process_is_refused_as_well(tmp_path: Path) -> None:
    with (
        hold(tmp_path / "lock"),
        pytest.raises(StoreError, match=str(os.getpid())),
        hold(tmp_path / "lock"),
    ):
        pass


def test_the_lock_goes_with_the_context_even_after_a_failure(tmp_path: Path) -> None:
    def fail() -> None:
        with hold(tmp_path / "new" / "lock"):
            assert (tmp_path / "new" / "lock").exists()
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert list((tmp_path / "new").iterdir()) == []


def test_the_lock_of_a_killed_process_is_broken(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with holder(path) as owner:
        owner.send_signal(signal.SIGKILL)
        owner.wait()
    assert path.exists()
    with hold(path):
        assert json.loads(path.read_text())["pid"] == os.getpid()
    assert list(tmp_path.iterdir()) == []


def test_a_zombie_holds_nothing(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with holder(path) as owner:
        owner.send_signal(signal.SIGKILL)
        os.waitid(os.P_PID, owner.pid, os.WEXITED | os.WNOWAIT)  # dead, and not yet reaped
        with hold(path):
            pass


def test_a_number_that_went_to_another_process_is_not_the_owner(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    owner = {"host": socket.gethostname(), "pid": os.getpid(), "started": "1"}
    path.write_text(json.dumps(owner))
    with hold(path):
        pass


def test_the_lock_of_another_host_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    path.write_text(json.dumps({"host": "elsewhere", "pid": 1, "started": "1"}))
    with pytest.raises(StoreError, match=r"on host elsewhere: .* remove .*lock"), hold(path):
        pass
    assert path.exists()


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "[1]", "\0\0"])
def test_a_lock_file_that_says_nothing_is_broken(tmp_path: Path, text: str) -> None:
    (tmp_path / "lock").write_text(text)
    with hold(tmp_path / "lock"):
        pass


def test_breaking_a_stale_lock_spares_the_one_taken_meanwhile(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    path.write_text("the new owner's")
    _remove(path, b"the stale one that was seen")
    assert path.read_text() == "the new owner's"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_cannot_be_made_is_a_store_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot write"), hold(tmp_path / "file" / "lock"):
        pass
