"""Grading beside asking: nothing waits for a scorer, nothing is lost with a process that dies."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

from evalkit.errors import StoreError
from evalkit.events import silent
from evalkit.grading.cells import grade
from evalkit.grading.grade import by_scorer
from evalkit.grading.graders import Graders
from evalkit.grading.process import Job
from evalkit.run import hold
from evalkit.storage.journal import read
from evalkit.storage.store import Answer, Cell, Store
from evalkit.types import Request, Response, Sample, Score
from tests.small_exams import doubles, exact, exam, held, matrix, right_below, row, sit

SEEN = "EVALKIT_TEST_SEEN"


def seen(sample: Sample) -> int:
    """How often a sample has come to a scorer, this time included; told across processes."""
    path = Path(os.environ[SEEN])
    with path.open("a") as file:
        file.write(f"{sample.id}\n")
    return Counter(path.read_text().split())[sample.id]


def fragile(sample: Sample, response: Response) -> Score:
    """Takes its process down: with sample 3 each time, with sample 5 the first time."""
    times = seen(sample)
    if sample.id == "3" or (sample.id == "5" and times == 1):
        os.kill(os.getpid(), signal.SIGKILL)
    return exact(sample, response)


def leaving(sample: Sample, response: Response) -> Score:
    """Ends its process the polite way."""
    if sample.id == "3":
        os._exit(7)
    return exact(sample, response)


def patient(sample: Sample, response: Response) -> Score:
    """Takes a while."""
    time.sleep(0.05)
    seen(sample)
    return exact(sample, response)


@pytest.fixture(autouse=True)
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(SEEN, str(tmp_path / "seen"))
    return tmp_path / "seen"


def only_cell(results: Path) -> Cell:
    (cell,) = Store(results).cells()
    return cell


def outcomes(results: Path) -> dict[str, int]:
    return dict(only_cell(results).meta()["outcomes"][""])


def test_a_sample_that_kills_its_process_twice_has_failed_and_no_other(tmp_path: Path) -> None:
    sit(tmp_path / "r", doubles(12, score=fragile, costly=True), right_below(10))
    killed = "scorer failed: its process died twice (SIGKILL)"
    assert outcomes(tmp_path / "r") == {"correct": 9, "wrong": 2, killed: 1}
    times = Counter((tmp_path / "seen").read_text().split())
    assert (times["3"], times["5"]) == (2, 2)
    assert {count for sample, count in times.items() if sample not in "35"} == {1}


def test_a_process_that_leaves_is_told_from_one_that_was_killed(tmp_path: Path) -> None:
    sit(tmp_path, doubles(5, score=leaving, costly=True))
    assert "scorer failed: its process died twice (exit 7)" in outcomes(tmp_path)


def test_asking_does_not_wait_for_a_costly_scorer(tmp_path: Path) -> None:
    last = 0.0

    def answer(request: Request) -> Response:
        nonlocal last
        last = time.monotonic()
        return Response(str(request.sample.target))

    started = time.monotonic()
    sit(tmp_path, doubles(60, score=patient, costly=True), answer)
    asking, grading = last - started, time.monotonic() - last
    assert grading > 0.05 * 60 / (os.cpu_count() or 1) * 0.8
    assert asking < grading


def test_a_costly_scorer_keeps_what_it_found_for_good(tmp_path: Path, log: Path) -> None:
    task = doubles(30, score=patient, costly=True)
    sit(tmp_path / "r", task, limit=10)
    sit(tmp_path / "r", task, limit=20)
    sit(tmp_path / "r", task)
    assert set(Counter(log.read_text().split()).values()) == {1}
    assert outcomes(tmp_path / "r") == {"correct": 30}
    kept = list(read(only_cell(tmp_path / "r").grades_path()))
    assert len({each["item"] for each in kept}) == 30


def test_a_grade_is_not_that_of_another_answer(tmp_path: Path, log: Path) -> None:
    def failing(request: Request) -> Response:
        return Response(error="down") if request.sample.id == "4" else Response("0")

    task = doubles(6, score=patient, costly=True)
    sit(tmp_path / "r", task, failing)
    assert outcomes(tmp_path / "r") == {"correct": 1, "errored": 1, "wrong": 4}
    sit(tmp_path / "r", task)
    assert outcomes(tmp_path / "r") == {"correct": 2, "wrong": 4}
    assert Counter(log.read_text().split())["4"] == 1


def test_a_scorer_that_cannot_cross_over_grades_here(tmp_path: Path) -> None:
    where: list[int] = []

    def closed(sample: Sample, response: Response) -> Score:
        where.append(os.getpid())
        return exact(sample, response)

    sit(tmp_path, doubles(5, score=closed, costly=True))
    assert where == [os.getpid()] * 5


def test_a_scorer_that_fails_in_a_thread_is_asked_once_more_outside(tmp_path: Path) -> None:
    def timed(sample: Sample, response: Response) -> Score:
        if threading.current_thread() is not threading.main_thread():
            raise ValueError("signal only works in main thread of the main interpreter")
        return exact(sample, response)

    sit(tmp_path, doubles(5, score=timed))
    assert outcomes(tmp_path) == {"correct": 5}
    assert not only_cell(tmp_path).grades_path().exists()


def test_what_came_while_too_many_waited_is_graded_afterwards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("evalkit.grading.graders.BACKLOG", 2)
    sit(tmp_path, doubles(50), right_below(20))
    assert outcomes(tmp_path) == {"correct": 20, "wrong": 30}


def test_presets_that_share_their_answers_are_all_graded_beside(tmp_path: Path) -> None:
    def generous(sample: Sample, response: Response) -> Score:
        return Score(1.0, "any")

    task = doubles(10, presets={"generous": {"score": generous}})
    other = doubles(10, presets={"generous": {}}, preset="generous", score=generous)
    held([row("a", right_below(4))], [exam(task), exam(other)], tmp_path)
    found = only_cell(tmp_path).meta()["outcomes"]
    assert found == {"": {"correct": 4, "wrong": 6}, "generous": {"correct": 10}}


def test_a_million_answers_are_not_held_and_windows_grade_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sit(tmp_path / "few", doubles(200, epochs=2), right_below(70))
    monkeypatch.setattr("evalkit.exams.drawn.HELD", 30)
    monkeypatch.setattr("evalkit.storage.records.HELD_BYTES", 500)
    monkeypatch.setattr("evalkit.storage.tables.BATCH_ROWS", 16)
    monkeypatch.setattr("evalkit.storage.tables.GROUP_ROWS", 64)
    sit(tmp_path / "many", doubles(200, epochs=2), right_below(70))
    few, many = only_cell(tmp_path / "few"), only_cell(tmp_path / "many")
    assert few.answers() == many.answers()
    assert few.meta()["outcomes"] == many.meta()["outcomes"]
    before = many.scores_path().read_bytes()
    grade(exam(doubles(200, epochs=2)), many, by_scorer(doubles(200)))
    assert many.scores_path().read_bytes() == before
    _, log = sit(tmp_path / "many", doubles(200, epochs=3), right_below(70))
    assert len(log.asked) == 200


def test_a_grade_that_cannot_be_kept_stops_the_run_and_not_before_the_answers_are(
    tmp_path: Path,
) -> None:
    blocked = row("a")
    results = tmp_path / "r"

    def block(request: Request) -> Response:
        (cell,) = Store(results).cells()
        cell.grades_path().mkdir(exist_ok=True)
        return Response("0")

    blocked = row("a", block)
    with pytest.raises(StoreError, match="cannot write"):
        hold(matrix([blocked], [exam(doubles(6))]), results, silent)
    assert len(only_cell(results).answers()) == 6


def test_graders_that_are_closed_leave_no_process(tmp_path: Path) -> None:
    done: list[object] = []
    answer = Answer(b"", "1", 0, b"", "?", Response("2"))
    with Graders(2) as graders:
        job = Job(by_scorer(doubles(1, score=patient)), Sample("1", "?", "2"), answer, done.append)
        for _ in range(4):
            graders.put(job)
        graders.join()
        assert len(done) == 4
        for _ in range(50):
            graders.put(job)
        processes = [worker._process for worker in graders._workers if worker._process]
    assert processes
    assert not any(process.is_alive() for process in processes)
    assert len(done) < 54
