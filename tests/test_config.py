"""The user's file: whatever is wrong with it is one line with the place and the remedy."""

from __future__ import annotations

import time
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from evalkit.configuration.config import Loaded, load
from evalkit.configuration.resolve import resolve
from evalkit.errors import ConfigError
from evalkit.matrix import Matrix

GOOD = """\
baseline: base
checkpoints:
  - {name: base, backend: echo}
  - {name: sft, backend: {name: echo, skill: 0.5}, parent: base}
tasks: [mini-arithmetic, {name: mini-choice, epochs: 2, sampling: {temperature: 1}}]
gate:
  margins: {mathematics: 3.0}
"""


def parsed(folder: Path, text: str) -> Loaded:
    path = folder / "evalkit.yaml"
    path.write_text(dedent(text), encoding="utf-8")
    return load(path)


def resolved(folder: Path, text: str, **more: Any) -> Matrix:
    return resolve(parsed(folder, text), **more)


def error(folder: Path, text: str) -> str:
    """What is said of a file, without the folder it is in; always one line."""
    with pytest.raises(ConfigError) as caught:
        resolved(folder, text)
    said = str(caught.value)
    assert "\n" not in said
    assert caught.value.exit_code == 2
    return said.replace(f"{folder}/", "")


def test_a_good_file_becomes_a_matrix(tmp_path: Path) -> None:
    matrix = resolved(tmp_path, GOOD)
    assert [row.checkpoint.name for row in matrix.rows] == ["base", "sft"]
    assert matrix.rows[1].checkpoint.options == {"skill": 0.5, "seed": 0}
    assert [exam.task.epochs for exam in matrix.exams] == [1, 2]
    assert matrix.exams[1].task.sampling.temperature == 1.0
    assert matrix.policy.margins == {"mathematics": 0.03}
    assert matrix.pairs == [("sft", "base")]


def test_paths_start_from_the_files_folder(tmp_path: Path) -> None:
    (tmp_path / "brief.txt").write_text("Be brief.\n")
    text = GOOD.replace("backend: echo}", "backend: echo, system_prompt: brief.txt, model: ./m}")
    row = resolved(tmp_path, text).rows[0]
    assert row.checkpoint.system_prompt == "Be brief."
    assert row.checkpoint.model == str(tmp_path / "m")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("baseline", "baselin", "evalkit.yaml:1: baselin: unknown key; did you mean 'baseline'?"),
        ("skill", "skil", "yaml:4: checkpoints[1].backend.skil: unknown option of echo; did you"),
        ("mini-choice", "mini-choise", "yaml:5: tasks[1]: unknown task 'mini-choise'; did you"),
        ("temperature: 1", "temprature: 1", "tasks[1].sampling.temprature: unknown key; did you"),
        ("epochs: 2", "epochs: two", "yaml:5: tasks[1].epochs: input should be a valid integer"),
        ("epochs: 2", "epochs: 0", "tasks[1].epochs: input should be greater than 0 (given 0)"),
        ("epochs: 2", "preset: fast", "tasks[1]: mini-choice has no presets; leave out 'fast'"),
        ("3.0", "-1", "yaml:7: gate.margins.mathematics: input should be greater than or equal"),
        ("3.0", ".nan", "yaml:7: gate.margins.mathematics: input should be "),
        ("mathematics", "maths", "gate.margins.maths: no such domain or task; did you mean"),
        ("baseline: base", "baseline: bass", "yaml:1: baseline: no checkpoint goes by 'bass'; did"),
        ("name: sft", "name: base", "yaml:4: checkpoints[1]: two entries are called 'base'"),
        ("name: sft", "name: a/b", "yaml:4: checkpoints[1].name: 'a/b' cannot be a name: letters"),
        ("name: sft", "name: no", "yaml:4: checkpoints[1].name: input should be a valid string"),
        ("name: sft, ", "", "yaml:4: checkpoints[1].name: is required and is not there"),
        ("parent: base", "parent: bsae", "checkpoints[1].parent: no other checkpoint 'bsae'; did"),
        ("parent: base", "parent: sft", "checkpoints[1].parent: no other checkpoint 'sft'"),
        ("backend: echo}", "backend: ecco}", "yaml:3: checkpoints[0].backend.name: unknown back"),
        ("backend: echo}", "backend: 5}", "yaml:3: checkpoints[0].backend: input should be"),
        ("backend: echo}", "system_prompt: no.txt}", "checkpoints[0].system_prompt: cannot read"),
        ("tasks: [", "tasks: []\nlimit: [", "yaml:5: tasks: is empty; give at least one"),
        ("gate:", "limit: 1\ngate:", "yaml:6: limit: input should be greater than or equal to 2"),
        ("gate:", "limit: 1.5\ngate:", "yaml:6: limit: input should be a valid integer"),
        ("gate:", "reports: [markdwn]\ngate:", "reports[0]: unknown report 'markdwn'; did you"),
        ("gate:", "data: {mini-chioce: x}\ngate:", "data.mini-chioce: unknown task 'mini-chioce'"),
        ("gate:", "data: {mini-choice: nowhere}\ngate:", "data.mini-choice: no file or folder at"),
        ("gate:", "judge: {checkpoint: bse}\ngate:", "judge.checkpoint: no checkpoint 'bse'; did"),
        ("gate:", "gate: {}\ngate:", "evalkit.yaml:7: gate: given twice; keep one"),
        ("gate:", "tasks: x\ngate:", "evalkit.yaml:6: tasks: given twice; keep one"),
        (", mini-choice", ", mini-arithmetic", "tasks[1]: two entries are called 'mini-arithm"),
        ("[mini-arithmetic, {", "[mini-chat, {", "yaml:5: tasks[0]: mini-chat is judged: name a `"),
        ("{name: mini-choice", "{weight: .inf, name: mini-choice", "tasks[1].weight: input should"),
    ],
)
def test_what_is_wrong_is_named_by_file_line_and_key(
    tmp_path: Path, old: str, new: str, said: str
) -> None:
    text = GOOD
    if old == ", mini-choice":
        text = text.replace(
            "{name: mini-choice, epochs: 2, sampling: {temperature: 1}}", "mini-choice"
        )
    assert old in text
    assert said in error(tmp_path, text.replace(old, new, 1))


@pytest.mark.parametrize(
    ("stage", "said"),
    [
        ("{name: s, method: sftt}", "pipeline[0].method: unknown training method 'sftt'; did you"),
        ("{name: s, method: sft, parent: bse}", "pipeline[0].parent: no earlier checkpoint 'bse'"),
        ("{name: s, method: sft, data: no.jsonl}", "pipeline[0].data: no data file at"),
        ("{name: s, method: sft, data: 'task:mini-x'}", "pipeline[0].data: unknown task 'mini-x'"),
        ("{name: s, method: sft, data: 'task:mmlu-pro'}", "data: mmlu-pro has no training split"),
        ("{name: s, method: grpo, reward: 'no.py:f'}", "pipeline[0].reward: no file at"),
        ("{name: s, method: grpo, reward: exact}", "pipeline[0].reward: 'exact' is not a reward"),
        ("{name: s, method: grpo, reward: 'task:mini'}", "pipeline[0].reward: unknown task 'mini'"),
        ("{name: base, method: sft}", "pipeline[0]: two entries are called 'base'; rename one"),
        ("{name: s, methd: sft}", "pipeline[0].methd: unknown key; did you mean 'method'?"),
        ("{name: s, method: sft, data: {a: x}}", "pipeline[0].data.a: input should be a valid num"),
    ],
)
def test_a_wrong_stage_is_named_by_its_key(tmp_path: Path, stage: str, said: str) -> None:
    assert said in error(tmp_path, f"{GOOD}pipeline:\n  - {stage}\n")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "the file is empty; see examples"),
        ("# nothing\n", "the file is empty"),
        ("- a\n- b\n", "evalkit.yaml:1: expected keys such as"),
        ("just text", "evalkit.yaml:1: expected keys such as"),
        ("a: [1, 2\nb: 3\n", "evalkit.yaml:2: not YAML: "),
        ("a:\n\t- b\n", "evalkit.yaml:2: not YAML: found character '\\t'"),
        ("a: {b: c: d}", "evalkit.yaml:1: not YAML: "),
        ("a: *nowhere\n", "evalkit.yaml:1: not YAML: found undefined alias"),
        ("a: !!python/object:os.system x\n", "evalkit.yaml:1: not YAML: could not determine a con"),
        ("a: !function x.y\n", "evalkit.yaml:1: not YAML: could not determine a constructor"),
        ("a: b\n---\nc: d\n", "evalkit.yaml:2: not YAML: but found another document"),
        ("[a, b]: c\n", "evalkit.yaml:1: a key must be a plain name"),
        ("{{}: 1}", "evalkit.yaml:1: a key must be a plain name"),
        ("baseline: 2024-13-45\n", "evalkit.yaml: not YAML: month must be in 1..12"),
        ("baseline: !!int x\n", "evalkit.yaml: not YAML: invalid literal"),
        ("a: b\0c\n", "not YAML: unacceptable character"),
        ("a: &x [*x]\n", "nested too deeply, or an alias that holds itself"),
        ("[" * 5000, "nested too deeply"),
    ],
)
def test_what_is_not_a_config_is_an_error_of_one_line(tmp_path: Path, text: str, said: str) -> None:
    assert said in error(tmp_path, text)


@pytest.mark.parametrize("text", ["1: x\n", "null: x\n", "true: x\n", "2024-01-01: x\n", "~: ~\n"])
def test_keys_that_are_no_names_are_errors(tmp_path: Path, text: str) -> None:
    assert "evalkit.yaml:" in error(tmp_path, text)


def test_a_file_that_is_no_text_or_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file"):
        load(tmp_path / "none.yaml")
    with pytest.raises(ConfigError, match="cannot be read as UTF-8"):
        load(tmp_path)
    (tmp_path / "binary").write_bytes(b"\xff\xfe\0\1")
    with pytest.raises(ConfigError, match="cannot be read as UTF-8"):
        load(tmp_path / "binary")


def test_aliases_that_multiply_are_refused_at_once(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    started = time.process_time()
    assert "aliases come to over" in error(tmp_path, "\n".join(lines))
    assert time.process_time() - started < 5


def test_plain_aliases_may_be_used(tmp_path: Path) -> None:
    text = GOOD.replace("{name: echo, skill: 0.5}", "&b {name: echo, skill: 0.5}")
    text = text.replace("tasks:", "  - {name: dpo, backend: *b}\ntasks:")
    matrix = resolved(tmp_path, text)
    assert matrix.rows[2].checkpoint.options == matrix.rows[1].checkpoint.options


def test_a_byte_order_mark_is_no_part_of_the_first_key(tmp_path: Path) -> None:
    assert resolved(tmp_path, f"\ufeff{GOOD}").baseline == "base"


def test_each_stands_against_the_baseline_then_against_its_parent(tmp_path: Path) -> None:
    text = GOOD.replace("tasks:", "  - {name: dpo, backend: echo, parent: sft}\ntasks:")
    found = resolved(tmp_path, text).pairs
    assert found == [("sft", "base"), ("dpo", "base"), ("dpo", "sft")]


def test_the_command_lines_limit_comes_before_the_files(tmp_path: Path) -> None:
    limited = f"limit: 20\n{GOOD}"
    assert {exam.limit for exam in resolved(tmp_path, limited).exams} == {20}
    assert {exam.limit for exam in resolved(tmp_path, limited, limit=7).exams} == {7}


def test_a_judge_takes_no_part_in_its_own_matrix(tmp_path: Path) -> None:
    text = GOOD + "judge: {checkpoint: judge}\npipeline:\n"
    text += "  - {name: judge, method: pretrain, data: 'task:mini-judge'}\n"
    matrix = resolved(tmp_path, text)
    assert matrix.judge is not None
    assert matrix.judge.checkpoint.name == "judge"
    assert [row.checkpoint.name for row in matrix.rows] == ["base", "sft"]
