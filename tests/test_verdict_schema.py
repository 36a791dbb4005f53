"""The schema of verdict.json, its page, and the file itself."""

from __future__ import annotations

import importlib
import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from evalkit import verdict
from evalkit.plugins import find
from evalkit.verdict import JudgeNote, Report, schema
from reports._reference import reference
from reports.json import render
from tests.sample_report import hostile_report, sample_report

# Its stubs are a package of their own, which type checking must not depend on.
jsonschema: Any = importlib.import_module("jsonschema")
ROOT = Path(__file__).parent.parent
EXAMPLE: dict[str, Any] = {
    "schema_version": 1,
    "baseline": "base",
    "alpha": 0.05,
    "ci_level": 0.90,
    "verdict": "regressed",
    "exit_code": 1,
    "candidates": [
        {
            "name": "sft",
            "against": "base",
            "verdict": "regressed",
            "domains": [
                {
                    "domain": "knowledge",
                    "verdict": "regressed",
                    "delta": -0.0562,
                    "ci": [-0.064, -0.049],
                    "margin": 0.01,
                    "p_regressed": 0.0,
                    "p_regressed_adjusted": 0.0,
                }
            ],
            "cells": [
                {
                    "task": "mmlu-pro",
                    "domain": "knowledge",
                    "n": 12032,
                    "baseline_score": 0.2977,
                    "candidate_score": 0.2415,
                    "delta": -0.0562,
                    "ci": [-0.064, -0.049],
                    "lost": 1832,
                    "gained": 1156,
                    "p_regressed": 0.0,
                    "p_regressed_adjusted": 0.0,
                    "p_improved": 1.0,
                    "margin": 0.01,
                    "verdict": "regressed",
                    "flags": ["beyond_margin"],
                    "mde80": 0.011,
                    "comparable": True,
                    "outcomes": {"baseline": {"unparsed": 1251}, "candidate": {"unparsed": 1865}},
                }
            ],
        }
    ],
}


def validator() -> Any:
    packaged = (Path(verdict.__file__).parent / "verdict.schema.json").read_text("utf-8")
    return jsonschema.Draft202012Validator(json.loads(packaged))


def test_the_packaged_schema_is_the_one_that_the_model_gives() -> None:
    packaged = (ROOT / "evalkit" / "verdict.schema.json").read_text("utf-8")
    assert packaged == schema(), "python -m evalkit.verdict > evalkit/verdict.schema.json"


def test_the_page_is_the_one_that_the_model_gives() -> None:
    page = (ROOT / "docs" / "verdict-json.md").read_text("utf-8")
    assert page == reference(), "python -m evalkit.reports._reference > docs/verdict-json.md"


def test_every_field_says_what_it_means() -> None:
    rows = [line for line in reference().splitlines() if line.startswith("| `")]
    assert len(rows) > 50
    assert not [row for row in rows if row.split("|")[-2].strip() == ""]


def test_a_short_verdict_is_valid_and_draws_like_any_other() -> None:
    validator().validate(EXAMPLE)
    report = Report.model_validate(EXAMPLE)
    assert "−5.6" in find("reports", "terminal").render(report)


@pytest.mark.parametrize("report", [sample_report(), hostile_report("\ud800 | \x00 <b>")])
def test_what_is_written_is_valid(report: Report) -> None:
    validator().validate(json.loads(render(report)))


def test_a_misspelt_field_is_not_valid() -> None:
    with pytest.raises(jsonschema.ValidationError, match="verdit"):
        validator().validate(EXAMPLE | {"verdit": "regressed"})


def test_the_file_is_read_back_exactly() -> None:
    assert Report.model_validate_json(render(sample_report())) == sample_report()


def test_fields_stand_in_the_order_of_the_page_and_counts_by_name() -> None:
    written = json.loads(render(sample_report()))
    assert list(written) == list(Report.model_fields)
    mmlu = next(c for c in written["candidates"][0]["cells"] if c["task"] == "mmlu-pro")
    assert list(mmlu["outcomes"]["candidate"]) == ["correct", "truncated", "unparsed", "wrong"]


def test_a_count_is_written_as_an_integer() -> None:
    assert '"lost": 1832,' in render(sample_report())


@given(number=st.floats(0, 1))
def test_no_digit_of_a_number_is_lost(number: float) -> None:
    note = JudgeNote(task="t", judge="j", accuracy=number)
    report = sample_report().model_copy(update={"judges": [note]})
    assert json.loads(render(report))["judges"][0]["accuracy"] == number


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_a_number_that_is_none_is_refused_where_it_arises(number: float) -> None:
    with pytest.raises(ValidationError, match="finite"):
        JudgeNote(task="t", judge="j", accuracy=number)
    unchecked = JudgeNote(task="t", judge="j").model_copy(update={"accuracy": number})
    with pytest.raises(ValueError, match="JSON compliant"):
        render(sample_report().model_copy(update={"judges": [unchecked]}))


def test_the_file_is_ascii_and_ends_with_a_newline() -> None:
    written = render(hostile_report("\u202e\x1b[31m\ud800é"))
    assert written.isascii()
    assert written.endswith("}\n")
    assert json.loads(written)["notes"] == ["\u202e\x1b[31m\ufffdé"]
