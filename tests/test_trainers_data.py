"""A stage's data: what a source may hold, and how sources are mixed."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from evalkit.errors import ConfigError
from trainers.data import check, load, mixed


def jsonl(path: Path, rows: list[Any]) -> str:
    path.write_text("\n".join(json.dumps(row) for row in rows))
    return str(path)


def test_a_task_gives_its_training_questions_with_their_solutions() -> None:
    rows = load("task:mini-arithmetic")
    for row in rows:
        if row["prompt"][0]["content"].startswith("What is"):
            left, sign, right = row["prompt"][0]["content"].removesuffix("?").split()[2:]
            answer = int(left) + int(right) * (1 if sign == "+" else -1)
            assert row["completion"] == [{"role": "assistant", "content": str(answer)}]
            assert row["source"] == "task:mini-arithmetic"
    assert len({row["id"] for row in rows}) == len(rows)


def test_messages_are_learned_from_their_last_answer(tmp_path: Path) -> None:
    talk = [
        {"role": "user", "content": "hello"},
        {"role": "assistant", "content": "good day"},
        {"role": "user", "content": "how are you"},
        {"role": "assistant", "content": "well"},
    ]
    (row,) = load(jsonl(tmp_path / "a.jsonl", [{"messages": talk}]))
    assert row["prompt"] == talk[:3]
    assert row["completion"] == talk[3:]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "a.jsonl:2: not JSON"),
        ('{"question": "x"}', "a.jsonl:2: a row has to have prompt/completion or messages"),
        ("[1]", "a.jsonl:2: a row has to have"),
        ('{"messages": [{"role": "user", "content": "x"}]}', "a.jsonl:2: messages have to end"),
        ('{"messages": []}', "a.jsonl:2: messages have to end"),
    ],
)
def test_a_bad_row_is_told_by_file_and_line(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"prompt": "a", "completion": "b"}\n' + line)
    with pytest.raises(ConfigError, match=message):
        load(str(path))


def test_a_file_without_the_columns_that_a_method_needs_is_refused(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "a.jsonl", [{"prompt": "a", "completion": "b"}])
    check({path: 1.0}, ("prompt", "completion"))
    with pytest.raises(ConfigError, match="has no 'chosen'"):
        check({path: 1.0}, ("prompt", "chosen", "rejected"))
    (tmp_path / "b.jsonl").write_text('{"prompt": "a", "completion": "b"}\n{"prompt": "c"}')
    with pytest.raises(ConfigError, match=r"b\.jsonl:2: the row has no 'completion'"):
        mixed({str(tmp_path / "b.jsonl"): 1.0}, 1, ("prompt", "completion"))
    (tmp_path / "empty.jsonl").write_text("")
    with pytest.raises(ConfigError, match="holds no rows"):
        check({str(tmp_path / "empty.jsonl"): 1.0}, ("prompt",))


def test_weights_are_shares_of_the_rows(tmp_path: Path) -> None:
    a = jsonl(tmp_path / "a.jsonl", [{"prompt": f"a{i}", "completion": ""} for i in range(30)])
    b = jsonl(tmp_path / "b.jsonl", [{"prompt": f"b{i}", "completion": ""} for i in range(70)])
    rows = [row["prompt"] for row in mixed({a: 3.0, b: 1.0}, seed=1)]
    drawn = Counter(rows)
    assert Counter(prompt[0] for prompt in rows) == {"a": 75, "b": 25}
    assert {drawn[f"a{i}"] for i in range(30)} == {2, 3}
    assert max(drawn[f"b{i}"] for i in range(70)) == 1


def test_the_seed_alone_decides_the_order(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "a.jsonl", [{"prompt": str(i), "completion": ""} for i in range(50)])
    assert mixed({path: 1.0}, seed=1) == mixed({path: 1.0}, seed=1)
    assert mixed({path: 1.0}, seed=1) != mixed({path: 1.0}, seed=2)
    assert sorted(row["prompt"] for row in mixed({path: 1.0}, seed=1)) == sorted(
        map(str, range(50))
    )


def test_plain_text_beside_conversations_becomes_one(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "a.jsonl", [{"prompt": "a", "completion": "b"}])
    rows = mixed({path: 1.0, "task:mini-copy": 1.0}, seed=1)
    assert all(isinstance(row["prompt"], list) for row in rows)
    assert [{"role": "assistant", "content": "b"}] in [row["completion"] for row in rows]
    assert mixed({path: 1.0}, seed=1)[0]["prompt"] == "a"
