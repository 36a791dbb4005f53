"""MLflow: a run in a local database, or wherever MLFLOW_TRACKING_URI says."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalkit.errors import ConfigError, StoreError
from evalkit.trackers.points import Tracked
from evalkit.verdict import Report

if TYPE_CHECKING:
    from mlflow import MlflowClient

TAG = "evalkit.reporting.report"
UNTAKEN = re.compile(r"[^\w./ :-]")
LONGEST = 250  # characters of a key, and as many of a value of a tag as are of use


def track(report: Report, found: Tracked, project: str, folder: Path) -> tuple[str, bool]:
    """Writes the run; where it is, and whether it is new.

    Raises ConfigError where the library is not installed, StoreError where it refuses.
    """
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # it counts its users otherwise
    try:
        from mlflow import MlflowClient
        from mlflow.exceptions import MlflowException
    except ImportError:
        raise ConfigError(
            "mlflow is not installed: pip install 'posttrain-evalkit[trackers]'"
        ) from None
    uri = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{folder.absolute() / 'mlflow.db'}"
    try:
        client = MlflowClient(tracking_uri=uri)
        experiment = _experiment(client, project, folder)
        run = _whole(client, experiment, found.identity)
        return (run or _write(client, experiment, report, found)), run is None
    except MlflowException as error:
        raise StoreError(f"MLflow at {uri}: {error}") from None


def _experiment(client: MlflowClient, project: str, folder: Path) -> str:
    there = client.get_experiment_by_name(project)
    if there:
        return str(there.experiment_id)
    local = None if os.environ.get("MLFLOW_TRACKING_URI") else (folder / "mlartifacts").absolute()
    return str(client.create_experiment(project, local.as_uri() if local else None))


def _whole(client: MlflowClient, experiment: str, identity: str) -> str | None:
    """The run of a report, if it was written to its end; what was broken off is removed."""
    whole = None
    for run in client.search_runs([experiment], f"tags.`{TAG}` = '{identity}'"):
        if run.info.status == "FINISHED":
            whole = str(run.info.run_id)
        else:
            client.delete_run(run.info.run_id)
    return whole


def _write(client: MlflowClient, experiment: str, report: Report, found: Tracked) -> str:
    from mlflow.entities import Metric, Param, RunTag

    name = f"{report.baseline} {found.identity[:8]}"
    run = client.create_run(experiment, run_name=name, tags={TAG: found.identity})
    now = int(time.time() * 1000)
    metrics = [
        Metric(key, value, now, point.x)
        for point in found.points
        for key, value in _named(point.values).items()
    ]
    lineage = {
        note.name: f"{note.method or '?'} of {note.parent}"
        for note in report.checkpoints
        if note.parent
    }
    told: dict[str, Any] = {"baseline": report.baseline, "axis": found.axis}
    params = [Param(key, str(value)[:LONGEST]) for key, value in told.items()]
    tags = {"verdict": report.verdict, "exit_code": report.exit_code, **_named(lineage)}
    rows = [RunTag(key, str(value)[:LONGEST]) for key, value in tags.items()]
    for start in range(0, len(metrics) or 1, 500):  # as many as a server takes at once
        client.log_batch(run.info.run_id, metrics[start : start + 500])
    client.log_batch(run.info.run_id, params=params, tags=rows)
    client.log_text(run.info.run_id, report.model_dump_json(indent=1), "verdict.json")
    client.set_terminated(run.info.run_id)
    return str(run.info.run_id)


def _named(values: dict[str, Any]) -> dict[str, Any]:
    """The values by names that MLflow takes; two that become one are told apart by a number."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        key = plain = _key(name)
        number = 1
        while key in found:
            number += 1
            key = f"{plain}_{number}"
        found[key] = value
    return found


def _key(name: str) -> str:
    """A name as MLflow takes it; it may be a path somewhere, so no part of it leads upwards."""
    parts = UNTAKEN.sub("_", name)[: LONGEST - 4].split("/")
    return "/".join(part if part.strip(". ") else "_" for part in parts)
