"""MT-Bench: two turns, its judge's prompts, its figures, and recorded grades."""

from __future__ import annotations

import gzip
import json
import math
import os
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest

from evalkit.configuration.sections import SamplingSection, TaskSection
from evalkit.errors import DataError
from evalkit.events import silent
from evalkit.exams.exam import Exam, sit
from evalkit.judging.hearing import hear
from evalkit.judging.judgments import Judgment
from evalkit.matrix import Matrix, Row
from evalkit.ranking.cells import battles
from evalkit.reporting.cells import stored
from evalkit.reporting.report import of_run
from evalkit.run import hold
from evalkit.storage.store import Store
from evalkit.types import Checkpoint, Request, Response, Sample
from tasks.mt_bench import PAIRS, SINGLE, graded_views, paired_views
from tests.chat_server import ChatServer, serving
from tests.judges import cell_of, column, court, judge_at, told
from tests.small_exams import backend as written
from tests.small_exams import checkpoint

HOME = Path(os.environ.get("EVALKIT_DATA") or "absent")
DATA = HOME / "mt_bench"
RECORDED = HOME / "model_outputs" / "mt_bench" / "gpt-4_single_mistral_orpo_variants.jsonl.gz"
real = pytest.mark.skipif(not RECORDED.is_file(), reason="EVALKIT_DATA has no MT-Bench judgments")
AVERAGES = {"mistral-orpo-mix": 6.003, "mistral-orpo-capybara": 6.819, "mistral-orpo-trl": 7.166}
PROMPTS = {
    "single-v1": "Q {question} A {answer} rate [[5]]",
    "single-math-v1": "Q {question} R {ref_answer_1} A {answer} rate [[5]]",
    "single-v1-multi-turn": "{question_1}|{answer_1}|{question_2}|{answer_2}",
    "single-math-v1-multi-turn": (
        "{question_1}|{ref_answer_1}|{question_2}|{ref_answer_2}|{answer_1}|{answer_2}"
    ),
    "pair-v2": "{question}|{answer_a}|{answer_b}",
    "pair-math-v1": "{question}|{ref_answer_1}|{answer_a}|{answer_b}",
    "pair-v2-multi-turn": (
        "{question_1}|{question_2}|{answer_a_1}|{answer_a_2}|{answer_b_1}|{answer_b_2}"
    ),
    "pair-math-v1-multi-turn": (
        "{ref_answer_2}|{question_1}|{question_2}|{answer_a_1}|{answer_a_2}|{answer_b_1}|"
        "{answer_b_2}"
    ),
}


def small(folder: Path, *, opponent: bool = False) -> Path:
    """Four made-up questions of two turns, half of them with references."""
    folder.mkdir(exist_ok=True)
    kinds = ("writing", "math", "stem", "coding")
    questions = [
        {"question_id": 81 + i, "category": kind, "turns": [f"ask {i}", f"then {i}"]}
        for i, kind in enumerate(kinds)
    ]
    answers = [
        {"question_id": 81 + i, "choices": [{"turns": [f"one {i}", f"two {i}"]}]} for i in range(4)
    ]
    lines(folder / "question.jsonl", questions)
    lines(folder / "judge_prompts.jsonl", [
        {"name": name, "system_prompt": f"You judge {name}.", "prompt_template": text}
        for name, text in PROMPTS.items()
    ])  # fmt: skip
    for name in ("gpt-4", "gpt-4-1106-preview_simpo"):
        lines(folder / "reference_answer" / f"{name}.jsonl", [answers[1], answers[3]])
    if opponent:
        lines(folder / "model_answer" / "gpt-3.5-turbo.jsonl", answers)
    return folder


def lines(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def bench(folder: Path | None, preset: str = "", **sampling: Any) -> Exam:
    section = TaskSection(name="mt-bench", preset=preset, sampling=SamplingSection(**sampling))
    return sit(section, folder, None)[0]


def samples(exam: Exam) -> dict[str, Sample]:
    return {sample.id: sample for sample in exam.items.values()}


def two_turns(log: list[Request]) -> Any:
    def answer(request: Request) -> Response:
        log.append(request)
        assert not isinstance(request.prompt, str)
        return Response(f"answer {len(request.prompt)}")

    return answer


def sat(exam: Exam, results: Path, answering: Any) -> list[Request]:
    """A checkpoint asked by chat and judged over HTTP; what it was asked."""
    log: list[Request] = []
    made, _ = written(two_turns(log))

    def chat(asked: Checkpoint) -> Any:
        model = made.open(asked)
        model.format = "chat"
        return model

    with serving(ChatServer(answering=answering)) as server:
        matrix = court([judge_at(server)], {"base": lambda _: Response()}, exams=(exam,))
        row = Row(checkpoint("base"), replace(made, open=chat))
        hold(replace(matrix, rows=(row,)), results, silent)
    return log


def test_the_second_turn_is_asked_after_the_first_answer_and_both_are_graded(
    tmp_path: Path,
) -> None:
    shown: list[list[dict[str, str]]] = []

    def strict(body: dict[str, Any]) -> Mapping[str, Any]:
        shown.append(body["messages"])
        return {
            "text": "Rating: [[8]]" if "answer 3" in body["messages"][-1]["content"] else "[[4]]"
        }

    log = sat(bench(small(tmp_path / "d")), tmp_path / "r", strict)
    asked = [[turn["content"] for turn in r.prompt if not isinstance(turn, str)] for r in log]
    assert sorted(asked) == sorted(
        talk for i in range(4) for talk in ([f"ask {i}"], [f"ask {i}", "answer 1", f"then {i}"])
    )
    assert column(tmp_path / "r", "base", "value", task="mt-bench") == [6.0] * 4
    noted = json.loads(column(tmp_path / "r", "base", "details", task="mt-bench")[0])
    assert noted["views"] == {"turn 1": 4.0, "turn 2": 8.0}
    figures = cell_of(tmp_path / "r", "base", "mt-bench").meta()["metrics"][""]
    assert figures["average"] == 6.0
    assert (figures["turn_1"], figures["turn_2"]) == (4.0, 8.0)
    assert (figures["judged_turns"], figures["unjudged_turns"]) == (8.0, 0.0)
    assert {turn[0]["content"] for turn in shown} == {
        f"You judge {name}." for name in PROMPTS if name.startswith("single")
    }


def test_each_category_is_asked_at_its_temperature_and_a_users_is_that_of_all(
    tmp_path: Path,
) -> None:
    data = small(tmp_path / "d")
    log = sat(bench(data), tmp_path / "a", lambda body: {"text": "[[5]]"})
    by_category = {request.sample.id: request.sampling.temperature for request in log}
    assert by_category == {"81": 0.7, "82": 0.0, "83": 0.1, "84": 0.0}
    log = sat(bench(data, temperature=0.3, max_tokens=9), tmp_path / "b",
              lambda body: {"text": "[[5]]"})  # fmt: skip
    assert {(r.sampling.temperature, r.sampling.max_tokens) for r in log} == {(0.3, 9)}


def test_a_grade_that_failed_is_neither_minus_one_nor_dropped_in_silence(tmp_path: Path) -> None:
    def mute(body: dict[str, Any]) -> Mapping[str, Any]:
        late = body["messages"][-1]["content"].startswith("ask 2|")
        return {"text": "There is no answer to judge." if late else "[[6]]"}

    sat(bench(small(tmp_path / "d")), tmp_path / "r", mute)
    values = column(tmp_path / "r", "base", "value", task="mt-bench")
    ends = column(tmp_path / "r", "base", "outcome", task="mt-bench")
    assert sorted(ends) == ["graded"] * 3 + ["judge_no_verdict"]
    assert sum(map(math.isnan, values)) == 1
    figures = cell_of(tmp_path / "r", "base", "mt-bench").meta()["metrics"][""]
    assert figures["average"] == 6.0  # the turn that was graded counts
    assert (figures["judged_turns"], figures["unjudged_turns"]) == (7.0, 1.0)


def test_pairs_are_judged_turn_by_turn_in_both_orders(tmp_path: Path) -> None:
    exam = bench(small(tmp_path / "d", opponent=True), "pairwise")
    sample = samples(exam)["82"]
    answer = Response("b", turns=("a", "b"))
    assert exam.task.rubric is not None
    assert exam.task.rubric.against is not None
    other = exam.task.rubric.against(sample)
    shown = {view.name: told(view)[-1] for view in paired_views(sample, answer, other)}
    assert shown == {
        "first": "ask 1|one 1|a|one 1",
        "turn 2 first": "two 1|ask 1|then 1|a|b|one 1|two 1",
        "second": "ask 1|one 1|one 1|a",
        "turn 2 second": "two 1|ask 1|then 1|one 1|two 1|a|b",
    }
    assert not paired_views(sample, other, other)


def test_checkpoints_are_ranked_by_pairs_as_their_whole_talks_differ(tmp_path: Path) -> None:
    exam = bench(small(tmp_path / "d", opponent=True), "pairwise")
    with serving(ChatServer(answering=lambda _: {"text": "[[A]]"})) as server:
        matrix = court([judge_at(server)], {"base": lambda _: Response("mine")}, exams=(exam,))
        hold(matrix, tmp_path / "r", silent)
    fought = battles(stored(Store(tmp_path / "r")), "mt-bench@pairwise", ["base"])
    assert len(fought) == len(exam.items)
    for battle, sample in zip(fought, samples(exam).values(), strict=True):
        assert battle.won == 0.5  # whoever is shown first wins
        theirs = sum(map(len, sample.metadata["opponent"])) + 2
        assert battle.style[0] == pytest.approx((10 - theirs) / (10 + theirs))


def test_pairs_without_an_opponents_answers_are_refused_before_anything_is_asked(
    tmp_path: Path,
) -> None:
    exam = bench(small(tmp_path / "d"), "pairwise")
    with pytest.raises(DataError, match=r"model_answer/gpt-3\.5-turbo\.jsonl"):
        exam.check_prompts()


def test_corrected_references_are_another_exam_of_the_same_answers(tmp_path: Path) -> None:
    data = small(tmp_path / "d")
    lines(data / "reference_answer" / "gpt-4-1106-preview_simpo.jsonl", [
        {"question_id": i, "choices": [{"turns": ["better", "better still"]}]} for i in (82, 84)
    ])  # fmt: skip
    plain, corrected = bench(data), bench(data, "corrected-references")
    answer = Response("b", turns=("a", "b"))
    sample = samples(corrected)["82"]
    assert corrected.task.rubric is not None
    shown = [told(v)[-1] for v in corrected.task.rubric.views(sample, answer, answer)]
    assert shown == ["Q ask 1 R better A a rate [[5]]", "ask 1|better|then 1|better still|a|b"]
    assert list(plain.items) == list(corrected.items)


def test_a_question_without_its_reference_is_refused(tmp_path: Path) -> None:
    data = small(tmp_path / "d")
    lines(data / "reference_answer" / "gpt-4.jsonl", [])
    with pytest.raises(DataError):
        _ = bench(data).items


@cache
def judgments() -> list[dict[str, Any]]:
    with gzip.open(RECORDED, "rt") as file:
        return [json.loads(line) for line in file.read().split("\n") if line]


@real
def test_the_recorded_prompts_are_ours_character_by_character() -> None:
    """Every recorded prompt but for the answer is rebuilt from the data and the answer in it."""
    known = samples(bench(DATA))
    templates = {
        row["name"]: row
        for row in map(json.loads, (DATA / "judge_prompts.jsonl").read_text().splitlines())
    }
    checked = 0
    for row in judgments():
        name = row["judge"][1]
        sample = known[str(row["question_id"])]
        answer = Response(turns=answers_in(row["user_prompt"], row["turn"]))
        view = graded_views(sample, answer, answer)[row["turn"] - 1]
        assert told(view)[1] == row["user_prompt"]
        assert told(view)[0] == templates[name]["system_prompt"]
        checked += 1
    assert checked == 800


def answers_in(prompt: str, turn: int) -> tuple[str, str]:
    """The answers that a recorded prompt holds, cut out by the marks around them."""
    if turn == 1:
        start = prompt.index("[The Start of Assistant's Answer]\n") + 34
        return prompt[start:].removesuffix("\n[The End of Assistant's Answer]"), ""
    talk = prompt[prompt.index("<|The Start of Assistant A's Conversation with User|>") :]
    first, second = talk.split("### Assistant A:\n")[1:3]
    end = "\n\n<|The End of Assistant A's Conversation with User|>"
    return first[: first.rindex("\n\n### User:\n")], second[: second.rindex(end)]


@real
def test_recorded_grades_are_read_as_they_were_and_the_failed_one_is_no_grade() -> None:
    failed = 0
    for row in judgments():
        found = hear(SINGLE, Judgment(Response(row["judgment"])))
        if row["score"] == -1:
            assert found.value is None
            assert found.failure == "judge_no_verdict"
            failed += 1
        else:
            assert found.value == row["score"]
    assert failed == 1


@real
@pytest.mark.parametrize("model", AVERAGES)
def test_the_published_averages_come_out_of_a_whole_run_over_http(
    model: str, tmp_path: Path
) -> None:
    exam = bench(DATA)
    rows = [row for row in judgments() if row["model"] == model]
    held = replayed(exam, model, rows, tmp_path)
    figures = cell_of(tmp_path / "r", model, "mt-bench").meta()["metrics"][""]
    assert round(figures["average"], 3) == AVERAGES[model]
    assert figures["average"] == fmean(row["score"] for row in rows)
    assert figures["judged_turns"] == 160.0
    score = of_run(held).scores[0]
    assert score.score == pytest.approx((figures["average"] - 1) / 9)


def replayed(exam: Exam, model: str, rows: list[dict[str, Any]], folder: Path) -> Any:
    """A run in which the checkpoint and the judge say what was recorded of both."""
    second = {row["question_id"]: answers_in(row["user_prompt"], 2) for row in rows
              if row["turn"] == 2}  # fmt: skip
    said = {}
    for number, (first, later) in second.items():
        turns = samples(exam)[str(number)].metadata["turns"]
        said[turns[0]] = {"text": first}
        said[turns[1]] = {"text": later}
    judge = {row["user_prompt"]: {"text": row["judgment"]} for row in rows}

    def checkpoint(body: dict[str, Any]) -> Mapping[str, Any]:
        return said[body["messages"][-1]["content"]]

    def judging(body: dict[str, Any]) -> Mapping[str, Any]:
        return judge[body["messages"][-1]["content"]]

    with (
        serving(ChatServer(answering=checkpoint)) as asked,
        serving(ChatServer(answering=judging)) as heard,
    ):
        row = judge_at(asked, model, timeout=30.0)
        whole = Matrix(model, (row,), (), (exam,), judge_at(heard, timeout=30.0),
                       court([], {"x": lambda _: Response()}).policy, ())  # fmt: skip
        return hold(whole, folder / "r", silent)


@real
def test_the_model_that_was_judged_twice_had_been_asked_twice_so_it_shows_no_judges_noise() -> None:
    """Each of its two judgments is of another answer: the file holds no test-retest of a judge."""
    pairs: dict[tuple[int, int], list[dict[str, Any]]] = {}
    for row in judgments():
        if row["model"] == "mistral-orpo":
            pairs.setdefault((row["question_id"], row["turn"]), []).append(row)
    assert {len(rows) for rows in pairs.values()} == {2}
    assert len(pairs) == 160
    assert not [key for key, (a, b) in pairs.items() if a["user_prompt"] == b["user_prompt"]]


def test_the_rubrics_are_on_their_scales() -> None:
    assert SINGLE.scale == (1.0, 10.0)
    assert PAIRS.scale == (0.0, 1.0)
