"""Answers put aside, to be had in any order: a few in memory, many in a file without a name."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from types import TracebackType

import orjson

from evalkit.storage.answer import Answer, answer_of, line
from evalkit.storage.journal import dumps
from evalkit.storage.records import HELD_BYTES, no_room, sort
from evalkit.storage.standing import KEY_BYTES, key

OFFSET_BYTES, SIZE_BYTES = 8, 8


class Aside:
    """Answers by key; raises StoreError where they are many, and the disk does not take them."""

    def __init__(self, answers: Iterable[Answer]) -> None:
        self._file = tempfile.SpooledTemporaryFile(HELD_BYTES)  # noqa: SIM115
        try:
            self._places = sort(KEY_BYTES + OFFSET_BYTES + SIZE_BYTES, self._put(answers))
        except BaseException:
            self._file.close()
            raise

    def _put(self, answers: Iterable[Answer]) -> Iterator[bytes]:
        """Writes every answer, and tells under which key it is where."""
        offset = 0
        for answer in answers:
            content = dumps(line(answer))
            try:
                self._file.write(content)
            except OSError as error:
                raise no_room(error) from None
            size = len(content)
            place = offset.to_bytes(OFFSET_BYTES, "big") + size.to_bytes(SIZE_BYTES, "big")
            yield key(answer.item, answer.epoch) + place
            offset += size

    def of(self, wanted: bytes) -> Answer | None:
        """What is under the key; None where nothing is."""
        at = self._places.index(wanted)
        if at < 0:
            return None
        place = self._places[at][KEY_BYTES:]
        self._file.seek(int.from_bytes(place[:OFFSET_BYTES], "big"))
        return answer_of(orjson.loads(self._file.read(int.from_bytes(place[OFFSET_BYTES:], "big"))))

    def __enter__(self) -> Aside:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()
