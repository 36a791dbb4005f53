"""Rewards: a task's own scorer, a function in a file, or a reward model."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from evalkit import Stage, plugins
from evalkit.errors import ConfigError
from trainers._shapes import QUESTION
from trainers.data import AT, check, rows
from trainers.rewards import RewardError, for_trl, graded, load
from trainers.rewards import check as check_reward

TASK = """
    from evalkit import Sample, Score, Source, Task

    def of(split):
        def samples(rows):
            for row in rows(split):
                yield Sample(row["key"], row["question"], row["answer"])
        return samples

    def score(sample, response):
        return Score(float(response.text == sample.target), response.text)

    SOURCE = Source("x/sums", "0", "sums", {"train": "train", "test": "test"}, {}, ("question",))
    TASKS = (Task("sums", "mathematics", 1, of("test"), score, train=of("train"), source=SOURCE),)
"""


@pytest.fixture
def sums(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A task that reads files, in a distribution of its own; the folder of its rows."""
    about = tmp_path / "site" / "sums-1.0.dist-info"
    about.mkdir(parents=True)
    (tmp_path / "site" / "sums_task.py").write_text(dedent(TASK))
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: sums\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[evalkit.tasks]\nsums = sums_task\n")
    folder = tmp_path / "sums"
    folder.mkdir()
    for split, first in (("train", 0), ("test", 100)):
        lines = [
            {"key": str(i), "question": f"{i} + 1?", "answer": str(i + 1)}
            for i in range(first, first + 5)
        ]
        (folder / f"{split}.jsonl").write_text("\n".join(map(json.dumps, lines)))
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    plugins.forget()
    yield str(folder)
    plugins.forget()
    sys.modules.pop("sums_task", None)


def test_a_task_rewards_what_it_would_score() -> None:
    reward = load("task:mini-arithmetic")
    for row in list(rows("task:mini-arithmetic"))[:20]:
        right = row["completion"][0]["content"]
        assert reward(row["prompt"], right, row) == 1.0
        assert reward(row["prompt"], f"{int(right) + 1}", row) == 0.0


def test_a_task_that_reads_files_rewards_its_training_split(sums: str) -> None:
    paths = {"sums": sums}
    check({"task:sums": 1.0}, (QUESTION,), paths)
    reward = load("task:sums", paths)
    found = list(rows("task:sums", (QUESTION,), paths))
    assert [row["id"] for row in found] == ["0", "1", "2", "3", "4"]
    assert [reward(row["prompt"], "3", row) for row in found] == [0, 0, 1, 0, 0]
    check_reward(Stage("s", "grpo", "", data={"task:sums": 1.0}, reward="task:sums", paths=paths))


def test_a_task_that_knows_no_solutions_cannot_be_imitated(sums: str) -> None:
    with pytest.raises(ConfigError, match="the task knows no solutions"):
        check({"task:sums": 1.0}, (("prompt", "completion"),), {"sums": sums})


def test_rows_that_are_not_there_are_told(sums: str, tmp_path: Path) -> None:
    (Path(sums) / "train.jsonl").unlink()
    with pytest.raises(ConfigError, match=r"data: task:sums: .* has no train"):
        check({"task:sums": 1.0}, (QUESTION,), {"sums": sums})


def test_a_task_rewards_any_row_with_a_target(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"prompt": "one more than 41", "target": "42"}')
    (row,) = rows(str(path), (QUESTION,))
    reward = load("task:mini-arithmetic")
    assert [graded(reward, "r", row["prompt"], text, row) for text in ("42", "41")] == [1, 0]


def test_a_function_of_the_users_own_sees_prompt_answer_and_row(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(
        "def short(prompt, completion, row):\n"
        "    assert row == {'worth': 2}\n"
        "    return row['worth'] / len(completion)"
    )
    reward = load(f"{path}:short")
    batch = for_trl(reward, "short")
    talk = [{"role": "assistant", "content": "ab"}]
    row = json.dumps({"worth": 2, AT: "a.jsonl: line 1"})
    assert batch(prompts=["q", "q"], completions=["abcd", talk], row=[row, row], other=1) == [
        0.5,
        1.0,
    ]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("short", "neither task:<name> nor"),
        ("{}/none.py:short", "there is no file"),
        ("{}/mine.py:long", "has no function 'long'"),
        ("{}/mine.py:one", "has to take prompt, completion and row"),
        ("{}/bad.py:one", r"bad\.py cannot be run: ModuleNotFoundError: No module named 'nowhere'"),
        ("task:mini-chat", "graded by a judge"),
    ],
)
def test_a_reward_that_is_not_there_is_told(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "mine.py").write_text("def one(completion):\n    return 1.0\n")
    (tmp_path / "bad.py").write_text("import nowhere\n")
    with pytest.raises(ConfigError, match=message):
        load(name.format(tmp_path))


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("None", "returned None, where a number is due"),
        ("'a'", "returned 'a', where a number is due"),
        ("float('nan')", "returned nan, where a finite number is due"),
        ("float('inf')", "returned inf, where a finite number is due"),
        ("row['answer']", "KeyError: 'answer'"),
    ],
)
def test_a_reward_that_fails_is_tried_before_the_run_and_names_the_row(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], body: str, message: str
) -> None:
    (tmp_path / "r.py").write_text(f"def r(p, c, row):\n    print('graded')\n    return {body}\n")
    (tmp_path / "a.jsonl").write_text('{"prompt": "x"}')
    stage = Stage(
        "s", "grpo", "", data={str(tmp_path / "a.jsonl"): 1.0}, reward=f"{tmp_path}/r.py:r"
    )
    with pytest.raises(ConfigError, match=r"r\.py:r on the row of .*a\.jsonl: line 1") as error:
        check_reward(stage)
    assert message in str(error.value)
    assert capsys.readouterr().out == ""  # standard output is the report's


@pytest.mark.parametrize(
    ("data", "reward", "message"),
    [
        ("task:mini-tools", "task:mini-arithmetic", "grades its own training questions"),
        ("task:mini-tools", "", "reward: give task:<name>"),
    ],
)
def test_a_reward_that_cannot_grade_these_rows_is_refused(
    data: str, reward: str, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        check_reward(Stage("s", "grpo", "", data={data: 1.0}, reward=reward))


def test_a_failing_reward_in_a_batch_names_the_row_it_failed_on() -> None:
    def picky(prompt: Any, completion: str, row: dict[str, Any]) -> float:
        return 1.0 / float(row["n"])

    rows = [json.dumps({"n": n, AT: f"a.jsonl: line {i}"}) for i, n in enumerate((1, 2, 0), 1)]
    with pytest.raises(RewardError, match=r"picky on the row of a\.jsonl: line 3: ZeroDivision"):
        for_trl(picky, "picky")(prompts=["q"] * 3, completions=["a"] * 3, row=rows)
