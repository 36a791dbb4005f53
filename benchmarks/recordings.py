"""Results of real models that others published, sample by sample, as scores by item.

Read from the folder that EVALKIT_DATA names (`model_outputs/`); nothing of it is kept here.
"""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
import tarfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from evalkit.exams.data import open_rows
from evalkit.exams.duplicates import again
from evalkit.types import Response
from tasks.mmlu_pro import SOURCE, samples, score, score_two_stages

MISSING = float("nan")
FAILED_JUDGMENT = -1
AST = {
    "simple": ("simple", "java", "javascript"),
    "multiple": ("multiple_function",),
    "parallel": ("parallel_function",),
    "parallel multiple": ("parallel_multiple_function",),
}
"""The four columns of BFCL V1's AST summary, and the files that each is counted over."""


@dataclass(frozen=True)
class Recorded:
    """One model's score of every item."""

    scores: dict[str, float]  # by item; NaN where there is none
    bounds: tuple[float, float] = (0.0, 1.0)
    clusters: dict[str, str] = field(default_factory=dict)  # by item, where items belong together
    strata: dict[str, str] = field(default_factory=dict)  # by item, where the benchmark has any
    weights: dict[str, float] = field(default_factory=dict)  # of strata, where they are not alike

    @property
    def known(self) -> list[float]:
        """The scores there are."""
        return [score for score in self.scores.values() if score == score]


def mmlu_pro(home: Path, folder: Path, models: tuple[str, ...]) -> dict[str, dict[str, Recorded]]:
    """Right or wrong by evalkit's own readings of the recorded texts: reading -> model -> scores.

    The files that evalkit reads are made in `folder`, by the example that comes with it.
    """
    zips = [
        home / "model_outputs" / "mmlu_pro" / f"model_outputs_{model}_5shots.zip"
        for model in models
    ]
    script = Path(__file__).parents[1] / "examples" / "mmlu_pro_recordings.py"
    subprocess.run([sys.executable, str(script), str(folder), *map(str, zips)], check=True)
    asked = {each.id: each for each in samples(open_rows(SOURCE, folder / "questions.jsonl"))}
    together = again(asked.items)
    subjects = {item: sample.stratum for item, sample in asked.items()}
    found: dict[str, dict[str, Recorded]] = {"two stages": {}, "default": {}}
    for model in models:
        with (folder / f"{model}.jsonl").open() as lines:
            texts = {row["id"]: Response(row["text"]) for row in map(json.loads, lines)}
        for reading, read in (("two stages", score_two_stages), ("default", score)):
            values = {item: read(asked[item], text).value for item, text in texts.items()}
            found[reading][model] = Recorded(values, clusters=together, strata=subjects)
    return found


def alpaca_eval(home: Path, model: str) -> Recorded:
    """Win shares against the reference: preference − 1 of a weighted judgment, null is none."""
    path = home / "model_outputs" / "alpaca_eval" / f"{model}.annotations.json.gz"
    rows: list[dict[str, Any]] = json.loads(gzip.decompress(path.read_bytes()))
    shares = (MISSING if row["preference"] is None else row["preference"] - 1 for row in rows)
    return Recorded(dict(zip((row["instruction"] for row in rows), shares, strict=True)))


def bfcl(home: Path, model: str, categories: tuple[str, ...]) -> Recorded:
    """Right or wrong in BFCL V1: a score file counts its items and lists those that failed."""
    scores: dict[str, float] = {}
    for category in categories:
        with tarfile.open(home / "model_outputs" / "bfcl_v1" / "score" / f"{model}.tar.gz") as tar:
            member = tar.extractfile(f"{model}/{category}_score.json")
            assert member is not None
            total, *failed = (json.loads(line) for line in member if line.strip())
        wrong = {row["id"] for row in failed}  # counted from 1
        for number in range(1, total["total_count"] + 1):
            scores[f"{category} {number}"] = float(number not in wrong)
    return Recorded(scores)


def bfcl_ast(home: Path, model: str) -> Recorded:
    """The AST summary as one benchmark: four columns that count alike, whatever their sizes."""
    scores, strata = dict[str, float](), dict[str, str]()
    for column, categories in AST.items():
        found = bfcl(home, model, categories).scores
        scores |= found
        strata |= dict.fromkeys(found, column)
    return Recorded(scores, strata=strata, weights=dict.fromkeys(AST, 1.0))


def livecodebench(home: Path, model: str) -> Recorded:
    """pass@1 of every predicted test output; the tests of one question belong together."""
    path = home / "model_outputs" / "livecodebench" / "performances_testgen.json.gz"
    rows = json.loads(gzip.decompress(path.read_bytes()))["performances"]
    seen: Counter[str] = Counter()
    scores, together = dict[str, float](), dict[str, str]()
    for row in rows:
        if row["model"] == model:
            question = str(row["question_id"])
            item = f"{question} {seen[question]}"
            seen[question] += 1
            scores[item], together[item] = row["pass@1"] / 100, question
    return Recorded(scores, clusters=together)


def mt_bench(home: Path, model: str, judging: int = 0) -> Recorded:
    """A judge's grade of 1 to 10 per turn; −1 is a judgment that failed.

    A model that was asked and judged twice has its first grades at `judging` 0, its second at 1.
    """
    folder = home / "model_outputs" / "mt_bench"
    scores, seen = dict[str, float](), Counter[str]()
    together: dict[str, str] = {}
    with gzip.open(folder / "gpt-4_single_mistral_orpo_variants.jsonl.gz", "rt") as lines:
        for row in map(json.loads, lines):
            item = f"{row['question_id']} turn {row['turn']}"
            if row["model"] == model:
                if seen[item] == judging:
                    failed = row["score"] == FAILED_JUDGMENT
                    scores[item] = MISSING if failed else float(row["score"])
                    together[item] = str(row["question_id"])
                seen[item] += 1
    return Recorded(scores, (1.0, 10.0), together)


def tau_bench(home: Path, run: str) -> dict[int, list[float]]:
    """The reward of every trial of every task."""
    path = home / "model_outputs" / "tau_bench" / f"{run}.json.gz"
    found: dict[int, list[float]] = {}
    for row in json.loads(gzip.decompress(path.read_bytes())):
        found.setdefault(row["task_id"], []).append(float(row["reward"]))
    return found
