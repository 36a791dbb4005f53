"""Files and folders to imported cells: which format each is, and who reads it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from evalkit.errors import DataError, UnknownName
from evalkit.interchange import read_every_eval_ever, read_inspect, read_lm_eval
from evalkit.interchange._documents import read_json
from evalkit.interchange.imported import Imported, Skipped, Wanted

READERS = {reader.NAME: reader for reader in (read_lm_eval, read_inspect, read_every_eval_ever)}
ARCHIVE = ".eval"


def read(paths: Iterable[Path], wanted: Wanted, form: str = "auto") -> Iterator[Imported | Skipped]:
    """Every task of the logs at those paths; of a folder, of every log in it, the oldest first.

    Raises DataError where a file is not a log, or a folder has none.
    """
    if form not in ("auto", *READERS):
        raise UnknownName("format", form, ["auto", *READERS])
    for path in paths:
        if path.is_dir():
            yield from _folder(path, wanted, form)
        elif path.exists():
            found = _file(path, wanted, form)
            if found is None:
                raise DataError(f"{path}: not a log of {', '.join(READERS)}")
            yield from found
        else:
            raise DataError(f"{path}: no such file or folder")


def _folder(folder: Path, wanted: Wanted, form: str) -> Iterator[Imported | Skipped]:
    files = sorted(path for path in folder.rglob("*") if path.suffix in (".json", ARCHIVE))
    logs = [found for path in files if (found := _file(path, wanted, form)) is not None]
    if not logs:
        raise DataError(f"{folder}: no log of {', '.join(READERS)} in it")
    for found in logs:
        yield from found


def _file(path: Path, wanted: Wanted, form: str) -> Iterator[Imported | Skipped] | None:
    """What a file holds; None where it is no log of that format."""
    if path.suffix == ARCHIVE:
        return read_inspect.read_archive(path, wanted) if form in ("auto", "inspect") else None
    if path.suffix == ".jsonl":
        raise DataError(f"{path}: samples alone; give the results file beside it, or the folder")
    document = read_json(path)
    if not isinstance(document, dict):
        return None
    for name, reader in READERS.items():
        if form in ("auto", name) and reader.recognises(document):
            found: Iterator[Imported | Skipped] = reader.read(path, document, wanted)
            return found
    return None
