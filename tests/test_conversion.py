"""The user's rows as each framework reads them: pure, streamed, weighted, nothing lost."""

from __future__ import annotations

import copy
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from evalkit import Stage
from evalkit.errors import ConfigError
from trainers import conversion
from trainers.conversion import drawn, survey, to_nemo, to_openrlhf, to_verl

USER, ASSISTANT = {"role": "user", "content": "2+2?"}, {"role": "assistant", "content": "4"}
WRONG = {"role": "assistant", "content": "5"}
PLAIN = {"prompt": "2+2?", "completion": "4", "chosen": "4", "rejected": "5", "answer": 4}
CHAT: dict[str, Any] = {
    "prompt": [{"role": "system", "content": "Be brief."}, USER],
    "completion": [ASSISTANT],
    "chosen": [ASSISTANT],
    "rejected": [WRONG],
    "answer": 4,
    "source": "sums",
}


def written(path: Path, rows: list[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def stage(data: dict[str, float], method: str = "grpo", seed: int = 0) -> Stage:
    return Stage("s", method, "", data=data, seed=seed)


def one(convert: conversion.Converter, row: dict[str, Any], method: str, chat: bool) -> Any:
    before = copy.deepcopy(row)
    (found,) = convert([row], method, chat)
    assert row == before  # pure
    return found


@pytest.mark.parametrize(
    ("method", "row", "chat", "expected"),
    [
        ("cpt", {"text": "Once."}, False, {"text": "Once."}),
        ("sft", PLAIN, False, {"prompt": "2+2?", "completion": "4"}),
        ("sft", PLAIN, True, {"prompt": [USER], "completion": [ASSISTANT]}),
        ("sft", CHAT, True, {"prompt": CHAT["prompt"], "completion": [ASSISTANT]}),
        ("dpo", PLAIN, False, {"prompt": "2+2?", "chosen": "4", "rejected": "5"}),
        ("reward", CHAT, True,
         {"prompt": CHAT["prompt"], "chosen": [ASSISTANT], "rejected": [WRONG]}),
    ],
)  # fmt: skip
def test_openrlhf_reads_columns(method: str, row: Any, chat: bool, expected: Any) -> None:
    assert one(to_openrlhf, row, method, chat) == expected


@pytest.mark.parametrize("method", conversion.REWARDED)
def test_openrlhfs_label_is_the_whole_row(method: str) -> None:
    plain, chat = one(to_openrlhf, PLAIN, method, False), one(to_openrlhf, CHAT, method, True)
    assert (plain["prompt"], plain["datasource"]) == ("2+2?", "default")
    assert json.loads(plain["row"]) == PLAIN
    assert (chat["prompt"], chat["datasource"]) == (CHAT["prompt"], "sums")
    assert json.loads(chat["row"]) == CHAT


@pytest.mark.parametrize("row", [PLAIN, CHAT], ids=["text", "conversation"])
def test_verl_and_nemo_read_conversations_only(row: dict[str, Any]) -> None:
    asked = CHAT["prompt"] if row is CHAT else [USER]
    assert one(to_verl, row, "sft", False) == {"messages": [*asked, ASSISTANT]}
    assert one(to_nemo, row, "sft", False) == {"messages": [*asked, ASSISTANT]}
    for method in conversion.PAIRED:
        found = one(to_nemo, row, method, False)
        assert found["context"] == asked
        assert [each["rank"] for each in found["completions"]] == [0, 1]
        assert [each["completion"] for each in found["completions"]] == [[ASSISTANT], [WRONG]]


@pytest.mark.parametrize("method", conversion.REWARDED)
@pytest.mark.parametrize("row", [PLAIN, CHAT], ids=["text", "conversation"])
def test_the_row_travels_to_the_reward_through_verl_and_nemo(
    row: dict[str, Any], method: str
) -> None:
    found = one(to_verl, row, method, True)
    assert json.loads(found["reward_model"]["ground_truth"]) == row
    assert found["data_source"] == row.get("source", "default")
    assert found["prompt"][-1] == USER
    *asked, packed = one(to_nemo, row, method, True)["messages"]
    assert json.loads(packed["content"]) == row
    assert asked[-1] == USER


def test_a_text_is_a_message_where_any_row_is_a_conversation(tmp_path: Path) -> None:
    source = written(tmp_path / "rows.jsonl", [PLAIN, CHAT])
    made = stage({source: 1.0}, "sft")
    found = survey(made)
    assert (found.rows, found.chat) == ({source: 2}, True)
    rows = list(to_openrlhf(drawn(made, found), "sft", found.chat))
    assert [row["prompt"][-1] for row in rows] == [USER, USER]


def numbered(count: int, name: str) -> list[dict[str, Any]]:
    return [{"prompt": f"{name} {at}", "source": name} for at in range(count)]


def test_sources_are_drawn_by_their_weights(tmp_path: Path) -> None:
    large = written(tmp_path / "large.jsonl", numbered(600, "large"))
    small = written(tmp_path / "small.jsonl", numbered(200, "small"))
    made = stage({large: 1.0, small: 3.0})
    rows = list(drawn(made, survey(made)))
    assert Counter(row["source"] for row in rows) == {"large": 200, "small": 600}
    repeated = Counter(row["prompt"] for row in rows if row["source"] == "small")
    assert set(repeated.values()) == {3}  # each as often as any other
    assert max(Counter(row["prompt"] for row in rows if row["source"] == "large").values()) == 1


def test_equal_shares_lose_no_row_and_repeat_none(tmp_path: Path) -> None:
    data = {written(tmp_path / f"{name}.jsonl", numbered(50, name)): 1.0 for name in ("a", "b")}
    made = stage(data)
    assert len({row["prompt"] for row in drawn(made, survey(made))}) == 100


def test_which_rows_are_drawn_follows_from_the_seed(tmp_path: Path) -> None:
    large = written(tmp_path / "large.jsonl", numbered(600, "large"))
    small = written(tmp_path / "small.jsonl", numbered(200, "small"))
    found = [
        [row["prompt"] for row in drawn(made, survey(made))]
        for made in (stage({large: 1.0, small: 3.0}, seed=seed) for seed in (1, 1, 2))
    ]
    assert found[0] == found[1] != found[2]


def test_each_row_is_as_likely_to_be_drawn_as_any_other() -> None:
    taken: Counter[int] = Counter()
    for seed in range(4000):
        rows = ({"n": at} for at in range(10))
        taken.update(row["n"] for row in conversion._some(rows, 3, 10, str(seed)))
    assert sum(taken.values()) == 12_000
    deviation = sum((count - 1200) ** 2 / (1200 * 0.7) for count in taken.values())
    assert deviation < 30  # chi-squared of 9 degrees: one in 2000 seeds would exceed it


def test_a_source_without_rows_and_a_row_without_a_column_are_named(tmp_path: Path) -> None:
    empty = written(tmp_path / "empty.jsonl", [])
    with pytest.raises(ConfigError, match=r"data: .*empty\.jsonl holds no rows"):
        survey(stage({empty: 1.0}))
    bad = written(tmp_path / "bad.jsonl", [PLAIN, {"question": "?"}])
    with pytest.raises(ConfigError, match=r"bad\.jsonl: line 2: the row has no 'prompt'"):
        survey(stage({bad: 1.0}))


# --------------------------------------------------------------------------------- the files


@pytest.mark.parametrize("row", [PLAIN, CHAT], ids=["text", "conversation"])
def test_what_was_written_is_read_back_by_the_library_the_frameworks_read_with(
    row: dict[str, Any], tmp_path: Path
) -> None:
    from datasets import load_dataset

    rows = [dict(row, answer=at) for at in range(3)]
    for convert, write, kind in (
        (to_openrlhf, conversion.write_jsonl, "json"),
        (to_verl, conversion.write_parquet, "parquet"),
        (to_nemo, conversion.write_jsonl, "json"),
    ):
        for method in ("sft", "grpo"):
            path = tmp_path / f"{convert.__name__}-{method}"
            expected = list(convert(rows, method, True))
            write(iter(expected), path)
            found = load_dataset(
                kind, data_files=str(path), split="train", cache_dir=str(tmp_path / "cache")
            )
            assert [dict(each) for each in found] == expected


def test_more_rows_than_one_batch_are_all_there(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    rows = numbered(conversion.BATCH * 2 + 1, "x")
    conversion.write_parquet(to_verl(rows, "grpo", True), tmp_path / "x.parquet")
    read = pq.ParquetFile(tmp_path / "x.parquet")
    assert (read.metadata.num_rows, read.metadata.num_row_groups) == (len(rows), 3)
    last = read.read_row_group(2).to_pylist()[0]
    assert last["extra_info"]["index"] == len(rows) - 1
    conversion.write_jsonl(to_nemo(rows, "grpo", True), tmp_path / "x.jsonl")
    assert (tmp_path / "x.jsonl").read_bytes().count(b"\n") == len(rows)


def test_a_field_that_appears_late_is_told_and_not_dropped(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [{"messages": [USER, ASSISTANT]}] * conversion.BATCH
    call: Any = {"role": "assistant", "content": "", "tool_calls": [{"name": "f"}]}
    late = [*rows, {"messages": [USER, call]}]
    with pytest.raises(ConfigError, match=r"data: the first 4096 rows have no field like those"):
        conversion.write_parquet(iter(late), tmp_path / "x.parquet")
    first = [{"messages": [USER, call]}, *rows]
    conversion.write_parquet(iter(first), tmp_path / "x.parquet")
