"""The user's one reward inside each framework: what it is given, and what becomes of failures.

The files are run as the frameworks run them: alone in a folder, by a python that has nothing else.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from importlib import util
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from evalkit import Stage
from tests.tiny_models import MARKS, tiny_model
from trainers import _reward_files

REWARDS = """
import math
def seen(prompt, completion, row):
    print(repr([prompt, completion, sorted(row)]))
    return len(completion)
def yes(prompt, completion, row): return completion == row["answer"]
def nothing(prompt, completion, row): return None
def undefined(prompt, completion, row): return math.nan
def words(prompt, completion, row): return "good"
def raising(prompt, completion, row): return row["no such"]
"""
ROW = {"prompt": "2+2?", "answer": "4", "_at": "rows.jsonl: line 7"}


def prepared(tmp_path: Path, function: str, shim: str, parent: str = "/models/base") -> Path:
    """The folder of a job, with its reward in it."""
    folder = tmp_path / "job"
    folder.mkdir(exist_ok=True)
    (tmp_path / "mine.py").write_text(REWARDS)
    made = Stage("s", "grpo", str(tmp_path), parent=parent, reward=f"{tmp_path}/mine.py:{function}")
    for name, content in _reward_files.files(made, shim, "reward.py").items():
        (folder / name).write_text(content)
    return folder


def asked_by_verl(
    folder: Path, row: dict[str, Any], answer: str
) -> subprocess.CompletedProcess[str]:
    """As verl asks: the file loaded by its path, in a python without any package."""
    code = (
        "import importlib.util, sys\n"
        "spec = importlib.util.spec_from_file_location('custom_module', sys.argv[1])\n"
        "module = importlib.util.module_from_spec(spec)\n"
        "spec.loader.exec_module(module)\n"
        "print(module.compute_score('s', sys.argv[2], sys.argv[3], extra_info={}))\n"
    )
    command = [sys.executable, "-I", "-S", "-c", code, str(folder / "reward.py"), answer]
    return subprocess.run(
        [*command, json.dumps(row)], capture_output=True, text=True, check=False
    )  # fmt: skip


def test_the_function_is_given_the_prompt_the_answer_and_the_users_own_row(tmp_path: Path) -> None:
    folder = prepared(tmp_path, "seen", "_shim_verl.py")
    done = asked_by_verl(folder, ROW, " 4\n")
    assert done.stdout == "['2+2?', ' 4\\n', ['answer', 'prompt']]\n3.0\n", done.stderr
    chat = [{"role": "user", "content": "2+2?"}]
    done = asked_by_verl(folder, {**ROW, "prompt": chat}, "4")
    assert done.stdout.startswith(f"[{chat!r}, '4'")


def test_a_truth_value_is_a_number(tmp_path: Path) -> None:
    folder = prepared(tmp_path, "yes", "_shim_verl.py")
    assert asked_by_verl(folder, ROW, "4").stdout == "1.0\n"
    assert asked_by_verl(folder, ROW, "5").stdout == "0.0\n"


@pytest.mark.parametrize(
    ("function", "said"),
    [
        ("nothing", "returned None, where a number is due"),
        ("undefined", "returned nan, where a finite number is due"),
        ("words", "returned 'good', where a number is due"),
        ("raising", "KeyError: 'no such'"),
    ],
)
def test_what_is_no_reward_names_the_row_and_is_written_down(
    function: str, said: str, tmp_path: Path
) -> None:
    folder = prepared(tmp_path, function, "_shim_verl.py")
    done = asked_by_verl(folder, ROW, "4")
    assert done.returncode != 0
    told = (folder / "reward.error").read_text()
    assert f"mine.py:{function} on the row of rows.jsonl: line 7" in told
    assert told.endswith(said)
    asked_by_verl(folder, {**ROW, "_at": "rows.jsonl: line 9"}, "4")
    assert (folder / "reward.error").read_text() == told  # the first is the cause


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("model"), template=True)


@pytest.fixture
def openrlhf(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The file as OpenRLHF loads it, with a reward that tells the length of the answer."""
    folder = prepared(tmp_path, "seen", "_shim_openrlhf.py", str(model))
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.delitem(sys.modules, "evalkit_reward", raising=False)
    spec = util.spec_from_file_location("reward_func", folder / "reward.py")
    assert spec is not None
    assert spec.loader is not None
    module = util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    sys.modules.pop("evalkit_reward", None)


def rewards(module: ModuleType, query: str, prompt: str) -> list[float]:
    row = json.dumps({**ROW, "prompt": prompt})
    found = module.reward_func([query], [prompt], [row])
    assert found["rewards"].tolist() == found["scores"].tolist()
    return [float(value) for value in found["rewards"]]


def test_openrlhfs_query_is_cut_into_prompt_and_answer(openrlhf: ModuleType) -> None:
    prompt = "<s><|user|>2+2?\n<|assistant|>"
    assert rewards(openrlhf, f"{prompt}four</s>", prompt) == [4.0]
    assert rewards(openrlhf, f"{prompt}</s></s>", prompt) == [0.0]
    assert rewards(openrlhf, f"{prompt}", prompt) == [0.0]


def test_a_prompt_that_was_cut_short_at_its_beginning_is_still_found(openrlhf: ModuleType) -> None:
    prompt = "x" * 500 + "What is two and two, written as a word, in English, please? Answer: "
    query = prompt[200:] + "four</s>"
    assert rewards(openrlhf, query, prompt) == [4.0]


def test_an_answer_that_repeats_its_prompt_is_whole(openrlhf: ModuleType) -> None:
    assert rewards(openrlhf, "2+2?2+2?4</s>", "2+2?") == [5.0]


def test_the_tokens_that_are_left_out_are_the_models_own(model: Path, tmp_path: Path) -> None:
    assert set(_reward_files.specials(model)) == set(MARKS)
    assert _reward_files.specials(tmp_path) == []
