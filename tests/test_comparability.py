"""What makes two cells different exams, what is only listed, and what is only flagged."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from evalkit.comparison.comparability import comparability
from evalkit.comparison.policy import Policy
from evalkit.events import silent
from evalkit.identity import identity
from evalkit.identity.fingerprint import parts
from evalkit.judging.panel import Judge, Panel
from evalkit.matrix import Row
from evalkit.reporting.assembly import assemble
from evalkit.reporting.report import of_run, of_store
from evalkit.run import hold
from evalkit.seat import Seat
from evalkit.storage.store import Cell, Store
from evalkit.types import Opinion, Rubric, Sampling
from tests.small_exams import backend, checkpoint, doubles, exam, held, matrix, right, row

TASK = doubles(10)
META: dict[str, Any] = {
    "checkpoint": {"name": "a", "format": "", "system_prompt": "", "chat_template": "1" * 8},
    "exam": {**identity.exam(TASK, "judge 1"), "data": "d"},
    "environment": {"engine": "vllm", "vllm": "0.9", "dtype": "bfloat16", "device": "cuda"},
}


def changed(section: str, **values: object) -> dict[str, Any]:
    return {**META, section: {**META[section], **values}}


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("version", 2, "version: 1 → 2"),
        ("preset", "cot", "preset: none → cot"),
        ("fewshot", 5, "fewshot: 0 → 5"),
        ("ask", "loglikelihood", "ask: generate → loglikelihood"),
        ("scorer", "doubles@strict", "scorer: doubles → doubles@strict"),
        ("judge", "judge 2", "judge: judge 1 → judge 2"),
        ("data", "e", "data: d → e"),
        ("task", "halves", "task: doubles → halves"),
    ],
)
def test_another_exam_is_not_comparable(name: str, value: object, told: str) -> None:
    found = comparability(META, changed("exam", **{name: value}))
    assert not found.same_exam
    assert found.all == [told]


@pytest.mark.parametrize(
    ("name", "value"),
    [("temperature", 0.7), ("top_p", 0.9), ("max_tokens", 32), ("stop", ["\n"])],
)
def test_other_sampling_is_another_exam(name: str, value: object) -> None:
    sampling = {**META["exam"]["sampling"], name: value}
    found = comparability(META, changed("exam", sampling=sampling))
    assert not found.same_exam
    assert found.all[0].startswith(f"sampling.{name}".replace("_", " "))


@pytest.mark.parametrize(
    ("name", "value"),
    [("format", "chat"), ("system_prompt", "Be brief."), ("chat_template", "2" * 8)],
)
def test_another_treatment_is_what_is_compared_and_is_listed(name: str, value: str) -> None:
    found = comparability(META, changed("checkpoint", **{name: value}))
    assert found.same_exam
    assert found.treatment == found.all
    assert value in found.all[0]


@pytest.mark.parametrize("name", ["engine", "vllm", "dtype", "device"])
def test_another_environment_is_listed_apart(name: str) -> None:
    found = comparability(META, changed("environment", **{name: "other"}))
    assert found.same_exam
    assert found.environment == found.all
    assert found.all[0].endswith("→ other")


def test_the_name_of_a_checkpoint_and_its_lineage_are_no_difference() -> None:
    assert comparability(META, changed("checkpoint", name="b", parent="a", method="sft")).all == []


def test_a_hash_that_only_one_side_knows_is_no_difference() -> None:
    assert comparability(META, changed("checkpoint", tokenizer="3" * 8)).all == []


def model(folder: Path, **files: object) -> Path:
    folder.mkdir()
    for name, content in files.items():
        text = content if isinstance(content, str) else json.dumps(content)
        (folder / name.replace("__", ".")).write_text(text)
    return folder


VOCABULARY = {"model": {"vocab": {"a": 0, "b": 1}}, "padding": None}


def test_a_template_is_the_same_wherever_it_is_kept(tmp_path: Path) -> None:
    inside = model(tmp_path / "a", tokenizer_config__json={"chat_template": "{{ messages }}"})
    beside = model(tmp_path / "b", chat_template__jinja="{{ messages }}")
    other = model(tmp_path / "c", chat_template__jinja="{{ messages }}!")
    none = model(tmp_path / "d", tokenizer_config__json={"chat_template": None})
    found = [parts(folder)["chat_template"] for folder in (inside, beside, other, none)]
    assert found[0] == found[1] != found[2]
    assert found[3] == "none"


def test_a_tokenizer_is_told_by_what_it_does_not_by_how_it_was_saved(tmp_path: Path) -> None:
    saved = model(tmp_path / "a", tokenizer__json=VOCABULARY)
    again = model(tmp_path / "b", tokenizer__json={**VOCABULARY, "padding": {"length": 8}})
    other = model(tmp_path / "c", tokenizer__json={"model": {"vocab": {"b": 0, "a": 1}}})
    slow = model(tmp_path / "d", vocab__txt="a\nb\n")
    found = [parts(folder)["tokenizer"] for folder in (saved, again, other, slow)]
    assert found[0] == found[1]
    assert len({*found, "none"}) == 4
    assert parts(tmp_path / "nowhere") == {}


def test_damaged_settings_are_no_reason_to_stop(tmp_path: Path) -> None:
    folder = model(tmp_path / "a", tokenizer_config__json="{", tokenizer__json="[]")
    assert parts(folder) == {"chat_template": "none", "tokenizer": "none"}


def test_another_template_is_listed_in_the_report(tmp_path: Path) -> None:
    rows = []
    for name in ("base", "sft"):
        folder = model(tmp_path / name, chat_template__jinja=name)
        rows.append(Row(checkpoint(name, model=str(folder)), backend(right)[0]))
    report = of_run(held(rows, [exam(TASK)], tmp_path / "r"))
    (cell,) = report.candidates[0].cells
    assert [said.partition(":")[0] for said in cell.differences] == ["chat template"]
    assert "treatment" in cell.flags
    assert cell.comparable


def test_two_exams_in_one_folder_are_invalid_and_never_a_pass(tmp_path: Path) -> None:
    hotter = replace(TASK, sampling=Sampling(temperature=1.0))
    hold(matrix([row("base")], [exam(TASK)]), tmp_path, silent)
    hold(matrix([row("sft")], [exam(hotter)]), tmp_path, silent)
    report = of_store(Store(tmp_path), ["base", "sft"], Policy(margins={"arithmetic": 0.5}))
    assert (report.verdict, report.exit_code) == ("invalid", 4)
    assert "two different exams (sampling.temperature: 0.0 → 1.0)" in (
        report.candidates[0].cells[0].reason
    )
    assert assemble("base", [], [], Policy()).exit_code == 4


def test_another_wording_of_the_rubric_is_another_exam(tmp_path: Path) -> None:
    rubric = Rubric(1, lambda *_: (), lambda response: Opinion(0.5))
    who = Panel((Judge(checkpoint("judge"), backend()[0]),))
    told = [
        Seat(row("base"), exam(replace(TASK, score=None, rubric=each)), Cell(tmp_path))
        for each in (rubric, replace(rubric, version=2))
    ]
    assert told[0].judged_by(who) != told[1].judged_by(who)
    assert Seat(row("base"), exam(TASK), Cell(tmp_path)).judged_by(who) == ""
