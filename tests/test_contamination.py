"""Training data held against what is asked."""

from __future__ import annotations

import gzip
import json
import random
import socket
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st

from evalkit import plugins
from evalkit.cli import cli
from evalkit.contamination import texts as texts_module
from evalkit.contamination.found import TaskNote, contamination
from evalkit.contamination.grams import SIZE, hashed, numbered
from evalkit.contamination.words import words
from evalkit.errors import ConfigError, DataError
from evalkit.training.stage_key import file_content
from evalkit.types import Checkpoint
from tests.small_exams import doubles, exam

WORDS = [f"word{n}" for n in range(400)]
CHINESE = [chr(code) for code in range(0x4E00, 0x4E00 + 500)]


def question(number: int, length: int = 30) -> str:
    return " ".join(random.Random(number).choices(WORDS, k=length)) + "?"


def asked(questions: Iterable[str]) -> Any:
    from evalkit.types import Sample

    every = [Sample(str(n), text, "x") for n, text in enumerate(questions)]
    return exam(doubles(2, samples=lambda _: iter(every)))


def write(path: Path, rows: Iterable[object]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def note(questions: list[str], *files: Path) -> TaskNote:
    ((found,), _) = contamination([asked(questions)], files)
    return found


def ids(found: TaskNote) -> set[str]:
    return {each.id for each in found.found}


@given(st.lists(st.integers(0, 5), max_size=60))
@settings(deadline=None)
def test_ngrams_are_those_without_an_unknown_word_and_equal_ones_have_equal_hashes(
    numbers: list[int],
) -> None:
    found, starts = hashed(np.array(numbers, np.int64))
    windows = {
        at: tuple(numbers[at : at + SIZE])
        for at in range(len(numbers) - SIZE + 1)
        if 0 not in numbers[at : at + SIZE]
    }
    assert starts.tolist() == [*windows]
    known = dict(zip(windows.values(), found.tolist(), strict=True))
    assert [known[each] for each in windows.values()] == found.tolist()
    assert len({*known.values()}) == len(known)


def test_order_and_every_word_of_an_ngram_count() -> None:
    base = list(range(1, SIZE + 1))
    others = [base, base[::-1], [*base[:-1], 99], [99, *base[1:]], [*base[:6], 99, *base[7:]]]
    assert len({hashed(np.array(each, np.int64))[0].item() for each in others}) == len(others)


def test_words_are_words_and_characters_of_scripts_without_spaces() -> None:
    assert words("Don't STOP, the_end 3.5!") == ["don", "t", "stop", "the_end", "3", "5"]
    assert words("Ｆｕｌｌ Straße") == ["full", "strasse"]
    assert words("我有3个 apples") == ["我", "有", "3", "个", "apples"]
    assert words("สวัสดี") != ["สวัสดี"]
    assert numbered(["a", "b"], {"b": 7}) == [0, 7]


def test_a_question_within_a_longer_text_is_found_and_its_share_told(tmp_path: Path) -> None:
    questions = [question(n) for n in range(20)]
    half = " ".join(questions[3].split()[:20])
    rows = [{"text": f"Once upon {questions[2].upper()} the end"}, {"text": half}, {"text": "no"}]
    found = note(questions, write(tmp_path / "t.jsonl", rows))
    assert [(each.id, each.exact) for each in found.found] == [("2", False), ("3", False)]
    assert found.found[0].share == 1.0
    assert found.found[1].share == pytest.approx(8 / 18)
    assert found.found[0].first == f"{tmp_path / 't.jsonl'}: row 1"
    assert (found.touched, found.most, found.exact) == (2, 1, 0)


def test_twelve_words_in_a_row_are_no_ngram_and_nothing_goes_from_text_to_text(
    tmp_path: Path,
) -> None:
    parts = question(1).split()
    rows = [{"text": " ".join(parts[:12])}, {"a": " ".join(parts[:7]), "b": " ".join(parts[7:16])}]
    assert note([question(1), question(2)], write(tmp_path / "t.jsonl", rows)).touched == 0
    assert note(
        [question(1), question(2)], write(tmp_path / "u.jsonl", [" ".join(parts[:13])])
    ).touched


def test_short_questions_are_found_as_a_whole_but_for_case_and_spacing(tmp_path: Path) -> None:
    questions = ["What is 3 + 4?", "What is 3 - 4?", "Where is Rome?"]
    rows = [{"q": " what is 3  + 4?\n"}, {"q": "I wonder: Where is Rome?"}]
    found = note(questions, write(tmp_path / "t.jsonl", rows))
    assert ids(found) == {"0"}
    assert (found.short, found.exact) == (3, 1)


def test_chinese_is_compared_by_characters(tmp_path: Path) -> None:
    questions = ["".join(random.Random(n).choices(CHINESE, k=25)) + "？" for n in range(5)]
    rows = [{"text": "前" + questions[1] + "后"}, {"text": questions[2][:12]}]
    found = note(questions, write(tmp_path / "t.jsonl", rows))
    assert ids(found) == {"1"}
    assert found.short == 0


def test_what_all_items_share_is_of_their_template(tmp_path: Path) -> None:
    template = question(99)
    questions = [f"{template} {n}" for n in range(40)]
    assert note(questions, write(tmp_path / "t.jsonl", [{"text": template}])).touched == 0
    assert ids(note(questions, write(tmp_path / "t.jsonl", [{"text": questions[7]}]))) == {"7"}


SHAPES: list[Any] = [
    lambda q: {"prompt": q, "completion": "Yes."},
    lambda q: {"prompt": [{"role": "user", "content": q}], "chosen": "a", "rejected": "b"},
    lambda q: {
        "messages": [{"role": "user", "content": "Hm"}, {"role": "assistant", "content": q}]
    },
    lambda q: {"conversations": [{"from": "human", "value": q}, {"from": "gpt", "value": "Yes."}]},
    lambda q: {"instruction": "Answer.", "nested": {"deep": [[q]]}},
]


@pytest.mark.parametrize("shape", SHAPES)
def test_texts_are_found_in_rows_of_any_shape(tmp_path: Path, shape: Any) -> None:
    rows = [shape("nothing"), shape(question(4))]
    assert ids(note([question(3), question(4)], write(tmp_path / "t.jsonl", rows))) == {"1"}


def test_files_of_every_kind_are_read(tmp_path: Path) -> None:
    questions = [question(n) for n in range(7)]
    write(tmp_path / "a.jsonl", [{"t": questions[0]}])
    (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress(json.dumps({"t": questions[1]}).encode()))
    (tmp_path / "c.json").write_text(json.dumps([{"t": "no"}, {"t": questions[2]}]))
    (tmp_path / "d.csv").write_text(f"t,u\n1,{questions[3]}\n")
    table = pa.table({"m": [[{"role": "user", "content": text}] for text in ("no", questions[4])]})
    pq.write_table(table, tmp_path / "e.parquet", row_group_size=1)
    (tmp_path / "f.txt").write_text(f"First line.\n\n{questions[5]}\n")
    files = sorted(path for path in tmp_path.iterdir())
    found = note(questions, *files)
    assert ids(found) == {"0", "1", "2", "3", "4", "5"}
    where = {each.id: each.first.replace(f"{tmp_path}/", "") for each in found.found}
    assert where["2"] == "c.json: row 2"
    assert where["4"] == "e.parquet: row 2"


def test_many_blocks_are_gone_through_by_processes_and_say_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    questions = [question(n) for n in range(300)]
    rows = [
        {"text": question(n, 60) if n % 10 else questions[n // 10 - 200]} for n in range(2000, 4000)
    ]
    rows += [{"text": questions[5]}, {"text": questions[5]}]
    path = write(tmp_path / "t.jsonl", rows)
    alone = note(questions, path)
    monkeypatch.setattr(texts_module, "BLOCK", 50_000)
    assert note(questions, path) == alone
    places = {each.id: each.first for each in alone.found}
    assert places["5"] == f"{path}: row 51"
    assert len(places) == 200


@pytest.mark.parametrize(
    ("name", "content", "kind", "message"),
    [
        ("t.jsonl", b'{"a": 1}\n{"a"\n', DataError, "t.jsonl: line 2: not JSON"),
        ("t.jsonl.gz", b"no gzip", DataError, "t.jsonl.gz: damaged gzip file"),
        ("t.parquet", b"no parquet", DataError, "t.parquet: damaged parquet file"),
        ("t.jsonl", b"", DataError, "t.jsonl: no rows to look through"),
        ("t.xyz", b"", ConfigError, "t.xyz: cannot be read: give a file that ends in .jsonl"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(
    tmp_path: Path, name: str, content: bytes, kind: type[Exception], message: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(kind, match=message.replace(".", r"\.")):
        note([question(1)], tmp_path / name)


def test_hostile_rows_are_gone_through(tmp_path: Path) -> None:
    deep: Any = question(1)
    for _ in range(100):
        deep = [deep]
    rows = [deep, {"t": "\u202e\x00" * 1000}, 7, None, {"t": " " * 100_000}, {"t": question(2)}]
    assert ids(note([question(n) for n in range(3)], write(tmp_path / "t.jsonl", rows))) == {"2"}


def evalkit(*words: str) -> Result:
    return CliRunner().invoke(cli, words, catch_exceptions=False)


def own_config(folder: Path) -> Path:
    rows = [{"prompt": question(n), "target": "x"} for n in range(60)]
    write(folder / "mine.jsonl", rows)
    (folder / "c.yaml").write_text(
        "baseline: base\ncheckpoints:\n"
        "  - {name: base, backend: {name: echo, skill: 0.4}}\n"
        "  - {name: sft, backend: {name: echo, skill: 0.8}}\n"
        "tasks: [{name: mine, data: mine.jsonl, scorer: exact}]\n"
    )
    return folder / "c.yaml"


def test_the_command_tells_of_ones_own_tasks_as_text_and_as_json(tmp_path: Path) -> None:
    config = own_config(tmp_path)
    data = write(tmp_path / "train.jsonl", [{"text": question(n)} for n in range(50, 70)])
    told = evalkit("contamination", str(data), "--config", str(config))
    assert told.exit_code == 0
    assert "20 rows of " in told.output
    assert told.output.splitlines()[3].split()[:6] == ["mine", "60", "10", "10", "10", "0"]
    found = evalkit("contamination", str(data), "--config", str(config), "--format", "json")
    (task,) = json.loads(found.output)["tasks"]
    assert len(task["found"]) == 10
    generated = evalkit("contamination", str(data), "--task", "mini-copy")
    assert generated.output.splitlines()[3].split()[:3] == ["mini-copy", "297", "0"]


@pytest.fixture
def reached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A machine with part of one benchmark, no caches and no network; what it tries to reach."""
    home = tmp_path / "data" / "alpaca_eval"
    home.mkdir(parents=True)
    rows = [{"instruction": question(n), "output": "x", "dataset": "d"} for n in range(805)]
    write(home / "gpt4_1106_preview_model_outputs.jsonl", rows)
    monkeypatch.setenv("EVALKIT_DATA", str(tmp_path / "data"))
    for name in ("HF_HOME", "HF_HUB_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, str(tmp_path / "cache"))
    tried: list[str] = []

    def refuse(*address: Any, **_: Any) -> Any:
        tried.append(repr(address))
        raise OSError("there is no network here")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(socket.socket, "connect", lambda self, address: refuse(address))
    return tried


def test_tasks_that_nobody_named_are_looked_at_without_the_network(
    tmp_path: Path, reached: list[str]
) -> None:
    data = write(tmp_path / "train.jsonl", [{"text": question(3)}])
    told = evalkit("contamination", str(data), "--format", "json")
    assert told.exit_code == 0
    found = json.loads(told.output)
    assert {"mini-copy", "mini-tools"} <= {task["task"] for task in found["tasks"]}
    assert {"mmlu-pro", "gsm8k", "gpqa-main", "alpaca-eval-2"} <= found["left_out"].keys()
    assert "not downloaded yet" in found["left_out"]["alpaca-eval-2"]
    assert reached == []


def test_a_task_that_is_named_may_be_downloaded(tmp_path: Path, reached: list[str]) -> None:
    data = write(tmp_path / "train.jsonl", [{"text": question(3)}])
    with pytest.raises(DataError, match="there is no network here"):
        evalkit("contamination", str(data), "--task", "alpaca-eval-2")
    assert any("raw.githubusercontent.com" in address for address in reached)


def test_a_delta_stands_beside_that_on_items_which_no_training_data_have(tmp_path: Path) -> None:
    config, results = own_config(tmp_path), tmp_path / "r"
    data = write(tmp_path / "train.jsonl", [{"text": question(n)} for n in range(40, 80)])
    echo = plugins.backend("echo")
    run = results / "runs/sft-1"
    run.mkdir(parents=True)
    source = {"source": str(data), "sha256": file_content(data), "weight": 1.0}
    identity = echo.identify(Checkpoint("sft", backend="echo", options={"skill": 0.8, "seed": 0}))
    entry = {"event": "checkpoint", "run": "sft", "step": 1, "path": "final"}
    write(run / "evalkit.jsonl", [entry | {"identity": identity, "data": [source], "time": 1.0}])
    told = evalkit("run-matrix", str(config), "--results", str(results))
    assert told.exit_code == 0
    assert "without 20 items in training data: " in told.output
    report = json.loads((results / "report/verdict.json").read_text())
    (cell,) = report["candidates"][0]["cells"]
    assert (cell["n"], cell["clean"]["n"], cell["clean"]["touched"]) == (60, 40, 20)
    assert cell["clean"]["delta"] == pytest.approx(_delta(results, range(40)))
    assert cell["delta"] == pytest.approx(_delta(results, range(60)))
    data.write_text("")
    again = evalkit("run-matrix", str(config), "--results", str(results))
    assert "in training data" not in again.output


def _delta(results: Path, numbers: Iterable[int]) -> float:
    """The mean difference of some questions, worked out from the tables."""
    from evalkit.storage.tables import read_table

    wanted = {question(number) for number in numbers}
    means = []
    for name in ("base", "sft"):
        (cell,) = (results / "mine").glob(f"{name}-*")
        asked = {
            row["id"]: row["question"] for row in read_table(cell / "answers.parquet").to_pylist()
        }
        scores = read_table(cell / "scores.parquet").to_pylist()
        means.append(np.mean([row["value"] for row in scores if asked[row["id"]] in wanted]))
    return float(means[1] - means[0])


def test_the_benchmark_runs_and_finds_what_it_has_planted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from benchmarks import contamination as benchmark

    monkeypatch.delenv("EVALKIT_DATA", raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    monkeypatch.setattr("sys.argv", ["contamination", str(tmp_path), "300"])
    monkeypatch.setattr(benchmark, "PLANTED", 100)
    benchmark.main()
    said = capsys.readouterr().out
    assert "300 rows: " in said
    assert " 0 items found" not in said
