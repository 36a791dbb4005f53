"""Packed keys are found as in a set, and sorted as bytes are, zeros among them."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from evalkit.storage.journal import Journal
from evalkit.storage.keys import Keys, sort
from evalkit.storage.standing import key, lines

FEW = st.binary(min_size=16, max_size=16).map(lambda drawn: bytes(byte % 3 for byte in drawn))


@given(st.lists(FEW, max_size=60), st.lists(FEW, max_size=20))
def test_keys_are_found_where_they_stand_and_no_others(
    inside: list[bytes], asked: list[bytes]
) -> None:
    packed = bytearray(b"".join(inside))
    sort(packed, 16)
    ordered = sorted(inside)
    assert bytes(packed) == b"".join(ordered)
    keys = Keys(packed, 16)
    assert len(keys) == len(inside)
    for wanted in [*inside, *asked]:
        assert (wanted in keys) == (wanted in inside)
        assert keys.index(wanted) == (ordered.index(wanted) if wanted in inside else -1)


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
