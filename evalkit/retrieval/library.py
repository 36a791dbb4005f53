"""Passages as an index by BM25, made once for the same documents and kept in the user's cache.

    indexes/<key>/   the index as bm25s writes it
        passages     every passage, a JSON line each
        starts.npy   where each line starts

Asking holds the vocabulary in memory; the rest stays on disk and is mapped.
"""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
import orjson
from numpy.typing import NDArray

from evalkit.errors import ConfigError, DataError, ModelError, StoreError
from evalkit.retrieval.documents import described, passages
from evalkit.storage.files import cache_folder
from evalkit.types import Retrieval

VERSION = 1
"""Of what is cut and kept here; another one is another index."""
WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]|[^\W\u3040-\u30ff\u3400-\u9fff]+")
"""Chinese and Japanese have no spaces between words: there a character is one."""


class Passage(NamedTuple):
    """A part of a document."""

    document: str
    text: str


class Library:
    """An index that is open: the passages that fit a question best."""

    def __init__(self, folder: Path) -> None:
        import bm25s

        self._index: Any = bm25s.BM25.load(folder, mmap=True)
        self._index.backend = "numpy"
        for name in ("data", "indices", "indptr"):  # mapped still: slices of a memmap are slow
            self._index.scores[name] = self._index.scores[name].view(np.ndarray)
        self._starts: NDArray[np.int64] = np.load(folder / "starts.npy")
        self._lines = np.memmap(folder / "passages", np.uint8, mode="r")

    def best(self, question: str, k: int) -> list[Passage]:
        """At most k passages that share a word with the question, the best first.

        Every word of the question counts once; of equal passages the earlier one is first.
        """
        known = self._index.vocab_dict
        words = [word for word in dict.fromkeys(_words(question)) if word in known]
        if not words:
            return []
        scores: NDArray[np.float32] = self._index.get_scores(words)
        least = np.partition(scores, -k)[-k] if k < len(scores) else 0.0
        found = np.flatnonzero((scores >= least) & (scores > 0))
        order = np.lexsort((found, -scores[found]))[:k]
        return [self._passage(int(at)) for at in found[order]]

    def _passage(self, at: int) -> Passage:
        line = self._lines[self._starts[at] : self._starts[at + 1]].tobytes()
        return Passage(*orjson.loads(line))


@lru_cache(maxsize=4)
def opened(retrieval: Retrieval) -> Library:
    """The library of some documents; made now unless an earlier run has made it.

    Raises ModelError where they cannot be read, or are not what they were when the run began.
    """
    folder = cache_folder() / "indexes" / _key(retrieval)
    if folder.exists():
        with suppress(OSError, ValueError, KeyError, TypeError):
            return Library(folder)
        shutil.rmtree(folder, ignore_errors=True)  # it is damaged, and can be made again
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=folder.parent, ignore_cleanup_errors=True) as beside:
            _make(retrieval, Path(beside) / "made")
            with suppress(OSError):  # another process was quicker: its index is the same
                (Path(beside) / "made").rename(folder)
        return Library(folder)
    except (ConfigError, DataError) as error:
        raise ModelError(f"retrieval: {error}") from None
    except OSError as error:
        raise StoreError(
            f"cannot keep an index in {folder.parent}: {error.strerror or error}; make room, or "
            "set XDG_CACHE_HOME"
        ) from None


def _key(retrieval: Retrieval) -> str:
    whole = [VERSION, retrieval.documents, retrieval.words, retrieval.engine]
    return hashlib.sha256(orjson.dumps(whole)).hexdigest()[:16]


def _make(retrieval: Retrieval, into: Path) -> None:
    import bm25s

    vocabulary: dict[str, int] = {}
    starts, numbers = [0], []
    source = Path(retrieval.folder)
    into.mkdir()
    with (into / "passages").open("wb") as file:
        for passage in passages(source, retrieval.words):
            line = orjson.dumps([_whole(each) for each in passage]) + b"\n"
            starts.append(starts[-1] + file.write(line))
            numbers.append(_numbered(passage[1], vocabulary))
    _check(retrieval, source)
    if not vocabulary:
        raise ConfigError(f"{source}: its documents hold no word to find them by")
    np.save(into / "starts.npy", np.array(starts, dtype=np.int64))
    index: Any = bm25s.BM25(backend="numpy")
    index.index((numbers, vocabulary), show_progress=False)
    index.save(into, show_progress=False)


def _check(retrieval: Retrieval, folder: Path) -> None:
    now = described(folder, retrieval.k, retrieval.words, retrieval.template)
    if now.documents != retrieval.documents:
        raise ModelError(
            f"{folder}: its documents changed after the run had begun: run again, and what is "
            "there now is read"
        )


def _numbered(text: str, vocabulary: dict[str, int]) -> NDArray[np.int32]:
    words = [vocabulary.setdefault(word, len(vocabulary)) for word in _words(text)]
    return np.array(words, dtype=np.int32)


def _words(text: str) -> Iterator[str]:
    """The words that count, in lower case: English ones that say nothing are left out."""
    stop = _stopwords()
    return (word for word in WORD.findall(text.lower()) if word not in stop)


@lru_cache(maxsize=1)
def _stopwords() -> frozenset[str]:
    from bm25s.stopwords import STOPWORDS_EN

    words: Sequence[str] = STOPWORDS_EN
    return frozenset(words)


def _whole(text: str) -> str:
    """Text that JSON can carry."""
    return text.encode("utf-8", "replace").decode()
