"""Reading from the hub: a server that speaks its API, its cache, and its absence."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

pytest.importorskip("huggingface_hub")

REVISION = "0123456789abcdef0123456789abcdef01234567"
ROWS = b'{"id": 1}\n{"id": 2}\n'
FILES = {"README.md": b"about", "data/test-00000-of-00001.jsonl": ROWS, "data/train.bin": b"much"}

READ = f"""
from evalkit.exams.data import open_rows
from evalkit.errors import DataError
from evalkit.types import Source
source = Source("somebody/quiz", "{REVISION}", "quiz", {{"test": "quiz_test"}}, {{}}, ("id",))
try:
    print([row["id"] for row in open_rows(source, None)("test")])
except DataError as error:
    print(error)
"""


class Hub(BaseHTTPRequestHandler):
    """As much of the hub as a download needs; keeps what was fetched."""

    fetched: list[str]
    gated = False

    def do_GET(self) -> None:
        if self.gated:
            self.answer(b"{}", 403, {"X-Error-Code": "GatedRepo"})
        elif "/tree/" in self.path:
            listing = [
                {"type": "file", "path": name, "size": len(body), "oid": "0" * 40}
                for name, body in FILES.items()
            ]
            self.answer(json.dumps(listing).encode())
        elif f"/resolve/{REVISION}/" in self.path:
            name = self.path.partition(f"/resolve/{REVISION}/")[2]
            if self.command == "GET":
                self.fetched.append(name)
            self.answer(FILES[name], 200, {"ETag": '"0"', "X-Repo-Commit": REVISION})
        else:
            self.answer(b"{}", 404)

    do_HEAD = do_GET

    def answer(self, body: bytes, status: int = 200, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Quiet."""


@contextmanager
def serving(gated: bool = False) -> Iterator[tuple[str, list[str]]]:
    """The server's address, and the names of the files fetched from it."""
    fetched: list[str] = []
    handler = type("Handler", (Hub,), {"fetched": fetched, "gated": gated})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", fetched
        server.shutdown()


def read(home: Path, **environment: str) -> str:
    """What a fresh process reads: the hub's client looks at its environment once."""
    inherited = {name: value for name, value in os.environ.items() if name != "EVALKIT_DATA"}
    run = subprocess.run(
        [sys.executable, "-c", READ],
        env={**inherited, "HF_HOME": str(home), "NO_PROXY": "127.0.0.1", **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return run.stdout.strip()


def test_only_the_splits_are_fetched_and_then_read_without_a_network(tmp_path: Path) -> None:
    with serving() as (address, fetched):
        assert read(tmp_path, HF_ENDPOINT=address) == "[1, 2]"
        assert fetched == ["data/test-00000-of-00001.jsonl"]
    assert read(tmp_path, HF_HUB_OFFLINE="1") == "[1, 2]"
    assert read(tmp_path, HF_ENDPOINT=address) == "[1, 2]"  # nobody listens there any more


def test_an_unreachable_hub_is_one_line_that_says_how_to_give_local_data(tmp_path: Path) -> None:
    said = read(tmp_path, HF_HUB_OFFLINE="1")
    assert said.startswith("somebody/quiz: not read from the hub (")
    assert "give local data: `data: {TASK: path}`" in said
    assert "folder quiz under EVALKIT_DATA" in said
    assert "\n" not in said


def test_where_nobody_listens_it_is_told_at_once(tmp_path: Path) -> None:
    started = time.monotonic()
    said = read(tmp_path, HF_ENDPOINT="http://127.0.0.1:1")
    assert time.monotonic() - started < 20  # the hub's client tries for a minute
    assert said.startswith("somebody/quiz: not read from the hub ([Errno 111] Connection refused)")


def test_missing_access_is_said_in_one_line(tmp_path: Path) -> None:
    with serving(gated=True) as (address, _):
        said = read(tmp_path, HF_ENDPOINT=address)
    assert said.startswith("somebody/quiz: not read from the hub, which gives it to those alone")
    assert "accept them at https://huggingface.co/datasets/somebody/quiz" in said
    assert "HF_TOKEN" in said
    assert "give local data" in said
    assert "\n" not in said
