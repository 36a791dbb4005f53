"""Records are sorted as bytes are, and found as in a list, whether memory holds them or a file."""

from __future__ import annotations

import gc
import os
import tempfile
import tracemalloc
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.errors import StoreError
from evalkit.storage import records
from evalkit.storage.answer import Answer
from evalkit.storage.journal import Journal
from evalkit.storage.records import BLOCK, sort
from evalkit.storage.spilled import Spilled
from evalkit.storage.standing import key, lines
from evalkit.types import Response

FEW = st.binary(min_size=16, max_size=16).map(lambda drawn: bytes(byte % 3 for byte in drawn))


@pytest.mark.parametrize("room", [2**21, 16 * 7], ids=["in memory", "in a file"])
@given(inside=st.lists(FEW, max_size=60), asked=st.lists(FEW, max_size=20))
def test_records_stand_in_order_and_no_others_are_found(
    room: int, inside: list[bytes], asked: list[bytes]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(records, "HELD_BYTES", room)
        patch.setattr(records, "PIECE_BYTES", 16 * 3)
        patch.setattr(records, "BLOCK", 4)
        found = sort(16, inside)
        ordered = sorted(inside)
        assert [*found] == ordered
        assert b"".join(found.pieces()) == b"".join(ordered)
        assert [found[place] for place in range(len(found))] == ordered
        for wanted in [*inside, *asked]:
            assert (wanted in found) == (wanted in inside)
            assert found.index(wanted) == (ordered.index(wanted) if wanted in inside else -1)
            alike = [at for at, record in enumerate(ordered) if record.startswith(wanted[:3])]
            assert found.index(wanted[:3]) == (alike[0] if alike else -1)


def test_the_first_of_many_are_all_that_is_found() -> None:
    found = sort(8, (number.to_bytes(8, "big") for number in reversed(range(3 * BLOCK))))
    first = found.first(BLOCK + 1)
    assert len(first) == len([*first]) == BLOCK + 1
    assert first.index(BLOCK.to_bytes(8, "big")) == BLOCK
    assert (BLOCK + 1).to_bytes(8, "big") not in first
    with pytest.raises(IndexError):
        first[BLOCK + 1]
    assert len(found.first(None)) == len(found.first(10**9)) == 3 * BLOCK


def test_the_file_of_many_is_gone_when_nobody_has_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "HELD_BYTES", 800)
    gc.collect()
    before = len(os.listdir("/proc/self/fd"))
    found = sort(8, (os.urandom(8) for _ in range(1_000)))
    assert len(os.listdir("/proc/self/fd")) == before + 1
    assert len(found) == 1_000
    del found
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) == before


def test_ten_times_as_many_take_no_more_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "HELD_BYTES", 2**15)
    monkeypatch.setattr(records, "PIECE_BYTES", 2**10)

    def peak(count: int) -> int:
        tracemalloc.start()
        found = sort(16, (sha256(b"%d" % number).digest()[:16] for number in range(count)))
        assert sum(1 for _ in found) == count
        assert sha256(b"7").digest()[:16] in found
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    assert peak(80_000) < 2 * peak(8_000) < 2**19


def test_where_no_file_can_be_the_error_says_which_folder_to_mend(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(records, "HELD_BYTES", 80)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "absent"))
    with pytest.raises(StoreError, match=r"absent: No such file.*set TMPDIR"):
        sort(8, (os.urandom(8) for _ in range(100)))


def test_answers_spilled_to_a_file_are_had_in_any_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "HELD_BYTES", 300)
    answers = [
        Answer(sha256(b"%d" % i).digest()[:16], f"{i}", i % 3, b"r" * 16, "?", Response("a" * i))
        for i in range(50)
    ]
    spilled = Spilled(iter(answers))
    for answer in [*reversed(answers), *answers[::7]]:
        assert spilled.of(key(answer.item, answer.epoch)) == answer
        assert spilled.of(key(answer.item, 9)) is None


def test_answers_that_no_disk_takes_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/nowhere")
    answer = Answer(b"i" * 16, "1", 0, b"r" * 16, "?", Response("a" * 400))
    with pytest.raises(StoreError, match=r"cannot write to /nowhere: No such file.*set TMPDIR"):
        Spilled([answer])


def test_the_lines_of_a_journal_are_told_by_key_in_the_order_written(tmp_path: Path) -> None:
    items = [bytes([number % 7]) + bytes(15) for number in range(40)]
    with Journal(tmp_path / "j", durable=False) as journal:
        for number, item in enumerate(items):
            journal.append({"item": item.hex(), "epoch": number % 2, "number": number})
    wanted: dict[bytes, list[int]] = {}
    offset = 0
    for number, line in enumerate((tmp_path / "j").read_bytes().splitlines(keepends=True)):
        wanted.setdefault(key(items[number], number % 2), []).append(offset)
        offset += len(line)
    assert dict(lines(tmp_path / "j", lambda row: None).groups()) == wanted
    assert [*dict(lines(tmp_path / "j", lambda row: None).groups())] == sorted(wanted)
