"""`evalkit view`: what it answers, what it refuses, and what it may cost."""

from __future__ import annotations

import http.client
import json
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import pyarrow as pa
import pytest

from evalkit.comparison.policy import Policy
from evalkit.errors import ConfigError, StoreError, UnknownName
from evalkit.evidence.values import Compared
from evalkit.reporting.report import of_store
from evalkit.storage.store import Store
from evalkit.storage.tables import ANSWER_COLUMNS, read_table, write_table
from evalkit.verdict import Report
from evalkit.viewing.columns import Columns
from evalkit.viewing.desk import Desk
from evalkit.viewing.opened import opened
from evalkit.viewing.searching import matching
from evalkit.viewing.server import Viewer
from tests import sample_results
from tests.hostile import HOSTILE
from tests.small_exams import doubles, echo, exam, held


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Report]:
    return sample_results.folder(tmp_path_factory.mktemp("viewed"))


@pytest.fixture(scope="module")
def viewer(results: tuple[Path, Report]) -> Iterator[Viewer]:
    with opened(results[0], None, None, 0) as serving:
        thread = threading.Thread(target=serving.serve_forever, daemon=True)
        thread.start()
        yield serving
        serving.shutdown()
        thread.join()


def ask(
    viewer: Viewer, path: str, method: str = "GET", **headers: str
) -> tuple[http.client.HTTPResponse, bytes]:
    """One request, to the server's own address whatever its Host says."""
    connection = http.client.HTTPConnection("127.0.0.1", viewer.server_port, timeout=20)
    connection.request(method, path, headers=headers)
    response = connection.getresponse()
    content = response.read()
    connection.close()
    return response, content


def told(viewer: Viewer, what: str, **query: Any) -> dict[str, Any]:
    response, content = ask(viewer, f"/{viewer.secret}/{what}?{urlencode(query)}")
    assert response.status == 200, content
    return dict(json.loads(content))


def pair_of(viewer: Viewer, candidate: str, against: str, task: str) -> int:
    return viewer.desk.pairs.index(Compared(candidate, against, task))


def test_it_serves_the_page_with_nothing_from_elsewhere(viewer: Viewer) -> None:
    response, content = ask(viewer, urlsplit(viewer.url).path)
    page = unescape(content.decode())
    assert response.status == 200
    assert "regressed" in page
    assert "connect-src 'self'" in page
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert response.getheader("X-Content-Type-Options") == "nosniff"
    assert response.getheader("Content-Security-Policy") == "frame-ancestors 'none'"
    assert response.getheader("Cache-Control") == "no-store"


def test_any_two_checkpoints_can_be_held_against_each_other(viewer: Viewer) -> None:
    names = {(of.candidate, of.against) for of in viewer.desk.pairs}
    assert names == {("sft", "base"), ("grpo", "base"), ("grpo", "sft")}
    assert len(viewer.desk.pairs) == 3 * 5


def test_every_sample_is_there_lost_ones_first(viewer: Viewer) -> None:
    pair = pair_of(viewer, "sft", "base", "doubles")
    found = told(viewer, "facets", pair=pair)
    assert found["counts"] == {"lost": 22, "gained": 0, "same": 38}
    assert sum(n for _, n in found["outcomes"]) == 60
    assert found["slices"] == [["even", 30, 11, 0], ["odd", 30, 11, 0]]
    rows = told(viewer, "samples", pair=pair)
    assert rows["total"] == 60
    assert [row["delta"] for row in rows["rows"]] == [-1.0] * 22 + [0.0] * 38


@pytest.mark.parametrize(
    ("query", "total"),
    [
        ({"direction": "lost"}, 22),
        ({"direction": "gained"}, 0),
        ({"direction": "same"}, 38),
        ({"slice": "odd"}, 30),
        ({"slice": "odd", "direction": "lost"}, 11),
        ({"slice": "no such"}, 0),
        ({"outcome": "truncated", "direction": "lost"}, 8),
        ({"search": "TWICE 4"}, 11),  # 4, and 40 to 49
        ({"search": "believe it is 59"}, 1),
        ({"search": "大约"}, 30),
        ({"search": "nowhere"}, 0),
        ({"from": "58"}, 60),
    ],
)
def test_filters_and_words_narrow_the_list(
    viewer: Viewer, query: dict[str, str], total: int
) -> None:
    pair = pair_of(viewer, "sft", "base", "doubles")
    found = told(viewer, "samples", pair=pair, **query)
    assert found["total"] == total
    assert len(found["rows"]) == max(0, total - int(query.get("from", 0)))


def test_a_sample_comes_whole(viewer: Viewer) -> None:
    pair = pair_of(viewer, "sft", "base", "speech")
    rows = {row["id"]: row for row in told(viewer, "samples", pair=pair)["rows"]}
    long = told(viewer, "sample", pair=pair, at=rows["long line"]["at"])
    assert "800,000 characters left out" in long["after"]["text"]
    bidi = told(viewer, "sample", pair=pair, at=rows["bidi"]["at"])
    assert bidi["after"]["text"] == HOSTILE["bidi"]
    assert bidi["before"]["text"] == "fine"
    assert bidi["changed"]
    judged = pair_of(viewer, "sft", "base", "chat")
    at = told(viewer, "samples", pair=judged, direction="lost")["rows"][0]["at"]
    assert told(viewer, "sample", pair=judged, at=at)["after"]["said"] == ["2", "1"]


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1", "127.0.0.1:1", "[::1]:80", ""])
def test_another_name_for_this_machine_is_refused(viewer: Viewer, host: str) -> None:
    response, content = ask(viewer, urlsplit(viewer.url).path, Host=host)
    assert response.status == 421
    assert b"regressed" not in content


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/samples?pair=0",
        "/{wrong}/",
        "/{secret}",
        "/{secret}/nothing",
        "/{secret}/../../etc/passwd",
        "/{secret}/%2e%2e/verdict.json",
    ],
)
def test_nothing_is_found_without_the_secret_or_beyond_it(viewer: Viewer, path: str) -> None:
    shown = path.format(secret=viewer.secret, wrong="x" * len(viewer.secret))
    response, content = ask(viewer, shown)
    assert response.status == 404
    assert json.loads(content)["error"].startswith("nothing is here")


@pytest.mark.parametrize(
    "question",
    [
        "samples",
        "samples?pair=99",
        "samples?pair=-1",
        "samples?pair=x",
        "samples?pair=0&from=x",
        "sample?pair=0&at=zz",
        "sample?pair=0&at=00",
    ],
)
def test_what_is_no_question_is_told_so(viewer: Viewer, question: str) -> None:
    response, content = ask(viewer, f"/{viewer.secret}/{question}")
    assert response.status == 400
    assert json.loads(content)["error"].startswith("not a question")


def test_a_sample_that_is_not_there_is_told_so(viewer: Viewer) -> None:
    response, content = ask(viewer, f"/{viewer.secret}/sample?pair=0&at={'00' * 16}")
    assert response.status == 404
    assert "no such sample" in json.loads(content)["error"]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_it_can_only_be_read(viewer: Viewer, method: str) -> None:
    response, _ = ask(viewer, urlsplit(viewer.url).path, method)
    assert response.status == 501


def test_it_listens_to_this_machine_alone(viewer: Viewer) -> None:
    assert viewer.server_address[0] == "127.0.0.1"
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(ConfigError, match=r"--port \d+: Address already in use; give another"):
            opened(Path(viewer.desk.evidence.root), None, None, taken.getsockname()[1])


def test_results_without_a_verdict_need_a_baseline(results: tuple[Path, Report]) -> None:
    folder, _ = results
    with opened(folder, None, "base", 0) as serving:
        assert ("sft", "base", "doubles") in serving.desk.pairs
    with pytest.raises(UnknownName, match="did you mean 'base'"):
        opened(folder, None, "bsae", 0)


def test_a_folder_that_holds_nothing_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"verdict.json: no such file; give --baseline"):
        opened(tmp_path, None, None, 0)


def test_the_command_prints_its_address_and_ends_when_it_is_stopped(
    results: tuple[Path, Report],
) -> None:
    command = [sys.executable, "-m", "evalkit.cli", "view", str(results[0])]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as it:
        assert it.stdout is not None
        url = urlsplit(it.stdout.readline().strip())
        connection = http.client.HTTPConnection(url.netloc, timeout=20)
        connection.request("GET", url.path)
        assert connection.getresponse().status == 200
        connection.close()
        it.send_signal(signal.SIGINT)
        _, errors = it.communicate(timeout=20)
        assert it.returncode == 0
        assert errors == "evalkit: stopped\n"


def test_a_recipe_is_shown_by_the_samples_of_its_seeds(tmp_path: Path) -> None:
    task = doubles(60, solution=lambda sample: str(sample.target))
    rows = [echo("base", 0.9), echo("sft-s0", 0.9), echo("sft-s1", 0.4)]
    held(rows, [exam(task)], tmp_path)
    report = of_store(Store(tmp_path), ["base", "sft-s0,sft-s1"], Policy())
    desk = Desk(tmp_path, report)
    pair = desk.pairs.index(Compared("sft-s0,sft-s1", "base", "doubles"))
    rows_of = desk.samples(pair, within="", how="", direction="lost", words="", start=0)["rows"]
    assert {row["after"]["checkpoint"] for row in rows_of} == {"sft-s1"}
    told = desk.sample(pair, bytes.fromhex(rows_of[0]["at"]))
    assert told["after"]["checkpoint"] == "sft-s1"
    assert (
        desk.samples(pair, within="", how="", direction="", words="twice 5", start=0)["total"] == 11
    )


def answers(tmp_path: Path, texts: list[str]) -> Path:
    path = tmp_path / "answers.parquet"
    empty: dict[str, Any] = {**dict.fromkeys(ANSWER_COLUMNS, ""), "loglikelihoods": []}
    empty |= {"greedy": [], "turns": [], "epoch": 0, "prompt_tokens": 1, "completion_tokens": 1}
    rows = [
        {**empty, "item": i.to_bytes(16, "big"), "request": b"\0" * 16, "text": text, "id": str(i)}
        for i, text in enumerate(texts)
    ]
    write_table(path, rows, ANSWER_COLUMNS)
    return path


def test_a_column_too_large_to_keep_is_read_past(tmp_path: Path) -> None:
    path = answers(tmp_path, [f"text {i}" * 20 for i in range(2_000)])
    kept, small = Columns(), Columns(kept=1_000)
    assert [len(batch) for batch in kept.batches(path, "text")] == [2_000]
    pieces = list(small.batches(path, "text"))
    assert len(pieces) > 3
    assert pa.concat_arrays(pieces).equals(next(kept.batches(path, "text")))
    for row in (0, 511, 512, 1_999):
        expected = read_table(path).slice(row, 1).to_pylist()[0]
        assert small.row(path, row, [*ANSWER_COLUMNS]) == expected
        assert kept.row(path, row, [*ANSWER_COLUMNS]) == expected


def test_a_column_that_an_older_store_has_not_is_left_out(tmp_path: Path) -> None:
    path = answers(tmp_path, ["one"])
    assert list(Columns().batches(path, "no such column")) == []
    assert Columns().row(path, 0, ["text", "no such column"]) == {"text": "one"}


def test_words_are_found_within_a_text_and_not_across_two() -> None:
    texts = pa.array(["End of one", "", "one's beginning", "ÄRGER 知识", "END" * 3, None])
    assert matching(texts, "end").tolist() == [True, False, False, False, True, False]
    assert matching(texts, "one").tolist() == [True, False, True, False, False, False]
    assert matching(texts, "oneone").tolist() == [False] * 6
    assert matching(texts, "知识").tolist() == [False, False, False, True, False, False]
    assert matching(texts.slice(2, 2), "beginning").tolist() == [True, False]
    assert matching(pa.array([], pa.string()), "x").tolist() == []
    many = pa.array([f"row {i}" for i in range(5_000)])
    assert matching(many, "row 4999").sum() == 1


def test_a_store_that_changes_underneath_is_an_answer_and_no_crash(
    tmp_path: Path, results: tuple[Path, Report]
) -> None:
    import shutil

    folder = tmp_path / "copy"
    shutil.copytree(results[0], folder)
    with opened(folder, None, None, 0) as serving:
        pair = serving.desk.pairs.index(Compared("sft", "base", "doubles"))
        at = serving.desk.samples(pair, within="", how="", direction="", words="", start=0)
        for cell in Store(folder).cells():
            cell.answers_path.write_bytes(b"PAR1 not parquet PAR1")
        with pytest.raises(StoreError, match="not readable as Parquet"):
            serving.desk.sample(pair, bytes.fromhex(at["rows"][0]["at"]))
