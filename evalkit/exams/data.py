"""Where a benchmark's rows come from: a local file or folder, or the hub at a pinned revision.

A path that the user's file gives comes first, then the benchmark's folder under EVALKIT_DATA,
then where its authors keep it.  The official data must have the official number of rows; a path
given in the user's file may hold any number but none, since people also evaluate on a part or a
variant of a benchmark.
"""

from __future__ import annotations

import ast
import hashlib
import os
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache, lru_cache, partial
from pathlib import Path
from typing import Any

import orjson

from evalkit.errors import DataError
from evalkit.exams import formats, large_fields, upstream
from evalkit.exams.formats import read
from evalkit.types import Rows, Source

VARIABLE = "EVALKIT_DATA"
ZIP = ".zip"
SHARD = re.compile(r"-\d{5}-of-\d{5}$")  # as the hub numbers them: test-00000-of-00001


def locate(source: Source, given: Path | None) -> Path | None:
    """The file or folder a benchmark is read from; None is the hub."""
    if given is not None:
        if not given.exists():
            raise DataError(f"{given}: no such file or folder (data for {source.folder})")
        return given
    root = os.environ.get(VARIABLE)
    if not root or source.text:
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
    def snapshot() -> Path:
        return _snapshot(source)

    def rows(split: str) -> Iterator[dict[str, Any]]:
        if source.collected and path and path.is_file() and split != "test":
            return  # all of them are in that file
        files = _found(source, path, split, snapshot)
        number = 0
        fields = source.fields if split in source.counts or split == "test" else ()
        for file in files:
            for place, row in _read(source, split, file):
                whole = _checked(row, fields, f"{file}: {place}")
                if source.split_of is None or source.split_of(whole) == split:
                    number += 1
                    yield whole
        _check_count(source, split, number, files[0], official=given is None)

    return rows


def digest(source: Source, given: Path | None) -> str:
    """What the rows are, without reading them: sha256 of the files, or the hub id and revision.

    The same bytes give the same digest wherever they lie and whatever the files are called.
    """
    path = locate(source, given)
    if path is None and not source.elsewhere:
        return f"{source.hub}@{source.revision}"
    whole = hashlib.sha256()
    for split in sorted({*source.splits, "test"}):
        files = _files(source, path, split) if path else []
        for file in files:
            whole.update(f"{split} {_file_digest(file)}\n".encode())
        if not files and split in source.elsewhere:
            whole.update(f"{split} {upstream.digest(source.elsewhere[split])}\n".encode())
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


def _found(
    source: Source, path: Path | None, split: str, snapshot: Callable[[], Path]
) -> list[Path]:
    """The files of a split: local, else where its authors keep it, else of the hub's snapshot."""
    files = _files(source, path, split) if path else []
    if not files and split in source.elsewhere:
        return [_elsewhere(source, path, split)]
    root = path
    if path is None and source.hub:
        root = snapshot()
        files = _files(source, root, split)
    if not files:
        raise DataError(_absent(source, root, split))
    return files


def _files(source: Source, path: Path, split: str) -> list[Path]:
    """The files of a split: the one of upstream's name, or of the split's, or numbered shards."""
    if path.is_file():
        return [path] if split == "test" else []
    if source.text:
        files = (file for file in path.rglob("*") if file.is_file() and file.name[0] != ".")
        return sorted(files) if split == "test" else []
    known = sorted(file for file in path.rglob("*") if formats.stem(file.name) and file.is_file())
    for name in _names(source, split):
        found = [file for file in known if _is(file.relative_to(path), name)]
        if len(found) > 1:
            raise DataError(f"{path}: which is the {split} split: {_listed(found, path)}?")
        if found:
            return found
    place = source.on_hub.get(split)
    shards = [file for file in known if _place(file, path) == place]
    shards = shards or [file for file in known if _unsharded(file) == split]
    count = shards[0].name.partition("-of-")[2][:5] if shards else ""
    if count and len(shards) != int(count):
        raise DataError(f"{path}: not one whole {split} split: {_listed(shards, path)}")
    archive = path / f"{source.archive}{ZIP}"
    return shards or [archive] * (source.archive != "" and archive.is_file())


def _read(source: Source, split: str, file: Path) -> Iterator[formats.Placed]:
    if file.suffix == ZIP:
        return formats.read_zipped(file, _names(source, split), source.password)
    if source.text and not formats.is_table(file):
        return formats.read_text(file)
    return large_fields.rows(file, source.large) if source.large else read(file)


def _is(file: Path, name: str) -> bool:
    """Whether a file goes by a name, which may tell folders above it; `/` begins the whole path."""
    plain = f"/{formats.stem(file.as_posix())}"
    return plain == name if name.startswith("/") else plain.endswith(f"/{name}")


def _elsewhere(source: Source, path: Path | None, split: str) -> Path:
    try:
        return upstream.found(source.elsewhere[split])
    except DataError as error:
        where = f"{path} has no such file either; " if path else ""
        name = _names(source, split)[0]
        raise DataError(
            f"the {split} split of {source.folder} is not to be had: {error}; {where}give `data: "
            f"{{TASK: folder}}` with {name}.*, or put it into {source.folder} under {VARIABLE}"
        ) from None


def _unsharded(file: Path) -> str:
    return SHARD.sub("", formats.stem(file.name))


def _place(file: Path, folder: Path) -> str:
    """Where a file lies in a repository, without the number of its shard and its suffix."""
    return (file.relative_to(folder).parent / _unsharded(file)).as_posix()


def _names(source: Source, split: str) -> list[str]:
    return list(dict.fromkeys((source.splits.get(split, split), split)))


def _listed(files: list[Path], folder: Path) -> str:
    return ", ".join(str(file.relative_to(folder)) for file in files[:5])


def _absent(source: Source, path: Path | None, split: str) -> str:
    if source.text:
        return (
            f"{path}: holds no files"
            if path
            else (
                f"{source.folder} is a text of yours: name its file or folder in your file, as"
                f' `data: {{"{source.folder}": PATH}}`'
            )
        )
    if path is None:
        return f"{source.folder} has no {split} split: give `data: {{TASK: folder}}` in your file"
    names = " or ".join(_names(source, split))
    what = "is one file, the test split; give a folder with it and" if path.is_file() else "has no"
    zipped = f" or {source.archive}{ZIP}" if source.archive else ""
    return (
        f"{path}: {what} {names}.{{jsonl,json,csv,parquet}}{zipped}, the {split} split of"
        f" {source.folder}"
    )


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
        from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, HFValidationError
    except ImportError:
        raise DataError(
            f"{source.hub}: to read the hub, pip install 'posttrain-evalkit[hf]'; or {instead}"
        ) from None
    patterns = [f"*{stem}.*" for stem in source.splits.values()]
    splits = (source.on_hub.get(split, f"*{split}") for split in source.splits)
    patterns += [f"{split}{rest}" for split in splits for rest in (".*", "-*-of-*.*")]
    download = partial(
        snapshot_download,
        source.hub,
        repo_type="dataset",
        revision=source.revision,
        allow_patterns=patterns,
    )
    try:
        return Path(_kept_or_downloaded(download))
    except GatedRepoError:
        raise DataError(
            f"{source.hub}: not read from the hub, which gives it to those alone who accept its"
            f" conditions: accept them at https://huggingface.co/datasets/{source.hub}, then"
            f" `hf auth login` or set HF_TOKEN; or {instead}"
        ) from None
    except (OSError, HfHubHTTPError, HFValidationError) as error:
        reason = " ".join(str(error).split()).rstrip(".")
        raise DataError(f"{source.hub}: not read from the hub ({reason}); {instead}") from None


def _kept_or_downloaded(download: Callable[..., str]) -> str:
    """A snapshot of the hub; what is kept of it, where the hub may not or cannot be asked.

    Raises OSError soon where it cannot be reached, which the hub's own tries take a minute for.
    """
    from huggingface_hub import constants
    from huggingface_hub.errors import LocalEntryNotFoundError

    if not upstream.may_download():
        return download(local_files_only=True)
    try:
        upstream.reach(constants.ENDPOINT)
    except OSError:
        with suppress(LocalEntryNotFoundError):
            return download(local_files_only=True)
        raise
    return download()
