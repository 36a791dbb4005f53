"""Reports in Weights & Biases and MLflow: written offline, read back by their own libraries."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from evalkit.trackers.points import Point, tracked
from evalkit.verdict import CheckpointNote, CheckpointScore, Report
from reports.json import render
from tests.sample_report import hostile_report, sample_report

ROOT = Path(__file__).parent.parent
READ_WANDB = """
import json, struct, sys
from wandb.proto import wandb_internal_pb2 as pb

def records(content):
    # The log format of LevelDB: blocks of 32 KiB, parts with checksum, length and kind.
    assert content[:4] == b":W&B"
    at, whole = 7, b""
    while at + 7 <= len(content):
        left = -at % 32768 or 32768
        if left < 7:
            at += left
            continue
        _, length, kind = struct.unpack_from("<IHB", content, at)
        whole += content[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # whole, or the last part
            yield whole
            whole = b""

found = {"history": [], "summary": {}, "metrics": [], "config": {}}
for data in records(open(sys.argv[1], "rb").read()):
    record = pb.Record()
    record.ParseFromString(data)
    kind = record.WhichOneof("record_type")
    if kind == "run":
        found |= {"id": record.run.run_id, "project": record.run.project}
        for item in record.run.config.update:
            found["config"]["/".join(item.nested_key) or item.key] = json.loads(item.value_json)
    if kind == "history":
        items = record.history.item
        row = {item.key or "/".join(item.nested_key): item.value_json for item in items}
        found["history"].append({key: json.loads(value) for key, value in row.items()})
    if kind == "summary":
        for item in record.summary.update:
            found["summary"][item.key or "/".join(item.nested_key)] = json.loads(item.value_json)
    if kind == "metric":
        metric = record.metric
        found["metrics"].append([metric.glob_name or metric.name, metric.step_metric])
print(json.dumps(found))
"""
READ_MLFLOW = """
import json, sys
from mlflow import MlflowClient
client = MlflowClient(tracking_uri=sys.argv[1])
experiment = client.get_experiment_by_name(sys.argv[2])
found = []
for run in client.search_runs([experiment.experiment_id]):
    history = {
        key: [[m.step, m.value] for m in client.get_metric_history(run.info.run_id, key)]
        for key in run.data.metrics
    }
    path = client.download_artifacts(run.info.run_id, "verdict.json", sys.argv[3])
    found.append({"status": run.info.status, "history": history, "tags": run.data.tags,
                  "params": run.data.params, "verdict": json.load(open(path))})
print(json.dumps(found))
"""


def note(name: str, parent: str = "", step: int | None = None) -> CheckpointNote:
    return CheckpointNote(name=name, parent=parent, step=step, method="sft" if parent else "")


def score(name: str, value: float) -> CheckpointScore:
    return CheckpointScore(
        checkpoint=name, task="mmlu-pro@5-shot", domain="knowledge", n=9, score=value
    )


def report() -> Report:
    """A chain of two stages, the first of which saved a checkpoint on the way."""
    sft = sample_report().candidates[0]
    return Report(
        baseline="base",
        verdict="regressed",
        exit_code=1,
        candidates=[sft, sft.model_copy(update={"name": "sft@200"})],
        checkpoints=[
            note("base"),
            note("dpo", "sft", 100),
            note("sft", "base", 400),
            note("sft@200", "base", 200),
        ],
        scores=[score("base", 0.3), score("sft@200", 0.2), score("sft", 0.25), score("dpo", 0.4)],
    )


def places(found: list[Point]) -> list[tuple[int, str]]:
    return [(point.x, point.checkpoint) for point in found]


def test_a_checkpoint_lies_at_its_step_after_those_of_its_parents() -> None:
    found = tracked(report())
    assert found.axis == "training_step"
    assert places(found.points) == [(0, "base"), (200, "sft@200"), (400, "sft"), (500, "dpo")]


@pytest.mark.parametrize("step", [None, 0])
def test_where_steps_are_not_known_it_lies_at_its_place(step: int | None) -> None:
    notes = [note("base"), note("sft", "base", step), note("other")]
    found = tracked(report().model_copy(update={"checkpoints": notes, "scores": []}))
    assert found.axis == "place"
    assert places(found.points) == [(0, "base"), (1, "sft"), (2, "other")]


def test_lineage_that_goes_round_ends() -> None:
    notes = [note("a", "b", 10), note("b", "a", 20)]
    assert len(tracked(report().model_copy(update={"checkpoints": notes})).points) == 6


def test_a_point_holds_scores_deltas_intervals_and_verdicts_as_numbers() -> None:
    (sft,) = (point for point in tracked(report()).points if point.checkpoint == "sft")
    assert sft.values["score/mmlu-pro@5-shot"] == 0.25
    assert sft.values["delta/mmlu-pro"] == sft.values["domain_delta/knowledge"] == -0.05619
    assert sft.values["delta_low/mmlu-pro"] < -0.05619 < sft.values["delta_high/mmlu-pro"]
    assert (sft.values["verdict/mmlu-pro"], sft.values["verdict/mini-instructions"]) == (-1, 2)
    assert "verdict/mini-chat" not in sft.values  # invalid
    assert len(tracked(report()).comparisons) == 2 * (6 + 6)


def test_what_is_against_the_parent_goes_by_a_name_of_its_own() -> None:
    against = sample_report().candidates[4]
    notes = [note("grpo", "dpo", 5), note("dpo")]
    found = tracked(report().model_copy(update={"candidates": [against], "checkpoints": notes}))
    (values,) = (point.values for point in found.points if point.checkpoint == "grpo")
    assert values["parent_verdict/tools-simple"] == -1
    assert "verdict/tools-simple" not in values


def track(verdict: Path, tracker: str, *more: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "evalkit.cli", "track", str(verdict), "--to", tracker, *more],
        env={**os.environ, "PYTHONPATH": str(ROOT), "MLFLOW_ALLOW_FILE_STORE": "true", **env},
        capture_output=True,
        text=True,
    )


def read(script: str, *args: str) -> Any:
    done = subprocess.run(
        [sys.executable, "-c", script, *args],
        env={**os.environ, "MLFLOW_ALLOW_FILE_STORE": "true"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture
def verdict(tmp_path: Path) -> Path:
    path = tmp_path / "results/report/verdict.json"
    path.parent.mkdir(parents=True)
    path.write_text(render(report()))
    return path


def test_an_offline_run_of_weights_and_biases_is_written_once(verdict: Path) -> None:
    first = track(verdict, "wandb", "--project", "mine")
    assert first.returncode == 0, first.stderr
    place, new = first.stdout.split("\t")
    assert new == "new\n"
    assert track(verdict, "wandb", "--project", "mine").stdout == f"{place}\tthere already\n"
    (folder,) = (verdict.parents[1] / "wandb").iterdir()
    assert str(folder) == place
    assert [path.name for path in verdict.parents[1].iterdir()] == ["report", "wandb"]
    (file,) = folder.glob("*.wandb")
    found = read(READ_WANDB, str(file))
    assert (found["id"], found["project"]) == (tracked(report()).identity, "mine")
    steps = [(row["training_step"], row["checkpoint"]) for row in found["history"]]
    assert steps == [(0, "base"), (200, "sft@200"), (400, "sft"), (500, "dpo")]
    assert [row["score/mmlu-pro@5-shot"] for row in found["history"]] == [0.3, 0.2, 0.25, 0.4]
    assert found["history"][2]["verdict/mmlu-pro"] == -1
    assert found["config"]["axis"] == "training_step"
    assert ["*", "training_step"] in found["metrics"]
    assert (found["summary"]["verdict"], found["summary"]["exit_code"]) == ("regressed", 1)
    table = json.loads(next(folder.glob("files/media/table/*.json")).read_text())
    assert table["columns"][:5] == ["candidate", "against", "domain", "task", "verdict"]
    assert len(table["data"]) == 24


def test_a_run_of_mlflow_is_written_once_and_whole(verdict: Path, tmp_path: Path) -> None:
    uri = (tmp_path / "mlruns").as_uri()
    first = track(verdict, "mlflow", "--project", "mine", MLFLOW_TRACKING_URI=uri)
    assert first.returncode == 0, first.stderr
    again = track(verdict, "mlflow", "--project", "mine", MLFLOW_TRACKING_URI=uri)
    assert again.stdout == first.stdout.replace("new", "there already")
    (run,) = read(READ_MLFLOW, uri, "mine", str(tmp_path))
    check_run(run)


def check_run(run: dict[str, Any]) -> None:
    assert run["status"] == "FINISHED"
    assert sorted(run["history"]["score/mmlu-pro_5-shot"]) == [
        [0, 0.3],
        [200, 0.2],
        [400, 0.25],
        [500, 0.4],
    ]
    assert sorted(run["history"]["verdict/mmlu-pro"]) == [[200, -1.0], [400, -1.0]]
    assert run["params"] == {"baseline": "base", "axis": "training_step"}
    assert (run["tags"]["verdict"], run["tags"]["dpo"]) == ("regressed", "sft of sft")
    assert Report.model_validate(run["verdict"]) == report()


@pytest.mark.parametrize("tracker", ["wandb", "mlflow"])
def test_nothing_leaves_the_machine(verdict: Path, tmp_path: Path, tracker: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        proxy.settimeout(1)
        address = f"http://127.0.0.1:{proxy.getsockname()[1]}"
        # Libraries send no telemetry where they believe to be tested.
        env = {"HTTPS_PROXY": address, "HTTP_PROXY": address, "PYTEST_CURRENT_TEST": "", "CI": ""}
        uri = (tmp_path / "mlruns").as_uri()
        done = track(verdict, tracker, MLFLOW_TRACKING_URI=uri, **env)
        assert done.returncode == 0, done.stderr
        with pytest.raises(TimeoutError):
            proxy.accept()


@pytest.mark.integration
def test_without_another_address_mlflow_writes_a_database(verdict: Path, tmp_path: Path) -> None:
    first = track(verdict, "mlflow")
    assert first.returncode == 0, first.stderr
    assert track(verdict, "mlflow").stdout == first.stdout.replace("new", "there already")
    uri = f"sqlite:///{verdict.parents[1] / 'mlflow.db'}"
    (run,) = read(READ_MLFLOW, uri, "evalkit", str(tmp_path))
    check_run(run)
    assert not (Path.cwd() / "mlruns").exists()


@pytest.mark.parametrize("tracker", ["wandb", "mlflow"])
def test_hostile_names_are_kept_out_of_queries_keys_and_paths(tmp_path: Path, tracker: str) -> None:
    names = ["a" * 5_000, "x\x00\x1b[2J\u202e<&>'\"`\ud800", "日本語/../..", "a'b`c", "a_b`c", ""]
    reports = [hostile_report(name) for name in names]
    scores = [score for report in reports for score in report.scores]
    path = tmp_path / "results/report/verdict.json"
    path.parent.mkdir(parents=True)
    path.write_text(render(reports[0].model_copy(update={"scores": scores})))
    done = track(path, tracker, MLFLOW_TRACKING_URI=(tmp_path / "mlruns").as_uri())
    assert done.returncode == 0, done.stderr
    assert {each.name for each in tmp_path.iterdir()} <= {"results", "mlruns"}


def test_what_is_no_verdict_or_no_place_is_one_line(tmp_path: Path, verdict: Path) -> None:
    path = tmp_path / "other.json"
    path.write_text("{}")
    assert "not a verdict of schema 1" in track(path, "wandb").stderr
    refused = track(verdict, "mlflow", MLFLOW_TRACKING_URI="nonsense://x")
    assert refused.returncode == 4
    assert refused.stderr.splitlines()[-1].startswith("evalkit: MLflow at nonsense://x: ")
    assert "Traceback" not in refused.stderr
