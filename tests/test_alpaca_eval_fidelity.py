"""AlpacaEval 2 against the published leaderboard: ten models, 805 recorded judgments each.

Needs the recorded judgments under EVALKIT_DATA.  The authors' difficulties are tested against
where they lie beside them; without, the bounds of the refit are.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evalkit.comparison.policy import Policy
from evalkit.configuration.sections import TaskSection
from evalkit.events import silent
from evalkit.exams.exam import Exam, sit
from evalkit.judging.readers import likeliest
from evalkit.matrix import Row
from evalkit.plugins import backend
from evalkit.reporting.report import of_run
from evalkit.run import hold
from evalkit.stats.difficulties import refitted
from evalkit.stats.length_control import Judged
from evalkit.types import Checkpoint, Graded, Response, Sample, Score
from tasks._alpaca_control import metrics
from tasks.alpaca_eval import AUTHORS, single_order
from tests.alpaca_data import (
    BASELINE,
    HOME,
    MODELS,
    PROMPT,
    RECORDED,
    judged_rows,
    numbers,
    published,
)
from tests.chat_server import ChatServer, serving
from tests.judges import cell_of, column, court, judge_at

pytestmark = pytest.mark.skipif(
    not RECORDED.is_dir(), reason="EVALKIT_DATA has no model_outputs/alpaca_eval"
)

FITTED = HOME / "alpaca_eval" / "df_gamed.csv"


def board(model: str, name: str) -> float:
    return float(published()[model][name])


def recorded(model: str) -> list[Graded]:
    """The recorded preferences as scores; an instruction without one is missing."""
    known = {row["instruction"]: row for row in judged_rows(model)}
    found = []
    for instruction, number in numbers().items():
        row = known.get(instruction)
        lengths = [len(row["output_2"]), len(row["output_1"])] if row else [0, 0]
        value = float(row["preference"]) - 1 if row else math.nan
        sample = Sample(str(number), "?")
        found.append(Graded(sample, (Score(value, None, {"length": lengths}),)))
    return found


@pytest.mark.parametrize("model", MODELS)
def test_win_rate_and_standard_error_are_the_published_ones(model: str) -> None:
    found = metrics(recorded(model))
    assert 100 * found["win_rate"] == pytest.approx(board(model, "win_rate"), abs=1e-9)
    assert 100 * found["win_rate_se"] == pytest.approx(board(model, "standard_error"), abs=1e-9)
    assert 100 * found["discrete_win_rate"] == pytest.approx(
        board(model, "discrete_win_rate"), abs=1e-9
    )
    if board(model, "n_total") == 805:  # theirs is over all answers, judged or not
        assert int(found["length"]) == int(board(model, "avg_length"))


@pytest.mark.parametrize("model", MODELS)
def test_a_recorded_choice_is_read_as_the_authors_read_it_in_their_order(model: str) -> None:
    read = likeliest("m", "M")
    for row in judged_rows(model):
        if row["raw_completion"] is None:
            assert row["output_1"] == row["output_2"]
            assert row["preference"] == 1.5
            continue
        sample = Sample("0", "?", row["output_1"], question=row["instruction"],
                        metadata={"template": [{"role": "user", "content": PROMPT}]})  # fmt: skip
        (view,) = single_order(sample, Response(row["output_2"]), Response(row["output_1"]))
        value = read(said(row)).value
        assert value is not None
        ours = 1 - value if view.turned else value
        assert ours == pytest.approx(row["preference"] - 1, abs=1e-9)


def said(row: Mapping[str, Any]) -> Response:
    """A recorded completion as a response."""
    choice = row["raw_completion"]
    top = choice["logprobs"]["content"][0]["top_logprobs"]
    return Response(choice["message"]["content"],
                    logprobs=({each["token"]: each["logprob"] for each in top},))  # fmt: skip


def judged(model: str) -> Judged:
    rows = judged_rows(model)
    return Judged(
        np.array([numbers()[row["instruction"]] for row in rows]),
        np.array([row["preference"] - 1 for row in rows]),
        np.array([len(row["output_1"]) - len(row["output_2"]) for row in rows], dtype=float),
    )


def test_difficulties_refitted_to_all_ten_come_within_a_point_of_the_published_rates() -> None:
    found = 100 * np.array(refitted([judged(model) for model in MODELS]))
    theirs = np.array([board(model, "length_controlled_winrate") for model in MODELS])
    assert np.abs(found - theirs).max() < 0.8
    assert np.abs(found - theirs).mean() < 0.3


@pytest.mark.parametrize(
    "pair",
    [("phi-2", "phi-2-sft"), ("oasst-sft-llama-33b", "oasst-rlhf-llama-33b"),
     ("claude-2.1", "claude-2.1_concise")],
)  # fmt: skip
def test_difficulties_refitted_to_two_give_their_difference_within_two_points(
    pair: tuple[str, str],
) -> None:
    before, after = (100 * rate for rate in refitted([judged(model) for model in pair]))
    theirs = [board(model, "length_controlled_winrate") for model in pair]
    assert after - before == pytest.approx(theirs[1] - theirs[0], abs=1.6)


@pytest.mark.parametrize("model", MODELS)
def test_difficulties_refitted_to_one_alone_come_within_five_points(model: str) -> None:
    found = 100 * metrics(recorded(model))["lc_win_rate_refitted"]
    assert found == pytest.approx(board(model, "length_controlled_winrate"), abs=4.5)


@pytest.mark.skipif(not FITTED.is_file(), reason="EVALKIT_DATA/alpaca_eval has no df_gamed.csv")
@pytest.mark.parametrize("model", MODELS)
def test_with_the_authors_difficulties_the_length_controlled_rate_is_theirs(
    model: str, tmp_path: Path
) -> None:
    exam = sit(TaskSection(name="alpaca-eval-2"), data_folder(tmp_path), None)[0]
    by_id = {sample.id: sample for sample in exam.items.values()}
    rows = [
        Graded(
            each.sample,
            tuple(
                Score(s.value, None, {**s.details, **by_id[each.sample.id].metadata})
                for s in each.scores
                if s
            ),
        )
        for each in recorded(model)
    ]
    found = metrics(rows)
    assert 100 * found["lc_win_rate"] == pytest.approx(
        board(model, "length_controlled_winrate"), abs=0.3
    )


def data_folder(folder: Path) -> Path:
    """The authors' data, with a prompt that needs no package."""
    for path in (BASELINE, FITTED):
        if path.is_file():
            (folder / path.name).symlink_to(path)
    (folder / "alpaca_eval_clf.txt").write_text(PROMPT)
    return folder


def replayed(model: str, folder: Path) -> Row:
    """A checkpoint that says what was recorded of a model."""
    path = folder / f"{model}.jsonl"
    with path.open("w") as file:
        for row in judged_rows(model):
            number = str(numbers()[row["instruction"]])
            said = {"task": "alpaca-eval-2", "id": number, "text": row["output_2"]}
            print(json.dumps(said), file=file)
    options = {"path": str(path)}
    return Row(
        Checkpoint(model, backend="replay", options=options, identity=model), backend("replay")
    )


def recordings(exam: Exam, models: tuple[str, ...]) -> dict[str, Mapping[str, Any]]:
    """What the judge said, by the prompt that it was asked."""
    by_question = {sample.question: sample for sample in exam.items.values()}
    found: dict[str, Mapping[str, Any]] = {}
    for model in models:
        for row in judged_rows(model):
            sample = by_question[row["instruction"]]
            answer, other = Response(row["output_2"]), Response(row["output_1"])
            for view in AUTHORS.views(sample, answer, other):
                assert not isinstance(view.prompt, str)
                prompt = view.prompt[-1]["content"].encode()
                choice = row["raw_completion"]
                found[hashlib.sha256(prompt).hexdigest()] = {
                    "text": choice["message"]["content"],
                    "logprobs": choice["logprobs"],
                    "finish_reason": "length",
                }
    return found


def test_a_whole_run_with_the_recorded_judge_over_http_ends_at_the_leaderboard(
    tmp_path: Path,
) -> None:
    models = ("phi-2", "phi-2-sft")
    (tmp_path / "data").mkdir()
    exam = sit(TaskSection(name="alpaca-eval-2", preset="authors"),
               data_folder(tmp_path / "data"), None)[0]  # fmt: skip
    with serving(ChatServer(recordings(exam, models))) as server:
        rows = [replayed(model, tmp_path) for model in models]
        matrix = court([judge_at(server, timeout=30.0)], {"x": lambda _: Response()}, exams=(exam,),
                       policy=Policy(margins={"chat": 0.02}))  # fmt: skip
        matrix = replace(matrix, baseline=models[0], rows=tuple(rows))
        held = hold(matrix, tmp_path / "r", silent)
        asked = server.asked.total()
        hold(matrix, tmp_path / "r", silent)
        assert server.asked.total() == asked
    for model in models:
        cell = cell_of(tmp_path / "r", model, "alpaca-eval-2")
        found = cell.meta()["metrics"]["authors"]
        assert 100 * found["win_rate"] == pytest.approx(board(model, "win_rate"), abs=1e-9)
        assert 100 * found["win_rate_se"] == pytest.approx(board(model, "standard_error"), abs=1e-9)
    ends = column(tmp_path / "r", "phi-2", "outcome", "authors", "alpaca-eval-2")
    assert ends.count("errored") == 2  # two of its answers were never recorded
    report = of_run(held)
    (cell_verdict,) = report.candidates[0].cells
    assert cell_verdict.verdict in ("improved", "no_regression", "inconclusive")
    (note,) = report.judges
    assert note.length_correlation is not None
    assert note.turned is None  # one order only
