"""A folder of documents: which files count, what they are by content, and their passages.

A passage is as many whole paragraphs of one document as come to at most so many words; a longer
paragraph is cut.  Documents are hostile input: no file outside the folder is read.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from itertools import islice
from pathlib import Path

from evalkit.errors import ConfigError, DataError
from evalkit.exams import formats
from evalkit.identity.hashes import sha256_of
from evalkit.types import Retrieval

TEXTS = (".txt", ".md")
ROWS = (".jsonl",)
LIBRARY = "bm25s"
MOST_BYTES = 256 * 2**20
"""Documents that come to more are the work of a search engine with a server of its own."""
LONGEST_WORD = 40
"""Characters: a passage of n words has at most n times as many, whatever they call a word."""
PARAGRAPH = re.compile(r"\n\s*\n")
WORD = re.compile(r"\S+\s*")


def described(folder: Path, k: int, words: int, template: str) -> Retrieval:
    """The retrieval from a folder, its documents told by content.

    Raises ConfigError where there are none, too many, or the library is missing.
    """
    try:
        known = _hashed(folder)
    except OSError as error:
        raise ConfigError(f"{error.filename or folder}: {error.strerror}") from None
    lines = (f"{name}\0{digest}\n" for name, digest in known.items())
    whole = hashlib.sha256("".join(lines).encode("utf-8", "surrogateescape")).hexdigest()
    short = {name: digest[:8] for name, digest in known.items()}
    return Retrieval(str(folder), k, words, template, whole, _engine(), short)


def _hashed(folder: Path) -> dict[str, str]:
    """The sha256 of every document by its name."""
    files = _files(folder)
    if not files:
        raise ConfigError(f"{folder} holds no .txt, .md or .jsonl file")
    size = sum(file.stat().st_size for file in files)
    if size > MOST_BYTES:
        most = f"{MOST_BYTES // 2**20} MiB"
        raise ConfigError(f"{folder} holds {size / 2**20:.0f} MiB; at most {most} are read")
    names = [file.relative_to(folder).as_posix() for file in files]
    return dict(zip(names, sha256_of(files), strict=True))


def passages(folder: Path, words: int) -> Iterator[tuple[str, str]]:
    """(document, text) of every passage, in the order of the documents' names.

    Raises DataError naming the file and the line of what is no document.
    """
    for file in _files(folder):
        name = file.relative_to(folder).as_posix()
        for title, text in _texts(file, name):
            for passage in _cut(text, words):
                yield title, passage


def _files(folder: Path) -> list[Path]:
    """The documents in order; hidden files are none.  Raises ConfigError for a link that leaves."""
    if not folder.is_dir():
        raise ConfigError(f"there is no folder {folder}")
    found = [
        path
        for path in folder.rglob("*")
        if path.name.endswith((*TEXTS, *ROWS))
        and path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    ]
    for path in found:
        if not path.resolve().is_relative_to(folder.resolve()):
            raise ConfigError(f"{path} leads out of {folder}: put the file itself there")
    return sorted(found, key=lambda path: path.relative_to(folder).as_posix())


def _engine() -> str:
    try:
        return f"{LIBRARY} {version(LIBRARY)}"
    except PackageNotFoundError:
        raise ConfigError(
            f"{LIBRARY} is missing: pip install 'posttrain-evalkit[retrieval]'"
        ) from None


def _texts(file: Path, name: str) -> Iterator[tuple[str, str]]:
    """The documents that a file holds: itself, or a row each."""
    if file.name.endswith(ROWS):
        for place, row in formats.read(file):
            text = row.get("text") if isinstance(row, dict) else None
            if not isinstance(text, str):
                raise DataError(f"{file}: {place}: a document is an object with a `text`")
            title = row.get("title")
            yield (title if isinstance(title, str) and title else name), text
        return
    try:
        yield name, file.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise DataError(f"{file}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{file}: not UTF-8 text: {error.reason} at {error.start}") from None


def _cut(text: str, words: int) -> Iterator[str]:
    held: list[str] = []
    count = 0
    for piece, size in _pieces(text, words):
        if count + size > words and held:
            yield "\n\n".join(held)
            held, count = [], 0
        held.append(piece)
        count += size
    if held:
        yield "\n\n".join(held)


def _pieces(text: str, words: int) -> Iterator[tuple[str, int]]:
    """Paragraphs, longer ones cut, each with its number of words."""
    for paragraph in PARAGRAPH.split(text):
        found = _words(paragraph.strip())
        while part := list(islice(found, words)):
            if piece := "".join(part).strip():
                yield piece, len(part)


def _words(paragraph: str) -> Iterator[str]:
    """Words with the space behind them; too long ones are several."""
    for match in WORD.finditer(paragraph):
        for start in range(match.start(), match.end(), LONGEST_WORD):
            yield paragraph[start : min(start + LONGEST_WORD, match.end())]
