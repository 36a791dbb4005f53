"""Recorded results of real models give the numbers that were published for them.

Needs `model_outputs/` under EVALKIT_DATA.
"""

from __future__ import annotations

import csv
import os
from pathlib import Path
from statistics import mean, stdev

import pytest

from benchmarks import recordings
from benchmarks.real_pairs import RealPair, judged, unpaired_p
from benchmarks.recordings import AST, Recorded
from evalkit.grading.several import Several

HOME = Path(os.environ.get("EVALKIT_DATA") or "absent")

pytestmark = pytest.mark.skipif(
    not (HOME / "model_outputs" / "alpaca_eval").is_dir(),
    reason="EVALKIT_DATA has no model_outputs",
)

LEADERBOARD = (
    "alpaca_eval/leaderboards/src__leaderboards__data_AlpacaEval_2"
    "__weighted_alpaca_eval_gpt4_turbo_leaderboard.csv"
)
ALPACA_MODELS = (
    "alpaca-7b",
    "claude-2.1",
    "claude-2.1_concise",
    "gemma-7b-it",
    "gpt-3.5-turbo-1106",
    "oasst-rlhf-llama-33b",
    "oasst-sft-llama-33b",
    "phi-2",
    "phi-2-sft",
    "vicuna-7b",
)
BFCL_MODELS = {
    "NousResearch_Hermes-2-Pro-Llama-3-8B": "Hermes-2-Pro-Llama-3-8B (FC)",
    "Salesforce_xLAM-1b-fc-r": "xLAM-1b-fc-r (FC)",
    "gpt-4-0613": "GPT-4-0613 (Prompt)",
    "gpt-4-0613-FC": "GPT-4-0613 (FC)",
    "meta-llama_Meta-Llama-3-8B-Instruct": "Meta-Llama-3-8B-Instruct (Prompt)",
    "mistral-small-2402-FC-Auto": "Mistral-small-2402 (FC Auto)",
}
TAU_AIRLINE = {"avg@4": 0.42, "pass^2": 0.2733, "pass^3": 0.22, "pass^4": 0.20}
"""Published for gpt-4o: pass^1 to pass^4."""

BFCL_COLUMNS = {
    "Python Simple Function AST": ("simple",),
    "Java Simple Function AST": ("java",),
    "JavaScript Simple Function AST": ("javascript",),
    "Simple Function AST": AST["simple"],
    "Multiple Functions AST": AST["multiple"],
    "Parallel Functions AST": AST["parallel"],
    "Parallel Multiple AST": AST["parallel multiple"],
    "Relevance Detection": ("relevance",),
}


def published(path: str, key: str) -> dict[str, dict[str, str]]:
    with (HOME / path).open(newline="") as file:
        return {row[key]: row for row in csv.DictReader(file)}


@pytest.mark.parametrize("model", ALPACA_MODELS)
def test_alpaca_eval_win_rates_and_errors_are_the_leaderboards(model: str) -> None:
    row = published(LEADERBOARD, "")[model]
    known = recordings.alpaca_eval(HOME, model).known
    assert len(known) == int(row["n_total"])
    assert 100 * mean(known) == pytest.approx(float(row["win_rate"]), abs=1e-9)
    error = 100 * stdev(known) / len(known) ** 0.5
    assert error == pytest.approx(float(row["standard_error"]), abs=1e-9)


@pytest.mark.parametrize("model", BFCL_MODELS)
def test_bfcl_columns_are_the_published_ones(model: str) -> None:
    row = published("model_outputs/bfcl_v1/published_data.csv", "Model")[BFCL_MODELS[model]]
    for column, files in BFCL_COLUMNS.items():
        found = mean(recordings.bfcl(HOME, model, files).known)
        assert f"{100 * found:.2f}%" == row[column], column
    summary = mean(mean(recordings.bfcl(HOME, model, files).known) for files in AST.values())
    assert f"{100 * summary:.2f}%" == row["AST Summary"]


@pytest.mark.parametrize(
    ("model", "average"),
    [
        ("mistral-orpo-mix", 6.003),
        ("mistral-orpo-capybara", 6.819),
        ("mistral-orpo-trl", 7.166),
    ],
)
def test_mt_bench_averages_are_the_published_ones(model: str, average: float) -> None:
    found = recordings.mt_bench(HOME, model)
    assert len(found.scores) == 160
    assert round(mean(found.known), 3) == average


def test_a_failed_judgment_is_missing_not_a_grade() -> None:
    first = recordings.mt_bench(HOME, "mistral-orpo")
    again = recordings.mt_bench(HOME, "mistral-orpo", judging=1)
    assert len(first.scores) == len(again.scores) == 160
    assert sorted((len(first.known), len(again.known))) == [159, 160]


def test_livecodebench_has_every_model_at_every_problem() -> None:
    found = recordings.livecodebench(HOME, "GPT-4O-2024-05-13")
    other = recordings.livecodebench(HOME, "DSCoder-1.3b-Ins")
    assert len(found.scores) == 442
    assert found.clusters == other.clusters
    assert len({*found.clusters.values()}) == 182


def test_a_summary_of_columns_is_judged_as_it_is_published(tmp_path: Path) -> None:
    names = ("gpt-4-0613", "gpt-4-0613-FC")
    tasks = {
        column: (recordings.bfcl(HOME, names[0], files), recordings.bfcl(HOME, names[1], files))
        for column, files in AST.items()
    }
    found = judged(RealPair("bfcl", names, 0.02, tasks), tmp_path)
    rows = published("model_outputs/bfcl_v1/published_data.csv", "Model")
    before, after = (float(rows[BFCL_MODELS[name]]["AST Summary"][:-1]) for name in names)
    assert found.domains[0].delta is not None
    assert 100 * found.domains[0].delta == pytest.approx(after - before, abs=0.01)
    assert (found.verdict, found.exit_code) == ("regressed", 1)
    verdicts = {cell.task: cell.verdict for cell in found.cells}
    assert verdicts["multiple"] == "inconclusive"
    assert verdicts["parallel"] == "regressed"


def test_what_pairing_sees_and_an_unpaired_test_does_not(tmp_path: Path) -> None:
    names = ("oasst-sft-llama-33b", "oasst-rlhf-llama-33b")
    before, after = (recordings.alpaca_eval(HOME, name) for name in names)
    found = judged(RealPair("alpaca", names, 0.02, {"alpaca": (before, after)}), tmp_path)
    assert found.verdict == "improved"
    assert unpaired_p(before, after) > 0.1


def test_two_turns_of_a_question_are_one_unit(tmp_path: Path) -> None:
    names = ("mistral-orpo-mix", "mistral-orpo-trl")
    before, after = (recordings.mt_bench(HOME, name) for name in names)
    cell = judged(RealPair("mt", names, 0.05, {"mt": (before, after)}), tmp_path).cells[0]
    assert (cell.n, cell.method) == (160, "cluster")
    assert cell.native is not None
    assert [round(each, 3) for each in cell.native] == [6.003, 7.166]


def test_one_missing_judgment_is_told_and_does_not_spoil_a_clear_verdict(tmp_path: Path) -> None:
    first, again = (recordings.mt_bench(HOME, "mistral-orpo", each) for each in (0, 1))
    found = judged(RealPair("mt", ("a", "b"), 0.05, {"mt": (first, again)}), tmp_path)
    assert found.verdict == "improved"
    assert found.cells[0].outcomes.baseline["errored"] == 1


def test_scores_that_are_equal_have_no_unpaired_difference() -> None:
    same = Recorded({"a": 1.0, "b": 0.0, "c": 1.0})
    assert unpaired_p(same, same) == 1.0


def test_tau_bench_gives_the_published_pass_hat_k() -> None:
    several = Several(4, 1.0, 0.0)
    for task, rewards in recordings.tau_bench(HOME, "gpt-4o-airline").items():
        for reward in rewards:
            several.take(task, reward, None)
    found = several.figures()
    for name, published in TAU_AIRLINE.items():
        assert found[name] == pytest.approx(published, abs=5e-5)
