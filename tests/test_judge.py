"""A judge is asked in both orders, audited, and heard only as far as it can be trusted."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from evalkit.comparison.policy import Policy
from evalkit.errors import ModelError, StoreError
from evalkit.events import silent
from evalkit.judging.rubrics import both_orders, target
from evalkit.matrix import Matrix, Row
from evalkit.reporting.report import of_run
from evalkit.run import Held, hold
from evalkit.storage.lock import hold as lock
from evalkit.storage.store import Store
from evalkit.storage.tables import read_table
from evalkit.types import (
    Checkpoint,
    LabelledPair,
    Model,
    Opinion,
    Prompt,
    Request,
    Response,
    Rubric,
    Sample,
    Task,
)
from tests.small_exams import Answering, Log, backend, checkpoint, doubles, exam, right_below

MOSTLY = right_below(30)


def ask(sample: Sample, first: str, second: str) -> Prompt:
    return json.dumps([sample.target, first, second])


def read(response: Response) -> Opinion:
    return Opinion({"1": 1.0, "2": 0.0, "=": 0.5}.get(response.text), response.text)


def labelled() -> list[LabelledPair]:
    samples = [Sample(f"pair {i}", "?", str(i)) for i in range(20)]
    return [
        LabelledPair(s, s.target, "wrong", "first")
        if i % 2
        else LabelledPair(s, "wrong", s.target, "second")
        for i, s in enumerate(samples)
    ]


def fair(request: Request) -> Response:
    """Prefers the answer that is the target; a tie where both or neither are."""
    assert isinstance(request.prompt, str)
    target, first, second = json.loads(request.prompt)
    one, other = first == target, second == target
    return Response("=" if one == other else "1" if one else "2")


def chat(count: int = 40, audit: Callable[[], list[LabelledPair]] | None = labelled) -> Task:
    return doubles(
        count,
        name="chat",
        score=None,
        domain="chat",
        rubric=Rubric(1, both_orders(ask), read, against=target, audit=audit),
    )


def judged(
    results: Path, judge: Answering, answer: Answering = MOSTLY, **more: bool
) -> tuple[Held, Log, Matrix]:
    """Two checkpoints judged, and what the judge was asked."""
    judge_backend, log = backend(judge)
    rows = (
        Row(checkpoint("base"), backend()[0]),
        Row(checkpoint("sft"), backend(answer)[0]),
    )
    whole = Matrix(
        "base",
        rows,
        (),
        (exam(chat()),),
        Row(checkpoint("judge"), judge_backend),
        Policy(margins={"chat": 0.05}),
        (),
    )
    return hold(whole, results, silent, **more), log, whole


def values(results: Path, name: str) -> list[float]:
    for cell in Store(results).cells():
        if cell.meta()["checkpoint"]["name"] == name:
            return [float(v) for v in read_table(cell.scores_path()).column("value").to_pylist()]
    raise AssertionError(name)


def test_a_win_counts_1_a_tie_a_half_and_a_loss_0(tmp_path: Path) -> None:
    held, _, _ = judged(tmp_path, fair)
    assert values(tmp_path, "base") == [0.5] * 40
    assert sorted(values(tmp_path, "sft")) == [0.0] * 10 + [0.5] * 30
    note = held.judges[0]
    assert (note.accuracy, note.flip_rate, note.pairs, note.advisory) == (1.0, 0.0, 20, False)
    assert of_run(held).exit_code == 1


def test_each_pair_is_asked_in_both_orders_once_and_never_again(tmp_path: Path) -> None:
    _, log, _ = judged(tmp_path, fair)
    # an answer equal to its reference is a tie, and no question
    assert len(log.prompts) == 2 * 10 + 2 * 20
    _, again, _ = judged(tmp_path, fair)
    assert again.opened == 0


def test_a_judge_that_always_says_first_is_advisory_and_decides_nothing(tmp_path: Path) -> None:
    held, _, _ = judged(tmp_path, lambda request: Response("1"))
    note = held.judges[0]
    assert (note.accuracy, note.flip_rate, note.advisory) == (0.5, 1.0, True)
    report = of_run(held)
    assert report.exit_code == 4  # nothing else was measured
    assert not report.candidates[0].cells[0].gates
    assert any("chat is advisory" in text for text in report.notes)


def test_a_wrong_judge_is_advisory(tmp_path: Path) -> None:
    def contrary(request: Request) -> Response:
        return Response({"1": "2", "2": "1"}.get(fair(request).text, "="))

    held, _, _ = judged(tmp_path, contrary)
    assert held.judges[0].accuracy == 0.0
    assert held.judges[0].flip_rate == 0.0
    assert held.judges[0].advisory


def test_a_judge_that_could_not_be_reached_is_audited_once_it_can(tmp_path: Path) -> None:
    def down(request: Request) -> Response:
        return Response(error="refused", finish_reason="error")

    held, _, _ = judged(tmp_path, down)
    assert held.judges[0].accuracy is None
    assert held.judges[0].advisory
    assert sum(map(math.isnan, values(tmp_path, "sft"))) == 10  # the others are the references
    assert of_run(held).exit_code != 0
    mended, _, _ = judged(tmp_path, fair)
    assert mended.judges[0].accuracy == 1.0
    assert not mended.judges[0].advisory
    assert of_run(mended).exit_code == 1


def test_a_judge_that_cannot_be_loaded_does_not_lose_the_other_tasks(tmp_path: Path) -> None:
    def no_judge(_: Checkpoint) -> Model:
        raise ModelError("no judge at that address")

    _, _, whole = judged(tmp_path / "other", fair)
    assert whole.judge is not None
    broken = replace(whole.judge.backend, open=no_judge)
    both = replace(
        whole,
        judge=Row(whole.judge.checkpoint, broken),
        exams=(exam(chat()), exam(doubles(40))),
    )
    held = hold(both, tmp_path, silent)
    assert held.failures == ["no judge at that address"]
    report = of_run(held)
    verdicts = {cell.task: cell.verdict for cell in report.candidates[0].cells}
    assert verdicts["chat"] == "invalid"
    assert verdicts["doubles"] != "invalid"


def test_without_asking_an_unjudged_cell_is_invalid_and_the_judge_is_left_alone(
    tmp_path: Path,
) -> None:
    held, log, _ = judged(tmp_path, fair)
    for path in tmp_path.rglob("judgments.jsonl"):
        path.unlink()
    for path in tmp_path.rglob("audit.json"):
        path.unlink()
    for path in tmp_path.rglob("scores.parquet"):
        path.unlink()
    held, log, _ = judged(tmp_path, fair, ask=False)
    assert log.opened == 0
    assert of_run(held).candidates[0].cells[0].verdict == "invalid"
    again, _, _ = judged(tmp_path, fair)
    assert again.judges[0].accuracy == 1.0


@pytest.mark.parametrize("text", ["", "{", "[]", '{"source": 1}', '{"source": "x", "note": 5}'])
def test_a_damaged_audit_is_made_again_from_the_kept_judgments(tmp_path: Path, text: str) -> None:
    judged(tmp_path, fair)
    (audit,) = tmp_path.rglob("audit.json")
    audit.write_text(text)
    held, log, _ = judged(tmp_path, fair)
    assert log.opened == 0
    assert held.judges[0].accuracy == 1.0


def test_an_account_that_is_damaged_is_drawn_up_again(tmp_path: Path) -> None:
    before, _, _ = judged(tmp_path, fair)
    (audit,) = tmp_path.rglob("audit.json")
    kept = json.loads(audit.read_text())
    kept["found"]["spent"] = {"judge": {"cals": 1}}
    audit.write_text(json.dumps(kept))
    after, log, _ = judged(tmp_path, fair)
    assert log.opened == 0
    assert after.judges == before.judges
    assert after.judges[0].audits.calls > 0


def test_an_unreadable_judgment_leaves_the_sample_missing(tmp_path: Path) -> None:
    held, _, _ = judged(tmp_path, lambda request: Response("both are fine"))
    assert sum(map(math.isnan, values(tmp_path, "sft"))) == 10
    assert held.judges[0].accuracy == 0.0
    assert of_run(held).candidates[0].cells[0].verdict == "invalid"


def test_another_judge_is_another_exam(tmp_path: Path) -> None:
    judged(tmp_path, fair)
    before = [cell.meta()["exams"][""]["judge"] for cell in Store(tmp_path).cells()]
    _, _, whole = judged(tmp_path, fair)
    assert whole.judge is not None
    other = Row(checkpoint("judge", identity="other weights"), whole.judge.backend)
    hold(replace(whole, judge=other), tmp_path, silent)
    after = [cell.meta()["exams"][""]["judge"] for cell in Store(tmp_path).cells()]
    assert before == [before[0]] * 2
    assert after == [after[0]] * 2
    assert before[0]["judges"] != after[0]["judges"]


def test_two_runs_do_not_judge_one_cell_at_once(tmp_path: Path) -> None:
    judged(tmp_path, lambda request: Response(error="later"))
    (cell,) = (c for c in Store(tmp_path).cells() if c.meta()["checkpoint"]["name"] == "sft")
    with lock(cell.path / "lock"), pytest.raises(StoreError, match="is being written by process"):
        judged(tmp_path, fair)
