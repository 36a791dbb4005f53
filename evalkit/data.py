"""Where a benchmark's rows come from: a local file or folder, or the hub at a pinned revision.

A path that the user's file gives comes first, then the benchmark's folder under EVALKIT_DATA,
then the hub.  The official data must have the official number of rows; a path given in the user's
file may hold any number but none, since people also evaluate on a part or a variant of a benchmark.
"""

from __future__ import annotations

import ast
import hashlib
import os
import re
from collections.abc import Iterator
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import orjson

from evalkit import formats
from evalkit.errors import DataError
from evalkit.types import Rows, Source

VARIABLE = "EVALKIT_DATA"


def locate(source: Source, given: Path | None) -> Path | None:
    """The file or folder a benchmark is read from; None is the hub."""
    if given is not None:
        if not given.exists():
            raise DataError(f"{given}: no such file or folder (data for {source.folder})")
        return given
    root = os.environ.get(VARIABLE)
    if not root:
        return None
    if not Path(root).is_dir():
        raise DataError(f"{VARIABLE}={root}: no such folder; mend it or unset it")
    folder = Path(root) / source.folder
    return folder if folder.is_dir() else None


def open_rows(source: Source, given: Path | None) -> Rows:
    """A reader of the benchmark's splits that checks every row it yields.

    Nothing is opened before a split is asked for; the number of rows is known, and checked, when
    the last of them has been read.
    """
    path = locate(source, given)

    @cache
    def root_folder() -> Path:
        return path if path is not None else _snapshot(source)

    def rows(split: str) -> Iterator[dict[str, Any]]:
        root = root_folder()
        files = _files(source, root, split)
        if not files:
            raise DataError(f"{root}: no {split} split of {source.folder}{_wanted(source, split)}")
        number = 0
        for file in files:
            for place, row in formats.read(file):
                number += 1
                yield _checked(row, source.fields, f"{file}: {place}")
        _check_count(source, split, number, files[0], official=given is None)

    return rows


def digest(source: Source, given: Path | None) -> str:
    """What the rows are, without reading them: sha256 of the files, or the hub id and revision.

    The same bytes give the same digest wherever they lie and whatever the files are called.
    """
    path = locate(source, given)
    if path is None:
        return f"{source.hub}@{source.revision}"
    whole = hashlib.sha256()
    for split in sorted({*source.splits, "test"}):
        for file in _files(source, path, split):
            whole.update(f"{split} {_file_digest(file)}\n".encode())
    return whole.hexdigest()


def parse_list(value: object) -> list[Any]:
    """A list that a table or a published output may hold as text: JSON or a Python literal."""
    if isinstance(value, list | tuple):
        return list(value)
    if isinstance(value, str):
        for parse in (orjson.loads, ast.literal_eval):
            try:
                found = parse(value)
            except (ValueError, SyntaxError, RecursionError, MemoryError):
                continue
            if isinstance(found, list | tuple):
                return list(found)
    raise DataError(f"not a list: {str(value)[:80]!r}")


def _files(source: Source, path: Path, split: str) -> list[Path]:
    """The files of a split: one of the upstream name, or the hub's shards, in order."""
    if path.is_file():
        return [path] if split == "test" else []
    known = sorted(file for file in path.rglob("*") if formats.stem(file.name) and file.is_file())
    exact = [file for file in known if formats.stem(file.name) == source.splits.get(split, split)]
    shards = [file for file in known if _is_shard(formats.stem(file.name), split)]
    if len(exact) > 1 or (not exact and len({file.parent for file in shards}) > 1):
        names = ", ".join(str(file.relative_to(path)) for file in exact or shards)
        raise DataError(f"{path}: which is the {split} split: {names}? give one of them as data")
    return exact or shards


def _is_shard(stem: str, split: str) -> bool:
    return stem == split or re.fullmatch(rf"{re.escape(split)}-\d+-of-\d+", stem) is not None


def _wanted(source: Source, split: str) -> str:
    names = [source.splits[split]] if split in source.splits else []
    return f" (a file named {' or '.join([*names, split])}.jsonl, .json, .csv or .parquet)"


def _checked(row: Any, fields: tuple[str, ...], where: str) -> dict[str, Any]:
    if not isinstance(row, dict):
        raise DataError(f"{where}: not an object with named fields")
    for field in fields:
        if row.get(field) is None:
            raise DataError(f"{where}: field {field!r} is missing")
    return row


def _check_count(source: Source, split: str, number: int, file: Path, *, official: bool) -> None:
    expected = source.counts.get(split)
    if number == 0:
        raise DataError(f"{file}: no rows")
    if official and expected is not None and number != expected:
        raise DataError(
            f"{file}: {number} rows, but the {split} split of {source.folder} has {expected};"
            " to use another set on purpose, name it under `data:` in your file"
        )


def _file_digest(file: Path) -> str:
    try:
        seen = file.stat()
        identity = (seen.st_dev, seen.st_ino, seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns)
        return _sha256(file, identity)
    except OSError as error:
        raise DataError(f"{file}: {error.strerror or error}") from None


@lru_cache(maxsize=256)
def _sha256(file: Path, _identity: tuple[int, ...]) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _snapshot(source: Source) -> Path:
    """The folder of the pinned revision in the hub's own cache, downloaded if need be."""
    instead = (
        f"give local data: `data: {{TASK: path}}` in your file, or the folder {source.folder}"
        f" under {VARIABLE}"
    )
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HfHubHTTPError, HFValidationError
    except ImportError:
        raise DataError(
            f"{source.hub}: to read the hub, pip install 'posttrain-evalkit[hf]'; or {instead}"
        ) from None
    patterns = [f"*{stem}.*" for stem in source.splits.values()]
    patterns += [f"*{split}{rest}" for split in source.splits for rest in (".*", "-*-of-*.*")]
    try:
        return Path(
            snapshot_download(
                source.hub,
                repo_type="dataset",
                revision=source.revision,
                allow_patterns=patterns,
            )
        )
    except (OSError, HfHubHTTPError, HFValidationError) as error:
        reason = str(error).partition("\n")[0]
        raise DataError(f"{source.hub}: not to be had from the hub ({reason}); {instead}") from None
