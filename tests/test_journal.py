"""A journal loses no whole line, whatever stops its writer."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.errors import StoreError
from evalkit.storage.journal import Journal, read, repaired

WRITER = """
import sys
from pathlib import Path
from evalkit.storage.journal import Journal
with Journal(Path(sys.argv[1])) as journal:
    for number in range(10**9):
        journal.append({"number": number, "text": "x" * (number % 5000)})
        if number % 100 == 0:
            print(number, flush=True)
"""


def written(path: Path, *rows: dict[str, object]) -> Path:
    with Journal(path) as journal:
        for row in rows:
            journal.append(row)
    return path


def test_what_is_appended_is_read_in_order(tmp_path: Path) -> None:
    path = written(tmp_path / "j", {"a": 1}, {"a": 2})
    written(path, {"a": 3})
    assert [row["a"] for row in read(path)] == [1, 2, 3]


def test_a_journal_that_is_not_there_is_empty(tmp_path: Path) -> None:
    assert list(read(tmp_path / "none")) == []


@pytest.mark.parametrize("torn", [b"{", b'{"a": 3}', b'{"a": "' + b"x" * 200_000])
def test_a_torn_last_line_is_not_read_and_is_gone_after_the_next_line(
    tmp_path: Path, torn: bytes
) -> None:
    path = written(tmp_path / "j", {"a": 1})
    path.write_bytes(path.read_bytes() + torn)
    assert list(read(path)) == [{"a": 1}]
    written(path, {"a": 2})
    assert path.read_bytes() == b'{"a":1}\n{"a":2}\n'


def test_a_file_that_is_one_torn_line_becomes_empty(tmp_path: Path) -> None:
    path = tmp_path / "j"
    path.write_bytes(b"x" * 200_000)
    written(path, {"a": 1})
    assert path.read_bytes() == b'{"a":1}\n'


@pytest.mark.parametrize("damage", [b'{"a": 2', b"\0\0\0", b"7", b"[]", b"\xff", b""])
def test_damage_before_the_last_line_is_named_by_file_and_line(
    tmp_path: Path, damage: bytes
) -> None:
    path = tmp_path / "j"
    path.write_bytes(b'{"a":1}\n' + damage + b'\n{"a":3}\n')
    with pytest.raises(StoreError, match=r"j:2: not a row; .* remove that line"):
        list(read(path))


def test_lone_surrogates_are_repaired_and_whole_pairs_joined(tmp_path: Path) -> None:
    path = written(tmp_path / "j", {"a": "x\ud83dy", "b\udc00": ["\ud83d\ude00"]})
    assert list(read(path)) == [{"a": "x\ufffdy", "b\ufffd": ["😀"]}]


@given(st.text(st.characters(exclude_categories=())))
def test_repaired_text_can_always_be_encoded_and_good_text_is_left_alone(text: str) -> None:
    found = repaired(text)
    assert orjson.loads(orjson.dumps(found)) == found
    assert repaired(found) == found
    if not any(0xD800 <= ord(c) < 0xE000 for c in text):
        assert found == text


@pytest.mark.parametrize("pause", [0.0, 0.02, 0.1])
def test_a_writer_killed_while_writing_loses_no_whole_line(tmp_path: Path, pause: float) -> None:
    path = tmp_path / "j"
    command = [sys.executable, "-c", WRITER, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        for _ in range(3 + int(pause * 100)):
            said = int(writer.stdout.readline())
        writer.send_signal(signal.SIGKILL)
        writer.stdout.read()
    numbers = [row["number"] for row in read(path)]
    assert len(numbers) > said
    assert numbers == list(range(len(numbers)))
    written(path, {"number": len(numbers)})
    assert sum(1 for _ in read(path)) == len(numbers) + 1


def test_a_journal_that_cannot_be_opened_is_a_store_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path, tmp_path / "file" / "j", tmp_path / "none" / "j"):
        with pytest.raises(StoreError, match=r"cannot write .* run the same command again"):
            Journal(path)


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 kB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)], capture_output=True
    )
    if mounted.returncode != 0:
        pytest.skip("mounting a small file system is not allowed here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_is_an_error_that_keeps_every_whole_line(tiny_disk: Path) -> None:
    journal = Journal(tiny_disk / "j")
    taken: list[int] = []

    def fill() -> None:
        for number in range(100):
            journal.append({"number": number, "text": "x" * 999})
            taken.append(number)

    with pytest.raises(StoreError, match=r"No space left.*make room"):
        fill()
    with pytest.raises(StoreError, match="No space left"):
        journal.append({})  # a short line would fit, behind half of a long one
    with pytest.raises(StoreError, match="No space left"):
        journal.close()
    assert [row["number"] for row in read(tiny_disk / "j")] == taken
    assert len(taken) > 10


def test_an_open_journal_is_synced_by_its_own_thread_and_ends_with_it(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/task"))
    with Journal(tmp_path / "j") as journal:
        assert len(os.listdir("/proc/self/task")) == before + 1
        journal.append({"a": 1})
    assert len(os.listdir("/proc/self/task")) == before
