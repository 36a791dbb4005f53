"""The quickstart as `make quickstart` leaves it: what a second run costs, and what its models say.

Takes the folder that `make quickstart` made, or makes it.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from evalkit.storage.store import Answer, Cell, Store
from evalkit.types import Sample, Task
from evalkit.verdict import CandidateVerdict, Report

pytestmark = [pytest.mark.integration, pytest.mark.timeout(1500)]

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "results" / "quickstart"
COMMAND = (sys.executable, "-m", "evalkit.cli", "run-matrix", "examples/quickstart.yaml")
SAMPLES = 60


def run() -> tuple[float, bytes]:
    """One run: its CPU-seconds, for a busy machine lets everybody wait, and what it printed."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [*COMMAND, "--results", str(RESULTS)], cwd=ROOT, stdout=subprocess.PIPE, check=True
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, done.stdout


def files() -> dict[Path, bytes]:
    """The report folder's files."""
    return {path: path.read_bytes() for path in sorted((RESULTS / "report").iterdir())}


def touched() -> dict[Path, int]:
    """When each checkpoint and each answer was written."""
    kinds = ("runs/*/done.json", "*/*/answers.parquet", "*/*/judgments.jsonl")
    return {path: path.stat().st_mtime_ns for kind in kinds for path in RESULTS.glob(kind)}


@pytest.fixture(scope="module")
def report() -> Report:
    run()
    return Report.model_validate_json((RESULTS / "report" / "verdict.json").read_bytes())


def test_a_second_run_trains_nothing_asks_nothing_and_reports_the_same(report: Report) -> None:
    before, shown, written = touched(), run()[1], files()
    runs = [run() for _ in range(3)]
    assert touched() == before
    assert files() == written
    assert {printed for _, printed in runs} == {shown}
    assert min(seconds for seconds, _ in runs) < 6  # about 2, more beside other work


def test_every_checkpoint_is_compared_with_the_base_and_with_its_parent(report: Report) -> None:
    pairs = [(candidate.name, candidate.against) for candidate in report.candidates]
    assert pairs == [
        ("sft", "base"),
        ("dpo", "base"),
        ("grpo", "base"),
        ("dpo", "sft"),
        ("grpo", "dpo"),
    ]
    for candidate in report.candidates:
        assert len(candidate.cells) == 5
        assert all(cell.n >= 300 for cell in candidate.cells)


def test_training_improved_one_domain_and_broke_another(report: Report) -> None:
    verdicts = {domain.verdict for domain in against_base(report, "sft").domains}
    assert {"improved", "regressed"} <= verdicts


def test_the_judge_is_as_good_as_the_report_says(report: Report) -> None:
    (note,) = report.judges
    assert note.pairs >= 400
    assert note.accuracy is not None
    assert note.flip_rate is not None
    assert note.advisory == (note.accuracy < 0.8 or note.flip_rate > 0.25)


@pytest.mark.parametrize("checkpoint", ["base", "grpo"])
@pytest.mark.parametrize("task", ["mini-arithmetic", "mini-instruct", "mini-tools"])
def test_its_greedy_text_is_that_of_plain_generate(
    report: Report, checkpoint: str, task: str
) -> None:
    import torch

    model, tokenizer = loaded(checkpoint)
    cell, samples, found = sat(checkpoint, task)
    for sample, answer in samples[:SAMPLES]:
        prompt = tokenizer.apply_chat_template(
            sample.rendered(), add_generation_prompt=True, tokenize=False
        )
        encoded = tokenizer(prompt, add_special_tokens=False, return_tensors="pt")
        with torch.no_grad():
            out = model.generate(
                **encoded, do_sample=False, max_new_tokens=found.sampling.max_tokens
            )
        new = out[0, encoded["input_ids"].shape[1] :]
        text = tokenizer.decode(new, skip_special_tokens=True)
        assert answer.response.text == text, (cell.path, sample.id)


@pytest.mark.parametrize("checkpoint", ["base", "sft"])
def test_its_log_likelihoods_are_those_of_a_plain_forward_pass(
    report: Report, checkpoint: str
) -> None:
    import torch

    model, tokenizer = loaded(checkpoint)
    _, samples, task = sat(checkpoint, "mini-choice")
    assert task.ask == "loglikelihood"
    for sample, answer in samples[:SAMPLES]:
        prompt = tokenizer.apply_chat_template(
            sample.rendered(), add_generation_prompt=True, tokenize=False
        )
        start = len(tokenizer(prompt, add_special_tokens=False)["input_ids"])
        for choice, known in zip(sample.choices, answer.response.loglikelihoods, strict=True):
            ids = tokenizer(prompt + choice, add_special_tokens=False)["input_ids"]
            with torch.no_grad():
                logits = model(torch.tensor([ids])).logits[0].log_softmax(-1)
            total = sum(float(logits[at - 1, ids[at]]) for at in range(start, len(ids)))
            assert total == pytest.approx(known, abs=1e-4)


def against_base(report: Report, name: str) -> CandidateVerdict:
    return next(c for c in report.candidates if (c.name, c.against) == (name, "base"))


@cache
def identity(checkpoint: str) -> str:
    """What the report's checkpoint of that name is."""
    report = Report.model_validate_json((RESULTS / "report" / "verdict.json").read_bytes())
    return next(note.identity for note in report.checkpoints if note.name == checkpoint)


@cache
def loaded(checkpoint: str) -> tuple[Any, Any]:
    """A checkpoint as transformers itself loads it."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    done = {path: json.loads(path.read_text()) for path in RESULTS.glob("runs/*/done.json")}
    folder = next(
        path.parent / "final" for path in done if done[path]["identity"] == identity(checkpoint)
    )
    model = AutoModelForCausalLM.from_pretrained(folder).eval()
    return model, AutoTokenizer.from_pretrained(folder)


@cache
def sat(checkpoint: str, name: str) -> tuple[Cell, list[tuple[Sample, Answer]], Task]:
    """What a checkpoint answered in one task, beside the questions."""
    from evalkit.configuration.sections import TaskSection
    from evalkit.exams.exam import sit

    exam = sit(TaskSection(name=name), None, None)[0]
    cell = next(
        cell
        for cell in Store(RESULTS).cells()
        if cell.meta()["task"] == name
        and cell.meta()["checkpoint"]["identity"] == identity(checkpoint)
    )
    answers = cell.answers()
    return cell, [(exam.items[item], answers[item, 0]) for item in exam.items], exam.task
