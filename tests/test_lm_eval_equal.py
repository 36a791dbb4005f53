"""Every sample of lm-eval's tasks is scored as lm-eval itself scores it, on the same model."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from evalkit.comparison.policy import Policy
from evalkit.configuration.config import load
from evalkit.configuration.resolve import resolve
from evalkit.configuration.sections import TaskSection
from evalkit.events import silent
from evalkit.exams.exam import sit
from evalkit.reporting.report import of_run, of_store
from evalkit.run import Held, hold
from evalkit.storage.store import Cell, Store
from evalkit.storage.tables import read_table
from evalkit.verdict import Report
from tests import lm_eval_peer as peer
from tests.lm_eval_tasks import CHAT, TASKS, task_files
from tests.small_exams import held
from tests.tiny_models import tiny_model

ROLLING = tuple(name for name in TASKS if name.startswith("rolling"))
OTHERS = tuple(name for name in TASKS if name not in ROLLING)
SUMMED_GROUPS = ("by_size", "by_size::inside", "evenly")
NEAR = 1e-4  # log-likelihoods by two programs that batch otherwise


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Data sets are cached in a folder of the test's own."""
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The task files, from where lm-eval finds the data that they name."""
    made = task_files(tmp_path / "tasks", rows=16)
    monkeypatch.chdir(made)
    return made


def compare(found: Mapping[str, Any], held: Held, near: float = 0.0) -> dict[str, int]:
    """How many raw values of each task were compared: of every sample, metric and filter."""
    assert not held.failures
    compared: dict[str, int] = {}
    for seat in held.seats:
        task = seat.exam.task
        name = task.name.removeprefix("lm-eval:")
        metric, chosen = task.scorer.split(", ")[1].split(",")
        samples = [one for one in found["samples"][name] if one["filter"] == chosen]
        compared[name] = compared.get(name, 0) + _rows(samples, seat.cell, task.preset, near)
        number = found["results"][name][f"{metric},{chosen}"]
        figures = seat.cell.meta()["metrics"][task.preset]
        assert figures[metric] == pytest.approx(number, near or 1e-12), (name, metric, chosen)
    return compared


def _rows(samples: Sequence[Mapping[str, Any]], cell: Cell, preset: str, near: float) -> int:
    rows = {row["id"]: row for row in read_table(cell.scores_path(preset)).to_pylist()}
    assert rows.keys() == {str(sample["doc_id"]) for sample in samples}
    compared = 0
    for sample in samples:
        details = json.loads(rows[str(sample["doc_id"])]["details"])
        assert set(details) == set(sample["metrics"])
        for metric in sample["metrics"]:
            assert _same(sample[metric], details[metric], near), (cell.path, sample, details)
            compared += 1
    return compared


def _same(theirs: Any, ours: Any, near: float) -> bool:
    if hasattr(theirs, "tolist"):
        theirs = theirs.tolist()
    if isinstance(theirs, tuple | list):
        pairs = zip(theirs, ours, strict=True)
        return len(theirs) == len(ours) and all(_same(a, b, near) for a, b in pairs)
    return bool(theirs == (pytest.approx(ours, near, near) if near else ours))


def spread(held: Held) -> dict[str, set[float]]:
    """The different scores of each cell: equality of nothing but zeros would show little."""
    found = {}
    for seat in held.seats:
        table = read_table(seat.cell.scores_path(seat.exam.task.preset), ["value"])
        found[seat.exam.label] = set(table.column("value").to_pylist())
    return found


def test_every_sample_of_every_kind_is_scored_as_by_lm_eval(folder: Path, tmp_path: Path) -> None:
    held = peer.ours(folder, tuple(TASKS), tmp_path / "results")
    compared = compare(peer.theirs(folder, tuple(TASKS)), held)
    assert set(compared) == set(TASKS)
    assert min(compared.values()) >= 16
    assert not [label for label, values in spread(held).items() if len(values) < 2]


def test_a_conversation_is_scored_as_by_lm_eval_with_a_chat_template(
    folder: Path, tmp_path: Path
) -> None:
    held = peer.ours(folder, CHAT, tmp_path / "results", chat=True)
    compared = compare(peer.theirs(folder, CHAT, chat=True), held)
    assert set(compared) == set(CHAT)


def grouped(report: Report) -> dict[tuple[str, str], Any]:
    """The numbers over groups, and over how many items."""
    return {
        (each.group.removeprefix("lm-eval:"), each.figure): (each.value, each.n)
        for each in report.groups
    }


def test_the_numbers_of_groups_are_those_that_lm_eval_prints(folder: Path, tmp_path: Path) -> None:
    theirs = peer.theirs(folder, ["by_size"])["results"]
    exams = sit(TaskSection(name="lm-eval:by_size"), folder, None)
    found = held([peer.row()], exams, tmp_path / "results")
    ours = grouped(of_run(found))
    expected = {
        (group, figure): (pytest.approx(value, rel=1e-12), theirs[group]["sample_count"][figure])
        for group in SUMMED_GROUPS
        for figure, value in theirs[group].items()
        if "," in figure and "_stderr" not in figure
    }
    assert ours == expected
    assert len(expected) == 7
    assert grouped(of_store(Store(tmp_path / "results"), ["base"], Policy())) == expected


@pytest.mark.integration
@pytest.mark.parametrize("names", [OTHERS, ROLLING], ids=["others", "rolling"])
def test_a_transformers_model_is_scored_as_by_lm_eval(
    folder: Path, tmp_path: Path, names: tuple[str, ...]
) -> None:
    model = tiny_model(tmp_path / "model", window=600)
    # lm-eval's rolling likelihood counts the mark that begins a text as one of its tokens.
    found = peer.evaluated(folder, names, hf(model, begins=names is not ROLLING))
    compared = compare(found, asked(folder, model, names, tmp_path / "results"), NEAR)
    assert set(compared) == set(names)


@pytest.mark.integration
def test_a_transformers_model_with_a_chat_template_is_scored_as_by_lm_eval(
    folder: Path, tmp_path: Path
) -> None:
    model = tiny_model(tmp_path / "model", template=True, window=600)
    found = peer.evaluated(folder, CHAT, hf(model, begins=True), chat=True)
    compared = compare(found, asked(folder, model, CHAT, tmp_path / "results"), NEAR)
    assert set(compared) == set(CHAT)


def hf(model: Path, *, begins: bool) -> Any:
    """lm-eval's own transformers model."""
    from lm_eval.models.huggingface import HFLM

    return HFLM(
        pretrained=str(model), device="cpu", dtype="float32", batch_size=4, add_bos_token=begins
    )


def asked(folder: Path, model: Path, names: Sequence[str], results: Path) -> Held:
    """The same by a config, through our transformers backend."""
    config = {
        "baseline": "tiny",
        "checkpoints": [{"name": "tiny", "model": str(model)}],
        "backend": {"name": "transformers_local", "device": "cpu", "batch_size": 4},
        "tasks": [
            {"name": exam.task.name, "preset": exam.task.preset}
            for exam in peer.exams(folder, names)
        ],
        "data": {"lm-eval": str(folder)},
    }
    path = folder.parent / "run.yaml"
    path.write_text(json.dumps(config))
    return hold(resolve(load(path)), results, silent)
