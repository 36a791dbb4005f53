"""Rewards: a task's own scorer, or a function in a file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from evalkit.errors import ConfigError
from trainers.data import load as rows_of
from trainers.rewards import for_trl, load


def test_a_task_rewards_what_it_would_score() -> None:
    reward = load("task:mini-arithmetic")
    rows = rows_of("task:mini-arithmetic")[:20]
    for row in rows:
        right = row["completion"][0]["content"]
        assert reward(row["prompt"], right, row) == 1.0
        assert reward(row["prompt"], f"{int(right) + 1}", row) == 0.0


def test_a_function_of_the_users_own_sees_prompt_answer_and_row(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(
        "def short(prompt, completion, row):\n    return row['worth'] / len(completion)"
    )
    reward = load(f"{path}:short")
    assert reward("q", "abcd", {"worth": 2}) == 0.5
    batch = for_trl(reward)
    talk = [{"role": "assistant", "content": "ab"}]
    row = json.dumps({"worth": 2})
    assert batch(prompts=["q", "q"], completions=["a", talk], row=[row, row], other=1) == [2.0, 1.0]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("short", "neither task:<name> nor"),
        ("{}/none.py:short", "there is no file"),
        ("{}/mine.py:long", "has no function 'long'"),
        ("{}/mine.py:one", "has to take prompt, completion and row"),
    ],
)
def test_a_reward_that_is_not_there_is_told(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "mine.py").write_text("def one(completion):\n    return 1.0\n")
    with pytest.raises(ConfigError, match=message):
        load(name.format(tmp_path))
