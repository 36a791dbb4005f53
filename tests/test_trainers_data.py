"""A stage's data: what a source may hold, how a row is read, and how sources are mixed."""

from __future__ import annotations

import gzip
import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from evalkit import Stage
from evalkit.errors import ConfigError
from trainers._shapes import DEMONSTRATION, PREFERENCE, QUESTION, TEXT, VERDICT
from trainers.data import AT, check, mixed, prompts, rows

USER = {"role": "user", "content": "hello"}
ANSWER = {"role": "assistant", "content": "good day"}


def jsonl(path: Path, rows: list[Any]) -> str:
    path.write_text("\n".join(json.dumps(row) for row in rows))
    return str(path)


def stage(data: dict[str, float], **more: Any) -> Stage:
    return Stage("s", "sft", "", data=data, **more)


def test_a_task_gives_its_training_questions_with_their_solutions() -> None:
    found = list(rows("task:mini-arithmetic", (DEMONSTRATION,)))
    for row in found:
        if row["prompt"][0]["content"].startswith("What is"):
            left, sign, right = row["prompt"][0]["content"].removesuffix("?").split()[2:]
            answer = int(left) + int(right) * (1 if sign == "+" else -1)
            assert row["completion"] == [{"role": "assistant", "content": str(answer)}]
            assert row["source"] == "task:mini-arithmetic"
    assert len({row["id"] for row in found}) == len(found)


def test_messages_are_learned_from_their_last_answer(tmp_path: Path) -> None:
    talk = [USER, ANSWER, {"role": "user", "content": "how are you"}, ANSWER]
    (row,) = rows(jsonl(tmp_path / "a.jsonl", [{"messages": talk}]), (DEMONSTRATION,))
    assert row["prompt"] == talk[:3]
    assert row["completion"] == talk[3:]


def test_a_preference_between_whole_conversations_is_one_between_their_answers(
    tmp_path: Path,
) -> None:
    worse = {"role": "assistant", "content": "go away"}
    whole = {"prompt": "hello", "chosen": [USER, ANSWER], "rejected": [USER, worse]}
    (row,) = rows(jsonl(tmp_path / "a.jsonl", [whole]), (PREFERENCE,))
    assert (row["prompt"], row["chosen"], row["rejected"]) == ([USER], [ANSWER], [worse])


def test_a_verdict_may_be_on_a_conversation(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "a.jsonl", [{"messages": [USER, ANSWER], "label": False}])
    (row,) = rows(path, (VERDICT, PREFERENCE))
    assert (row["prompt"], row["completion"], row["label"]) == ([USER], [ANSWER], False)


def test_files_may_be_compressed(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(gzip.compress(b'{"text": "once upon a time"}\n'))
    (row,) = rows(str(path), (TEXT,))
    assert row == {"text": "once upon a time", AT: f"{path}: line 1"}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "line 2: not JSON"),
        ("[1]", "line 2: not an object"),
        ('{"question": "x"}', "line 2: the row has no 'prompt'; it has to have prompt/completion"),
        ('{"prompt": "x"}', "line 2: the row has no 'completion'"),
        ('{"prompt": "", "completion": "b"}', "line 2: 'prompt' is empty"),
        ('{"prompt": "a", "completion": " "}', "line 2: 'completion' is empty"),
        ('{"prompt": "a", "completion": 3}', "line 2: 'completion' has to be a text or a list"),
        ('{"prompt": [{"content": "a"}], "completion": "b"}', "'prompt': message 1 has no role"),
        ('{"prompt": [{"role": "user"}], "completion": "b"}', "content of message 1 has to be"),
        ('{"messages": [{"role": "user", "content": "x"}]}', "line 2: messages have to end"),
        ('{"messages": []}', "line 2: messages have to end"),
        ('{"messages": "x"}', "line 2: messages have to end"),
        (
            '{"prompt": "a", "completion": [{"role": "assistant", "content": ""}]}',
            "line 2: 'completion' is empty",
        ),
        (
            '{"prompt": "a", "completion": [{"role": "user", "content": "b"}]}',
            "line 2: 'completion' has to end with an answer",
        ),
    ],
)
def test_a_bad_row_is_told_by_file_and_line(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"prompt": "a", "completion": "b"}\n' + line)
    with pytest.raises(ConfigError, match=r"data: .*a\.jsonl: ") as error:
        list(rows(str(path), (DEMONSTRATION,)))
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("row", "shape", "message"),
    [
        ({"prompt": "a", "completion": "b", "label": "yes"}, VERDICT, "has to be true or false"),
        ({"text": ["a"]}, TEXT, "'text' has to be a text"),
        ({"prompt": "a", "chosen": "b", "rejected": ""}, PREFERENCE, "'rejected' is empty"),
        ({"chosen": [USER, ANSWER], "rejected": [USER, ANSWER]}, PREFERENCE, "in their answer"),
        ({"chosen": [USER, ANSWER], "rejected": [ANSWER]}, PREFERENCE, "in their answer only"),
    ],
)
def test_a_row_of_another_method_is_told_too(
    tmp_path: Path, row: dict[str, Any], shape: tuple[str, ...], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        list(rows(jsonl(tmp_path / "a.jsonl", [row]), (shape,)))


def test_a_check_looks_at_the_first_row_and_all_prompts_at_all(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "b.jsonl", [{"prompt": "a", "completion": "b"}, {"prompt": "c"}])
    check({path: 1.0}, (DEMONSTRATION,))
    with pytest.raises(ConfigError, match="has no 'chosen'"):
        check({path: 1.0}, (PREFERENCE,))
    with pytest.raises(ConfigError, match=r"b\.jsonl: line 2: the row has no 'completion'"):
        list(prompts(stage({path: 1.0}), (DEMONSTRATION,)))
    assert list(prompts(stage({path: 1.0}), (QUESTION,))) == ["a", "c"]
    (tmp_path / "empty.jsonl").write_text("")
    with pytest.raises(ConfigError, match="holds no rows"):
        check({str(tmp_path / "empty.jsonl"): 1.0}, (QUESTION,))


@pytest.mark.parametrize(
    ("data", "shape", "message"),
    [
        ({}, QUESTION, "data: give a JSONL file"),
        ({"nowhere.jsonl": 1.0}, QUESTION, "data: there is no file nowhere.jsonl"),
        ({"task:mini-copy": 0.0}, QUESTION, "the weight of task:mini-copy has to be above 0"),
        ({"task:mini-copy": 1.0}, TEXT, "questions are no running text"),
        ({"task:mmlu-pro": 1.0}, QUESTION, "the task has no training split"),
    ],
)
def test_a_source_that_will_not_do_is_refused(
    data: dict[str, float], shape: tuple[str, ...], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        check(data, (shape,))


def test_weights_are_shares_of_the_rows(tmp_path: Path) -> None:
    a = jsonl(tmp_path / "a.jsonl", [{"prompt": f"a{i}"} for i in range(30)])
    b = jsonl(tmp_path / "b.jsonl", [{"prompt": f"b{i}"} for i in range(70)])
    found = [row["prompt"] for row in mixed(stage({a: 3.0, b: 1.0}, seed=1), (QUESTION,))]
    drawn = Counter(found)
    assert Counter(prompt[0] for prompt in found) == {"a": 75, "b": 25}
    assert {drawn[f"a{i}"] for i in range(30)} == {2, 3}
    assert max(drawn[f"b{i}"] for i in range(70)) == 1


def test_the_seed_alone_decides_the_order(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "a.jsonl", [{"prompt": str(i)} for i in range(50)])
    first, again, other = (mixed(stage({path: 1.0}, seed=s), (QUESTION,)) for s in (1, 1, 2))
    assert first == again != other
    assert sorted(row["prompt"] for row in first) == sorted(map(str, range(50)))


def test_plain_text_beside_conversations_becomes_one(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "a.jsonl", [{"prompt": "a", "completion": "b"}])
    found = mixed(stage({path: 1.0, "task:mini-copy": 1.0}, seed=1), (DEMONSTRATION,))
    assert all(isinstance(row["prompt"], list) for row in found)
    assert [{"role": "assistant", "content": "b"}] in [row["completion"] for row in found]
    assert mixed(stage({path: 1.0}), (DEMONSTRATION,))[0]["prompt"] == "a"


@pytest.mark.parametrize("name", ["alpaca_en_demo", "dpo_en_demo", "kto_en_demo", "v1_sft_demo"])
def test_a_published_set_is_read_or_refused_with_its_row(name: str) -> None:
    folder = os.environ.get("EVALKIT_DATA")
    if not folder:
        pytest.skip("needs EVALKIT_DATA")
    (path,) = Path(folder, "sft_dpo").glob(f"llamafactory_{name}.json*")
    shapes = {"dpo_en_demo": PREFERENCE, "kto_en_demo": VERDICT}
    shape = shapes.get(name, DEMONSTRATION)
    if name == "kto_en_demo":
        assert sum(1 for _ in rows(str(path), (shape,))) == 300
    else:  # other frameworks' columns and turns
        with pytest.raises(ConfigError, match=r"(row|line) 1: "):
            list(rows(str(path), (shape,)))
