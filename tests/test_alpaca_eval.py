"""AlpacaEval: its prompts, its order, its readings, its figures; and a whole run over HTTP."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Mapping
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evalkit.configuration.sections import TaskSection
from evalkit.errors import DataError
from evalkit.events import silent
from evalkit.exams.exam import Exam, sit
from evalkit.judging.hearing import hear
from evalkit.judging.judgments import Judgment
from evalkit.run import hold
from evalkit.types import Graded, Request, Response, Sample, Score
from tasks.alpaca_eval import RANKING, WEIGHTED, ranked, single_order, views
from tests.alpaca_data import PROMPT, small
from tests.chat_server import ChatServer, serving
from tests.judges import cell_of, column, court, judge_at, told

UPSTREAM = "alpaca_eval/evaluators_configs"
PROMPTS = {
    "alpaca-eval-2": "alpaca_eval_clf_gpt4_turbo/alpaca_eval_clf.txt",
    "alpaca-eval-1": "alpaca_eval_gpt4/alpaca_eval.txt",
}


def eval_of(folder: Path, name: str = "alpaca-eval-2", preset: str = "") -> Exam:
    return sit(TaskSection(name=name, preset=preset), folder, None)[0]


def first(exam: Exam) -> Sample:
    return next(sample for sample in exam.items.values() if sample.id == "3")


def odds(p: float) -> dict[str, Any]:
    """The log-probabilities of a first token that is m with this chance, as a server has them."""
    top = [{"token": t, "logprob": math.log(max(q, 1e-30))} for t, q in (("m", p), ("M", 1 - p))]
    return {"content": [{"token": "m", "logprob": top[0]["logprob"], "top_logprobs": top}]}


def test_the_prompt_is_the_authors_file_with_the_answers_put_in(tmp_path: Path) -> None:
    sample = first(eval_of(small(tmp_path)))
    one, other = views(sample, Response("{output_2} own"), Response("theirs"))
    text = PROMPT.replace("{instruction}", sample.question)
    shown = text.replace("{output_1}", "{output_2} own", 1)
    assert told(one) == ["You judge.", shown.split("user\n")[1][:-10].replace(
        "M: {output_2}", "M: theirs")]  # fmt: skip
    assert not one.turned
    assert other.turned


@pytest.mark.parametrize("name", PROMPTS)
def test_the_prompt_of_the_installed_package_is_taken_character_by_character(
    tmp_path: Path, name: str
) -> None:
    try:
        package = metadata.distribution("alpaca-eval")
    except metadata.PackageNotFoundError:
        pytest.skip("alpaca-eval is not installed (pip install --no-deps alpaca-eval)")
    text = Path(str(package.locate_file(f"{UPSTREAM}/{PROMPTS[name]}"))).read_text()
    folder = small(tmp_path)
    for prompt in folder.glob("*.txt"):
        prompt.unlink()
    sample = first(eval_of(folder, name))
    view = views(sample, Response("own"), Response("theirs"))[0]
    filled = text.replace("{instruction}", sample.question)
    filled = filled.replace("{output_1}", "own").replace("{output_2}", "theirs")
    rebuilt = "\n".join(
        f"<|im_start|>{turn['role']}\n{turn['content']}\n<|im_end|>"
        for turn in view.prompt
        if not isinstance(turn, str)
    )
    assert rebuilt == filled.replace("<|im_end|>", "\n<|im_end|>").replace("\n\n<|", "\n<|").strip()


def test_the_order_of_the_preset_is_drawn_from_the_instruction_alone(tmp_path: Path) -> None:
    exam = eval_of(small(tmp_path, 60), preset="authors")
    switched = []
    for sample in exam.items.values():
        (view,) = single_order(sample, Response("own"), Response("theirs"))
        drawn = random.Random("is_switched_outputs" + sample.question + "0")
        assert view.turned is not drawn.choices([False, True], k=1)[0]
        switched.append(view.turned)
    assert 15 < sum(switched) < 45
    assert not single_order(first(exam), Response("same"), Response("same"))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("[{'model': 'model_1', 'rank': 1}, {'model': 'model_2', 'rank': 2}]", 1.0),
        ('[{"model": "model_1", "rank": 2}, {"model": "model_2", "rank": 1}]', 0.0),
        ("[{'model': 'model_1', 'rank': 3}, {'model': 'model_2', 'rank': 1}]", None),
        ("[{'model': 'model_1', 'rank': 1}, {'model': 'model_2', 'rank': 1}]", None),
        ("model_1 ranks first", None),
        ("[" * 5000, None),
        ("[__import__('os')]", None),
    ],
)
def test_a_ranking_is_read_and_never_run(text: str, value: float | None) -> None:
    assert ranked(Response(text)).value == value
    found = hear(RANKING, Judgment(Response(text)))
    assert (found.value is None) == (value is None)


def graded(values: list[float], lengths: list[tuple[int, int]], **more: Any) -> list[Graded]:
    return [
        Graded(
            Sample(str(i), "?"),
            (Score(value, None, {"length": list(length), **{k: v[i] for k, v in more.items()}}),),
        )
        for i, (value, length) in enumerate(zip(values, lengths, strict=True))
    ]


def test_the_figures_beside_the_mean_leave_out_what_was_not_judged(tmp_path: Path) -> None:
    metrics = eval_of(small(tmp_path)).task.metrics
    assert metrics is not None
    rows = graded([1.0, 0.0, 0.5, math.nan], [(10, 20), (20, 20), (30, 20), (900, 20)])
    found = metrics(rows)
    assert found["win_rate"] == 0.5
    assert found["win_rate_se"] == pytest.approx(0.5 / math.sqrt(3))
    assert found["discrete_win_rate"] == 0.5
    assert found["length"] == 20
    assert "lc_win_rate" not in found  # without the authors' difficulties it goes by another name
    assert 0 < found["lc_win_rate_refitted"] < 1


def test_the_difference_is_that_of_the_two_length_controlled_rates(tmp_path: Path) -> None:
    exam = eval_of(small(tmp_path, 80, fitted=True))
    refit, metrics = exam.task.refit, exam.task.metrics
    assert refit is not None
    assert metrics is not None
    random = np.random.default_rng(0)
    known = sorted(exam.items.values(), key=lambda sample: int(sample.id))
    arms = []
    for skill in (0.3, 0.6):
        lengths = [(int(n), 400) for n in random.integers(50, 900, 80)]
        values = np.clip(random.random(80) * 0.1 + (random.random(80) < skill), 0, 1).tolist()
        more = {name: [s.metadata[name] for s in known] for name in ("difficulty", "gamed")}
        arms.append(graded(values, lengths, **more))
    whole = [metrics(arm)["lc_win_rate"] for arm in arms]
    order = random.permutation(80)  # rows come by identity, not by number
    rows = [
        [{"id": arm[i].sample.id, "value": arm[i].scores[0].value, "details":
          arm[i].scores[0].details} for i in order]
        for arm in arms
    ]  # fmt: skip
    difference = refit(rows[0], rows[1])
    assert difference(np.arange(80)) == pytest.approx(whole[1] - whole[0], abs=1e-3)
    some = random.integers(0, 80, 80)
    assert difference(some) != difference(np.arange(80))
    bare = [
        [{**row, "details": {"length": row["details"]["length"]}} for row in arm] for arm in rows
    ]
    anew = refit(bare[0], bare[1])(np.arange(80))
    assert anew == pytest.approx(whole[1] - whole[0], abs=0.15)


def test_half_of_what_the_authors_fitted_is_none_of_it(tmp_path: Path) -> None:
    folder = small(tmp_path, fitted=True)
    assert "gamed" in first(eval_of(folder)).metadata
    (folder / "df_gamed.csv").write_text("index,preference\n1,x\n")
    with pytest.raises(DataError, match="alpaca_eval: df_gamed: 'instruction_difficulty'"):
        _ = eval_of(folder).items


def test_a_prompt_without_a_place_for_the_answers_is_refused(tmp_path: Path) -> None:
    folder = small(tmp_path)
    (folder / "alpaca_eval_clf.txt").write_text("<|im_start|>user\nWhich?<|im_end|>")
    with pytest.raises(DataError, match="no place for the answers"):
        _ = eval_of(folder).items


def own(request: Request) -> Response:
    return Response(f"my answer {request.sample.id}")


def test_a_weighted_judge_over_http_is_asked_for_its_odds(tmp_path: Path) -> None:
    exam = eval_of(small(tmp_path / "data"))

    def likes_mine(body: dict[str, Any]) -> Mapping[str, Any]:
        assert (body["logprobs"], body["top_logprobs"], body["max_tokens"]) == (True, 5, 1)
        mine_first = "m: my" in body["messages"][-1]["content"]
        return {
            "text": "m",
            "finish_reason": "length",
            "logprobs": odds(0.8 if mine_first else 0.3),
        }

    with serving(ChatServer(answering=likes_mine)) as server:
        held = hold(court([judge_at(server)], {"base": own}, exams=(exam,)),
                    tmp_path / "r", silent)  # fmt: skip
        assert server.asked.total() == 40 + 2 * 40  # each in both orders, and twice more
    assert column(tmp_path / "r", "base", "value", task=exam.task.name) == pytest.approx(
        [(0.8 + 0.7) / 2] * 20
    )
    again = held.judges[0].self_agreement
    assert again is not None
    assert (again.items, again.repeats, again.agreement, again.sd) == (20, 3, 1.0, 0.0)


def test_a_judge_without_log_probabilities_is_another_exam_and_goes_by_its_word(
    tmp_path: Path,
) -> None:
    exam = eval_of(small(tmp_path / "data"))

    def plain(body: dict[str, Any]) -> Mapping[str, Any]:
        assert "logprobs" not in body
        return {"text": "m" if "m: my" in body["messages"][-1]["content"] else "M"}

    with serving(ChatServer(answering=plain)) as server:
        matrix = court([judge_at(server)], {"base": own}, exams=(exam,), jury={"logprobs": False})
        hold(matrix, tmp_path / "r", silent)
    assert column(tmp_path / "r", "base", "value", task=exam.task.name) == [1.0] * 20
    noted = json.loads(column(tmp_path / "r", "base", "details", task=exam.task.name)[0])
    assert noted["verdicts"] == ["first: m (by its word)", "second: M (by its word)"]
    judge = cell_of(tmp_path / "r", "base", exam.task.name).meta()["exams"][""]["judge"]
    assert judge["top_logprobs"] == 0


def test_presets_judge_the_same_answers_otherwise(tmp_path: Path) -> None:
    folder = small(tmp_path / "data")
    exams = tuple(eval_of(folder, preset=preset) for preset in ("", "authors", "raw"))
    assert exams[0].task.refit is not None
    assert exams[2].task.refit is None
    asked: list[str] = []

    def counted(request: Request) -> Response:
        asked.append(request.sample.id)
        return own(request)

    with serving(ChatServer(answering=lambda body: {"text": "m", "logprobs": odds(0.5)})) as server:
        hold(court([judge_at(server)], {"base": counted}, exams=exams), tmp_path / "r", silent)
        assert {body["temperature"] for body in server.bodies} == {0.0, 1.0}
    assert len(asked) == 20
    assert WEIGHTED.sampling == replace(WEIGHTED.sampling, temperature=0.0)
