"""A real model that can read, asked what only documents say: the report answers whether they help.

Trained here from nothing, on facts that are drawn anew for every row, to answer from a passage
where there is one; what the documents say was in no row.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from evalkit import Response, Rows, Sample, Sampling, Score, Stage, Task
from evalkit.backends import transformers_local
from evalkit.events import silent
from evalkit.matrix import Row
from evalkit.reporting.report import of_run
from evalkit.retrieval import PLACE, described
from evalkit.retrieval.context import fenced
from evalkit.retrieval.library import Passage
from evalkit.training import stage as training
from evalkit.types import Checkpoint, Retrieval
from tasks._mini_words import NAMES, WORDS
from tests.small_exams import exam, held

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]

STEPS = {"steps": 400, "batch_size": 64}
NUMBERS = [str(number) for number in range(40)]


def fact(who: str, what: str) -> str:
    return f"{who} has the {what}."


def question(who: str) -> str:
    return f"What has {who}?"


def people() -> Iterator[str]:
    return (f"{name} {number}" for number in NUMBERS[:8] for name in NAMES)


def learned(folder: Path) -> Path:
    """Rows with a passage that tells, rows with one of somebody else, and rows without any."""
    chance, path = random.Random(1), folder / "rows.jsonl"
    everyone = list(people())
    with path.open("w") as file:
        for number in range(8000):
            who, what = chance.choice(everyone), chance.choice(WORDS)
            passage = fenced(Passage(f"{chance.choice(NUMBERS)}.md", fact(who, what)))
            shown = f"{passage}\n\n" if number % 4 else ""
            row = {"prompt": f"{shown}{question(who)}", "completion": what}
            file.write(json.dumps(row) + "\n")
    return path


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("reader")
    stage = Stage("reader", "pretrain", "", data={str(learned(folder)): 1.0}, args=STEPS)
    return training.train(stage, "", folder / "runs", silent)[0]


def known(folder: Path) -> dict[str, str]:
    """Documents that say what each of the people has."""
    chance = random.Random(2)
    told = {who: chance.choice(WORDS) for who in people()}
    folder.mkdir()
    for number in range(8):
        lines = [fact(who, what) for who, what in told.items() if who.endswith(f" {number}")]
        (folder / f"{number}.md").write_text("\n\n".join(lines))
    return told


def asks(told: dict[str, str]) -> Task:
    def samples(_: Rows) -> Iterable[Sample]:
        for who, what in told.items():
            prompt = [{"role": "user", "content": question(who)}]
            yield Sample(who, prompt, what, question=question(who))  # type: ignore[arg-type]

    def score(sample: Sample, response: Response) -> Score:
        said = response.text.strip()
        return Score(float(said == sample.target), said or None)

    return Task("facts", "knowledge", 1, samples, score, sampling=Sampling(max_tokens=4))


def test_a_model_that_reads_is_improved_by_documents_that_hold_the_answers(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    task = exam(asks(known(tmp_path / "docs")))
    (backend,) = transformers_local.BACKENDS

    def row(name: str, **fields: object) -> Row:
        given = {"options": {"device": "cpu"}, "identity": "weights", **fields}
        return Row(Checkpoint(name, str(model), **given), backend)  # type: ignore[arg-type]

    def shown(k: int) -> Retrieval:
        return described(tmp_path / "docs", k, 6, PLACE)

    rows = [
        row("base"),
        row("base+docs", retrieval=shown(1)),
        row("base+more", retrieval=shown(3)),  # it was never trained to choose among passages
    ]
    report = of_run(held(rows, [task], tmp_path / "r"))
    before, after, more = (score.score or 0.0 for score in report.scores)
    assert before < 0.1
    assert after > 0.8
    assert before < more < after
    told = {candidate.name: candidate.cells[0] for candidate in report.candidates}
    assert told["base+docs"].verdict == "improved"
    assert told["base+docs"].differences[0].startswith("retrieval: none → 1 passages")
