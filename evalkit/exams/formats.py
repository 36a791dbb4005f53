"""Rows out of one file: JSON lines, a JSON list, CSV or parquet, each plain or gzipped.

A text, a Python source or a YAML file is one row: prompts of benchmarks come so.

Whatever is wrong with a file is a DataError that names the file and, where there is one, the line.
"""

from __future__ import annotations

import csv
import gzip
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator
from io import TextIOWrapper
from pathlib import Path
from typing import IO, Any, TypeAlias, cast
from zipfile import BadZipFile, ZipFile

import orjson

from evalkit.errors import DataError

Placed: TypeAlias = tuple[str, Any]
"""A row and the place it was found at: `("line 3", {…})`."""

CSV_FIELD_LIMIT = 2**31 - 1  # the csv module's own limit, 128 KiB, is below a long model answer
TABLES = (".jsonl", ".json", ".csv", ".parquet")
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def read(path: Path) -> Iterator[Placed]:
    """Every row of a file with its place, in file order."""
    reader = READERS.get(Path(path.name.removesuffix(".gz")).suffix)
    if reader is None:
        raise DataError(f"{path}: name it .{{jsonl,json,csv,parquet}} or the same with .gz")
    try:
        with path.open("rb") as raw:
            file = cast(IO[bytes], gzip.GzipFile(fileobj=raw)) if path.suffix == ".gz" else raw
            yield from reader(file)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{path}: damaged gzip file: {error}") from None
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}") from None
    except ValueError as error:
        raise DataError(f"{path}: {error}") from None


def read_zipped(path: Path, stems: Collection[str], password: str) -> Iterator[Placed]:
    """Every row of the one file in a zip file that goes by one of these stems, decrypted.

    Nothing is written to disk.
    """
    try:
        with ZipFile(path) as archive:
            inside = [name for name in archive.namelist() if stem(Path(name).name) in stems]
            if len(inside) != 1:
                many = f"holds {len(inside)} files" if inside else "has no file"
                raise ValueError(f"{many} by the name of {' or '.join(stems)}")
            reader = READERS[Path(inside[0]).suffix]
            with archive.open(inside[0], pwd=password.encode() or None) as file:
                yield from ((f"{inside[0]}: {place}", row) for place, row in reader(file))
    except (BadZipFile, EOFError, NotImplementedError, RuntimeError, zlib.error) as error:
        raise DataError(
            f"{path}: damaged zip file, or not encrypted as published: {error}"
        ) from None
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}") from None
    except (KeyError, ValueError) as error:
        raise DataError(f"{path}: {error}") from None


def read_text(path: Path) -> Iterator[Placed]:
    """Every line of a text file, with its end, as a row `{"text", "document"}`."""
    try:
        with (gzip.open if path.suffix == ".gz" else open)(path, "rb") as raw:
            text = TextIOWrapper(cast(IO[bytes], raw), "utf-8-sig", newline="")
            for number, line in enumerate(text, 1):
                yield f"line {number}", {"text": line, "document": str(path)}
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{path}: damaged gzip file: {error}") from None
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 text: {error.reason}") from None


def spans(path: Path) -> Iterator[tuple[int, int, Any]]:
    """Every row of a plain JSON-lines file, with the bytes before it and its own."""
    start = 0
    try:
        with path.open("rb") as file:
            for line in file:
                for _, row in _json_lines([line]):
                    yield start, len(line), row
                start += len(line)
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}") from None
    except ValueError as error:
        raise DataError(f"{path}: at byte {start}: {error}") from None


def is_table(path: Path) -> bool:
    """Whether a file is of rows with named fields, by its name."""
    return Path(path.name.removesuffix(".gz")).suffix in TABLES


def stem(name: str) -> str:
    """A file's name without the suffixes that say its format; "" if it has none of those."""
    plain = name.removesuffix(".gz")
    return next((plain.removesuffix(kind) for kind in READERS if plain.endswith(kind)), "")


def _json_lines(lines: Iterable[bytes]) -> Iterator[Placed]:
    # Lines end at \n alone: str.splitlines would also break at characters that JSON allows.
    for number, line in enumerate(lines, 1):
        text = line.removeprefix(BYTE_ORDER_MARK).strip()
        if text:
            try:
                row = orjson.loads(text)
            except orjson.JSONDecodeError as error:
                raise ValueError(f"line {number}: not JSON: {error}") from None
            yield f"line {number}", row


def _json(file: IO[bytes]) -> Iterator[Placed]:
    """The rows of a list, one object over several lines as one row, or JSON lines."""
    content = file.read().removeprefix(BYTE_ORDER_MARK)
    listed = content.lstrip().startswith(b"[")
    try:
        found = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        if listed:
            raise ValueError(f"line {error.lineno}: not JSON: {error.msg}") from None
        yield from _json_lines(content.split(b"\n"))  # they are published as .json too
        return
    for number, row in enumerate(found if listed else [found], 1):
        yield f"row {number}", row


def _csv(file: IO[bytes]) -> Iterator[Placed]:
    csv.field_size_limit(CSV_FIELD_LIMIT)
    with TextIOWrapper(file, "utf-8-sig", newline="") as text:
        table = csv.DictReader(text, strict=True)
        try:
            for row in table:
                if None in row:
                    raise csv.Error("more fields than the header has names")
                yield f"line {table.line_num}", row
        except csv.Error as error:
            raise ValueError(f"line {table.reader.line_num}: {error}") from None


def _parquet(file: IO[bytes]) -> Iterator[Placed]:
    import pyarrow
    import pyarrow.parquet

    number = 0
    try:
        for batch in pyarrow.parquet.ParquetFile(file).iter_batches():
            for row in batch.to_pylist():
                number += 1
                yield f"row {number}", row
    except pyarrow.ArrowException as error:
        raise ValueError(f"damaged parquet file: {error}") from None


def _text(file: IO[bytes]) -> Iterator[Placed]:
    """The whole file as one row, `{"text": …}`."""
    content = file.read().removeprefix(BYTE_ORDER_MARK)
    try:
        yield "line 1", {"text": content.decode()}
    except UnicodeDecodeError as error:
        raise ValueError(f"not UTF-8 text: {error}") from None


def _yaml(file: IO[bytes]) -> Iterator[Placed]:
    """The whole file as one row: its own keys."""
    import yaml

    try:
        yield "line 1", yaml.safe_load(file.read())
    except yaml.YAMLError as error:
        raise ValueError(f"not YAML: {' '.join(str(error).split())}") from None


READERS: dict[str, Callable[[IO[bytes]], Iterator[Placed]]] = {
    ".jsonl": _json_lines,
    ".json": _json,
    ".csv": _csv,
    ".parquet": _parquet,
    ".txt": _text,
    ".py": _text,
    ".yaml": _yaml,
}
