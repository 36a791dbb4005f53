"""A results folder: what was answered is kept, reused exactly, and never half written."""

from __future__ import annotations

import json
import math
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from evalkit.asking.engine import Sitting, ask
from evalkit.errors import ModelError, StoreError
from evalkit.events import silent
from evalkit.matrix import Row
from evalkit.run import hold
from evalkit.storage.store import Answer, Cell, Store, line, safe
from evalkit.storage.tables import SCORE_COLUMNS, read_table, write_table
from evalkit.types import Request, Response, Score, ToolCall
from tests.small_exams import (
    backend,
    checkpoint,
    doubles,
    exact,
    exam,
    held,
    matrix,
    right,
    right_below,
    sit,
)

ITEM, REQUEST = b"i" * 16, b"r" * 16


def answer(text: str = "yes", *, error: str = "", request: bytes = REQUEST) -> Answer:
    response = Response(text, error=error, finish_reason="error" if error else "stop")
    return Answer(ITEM, "7", 0, request, "why?", response)


def journaled(cell: Cell, *answers: Answer) -> Cell:
    from evalkit.storage.journal import Journal

    cell.path.mkdir(parents=True, exist_ok=True)
    with Journal(cell.journal_path) as journal:
        for each in answers:
            journal.append(line(each))
    return cell


def scores(cell: Cell, preset: str = "") -> list[float]:
    return [float(v) for v in read_table(cell.scores_path(preset)).column("value").to_pylist()]


def only_cell(results: Path) -> Cell:
    (cell,) = Store(results).cells()
    return cell


def test_an_answer_comes_back_as_it_was_from_the_journal_and_from_the_sealed_file(
    tmp_path: Path,
) -> None:
    response = Response(
        "text\n\0\u2028",
        "thoughts",
        (ToolCall("f", '{"a": 1}'), ToolCall("g", "not json")),
        "tool_calls",
        3_000_000_000,
        12,
        (-0.5, -math.inf),
        "",
    )
    whole = Answer(ITEM, "id", 3, REQUEST, "question", response)
    cell = journaled(Cell(tmp_path / "c"), whole)
    expected = {(ITEM, 3): whole}
    assert cell.answers() == expected
    cell.seal()
    assert not cell.journal_path.exists()
    assert cell.answers() == expected


def test_sealing_without_a_journal_changes_nothing(tmp_path: Path) -> None:
    cell = journaled(Cell(tmp_path / "c"), answer())
    cell.seal()
    before = cell.answers_path.read_bytes()
    cell.seal()
    assert cell.answers_path.read_bytes() == before
    assert [path.name for path in cell.path.iterdir()] == ["answers.parquet"]


def test_an_error_never_replaces_an_answer_to_the_same_request(tmp_path: Path) -> None:
    cell = journaled(Cell(tmp_path / "c"), answer("yes"), answer(error="timeout"))
    assert cell.answers()[ITEM, 0].response.text == "yes"
    cell.seal()
    journaled(cell, answer(error="timeout"))
    assert cell.answers()[ITEM, 0].response.text == "yes"


def test_an_answer_replaces_an_error_and_a_later_answer_an_earlier_one(tmp_path: Path) -> None:
    cell = journaled(Cell(tmp_path / "c"), answer(error="timeout"), answer("a"), answer("b"))
    assert cell.answers()[ITEM, 0].response.text == "b"


def test_an_answer_to_another_prompt_does_not_stand_in_for_a_failed_one(tmp_path: Path) -> None:
    other = answer(error="timeout", request=b"s" * 16)
    cell = journaled(Cell(tmp_path / "c"), answer("to the old prompt"), other)
    assert cell.answers()[ITEM, 0].response.error == "timeout"


def test_raising_the_limit_asks_only_the_new_questions(tmp_path: Path) -> None:
    _, first = sit(tmp_path, doubles(50), limit=20)
    _, second = sit(tmp_path, doubles(50), limit=30)
    _, third = sit(tmp_path, doubles(50))
    assert (len(first.asked), len(second.asked), len(third.asked)) == (20, 10, 20)
    assert len({*first.asked, *second.asked, *third.asked}) == 50
    assert len(scores(only_cell(tmp_path))) == 50


def test_lowering_the_limit_asks_nothing_and_grades_fewer(tmp_path: Path) -> None:
    sit(tmp_path, doubles(50))
    _, log = sit(tmp_path, doubles(50), limit=20)
    assert log.opened == 0
    assert len(scores(only_cell(tmp_path))) == 20


def test_more_epochs_ask_only_the_new_epochs(tmp_path: Path) -> None:
    sit(tmp_path, doubles(20))
    _, log = sit(tmp_path, doubles(20, epochs=3))
    assert {epoch for _, epoch in log.asked} == {1, 2}
    assert len(log.asked) == 40
    assert len(scores(only_cell(tmp_path))) == 60


def test_a_new_scorer_grades_again_without_asking(tmp_path: Path) -> None:
    sit(tmp_path, doubles(20), right_below(5))
    assert sum(scores(only_cell(tmp_path))) == 5
    generous = doubles(20, presets={"generous": {}}, preset="generous")
    generous = replace(generous, score=lambda sample, response: Score(1.0, "any"))
    _, log = sit(tmp_path, generous, right_below(5))
    assert log.opened == 0
    assert sum(scores(only_cell(tmp_path), "generous")) == 20
    assert sum(scores(only_cell(tmp_path))) == 5


def test_a_renamed_checkpoint_reuses_its_cells(tmp_path: Path) -> None:
    task = exam(doubles(20))
    asked_by, log = backend()
    for name in ("old", "new"):
        one = Row(checkpoint(name, identity="the same weights"), asked_by)
        hold(matrix([one], [task]), tmp_path, silent)
    assert len(log.asked) == 20
    assert log.opened == 1
    assert len(Store(tmp_path).cells()) == 1


def test_two_names_for_one_checkpoint_are_asked_once(tmp_path: Path) -> None:
    asked_by, log = backend()
    rows = [Row(checkpoint(name, identity="same"), asked_by) for name in ("one", "two")]
    held(rows, [exam(doubles(20))], tmp_path)
    assert len(log.asked) == 20


@pytest.mark.parametrize("change", [{"system_prompt": "Be brief."}, {"identity": "others"}])
def test_another_treatment_is_another_cell(tmp_path: Path, change: dict[str, str]) -> None:
    asked_by, log = backend()
    for fields in ({}, change):
        one = Row(checkpoint(**fields), asked_by)
        hold(matrix([one], [exam(doubles(20))]), tmp_path, silent)
    assert len(log.asked) == 40
    assert len(Store(tmp_path).cells()) == 2


def test_a_changed_prompt_is_asked_again_and_its_answer_counts(tmp_path: Path) -> None:
    sit(tmp_path, doubles(20), lambda request: Response("old"))
    path = only_cell(tmp_path).path / "cell.json"
    meta = json.loads(path.read_text())
    path.write_text(json.dumps({**meta, "asked": {**meta["asked"], "source": "edited"}}))
    _, log = sit(tmp_path, doubles(20, wording="two times {}?"), right)
    assert len(log.asked) == 20
    assert sum(scores(only_cell(tmp_path))) == 20


def test_a_failed_request_is_asked_again_and_only_that(tmp_path: Path) -> None:
    def failing(request: Request) -> Response:
        if request.sample.id in {"3", "4"}:
            return Response(error="timeout", finish_reason="error")
        return right(request)

    sit(tmp_path, doubles(20), failing)
    assert math.isnan(sum(scores(only_cell(tmp_path))))
    _, again = sit(tmp_path, doubles(20), failing)
    _, mended = sit(tmp_path, doubles(20))
    _, more = sit(tmp_path, doubles(20))
    assert sorted(again.asked) == sorted(mended.asked) == [("3", 0), ("4", 0)]
    assert more.opened == 0
    assert sum(scores(only_cell(tmp_path))) == 20


def test_an_interrupted_cell_goes_on_where_it_stopped(tmp_path: Path) -> None:
    class Stopped(Exception):
        pass

    def stopping(request: Request) -> Response:
        if int(request.sample.id) == 11:
            raise Stopped
        return right(request)

    with pytest.raises(Stopped):
        sit(tmp_path, doubles(40), stopping)
    kept = len(only_cell(tmp_path).answers())
    _, log = sit(tmp_path, doubles(40))
    assert kept + len(log.asked) == 40
    assert sum(scores(only_cell(tmp_path))) == 40


def test_a_kill_between_sealing_and_clearing_the_journal_asks_nothing(tmp_path: Path) -> None:
    sit(tmp_path, doubles(20))
    cell = only_cell(tmp_path)
    journaled(cell, *cell.answers().values())
    _, log = sit(tmp_path, doubles(20))
    assert log.asked == []
    assert not cell.journal_path.exists()


def test_a_cell_of_another_version_is_refused_and_left_alone(tmp_path: Path) -> None:
    sit(tmp_path, doubles(20))
    path = only_cell(tmp_path).path / "cell.json"
    path.write_text(path.read_text().replace('"schema": 1', '"schema": 2'))
    before = {file: file.read_bytes() for file in tmp_path.rglob("*.*") if file.is_file()}
    with pytest.raises(StoreError, match=r"another version .*schema 2.*another --results"):
        sit(tmp_path, doubles(20))
    assert {file: file.read_bytes() for file in before} == before


@pytest.mark.parametrize("text", ["", "{", "[]", "7", '"x"'])
def test_a_damaged_cell_file_is_a_store_error(tmp_path: Path, text: str) -> None:
    sit(tmp_path, doubles(20))
    (only_cell(tmp_path).path / "cell.json").write_text(text)
    with pytest.raises(StoreError, match=r"cell\.json: not .*remove the file"):
        sit(tmp_path, doubles(20))


@pytest.mark.parametrize("content", [b"", b"PAR1", b"junk" * 1000])
def test_damaged_answers_are_a_store_error(tmp_path: Path, content: bytes) -> None:
    sit(tmp_path, doubles(40), limit=20)
    only_cell(tmp_path).answers_path.write_bytes(content)
    with pytest.raises(StoreError, match=r"answers\.parquet: not readable as Parquet"):
        sit(tmp_path, doubles(40))


@pytest.mark.parametrize("row", ['{"item": "00"}', '{"id": "x"}', '{"item": 7, "request": 8}'])
def test_a_journal_line_that_is_no_answer_is_a_store_error(tmp_path: Path, row: str) -> None:
    cell = journaled(Cell(tmp_path / "c"), answer())
    cell.journal_path.write_text(cell.journal_path.read_text() + row + "\n")
    with pytest.raises(StoreError, match=r"answers\.jsonl:2: not a row"):
        cell.answers()


def test_a_table_without_its_columns_is_a_store_error(tmp_path: Path) -> None:
    path = tmp_path / "scores.parquet"
    write_table(path, [{"item": ITEM}], {"item": "item"})
    with pytest.raises(StoreError, match="not readable"):
        read_table(path, ["item", "value"])


def test_broken_text_in_an_answer_is_repaired_when_sealed(tmp_path: Path) -> None:
    rows = [{**dict.fromkeys(SCORE_COLUMNS, ""), "item": ITEM, "epoch": 0, "value": 1.0}]
    rows[0]["answer"] = "a\ud800"
    write_table(tmp_path / "t", rows, SCORE_COLUMNS)
    assert read_table(tmp_path / "t").column("answer").to_pylist() == ["a\ufffd"]


def test_a_cell_being_written_by_another_run_is_refused(tmp_path: Path) -> None:
    asked_by, _ = backend()
    cell = Store(tmp_path).cell("doubles", "base", "00000000")
    with cell.lock(), pytest.raises(StoreError, match="is being written by process"):
        ask(asked_by, checkpoint(), [Sitting(exam(doubles(5)), cell)], silent)


@pytest.mark.parametrize("name", ["a/b", "../x", "..", ".", "a b", "é", "x\0y", "-", "~"])
def test_any_name_becomes_a_folder_inside_the_results(tmp_path: Path, name: str) -> None:
    path = Store(tmp_path).cell(name, name, "00000000").path
    assert path.resolve().parent.parent == tmp_path.resolve()
    assert safe(name)


def test_a_server_that_only_fails_is_given_up_with_its_own_words(tmp_path: Path) -> None:
    asked_by, log = backend(lambda request: Response(error="refused", finish_reason="error"))
    cell = Store(tmp_path).cell("doubles", "base", "00000000")
    with pytest.raises(
        ModelError, match=r"first 5[0-3] requests all failed, the last with: refused"
    ):
        ask(asked_by, checkpoint(), [Sitting(exam(doubles(200)), cell)], silent)
    assert len(log.asked) <= 54
    assert not (cell.path / "lock").exists()


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 96 kB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=96k", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("mounting a small file system is not allowed here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_loses_nothing_and_the_run_goes_on_after_making_room(tiny_disk: Path) -> None:
    def wordy(request: Request) -> Response:
        return Response("x" * 500)

    ballast = tiny_disk / "ballast"
    ballast.write_bytes(b"x" * 66_000)
    with pytest.raises(StoreError, match=r"No space left on device; .*make room"):
        sit(tiny_disk, doubles(40, score=exact), wordy)
    kept = len(only_cell(tiny_disk).answers())
    assert 0 < kept < 40
    ballast.unlink()
    _, log = sit(tiny_disk, doubles(40, score=exact), wordy)
    assert len(log.asked) == 40 - kept
    assert len(scores(only_cell(tiny_disk))) == 40
