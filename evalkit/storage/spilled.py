"""Answers spilled to a file without a name, to be had in any order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import orjson

from evalkit.storage.answer import Answer, answer_of, line
from evalkit.storage.journal import dumps
from evalkit.storage.records import sort
from evalkit.storage.scratch import Scratch
from evalkit.storage.standing import KEY_BYTES, key

OFFSET_BYTES, SIZE_BYTES = 8, 8


class Spilled:
    """Answers by key; raises StoreError where the disk does not take them."""

    def __init__(self, answers: Iterable[Answer]) -> None:
        self._file = Scratch()
        self._places = sort(KEY_BYTES + OFFSET_BYTES + SIZE_BYTES, self._put(answers))

    def _put(self, answers: Iterable[Answer]) -> Iterator[bytes]:
        """Writes every answer, and tells under which key it is where."""
        for answer in answers:
            content, offset = dumps(line(answer)), self._file.size
            self._file.append(content)
            place = offset.to_bytes(OFFSET_BYTES, "big") + len(content).to_bytes(SIZE_BYTES, "big")
            yield key(answer.item, answer.epoch) + place

    def of(self, wanted: bytes) -> Answer | None:
        """What is under the key; None where nothing is."""
        at = self._places.index(wanted)
        if at < 0:
            return None
        place = self._places[at][KEY_BYTES:]
        offset, size = place[:OFFSET_BYTES], place[OFFSET_BYTES:]
        content = self._file.read(int.from_bytes(offset, "big"), int.from_bytes(size, "big"))
        return answer_of(orjson.loads(content))
