"""Training data as blocks of bytes, and the texts in them: whatever their columns are called.

A text is every string in a row, each turn of a conversation by itself, and a conversation as a
whole, with and without its last turn.  A file of plain text is one text a block.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

import orjson

from evalkit.errors import ConfigError, DataError
from evalkit.exams import formats

BLOCK = 4 << 20  # bytes
LONGEST = 64 << 20  # of a line of JSON
PLAIN = (".txt", ".md", ".text")
DEEPEST = 20


@dataclass(frozen=True, slots=True)
class Block:
    """Some rows of a file: as bytes of JSON lines or of text, or the number of a row group."""

    file: str
    first: int  # the number of its first row or line, from 1
    data: bytes = b""
    group: int = -1


def kind(path: Path) -> str:
    """The suffix that says what a file is, without `.gz`; raises ConfigError for another."""
    suffix = Path(path.name.removesuffix(".gz")).suffix
    if suffix not in (*formats.READERS, *PLAIN):
        known = ", ".join((*formats.READERS, *PLAIN))
        raise ConfigError(f"{path}: cannot be read: give a file that ends in {known}, or in .gz")
    return suffix


def blocks(path: Path) -> Iterator[Block]:
    """A file in blocks; raises DataError where it cannot be read."""
    what = kind(path)
    if what == ".parquet" and path.suffix != ".gz":
        yield from _groups(path)
    elif what == ".jsonl" or what in PLAIN:
        yield from _lines(path)
    else:
        yield from _rewritten(path)


def _lines(path: Path) -> Iterator[Block]:
    try:
        with path.open("rb") as raw:
            file = cast(IO[bytes], gzip.GzipFile(fileobj=raw)) if path.suffix == ".gz" else raw
            first, rest = 1, b""
            while part := file.read(BLOCK):
                whole, newline, rest = (rest + part).rpartition(b"\n")
                if not newline and kind(path) in PLAIN:
                    whole, rest = rest, b""
                if whole:
                    yield Block(str(path), first, whole)
                    first += whole.count(b"\n") + len(newline)
                if len(rest) > LONGEST:
                    raise DataError(f"{path}: line {first} is longer than {LONGEST >> 20} MiB")
            if rest:
                yield Block(str(path), first, rest)
    except (EOFError, gzip.BadGzipFile) as error:
        raise DataError(f"{path}: damaged gzip file: {error}") from None
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}") from None


def _groups(path: Path) -> Iterator[Block]:
    import pyarrow
    import pyarrow.parquet

    try:
        file = pyarrow.parquet.ParquetFile(path)
        first = 1
        for group in range(file.num_row_groups):
            yield Block(str(path), first, group=group)
            first += file.metadata.row_group(group).num_rows
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}") from None
    except pyarrow.ArrowException as error:
        raise DataError(f"{path}: damaged parquet file: {error}") from None


def _rewritten(path: Path) -> Iterator[Block]:
    """Rows of another format as JSON lines."""
    held: list[bytes] = []
    first = size = 0
    for _, row in formats.read(path):
        held.append(orjson.dumps(row, default=str))
        size += len(held[-1])
        if size > BLOCK:
            yield Block(str(path), first + 1, b"\n".join(held))
            first, size, held = first + len(held), 0, []
    if held:
        yield Block(str(path), first + 1, b"\n".join(held))


Text = tuple[int, str, bool]
"""The number of its row, the text, and whether it is looked through or only as a whole."""


def texts(block: Block) -> Iterator[Text]:
    """The texts of a block; raises DataError at a bad row."""
    if kind(Path(block.file)) in PLAIN:
        yield block.first, block.data.decode("utf-8", "replace"), True
        return
    for number, row in _rows(block):
        for text, through in _strings(row, 0):
            yield number, text, through


def _rows(block: Block) -> Iterator[tuple[int, Any]]:
    if block.group >= 0:
        import pyarrow.parquet

        table = pyarrow.parquet.ParquetFile(block.file).read_row_group(block.group)
        number = block.first
        for batch in table.to_batches(1000):
            for row in batch.to_pylist():
                yield number, row
                number += 1
        return
    for number, line in enumerate(block.data.split(b"\n"), block.first):
        text = line.removeprefix(formats.BYTE_ORDER_MARK).strip()
        if text:
            try:
                yield number, orjson.loads(text)
            except orjson.JSONDecodeError as error:
                raise DataError(f"{block.file}: line {number}: not JSON: {error}") from None


def _strings(value: Any, depth: int) -> Iterator[tuple[str, bool]]:
    if isinstance(value, str):
        yield value, True
    elif isinstance(value, dict) and depth < DEEPEST:
        for each in value.values():
            yield from _strings(each, depth + 1)
    elif isinstance(value, list) and depth < DEEPEST:
        for each in value:
            yield from _strings(each, depth + 1)
        yield from _conversation(value)


def _conversation(turns: list[Any]) -> Iterator[tuple[str, bool]]:
    said = [
        text
        for turn in turns
        if isinstance(turn, dict)
        and isinstance(text := turn.get("content", turn.get("value")), str)
    ]
    if len(said) > 1 and len(said) == len(turns):
        yield "\n".join(said[:-1]), False
        yield "\n".join(said), False
