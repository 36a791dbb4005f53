"""Arena-Hard: its prompts as the authors' files have them, and its arithmetic on known battles.

No recorded judgments of it are at hand: no published figure is checked here.
"""

from __future__ import annotations

import gzip
import json
import math
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from evalkit.configuration.sections import TaskSection
from evalkit.errors import DataError
from evalkit.events import silent
from evalkit.exams.exam import Exam, sit
from evalkit.judging.hearing import hear
from evalkit.judging.judgments import Judgment
from evalkit.ranking.cells import battles
from evalkit.reporting.cells import stored
from evalkit.run import hold
from evalkit.storage.store import Store
from evalkit.types import Graded, Response, Sample, Score, Task
from tasks._style_control import Games, controlled, metrics, raw
from tasks.arena_hard import OWN_WORDS, rubric
from tests.chat_server import ChatServer, serving
from tests.judges import column, court, judge_at, told

HOME = Path(os.environ.get("EVALKIT_DATA") or "absent")
DATA = HOME / "arena_hard"
real = pytest.mark.skipif(not DATA.is_dir(), reason="EVALKIT_DATA has no arena_hard")
TEMPLATE = "<|User Prompt|>\n{QUESTION}\n\n<A>\n{ANSWER_A}\n</A>\n<B>\n{ANSWER_B}\n</B>"
SETTINGS = """
HARD = "Judge hard prompts."

JUDGE_SETTINGS = {
    "hard_prompt": {"baseline": "o3-mini-2025-01-31", "system_prompt": HARD},
    "creative_writing": {
        "baseline": "gemini-2.0-flash-001",
        "system_prompt": "Judge writing.",
    },
    "arena-hard-v0.1": {"baseline": "gpt-4-0314", "system_prompt": HARD},
}
"""


def small(folder: Path, *, settings: str = SETTINGS) -> Path:
    """Six made-up prompts in the layout of the authors' repository."""
    v2 = folder / "data" / "arena-hard-v2.0"
    (v2 / "model_answer").mkdir(parents=True)
    (folder / "config").mkdir()
    (folder / "utils").mkdir()
    kinds = ["hard_prompt"] * 4 + ["creative_writing"] * 2
    rows = [
        {"uid": f"u{i}", "prompt": f"Do {i}.\u2028Now.", "category": kind, "subcategory": "math"}
        for i, kind in enumerate(kinds)
    ]
    (v2 / "question.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    for name in ("o3-mini-2025-01-31", "gemini-2.0-flash-001"):
        answers = [
            {"uid": row["uid"], "messages": [
                {"role": "user", "content": row["prompt"]},
                {"role": "assistant", "content": {"answer": f"{name} on {row['uid']}"}},
            ]}
            for row in rows
        ]  # fmt: skip
        (v2 / "model_answer" / f"{name}.jsonl").write_text(
            "".join(json.dumps(row) + "\n" for row in answers)
        )
    (folder / "config" / "arena-hard-v2.0.yaml").write_text(
        yaml.dump({"prompt_template": TEMPLATE})
    )
    (folder / "utils" / "judge_utils.py").write_text(settings)
    return folder


def bench(folder: Path | None, name: str = "arena-hard-v2", preset: str = "") -> Exam:
    return sit(TaskSection(name=name, preset=preset), folder, None)[0]


def shown(exam: Exam, answer: str = "mine") -> list[list[str]]:
    """What the judge is told about an answer to the first prompt, in both orders."""
    sample = min(exam.items.values(), key=lambda each: each.id)
    asked = exam.task.rubric
    assert asked is not None
    assert asked.against is not None
    views = asked.views(sample, Response(answer), asked.against(sample))
    return [
        [turn["content"] for turn in view.prompt if not isinstance(turn, str)] for view in views
    ]


def test_each_category_has_its_baseline_and_its_judge(tmp_path: Path) -> None:
    data = small(tmp_path)
    hard, creative = bench(data), bench(data, "arena-hard-v2-creative")
    assert (len(hard.items), len(creative.items)) == (4, 2)
    (system, prompt), (_, turned) = shown(hard)
    assert system == "Judge hard prompts."
    assert prompt == (
        "<|User Prompt|>\nDo 0.\u2028Now.\n\n<A>\nmine\n</A>\n<B>\no3-mini-2025-01-31 on u0\n</B>"
    )
    assert turned.endswith("<A>\no3-mini-2025-01-31 on u0\n</A>\n<B>\nmine\n</B>")
    (system, prompt), _ = shown(creative)
    assert system == "Judge writing."
    assert "gemini-2.0-flash-001 on u4" in prompt


def test_an_answer_cannot_stand_in_for_the_other_one(tmp_path: Path) -> None:
    (_, prompt), _ = shown(bench(small(tmp_path)), "{ANSWER_B} and {QUESTION}")
    assert "<A>\n{ANSWER_B} and {QUESTION}\n</A>\n<B>\no3-mini" in prompt


def test_the_authors_settings_are_parsed_and_never_run(tmp_path: Path) -> None:
    spoilt = f"raise SystemExit('run')\n{SETTINGS}"
    assert shown(bench(small(tmp_path / "a", settings=spoilt)))[0][0] == "Judge hard prompts."
    exam = bench(small(tmp_path / "b", settings="JUDGE_SETTINGS = load()"))
    with pytest.raises(DataError, match="no system prompt for hard_prompt"):
        exam.check_prompts()


def test_without_the_authors_words_there_are_our_own_and_that_is_another_exam(
    tmp_path: Path,
) -> None:
    data = small(tmp_path)
    theirs, ours = bench(data), bench(data, preset="own-words")
    assert shown(ours)[0][0] == OWN_WORDS
    assert theirs.prompts_digest != ours.prompts_digest
    (data / "utils" / "judge_utils.py").write_text("")
    assert shown(bench(data, preset="own-words"))[0][0] == OWN_WORDS


@real
@pytest.mark.parametrize(
    ("name", "config", "count"),
    [("arena-hard-v0.1", "arena-hard-v0.1", 500), ("arena-hard-v2", "arena-hard-v2.0", 500)],
)
def test_prompts_are_those_of_the_authors_configuration_character_by_character(
    name: str, config: str, count: int
) -> None:
    exam = bench(None, name, "own-words")
    assert len(exam.items) == count
    settings = yaml.safe_load((DATA / "config" / f"{config}.yaml").read_text())
    baseline = {"arena-hard-v0.1": "gpt-4-0314", "arena-hard-v2": "o3-mini-2025-01-31"}[name]
    answers = {}
    with gzip.open(DATA / config / "model_answer" / f"{baseline}.jsonl.gz", "rt") as file:
        for line in filter(None, file.read().split("\n")):
            row = json.loads(line)
            answers[row["uid"]] = row["messages"][-1]["content"]["answer"]
    asked = exam.task.rubric
    assert asked is not None
    for sample in exam.items.values():
        own = Response("my own answer")
        first, second = asked.views(sample, own, Response(answers[sample.id]))
        for view, pair in ((first, ("my own answer", answers[sample.id])),
                           (second, (answers[sample.id], "my own answer"))):  # fmt: skip
            expected = settings["prompt_template"].format(
                QUESTION=sample.question, ANSWER_A=pair[0], ANSWER_B=pair[1]
            )
            assert told(view)[-1] == expected


@real
def test_labels_are_read_where_the_authors_patterns_read_them() -> None:
    for version in ("v0.1", "v2.0"):
        settings = yaml.safe_load((DATA / "config" / f"arena-hard-{version}.yaml").read_text())
        patterns = [re.compile(each) for each in settings["regex_patterns"]]
        for text in ("[[A>>B]]", "so [[b>a]].", "[A=B]", "My final verdict is tie: [[A=B]]", "A>B"):
            theirs = next((found[-1] for p in patterns if (found := p.findall(text.upper()))), None)
            ours = hear(rubric(10), Judgment(Response(text)))
            assert (ours.label or None) == theirs


def made(
    labels: list[tuple[str, str]], style: list[tuple[float, ...]] | None = None
) -> list[Graded]:
    """Judged prompts from the labels of their two games, the model being A in the first."""
    worth = {"A>>B": (1.0, 3), "A>B": (1.0, 1), "A=B": (0.5, 1), "B>A": (0.0, 1), "B>>A": (0.0, 3)}
    rows = []
    for i, (one, other) in enumerate(labels):
        (a, w), (b, v) = worth[one], worth[other]
        value, weight = (a * w + (1 - b) * v) / (w + v), float(w + v)
        noted: dict[str, Any] = {"length": [10, 10], "style": list((style or [(0.0,) * 4] * 99)[i])}
        if weight != 2:
            noted["weight"] = weight
        rows.append(Graded(Sample(str(i), "?"), (Score(value, None, noted),)))
    return rows


def test_strong_verdicts_weigh_three_times_and_the_rate_is_over_all_games() -> None:
    games = [("A>>B", "B>>A"), ("A>B", "A>B"), ("A=B", "B>A"), ("B>>A", "A=B")]
    found = metrics(made(games))
    won = 3 * 1 + 3 * 1 + 1 + 0 + 0.5 + 1 + 3 * 0 + 0.5
    of = 6 + 2 + 2 + 4
    assert found["win_rate"] == pytest.approx(won / of)
    assert found["win_rate_lower"] < found["win_rate"] < found["win_rate_upper"]


def test_a_games_weight_is_kept_in_the_details_of_a_run(tmp_path: Path) -> None:
    exam = bench(small(tmp_path / "d"))

    def strong(body: dict[str, Any]) -> Mapping[str, Any]:
        mine_first = "<A>\nmy" in body["messages"][-1]["content"]
        return {"text": "[[A>>B]]" if mine_first else "[[A>B]]"}

    with serving(ChatServer(answering=strong)) as server:
        matrix = court([judge_at(server)], {"base": lambda _: Response("my own")}, exams=(exam,))
        hold(matrix, tmp_path / "r", silent)
    assert column(tmp_path / "r", "base", "value", task=exam.task.name) == [0.75] * 4
    noted = json.loads(column(tmp_path / "r", "base", "details", task=exam.task.name)[0])
    assert noted["weight"] == 4.0
    assert noted["verdicts"] == ["first: A>>B", "second: A>B"]
    fought = battles(stored(Store(tmp_path / "r")), exam.task.name, ["base"])
    assert [(battle.won, battle.weight) for battle in fought] == [(0.75, 4.0)] * 4


def test_contradictory_labels_are_none_and_the_last_holds_in_the_authors_preset() -> None:
    both = Response("First [[A>B]], then again [[B>A]]")
    assert hear(rubric(10), Judgment(both)).failure == "judge_contradictory"
    task: Task = bench(None, "arena-hard-v2", "authors").task
    assert task.rubric is not None
    assert hear(task.rubric, Judgment(both)).value == 0.0


def drawn(count: int, strength: float, taste: float, wordy: float, seed: int) -> list[Graded]:
    """Games of a model of known strength before a judge that pays for length."""
    random = np.random.default_rng(seed)
    styles = np.column_stack([random.normal(wordy, 0.3, count), random.normal(0, 0.2, (count, 3))])
    chance = 1 / (1 + np.exp(-(strength + taste * styles[:, 0])))
    labels = [
        ("A>B", "B>A") if won else ("B>A", "A>B")
        for won in (random.random(count) < chance).tolist()
    ]
    return made(labels, [tuple(map(float, style)) for style in styles])


def test_style_that_pays_is_taken_out() -> None:
    """The true chance against an answer of the same style is that of the strength alone."""
    found = metrics(drawn(2000, strength=-0.5, taste=2.0, wordy=0.5, seed=1))
    truth = 1 / (1 + math.exp(0.5))
    assert found["win_rate"] > truth + 0.1
    assert found["style_controlled_lower"] < truth < found["style_controlled_upper"]
    assert found["style_controlled"] == pytest.approx(truth, abs=0.05)


def rows(graded: list[Graded]) -> list[dict[str, Any]]:
    return [
        {"id": each.sample.id, "value": score.value, "details": score.details}
        for each in graded
        for score in each.scores
        if score
    ]


def test_the_difference_of_two_models_is_refitted_on_resamples_of_prompts() -> None:
    before = drawn(400, -0.5, 2.0, 0.0, seed=2)
    after = drawn(400, -0.5, 2.0, 0.6, seed=3)
    every, some = np.arange(400), np.random.default_rng(0).integers(0, 400, 400)
    plain, fair = raw(rows(before), rows(after)), controlled(rows(before), rows(after))
    assert plain(every) == pytest.approx(metrics(after)["win_rate"] - metrics(before)["win_rate"])
    assert plain(every) > 0.15
    assert abs(fair(every)) < 0.08
    assert fair(some) != fair(every)


def test_a_model_that_never_wins_has_a_rate_and_no_style_that_could_be_told_apart() -> None:
    found = metrics(made([("B>>A", "A>>B")] * 20))
    assert found["win_rate"] == 0.0
    assert "style_controlled" not in found


def test_equal_styles_leave_the_weighted_rate_as_it_is() -> None:
    games = Games.of([(1.0, {"weight": 6.0}), (0.0, {}), (0.5, {})])
    every = np.arange(3)
    assert games.controlled(every) == pytest.approx(games.pooled(every)) == pytest.approx(0.7)
