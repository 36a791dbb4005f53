"""Files where a benchmark's authors keep them: a commit, a package; and how data come to them."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from evalkit.errors import DataError
from evalkit.exams import upstream
from evalkit.exams.data import digest, open_rows
from evalkit.types import Source

COMMIT = "0123456789abcdef0123456789abcdef01234567"
ADDRESS = f"github:somebody/quiz@{COMMIT}/data/rows.jsonl"
ROWS = b'{"id": 1}\n{"id": 2}\n'


class Raw(BaseHTTPRequestHandler):
    """A host of raw files; keeps what was fetched."""

    fetched: list[str]

    def do_GET(self) -> None:
        self.fetched.append(self.path)
        there = self.path == f"/somebody/quiz/{COMMIT}/data/rows.jsonl"
        self.send_response(200 if there else 404)
        self.send_header("Content-Length", str(len(ROWS) if there else 0))
        self.end_headers()
        self.wfile.write(ROWS if there else b"")

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def host(monkeypatch: pytest.MonkeyPatch, cache: Path) -> Iterator[list[str]]:
    """The files of the commit behind a real server, and a cache of one's own."""
    fetched: list[str] = []
    handler = type("Handler", (Raw,), {"fetched": fetched})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    monkeypatch.setattr(upstream, "RAW", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    monkeypatch.delenv("EVALKIT_DATA", raising=False)
    try:
        yield fetched
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


QUIZ = Source(
    "", "", "quiz", {"test": "rows"}, {"test": 2}, ("id",), elsewhere={"test": (ADDRESS,)}
)


def source(**fields: Any) -> Source:
    return replace(QUIZ, **fields)


def test_a_file_of_a_commit_is_downloaded_once_and_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with host(monkeypatch, tmp_path) as fetched:
        for _ in range(2):
            assert [row["id"] for row in open_rows(source(), None)("test")] == [1, 2]
        assert len(fetched) == 1
    assert [row["id"] for row in open_rows(source(), None)("test")] == [1, 2]  # without the host


def test_a_file_that_is_not_there_is_named_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    absent = source(elsewhere={"test": (ADDRESS.replace("rows", "none"),)})
    with host(monkeypatch, tmp_path), pytest.raises(DataError) as error:
        list(open_rows(absent, None)("test"))
    assert "data/none.jsonl: HTTP 404" in str(error.value)
    assert "give `data: {TASK: folder}` with rows.*, or put it into quiz" in str(error.value)


def test_a_local_file_comes_first_and_what_it_lacks_comes_from_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "rows.jsonl").write_text(json.dumps({"id": 7}))
    both = source(splits={"test": "rows", "more": "more"}, elsewhere={"more": (ADDRESS,)})
    with host(monkeypatch, tmp_path / "cache") as fetched:
        rows = open_rows(both, folder)
        assert [row["id"] for row in rows("test")] == [7]
        assert not fetched
        assert [row["id"] for row in rows("more")] == [1, 2]


def test_a_package_is_looked_into_without_being_imported() -> None:
    assert upstream.found(("package:numpy/numpy/py.typed",)).is_file()
    with pytest.raises(DataError, match=r"numpy has no numpy/absent\.txt"):
        upstream.found(("package:numpy/numpy/absent.txt",))
    with pytest.raises(DataError, match="is not installed"):
        upstream.found(("package:no-such-thing/x.txt",))
    first = upstream.found(("package:no-such-thing/x.txt", "package:numpy/numpy/py.typed"))
    assert first.name == "py.typed"


def test_what_a_source_is_can_be_told_without_the_network() -> None:
    pinned = digest(source(), None)
    assert pinned == digest(source(), None)
    assert pinned != digest(source(elsewhere={"test": (ADDRESS.replace("0", "1"),)}), None)


def test_two_files_of_one_name_are_told_apart_by_their_folders(tmp_path: Path) -> None:
    for name in ("v1", "v2"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "rows.jsonl").write_text(json.dumps({"id": name}))
    (tmp_path / "rows.jsonl").write_text(json.dumps({"id": "top"}))
    for stem, found in (("v2/rows", "v2"), ("/rows", "top"), ("/v1/rows", "v1")):
        rows = open_rows(source(splits={"test": stem}), tmp_path)
        assert [row["id"] for row in rows("test")] == [found]
    with pytest.raises(DataError, match="which is the test split"):
        list(open_rows(source(splits={"test": "rows"}), tmp_path)("test"))


def test_prompts_and_settings_are_rows_too(tmp_path: Path) -> None:
    (tmp_path / "prompt.txt").write_text("Judge {a}.\n")
    (tmp_path / "settings.yaml").write_text("template: x\n")
    (tmp_path / "code.py").write_text("X = 1\n")
    splits = {"prompt": "prompt", "settings": "settings", "code": "code"}
    rows = open_rows(source(splits=splits, elsewhere={}), tmp_path)
    assert list(rows("prompt")) == [{"text": "Judge {a}.\n"}]
    assert list(rows("settings")) == [{"template": "x"}]
    assert list(rows("code")) == [{"text": "X = 1\n"}]
