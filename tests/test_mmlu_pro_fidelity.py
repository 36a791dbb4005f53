"""MMLU-Pro against what its authors recorded: four models, 12,032 answers each.

Needs the published outputs under EVALKIT_DATA; every difference is explained in
docs/benchmarks.md, and counted here.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest

from evalkit.exams.data import open_rows
from evalkit.types import Response, Sample, Score
from tasks.mmlu_pro import SOURCE, samples, score, score_two_stages

HOME = Path(os.environ.get("EVALKIT_DATA") or "absent")
ZIPS = HOME / "model_outputs" / "mmlu_pro"
SCRIPT = Path(__file__).parents[1] / "examples" / "mmlu_pro_recordings.py"
MISTRAL = ("Mistral-7B-v0.1", "Mistral-7B-Instruct-v0.1")
LLAMA = ("Meta-Llama-3_1-8B", "Meta-Llama-3_1-8B-Instruct")

pytestmark = pytest.mark.skipif(
    not ZIPS.is_dir(), reason="EVALKIT_DATA has no model_outputs/mmlu_pro"
)

Scorer = Callable[[Sample, Response], Score]


@dataclass(frozen=True)
class Recorded:
    """One model's answers, graded, beside the letters that upstream recorded."""

    scores: dict[str, Score]
    preds: dict[str, str | None]
    targets: dict[str, str]

    def accuracy(self) -> float:
        return round(100 * sum(s.value for s in self.scores.values()) / len(self.scores), 2)

    def published(self) -> float:
        right = sum(pred == self.targets[identity] for identity, pred in self.preds.items())
        return round(100 * right / len(self.preds), 2)

    def differences(self) -> list[str]:
        return [i for i, found in self.scores.items() if found.answer != self.preds[i]]


def zip_of(model: str) -> Path:
    return ZIPS / f"model_outputs_{model}_5shots.zip"


@pytest.fixture(scope="module")
def graded(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Scorer], Recorded]:
    """Grades a model's recorded answers, going through the files that the example script makes."""
    folders = {}
    for family in (MISTRAL, LLAMA):
        folder = tmp_path_factory.mktemp("recordings")
        command = [sys.executable, str(SCRIPT), str(folder), *(str(zip_of(m)) for m in family)]
        subprocess.run(command, check=True)
        folders.update(dict.fromkeys(family, folder))

    @cache
    def grade(model: str, scorer: Scorer) -> Recorded:
        folder = folders[model]
        asked = {s.id: s for s in samples(open_rows(SOURCE, folder / "questions.jsonl"))}
        with (folder / f"{model}.jsonl").open() as file:
            rows = [json.loads(line) for line in file]
        scores = {row["id"]: scorer(asked[row["id"]], Response(row["text"])) for row in rows}
        with ZipFile(zip_of(model)) as zipped:
            recorded: list[dict[str, Any]] = json.loads(zipped.read(zipped.namelist()[0]))
        preds = {str(row["question_id"]): row["pred"] for row in recorded}
        targets = {str(row["question_id"]): row["answer"] for row in recorded}
        return Recorded(scores, preds, targets)

    return grade


def changes(before: Recorded, after: Recorded) -> tuple[int, int]:
    """How many questions were lost and how many gained."""
    pairs = [(before.scores[i].value, after.scores[i].value) for i in before.scores]
    return sum(a > b for a, b in pairs), sum(a < b for a, b in pairs)


Grade = Callable[[str, Scorer], Recorded]


def test_two_stages_read_what_was_recorded_for_mistral(graded: Grade) -> None:
    base, instruct = (graded(model, score_two_stages) for model in MISTRAL)
    assert len(base.scores) == len(instruct.scores) == 12_032
    assert base.differences() == []
    # Recorded before upstream had a second stage: it would have found a letter in these two.
    assert sorted(instruct.differences()) == ["11410", "8435"]
    for identity in instruct.differences():
        assert instruct.preds[identity] is None
        assert instruct.scores[identity].details == {"stage": "answer: X"}
    assert (base.accuracy(), instruct.accuracy()) == (29.77, 24.15)
    assert (base.published(), instruct.published()) == (29.77, 24.15)
    assert changes(base, instruct) == (1832, 1156)


def test_the_third_stage_only_reads_what_mistral_was_recorded_without(graded: Grade) -> None:
    base, instruct = (graded(model, score) for model in MISTRAL)
    assert (base.accuracy(), instruct.accuracy()) == (30.08, 24.85)
    assert changes(base, instruct) == (1835, 1206)
    for model, third in ((base, 305), (instruct, 793)):
        assert all(model.preds[identity] is None for identity in model.differences())
        stages = [model.scores[identity].details["stage"] for identity in model.differences()]
        assert stages.count("last letter") == third


@pytest.mark.parametrize(
    ("model", "unparsed", "accuracy", "published"),
    [(LLAMA[0], 614, 36.07, 36.49), (LLAMA[1], 694, 43.58, 44.19)],
)
def test_llama_was_recorded_with_one_guess_for_every_unparsed_answer(
    graded: Grade, model: str, unparsed: int, accuracy: float, published: float
) -> None:
    recorded = graded(model, score)
    assert len(recorded.differences()) == unparsed
    assert all(recorded.scores[i].answer is None for i in recorded.differences())
    assert {recorded.preds[i] for i in recorded.differences()} == {"G"}
    assert (recorded.accuracy(), recorded.published()) == (accuracy, published)


def test_llama_gained_from_instruction_tuning(graded: Grade) -> None:
    assert changes(*(graded(model, score) for model in LLAMA)) == (1117, 2021)


def test_the_official_files_are_read_and_rendered_whole() -> None:
    listed = list(samples(open_rows(SOURCE, None)))
    assert len(listed) == 12_032
    assert len({sample.stratum for sample in listed}) == 14
    introduction = (HOME / "mmlu_pro" / "initial_prompt.txt").read_text()
    for sample in listed:
        prompt = sample.rendered()
        assert isinstance(prompt, str)
        assert prompt.startswith(introduction.replace("{$}", sample.stratum) + "\nQuestion:\n")
        assert prompt.count("\nAnswer: Let's think step by step.") == 6
        assert prompt.endswith(
            f"\nQuestion:\n{sample.question}\nOptions:\nA. {sample.choices[0]}\n"
            + "".join(
                f"{letter}. {choice}\n"
                for letter, choice in zip("BCDEFGHIJ", sample.choices[1:], strict=False)
            )
            + "Answer: Let's think step by step."
        )
