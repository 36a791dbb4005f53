"""Asking: one pool for all cells of a checkpoint, each question once, nothing before its time."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from evalkit.asking.engine import Sitting, ask, pool, run
from evalkit.errors import DataError, ModelError, StoreError
from evalkit.events import Asked, Event, silent
from evalkit.exams.exam import Exam
from evalkit.storage.store import Cell, Store
from evalkit.types import Request, Response, Rows, Sample
from tests.small_exams import backend, checkpoint, doubles, exam, held, right, row, sit


def cell(results: Path, name: str = "doubles") -> Cell:
    return Store(results).cell(name, "base", "00000000")


def test_every_question_is_asked_once_and_sealed(tmp_path: Path) -> None:
    asked_by, log = backend()
    ask(asked_by, checkpoint(), [Sitting(exam(doubles(30, epochs=2)), cell(tmp_path))], silent)
    assert len(log.asked) == len(set(log.asked)) == 60
    assert len(cell(tmp_path).answers()) == 60
    assert [path.name for path in cell(tmp_path).path.iterdir()] == ["answers.parquet"]


def test_several_cells_share_one_loading_of_the_model(tmp_path: Path) -> None:
    asked_by, log = backend()
    sittings = [
        Sitting(exam(doubles(10, name=name)), cell(tmp_path, name)) for name in ("a", "b", "c")
    ]
    ask(asked_by, checkpoint(), sittings, silent)
    assert (log.opened, len(log.asked)) == (1, 30)
    assert [sitting.done for sitting in sittings] == [10, 10, 10]


def test_prompts_are_rendered_only_for_what_is_missing(tmp_path: Path) -> None:
    rendered: list[int] = []

    def samples(_: Rows) -> Iterable[Sample]:
        for i in range(20):

            def late(number: int = i) -> str:
                rendered.append(number)
                return f"twice {number}?"

            yield Sample(str(i), late, str(2 * i), question=f"twice {i}")

    task = replace(doubles(0), samples=samples)
    for _ in range(2):
        asked_by, _log = backend(reads_prompt=False)
        ask(asked_by, checkpoint(), [Sitting(exam(task), cell(tmp_path))], silent)
    assert rendered == []
    sit(tmp_path / "read", task)
    assert sorted(rendered) == list(range(20))


def test_a_conversation_or_a_text_is_asked_as_the_checkpoint_wants(tmp_path: Path) -> None:
    asked_by, log = backend()
    who = checkpoint(system_prompt="Be brief.")
    ask(asked_by, who, [Sitting(exam(doubles(1)), cell(tmp_path))], silent)
    assert log.prompts == ["Be brief.\n\ntwice 0?"]


def test_likelihoods_are_asked_where_the_task_wants_them(tmp_path: Path) -> None:
    def samples(_: Rows) -> Iterator[Sample]:
        yield Sample("1", "?", "y", question="?", choices=("y", "n"))

    task = replace(doubles(0), samples=samples, ask="loglikelihood")
    asked_by, log = backend()
    ask(asked_by, checkpoint(), [Sitting(exam(task), cell(tmp_path))], silent)
    (stored,) = cell(tmp_path).answers().values()
    assert log.asked == []
    assert stored.response.loglikelihoods == (-1.0, -2.0)
    assert stored.response.text == "y"


def test_the_watcher_is_told_the_end_of_every_cell(tmp_path: Path) -> None:
    told: list[Event] = []
    held([row("a"), row("b")], [exam(doubles(9))], tmp_path, told.append)
    last = [event for event in told if isinstance(event, Asked)][-1]
    assert (last.checkpoint, last.task, last.done, last.total, last.errors) == (
        *("b", "doubles", 9, 9, 0),
    )
    assert last.seconds_left == 0


def test_never_more_at_once_than_the_model_takes() -> None:
    at_once: list[int] = [0, 0]

    async def work(_: int) -> None:
        at_once[0] += 1
        at_once[1] = max(at_once)
        await asyncio.sleep(0)
        at_once[0] -= 1

    asyncio.run(pool(range(100), work, 7))
    assert at_once == [0, 7]


def test_jobs_are_taken_as_they_are_needed() -> None:
    taken: list[int] = []

    def jobs() -> Iterator[int]:
        for number in range(1000):
            taken.append(number)
            yield number

    async def work(number: int) -> None:
        await asyncio.sleep(0)
        if number == 20:
            raise ModelError("stop")

    with pytest.raises(ModelError, match="stop"):
        run(pool(jobs(), work, 4))
    assert len(taken) < 40


def test_of_several_failures_the_one_to_mend_is_told() -> None:
    async def work(number: int) -> None:
        await asyncio.sleep(0)
        raise StoreError("no room") if number == 2 else ZeroDivisionError(str(number))

    with pytest.raises(StoreError, match="no room"):
        run(pool(range(3), work, 3))


def test_a_bug_in_a_backend_shows_and_leaves_what_was_answered(tmp_path: Path) -> None:
    def buggy(request: Request) -> Response:
        if request.sample.id == "25":
            raise ZeroDivisionError
        return right(request)

    with pytest.raises(ZeroDivisionError):
        sit(tmp_path, doubles(60), buggy)
    (left,) = Store(tmp_path).cells()
    kept = len(left.answers())
    assert not (left.path / "lock").exists()
    _, log = sit(tmp_path, doubles(60))
    assert len(log.asked) == 60 - kept


def duplicated(_: Rows) -> Iterator[Sample]:
    yield Sample("1", "?", "x", question="q")
    yield Sample("1", "other shots ?", "x", question="q")


def none(_: Rows) -> Iterator[Sample]:
    yield from ()


def reading(rows: Rows) -> Iterator[Sample]:
    for each in rows("test"):
        yield Sample(str(each), "?")


def test_an_exam_with_one_question_twice_or_with_none_is_a_data_error() -> None:
    with pytest.raises(DataError, match="the question '1' is there twice"):
        _ = exam(replace(doubles(0), samples=duplicated)).items
    with pytest.raises(DataError, match="its data hold no questions"):
        _ = exam(replace(doubles(0), samples=none)).items
    with pytest.raises(DataError, match="no data files, yet asked for its split 'test'"):
        _ = exam(replace(doubles(0), samples=reading)).items


def test_a_limit_takes_the_same_questions_always_and_grows_by_adding() -> None:
    def chosen(limit: int | None) -> list[bytes]:
        return list(exam(doubles(200), limit).items)

    assert chosen(50) == chosen(50) == chosen(120)[:50] == chosen(None)[:50]
    assert len(chosen(1000)) == 200
    ids = [sample.id for sample in exam(doubles(200), 20).items.values()]
    assert ids != sorted(ids, key=int)


def test_an_exam_is_named_by_task_and_preset() -> None:
    task = doubles(3, preset="hard")
    assert exam(task).label == "doubles@hard"
    assert Exam(doubles(3), exam(doubles(3)).section).label == "doubles"
