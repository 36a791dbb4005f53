"""The replay backend says what was recorded, and nothing else."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import json
import time
from pathlib import Path
from typing import Any

import pytest

from evalkit.backends.replay import identify, open_
from evalkit.errors import ConfigError, ModelError
from evalkit.types import Checkpoint, Request, Response, Sample, Sampling, Task, ToolCall

TASK = Task("sums", "arithmetic", 1, lambda rows: [])
ROW = {"task": "sums", "id": "7", "epoch": 0, "text": "seven"}


def checkpoint(path: Path) -> Checkpoint:
    return Checkpoint("recorded", backend="replay", options={"path": str(path)})


def written(folder: Path, *rows: Any) -> Checkpoint:
    path = folder / "outputs.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return checkpoint(path)


def asked(of: Checkpoint, id: str = "7", epoch: int = 0, task: Task = TASK) -> Response:
    sample = Sample(id, "?", choices=("a", "b"))
    request = Request("", Sampling(stop=("\n",)), task, sample, epoch)
    return asyncio.run(open_(of).generate(request))


def test_an_answer_is_found_by_task_id_and_epoch(tmp_path: Path) -> None:
    rows = [{**ROW, "task": t, "id": i, "epoch": e, "text": f"{t}{i}{e}"}
            for t in ("sums", "other") for i in ("7", 8) for e in (0, 1)]  # fmt: skip
    recorded = written(tmp_path, *rows)
    assert asked(recorded).text == "sums70"
    assert asked(recorded, "8", 1).text == "sums81"


def test_everything_recorded_comes_back(tmp_path: Path) -> None:
    call = {"id": "c", "type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}}
    plain = {"name": "add", "arguments": {"a": 1}}
    row = {**ROW, "text": None, "tool_calls": [call, plain], "finish_reason": "tool_calls",
           "usage": {"prompt_tokens": 5, "completion_tokens": 3}, "reasoning": "hm"}  # fmt: skip
    assert asked(written(tmp_path, row)) == Response(
        text="",
        reasoning="hm",
        tool_calls=(ToolCall("add", '{"a": 1}'), ToolCall("add", '{"a":1}')),
        finish_reason="tool_calls",
        prompt_tokens=5,
        completion_tokens=3,
    )


def test_a_recorded_text_is_not_cut_at_stop_strings(tmp_path: Path) -> None:
    assert asked(written(tmp_path, {**ROW, "text": "a\nb"})).text == "a\nb"


def test_recorded_log_likelihoods_come_back_where_the_task_asks_for_them(tmp_path: Path) -> None:
    choice = Task("sums", "arithmetic", 1, lambda rows: [], ask="loglikelihood")
    row = {"task": "sums", "id": "7", "loglikelihoods": [-1, -2.5]}
    expected = Response("a", loglikelihoods=(-1.0, -2.5))
    assert asked(written(tmp_path, row), task=choice) == expected
    assert "no recorded log-likelihoods" in asked(written(tmp_path, ROW), task=choice).error


def test_a_missing_row_is_an_error_of_that_sample(tmp_path: Path) -> None:
    error = asked(written(tmp_path, ROW), "9", 2).error
    assert "no recorded answer for task 'sums', id '9', epoch 2 in" in error
    assert "outputs.jsonl" in error


def test_gzip_is_read_as_well_and_blank_lines_are_skipped(tmp_path: Path) -> None:
    path = tmp_path / "outputs.jsonl.gz"
    path.write_bytes(gzip.compress(b"\n" + json.dumps(ROW).encode() + b"\n \n"))
    assert asked(checkpoint(path)).text == "seven"


def test_two_answers_for_one_question_name_both_lines(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"jsonl:3: a second answer .* first is on line 1"):
        open_(written(tmp_path, ROW, {**ROW, "id": "8"}, {**ROW, "id": 7}))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"task": "sums", "id"', r"outputs.jsonl:2: not JSON"),
        ('{"task": "sums", "text": "x"}', r"outputs.jsonl:2: .* needs the key 'id'"),
        ('{"task": "sums", "id": "1"}', r"outputs.jsonl:2: .* needs the key 'text'"),
        ('{"task": "sums", "id": "1", "text": 5}', r"outputs.jsonl:2: .*'text' must be a text"),
        ("[1, 2]", r"outputs.jsonl:2: not a recorded answer"),
        ('{"task": "s", "id": "1", "text": "", "tool_calls": [5]}', r"outputs.jsonl:2: not a rec"),
    ],
)
def test_a_bad_line_names_its_file_and_number(tmp_path: Path, line: str, message: str) -> None:
    recorded = written(tmp_path, ROW)
    with (tmp_path / "outputs.jsonl").open("a") as file:
        file.write(line + "\n")
    with pytest.raises(ModelError, match=message):
        open_(recorded)


def test_a_file_that_cannot_be_read_says_so(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="No such file"):
        open_(checkpoint(tmp_path / "none.jsonl"))
    with pytest.raises(ModelError, match="No such file"):
        identify(checkpoint(tmp_path / "none.jsonl"))
    with pytest.raises(ModelError, match="holds no recorded answers"):
        open_(written(tmp_path))
    with pytest.raises(ConfigError, match="replay needs `path:"):
        open_(Checkpoint("recorded", backend="replay"))
    torn = tmp_path / "torn.gz"
    torn.write_bytes(gzip.compress(json.dumps(ROW).encode() * 50)[:-20])
    with pytest.raises(ModelError, match="cannot read the recorded answers"):
        open_(checkpoint(torn))


def test_its_identity_is_the_file(tmp_path: Path) -> None:
    recorded = written(tmp_path, ROW)
    content = (tmp_path / "outputs.jsonl").read_bytes()
    assert identify(recorded) == hashlib.sha256(content).hexdigest()


def test_twelve_thousand_answers_load_in_a_second(tmp_path: Path) -> None:
    recorded = written(tmp_path, *({**ROW, "id": i, "text": "word " * 300} for i in range(12_000)))
    start = time.process_time()
    open_(recorded)
    assert time.process_time() - start < 1.0
