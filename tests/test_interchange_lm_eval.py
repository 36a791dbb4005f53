"""lm-eval's logs become cells."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from evalkit.comparison.policy import Policy
from evalkit.errors import DataError
from evalkit.interchange.imported import mean
from evalkit.storage.store import Store
from evalkit.storage.tables import read_table
from tests.interchange_logs import LOGS, compared, copied, imports, kept, results_file, skips

BASE, TUNED = LOGS / "lm-eval" / "base", LOGS / "lm-eval" / "tuned"


def changed(path: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))
    return path


def samples_of(results: Path, task: str) -> Path:
    (path,) = results.parent.glob(f"samples_{task}_*.jsonl")
    return path


@pytest.mark.parametrize("whose", ["base", "tuned"])
def test_the_scores_are_lm_evals_own(whose: str) -> None:
    own = json.loads(results_file(whose).read_text())["results"]
    found = imports(results_file(whose))
    assert mean(found["tiny_choice"].rows) == pytest.approx(own["tiny_choice"]["acc,none"])
    strict = own["tiny_words"]["exact_match,strict-match"]
    assert mean(found["tiny_words"].rows) == pytest.approx(strict)


def test_one_line_of_each_document_is_taken_whatever_the_number_of_filters() -> None:
    assert len(imports(BASE)["tiny_words"].rows) == 10


def test_another_filter_is_another_score() -> None:
    found = imports(BASE, metric="exact_match,flexible-extract")["tiny_words"]
    assert mean(found.rows) == 0.0
    assert found.exam["filter"] == "flexible-extract"


def test_two_checkpoints_are_paired_by_their_documents(tmp_path: Path) -> None:
    kept(tmp_path, "base", BASE)
    kept(tmp_path, "tuned", TUNED)
    report, cells = compared(tmp_path)
    choice = cells["tiny_choice"]
    assert (choice.n, choice.method, choice.comparable) == (16, "tango", True)
    assert choice.lost + choice.gained > 0
    assert report.scores[0].n > 0


def test_the_order_of_the_samples_does_not_matter(tmp_path: Path) -> None:
    path = copied("tuned", tmp_path / "tuned")
    samples = samples_of(path, "tiny_choice")
    samples.write_text("\n".join(reversed(samples.read_text().splitlines())))
    kept(tmp_path / "r", "base", BASE)
    kept(tmp_path / "r", "tuned", path)
    turned = compared(tmp_path / "r")[1]["tiny_choice"]
    kept(tmp_path / "s", "base", BASE)
    kept(tmp_path / "s", "tuned", TUNED)
    assert turned == compared(tmp_path / "s")[1]["tiny_choice"]


def test_another_number_of_shots_is_another_exam(tmp_path: Path) -> None:
    path = changed(copied("tuned", tmp_path / "t"), lambda d: d["n-shot"].update(tiny_choice=5))
    kept(tmp_path / "r", "base", BASE)
    kept(tmp_path / "r", "tuned", path)
    cell = compared(tmp_path / "r")[1]["tiny_choice"]
    assert cell.verdict == "invalid"
    assert "fewshot: 0 → 5" in cell.reason


def test_a_chat_template_is_what_is_compared_not_another_exam(tmp_path: Path) -> None:
    path = copied("tuned", tmp_path / "t")
    changed(path, lambda d: d.update(chat_template="{{ messages }}", chat_template_sha="ab" * 32))
    kept(tmp_path / "r", "base", BASE)
    kept(tmp_path / "r", "tuned", path)
    cell = compared(tmp_path / "r")[1]["tiny_choice"]
    assert cell.comparable
    assert "treatment" in cell.flags


def test_a_bare_results_file_is_compared_unpaired_and_never_passes(tmp_path: Path) -> None:
    for whose in ("base", "tuned"):
        lone = tmp_path / whose / results_file(whose).name
        lone.parent.mkdir()
        lone.write_text(results_file(whose).read_text())
        kept(tmp_path / "r", whose, lone)
    report, cells = compared(tmp_path / "r", Policy(margins={"tiny_choice": 1.0}))
    cell = cells["tiny_choice"]
    assert "unpaired" in cell.flags
    assert cell.method == "unpaired"
    assert cell.verdict == "inconclusive"
    own = json.loads(results_file("base").read_text())["results"]["tiny_choice"]["acc,none"]
    assert cell.baseline_score == pytest.approx(own)
    assert {score.n for score in report.scores if score.task == "tiny_choice"} == {16}


def test_a_bare_score_can_regress(tmp_path: Path) -> None:
    def decline(document: dict[str, Any]) -> None:
        document["results"]["tiny_choice"].update({"acc,none": 0.1, "acc_stderr,none": 0.01})
        document["n-samples"]["tiny_choice"]["effective"] = 900

    path = changed(copied("tuned", tmp_path / "t"), decline)
    samples_of(path, "tiny_choice").unlink()
    kept(tmp_path / "r", "base", BASE)
    kept(tmp_path / "r", "tuned", path)
    assert compared(tmp_path / "r")[1]["tiny_choice"].verdict == "regressed"


def test_a_score_that_is_not_the_mean_of_its_samples_stands_alone() -> None:
    found = imports(BASE, bounds=(0.0, 10.0))["tiny_text"]
    assert not found.rows
    assert found.aggregate
    assert not found.metric.higher_is_better


def test_a_metric_of_unknown_scale_is_skipped_and_said() -> None:
    assert "give --bounds LOW HIGH" in skips(BASE)["tiny_text"]


def test_subjects_go_by_the_domain_of_their_group(tmp_path: Path) -> None:
    def grouped(document: dict[str, Any]) -> None:
        document["group_subtasks"] = {"all": ["some"], "some": ["tiny_choice"]}

    path = changed(copied("base", tmp_path / "t"), grouped)
    found = imports(path)
    assert found["tiny_choice"].domain == "all"
    assert found["tiny_words"].domain == "tiny_words"


def test_a_score_that_is_no_number_is_a_missing_sample(tmp_path: Path) -> None:
    path = copied("base", tmp_path / "t")
    samples = samples_of(path, "tiny_choice")
    lines = samples.read_text().splitlines()
    lines[0] = json.dumps({**json.loads(lines[0]), "acc": float("nan")})
    samples.write_text("\n".join(lines))
    kept(tmp_path / "r", "base", path)
    kept(tmp_path / "r", "tuned", TUNED)
    cell = compared(tmp_path / "r")[1]["tiny_choice"]
    assert cell.verdict == "invalid"
    assert "missing" in cell.reason


def test_importing_twice_changes_nothing(tmp_path: Path) -> None:
    kept(tmp_path, "base", BASE)
    cells = [cell.path for cell in Store(tmp_path).cells()]
    kept(tmp_path, "base", BASE)
    assert [cell.path for cell in Store(tmp_path).cells()] == cells


def test_answers_are_kept_to_be_looked_at(tmp_path: Path) -> None:
    kept(tmp_path, "base", BASE)
    (cell,) = (cell for cell in Store(tmp_path).cells() if cell.meta()["task"] == "tiny_words")
    answers = list(cell.answers().values())
    assert {answer.response.text for answer in answers} == {"lol"}
    assert answers[0].question.startswith("Write the sound of laughter")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda text: text[: len(text) // 2], "not JSON"),
        (lambda text: text.replace('"acc":', '"other":'), "`acc` is missing"),
        (lambda text: "\n".join(text.splitlines()[:-1]), "15 samples of none, 16 were asked"),
        (lambda text: text + text.splitlines()[0] + "\n", "is there twice"),
        (lambda text: "[" * 100_000 + "NaN", "not JSON"),
    ],
)
def test_damaged_samples_are_told_in_one_line(
    tmp_path: Path, damage: Callable[[str], str], message: str
) -> None:
    path = copied("base", tmp_path / "t")
    samples = samples_of(path, "tiny_choice")
    samples.write_text(damage(samples.read_text()))
    with pytest.raises(DataError, match=message) as told:
        kept(tmp_path / "r", "base", path)
    assert "\n" not in str(told.value)


def test_samples_alone_say_what_else_is_needed() -> None:
    with pytest.raises(DataError, match="give the results file"):
        imports(samples_of(results_file("base"), "tiny_words"))


def test_one_question_under_two_ids_is_a_cluster(tmp_path: Path) -> None:
    results = copied("base", tmp_path / "logs")
    path = samples_of(results, "tiny_choice")
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    lines[1]["doc_hash"] = lines[0]["doc_hash"]
    path.write_text("\n".join(map(json.dumps, lines)))
    kept(tmp_path / "r", "base", results)
    cells = [cell for cell in Store(tmp_path / "r").cells() if "tiny_choice" in str(cell.path)]
    clusters = [row["cluster"] for row in read_table(cells[0].scores_path()).to_pylist()]
    assert sorted(map(bool, clusters)) == [False] * 14 + [True] * 2
    assert len(set(filter(None, clusters))) == 1
