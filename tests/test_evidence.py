"""The samples behind a verdict: which changed sides, and what was asked, answered and said."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from evalkit.comparison.policy import Policy
from evalkit.evidence.stored import StoredEvidence
from evalkit.evidence.telling import telling
from evalkit.evidence.values import NO_SAMPLES, Compared
from evalkit.evidence.worddiff import LONGEST, changed, tokens
from evalkit.reporting import report as reporting
from evalkit.reporting.report import of_run
from evalkit.run import Held
from evalkit.storage.store import Store
from evalkit.types import Request, Response, Rows, Sample, ToolCall
from evalkit.verdict import Report
from tests.small_exams import Answering, doubles, echo, exam, held, right, row
from tests.test_judge import fair, judged

SFT = Compared("sft", "base", "doubles")


def sloppy(request: Request) -> Response:
    """Right on the second half; of the first, every third answer is cut off, every third empty."""
    number = int(request.sample.id)
    if number >= 20:
        return right(request)
    if number % 3 == 0:
        return Response("I would say that it is", finish_reason="length")
    return Response("") if number % 3 == 1 else Response("7")


def better_late(request: Request) -> Response:
    """Right on the first thirty of forty."""
    return right(request) if int(request.sample.id) < 30 else Response("no idea")


def ran(results: Path, before: Answering, after: Answering, **fields: Any) -> Held:
    task = doubles(40, **fields)
    return held([row("base", before), row("sft", after)], [exam(task)], results)


def evidence_of(run: Held, results: Path) -> tuple[Report, StoredEvidence]:
    report = of_run(run)
    return report, StoredEvidence(results, report)


def test_the_flips_of_a_comparison_are_those_that_its_verdict_counted(tmp_path: Path) -> None:
    report, evidence = evidence_of(ran(tmp_path, better_late, sloppy), tmp_path)
    (cell,) = report.candidates[0].cells
    found = evidence.flips(SFT)
    assert (found.lost, found.gained) == (cell.lost, cell.gained) == (20, 10)
    assert len(found.shown) == 30
    assert [flip.delta < 0 for flip in found.shown] == [True] * 20 + [False] * 10
    flip = found.shown[0]
    assert flip.target == str(2 * int(flip.id))
    assert flip.before.answer == flip.target
    assert (flip.before.outcome, flip.before.checkpoint) == ("correct", "base")
    assert flip.after.outcome in ("wrong", "truncated", "empty")


def test_each_way_of_ending_has_its_turn_and_lost_ones_have_three_quarters(tmp_path: Path) -> None:
    _, evidence = evidence_of(ran(tmp_path, better_late, sloppy), tmp_path)
    shown = evidence.flips(SFT, most=8).shown
    assert [flip.delta < 0 for flip in shown] == [True] * 6 + [False] * 2
    assert len({flip.after.outcome for flip in shown[:3]}) == 3
    again = evidence.flips(SFT, most=8).shown
    assert again == shown
    assert shown[:6] == evidence.flips(SFT, most=40).shown[:6]


def test_the_largest_changes_come_first() -> None:
    change = np.array([-0.25, -1.0, -0.5, -1.0, -1.0])
    assert telling(change, ["a", "a", "a", "a", "b"], 4) == [1, 4, 3, 2]


def test_a_transcript_holds_the_question_with_its_options_and_both_answers(tmp_path: Path) -> None:
    call = ToolCall("add", '{"a": 1, "b": 2}')

    def calling(request: Request) -> Response:
        return Response("7", reasoning="hm", tool_calls=(call,), finish_reason="tool_calls")

    def samples(_: Rows) -> Sequence[Sample]:
        return [
            Sample(str(i), f"Q: {i}", str(2 * i), question=f"twice {i}", choices=("one", "two"))
            for i in range(40)
        ]

    run = held(
        [row("base", right), row("sft", calling)],
        [exam(doubles(40)), exam(doubles(40, name="options", samples=samples))],
        tmp_path,
    )
    _, evidence = evidence_of(run, tmp_path)
    of = Compared("sft", "base", "options")
    shown = evidence.flips(of, most=2).shown
    first, second = evidence.transcripts(of, shown)
    assert first.question == f"twice {shown[0].id}\nA. one\nB. two"
    assert first.before.response.text == shown[0].target
    assert first.after.response.tool_calls == (call,)
    assert first.after.response.reasoning == "hm"
    assert second.flip == shown[1]


def test_of_several_answers_the_one_that_shows_the_change_is_shown(tmp_path: Path) -> None:
    def worse_at_the_end(request: Request) -> Response:
        return Response("no idea") if request.epoch == 2 else right(request)

    run = ran(tmp_path, right, worse_at_the_end, epochs=3)
    _, evidence = evidence_of(run, tmp_path)
    found = evidence.flips(SFT)
    assert found.lost == 40
    assert {flip.after.epoch for flip in found.shown} == {2}
    assert {flip.before.epoch for flip in found.shown} == {2}  # an epoch may ask in its own way
    assert found.shown[0].delta == pytest.approx(-1 / 3)
    assert evidence.transcripts(SFT, found.shown[:1])[0].after.response.text == "no idea"


def test_slices_count_every_item_and_not_only_those_shown(tmp_path: Path) -> None:
    def samples(_: Rows) -> Sequence[Sample]:
        return [
            Sample(str(i), f"twice {i}?", str(2 * i), stratum="even" if i % 2 == 0 else "odd")
            for i in range(40)
        ]

    run = ran(tmp_path, better_late, sloppy, samples=samples)
    _, evidence = evidence_of(run, tmp_path)
    found = evidence.flips(SFT, most=0)
    assert found.shown == ()
    assert found.slices == {"even": (20, 10, 5), "odd": (20, 10, 5)}


def test_the_judges_words_are_found_in_both_orders(tmp_path: Path) -> None:
    run, _, _ = judged(tmp_path, fair)
    _, evidence = evidence_of(run, tmp_path)
    of = Compared("sft", "base", "chat")
    flips = evidence.flips(of).shown
    assert flips
    for told in evidence.transcripts(of, flips):
        assert told.before.said == ()  # the reference itself: a tie that nobody is asked about
        assert told.after.said == ("2", "1")  # the reference was preferred, in either place


def test_seeds_are_shown_by_the_one_that_fell(tmp_path: Path) -> None:
    task = doubles(400, solution=lambda sample: str(sample.target))
    rows = [echo("base", 0.9), echo("sft-s0", 0.9), echo("sft-s1", 0.4)]
    held(rows, [exam(task)], tmp_path)
    report = reporting.of_store(Store(tmp_path), ["base", "sft-s0,sft-s1"], Policy())
    evidence = StoredEvidence(tmp_path, report)
    found = evidence.flips(Compared("sft-s0,sft-s1", "base", "doubles"))
    assert found.lost > 100
    assert {flip.after.checkpoint for flip in found.shown if flip.delta < 0} == {"sft-s1"}
    of = Compared("sft-s0,sft-s1", "base", "doubles")
    assert len(evidence.transcripts(of, found.shown)) == len(found.shown)
    effort = evidence.effort("sft-s0,sft-s1", "doubles")
    assert effort is not None
    assert effort.answers == 800


def test_the_effort_of_a_cell_is_what_it_counted(tmp_path: Path) -> None:
    def counted(request: Request) -> Response:
        return Response("7", prompt_tokens=10, completion_tokens=3)

    report, evidence = evidence_of(ran(tmp_path, counted, counted), tmp_path)
    effort = evidence.effort("sft", "doubles")
    assert effort is not None
    assert (effort.answers, effort.prompt_tokens, effort.completion_tokens) == (40, 400, 120)
    assert effort.timed == 40
    assert report.scores[1].prompt_tokens == 400
    assert evidence.effort("sft", "unheard-of") is None


@pytest.mark.parametrize(
    "folder", ["../secret/cell", "doubles/../..", "/etc/passwd", "doubles", "a/b/c", "", "doubles/"]
)
def test_a_report_cannot_name_a_cell_outside_its_results(tmp_path: Path, folder: str) -> None:
    report = of_run(ran(tmp_path / "results", right, sloppy))
    (tmp_path / "secret" / "cell").mkdir(parents=True)
    (tmp_path / "secret" / "cell" / "cell.json").write_text(json.dumps({"schema": 1}))
    scores = [score.model_copy(update={"cells": [folder]}) for score in report.scores]
    evidence = StoredEvidence(tmp_path / "results", report.model_copy(update={"scores": scores}))
    found = evidence.flips(SFT)
    assert (found.lost, found.shown) == (0, ())
    assert "no cell of a results folder" in found.reason
    assert evidence.effort("sft", "doubles") is None


def test_what_is_gone_or_damaged_is_a_reason_and_no_error(tmp_path: Path) -> None:
    report, evidence = evidence_of(ran(tmp_path, right, sloppy), tmp_path)
    shown = evidence.flips(SFT).shown
    cell = next(c for c in Store(tmp_path).cells() if "sft" in c.path.name)
    cell.answers_path.write_bytes(b"not parquet")
    assert StoredEvidence(tmp_path, report).transcripts(SFT, shown) == []
    cell.answers_path.unlink()
    assert StoredEvidence(tmp_path, report).transcripts(SFT, shown) == []
    cell.scores_path().write_bytes(b"not parquet")
    assert "not readable as Parquet" in StoredEvidence(tmp_path, report).flips(SFT).reason
    cell.scores_path().unlink()
    assert "no scores at" in StoredEvidence(tmp_path, report).flips(SFT).reason
    moved = StoredEvidence(tmp_path / "elsewhere", report)
    assert "its samples are not in" in moved.flips(SFT).reason
    assert NO_SAMPLES.flips(SFT).reason


@pytest.mark.parametrize("column", ["stratum", "outcome", "epoch", "item"])
def test_a_column_that_is_not_what_it_should_be_is_a_reason_and_no_error(
    tmp_path: Path, column: str
) -> None:
    report, _ = evidence_of(ran(tmp_path, right, sloppy), tmp_path)
    cell = next(c for c in Store(tmp_path).cells() if "sft" in c.path.name)
    table = pq.read_table(cell.scores_path())
    place = table.column_names.index(column)
    pq.write_table(
        table.set_column(place, column, pa.nulls(len(table), table.schema.field(column).type)),
        cell.scores_path(),
    )
    found = StoredEvidence(tmp_path, report).flips(SFT)
    assert found.shown == ()
    assert found.reason


def test_a_cell_that_says_nonsense_has_no_effort_and_no_flips(tmp_path: Path) -> None:
    report, _ = evidence_of(ran(tmp_path, right, sloppy), tmp_path)
    for cell in Store(tmp_path).cells():
        meta = json.loads((cell.path / "cell.json").read_text())
        nonsense = {"totals": [1], "bounds": {"a": 1}, "checkpoint": "x", "task": 7}
        (cell.path / "cell.json").write_text(json.dumps({**meta, **nonsense}))
    evidence = StoredEvidence(tmp_path, report)
    assert evidence.effort("sft", "doubles") is None
    assert evidence.flips(SFT).reason


def test_words_that_differ_are_told_by_utf16_units() -> None:
    before, after = "The sum \U0001f600 is (B), I think.", "The sum \U0001f600 is (D), I am sure."
    found = changed(before, after)
    assert found is not None
    old, new = (text.encode("utf-16-le") for text in (before, after))
    assert [old[2 * a : 2 * b].decode("utf-16-le") for a, b in found[0]] == ["B", "think"]
    assert [new[2 * a : 2 * b].decode("utf-16-le") for a, b in found[1]] == ["D", "am sure"]


def test_chinese_differs_by_characters_and_hostile_text_stays_whole() -> None:
    assert changed("答案是四十二", "答案是四十三") == ([(5, 6)], [(5, 6)])
    for text in ("\ud800\x00\u202e\x1b[31m", "a\u2028b</script>", ""):
        assert "".join(tokens(text)) == text


def test_texts_beyond_the_limit_are_not_compared() -> None:
    assert changed("word " * LONGEST, "word " * (LONGEST - 1)) is not None
    assert changed("word " * (LONGEST + 1), "word") is None
