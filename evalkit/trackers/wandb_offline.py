"""Weights & Biases: an offline run, which `wandb sync` uploads whenever that is wanted."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from evalkit.errors import ConfigError
from evalkit.reporting.flat import Comparison
from evalkit.trackers.points import Tracked
from evalkit.verdict import Report


def track(report: Report, found: Tracked, project: str, folder: Path) -> tuple[Path, bool]:
    """Writes the run below `folder`; where it is, and whether it is new.

    Raises ConfigError where the library is not installed.
    """
    home = folder / "wandb"
    for there in sorted(home.glob(f"offline-run-*-{found.identity}")):
        return there, False
    home.mkdir(parents=True, exist_ok=True)
    # Beside its place first: a run that was broken off must not be taken for a whole one.
    with tempfile.TemporaryDirectory(prefix=".writing-", dir=folder) as scratch:
        _write(report, found, project, scratch)
        (written,) = Path(scratch, "wandb").glob("offline-run-*")
        return written.rename(home / written.name), True


def _write(report: Report, found: Tracked, project: str, scratch: str) -> None:
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")  # it tells of its crashes otherwise
    try:
        import wandb
    except ImportError:
        raise ConfigError(
            "wandb is not installed: pip install 'posttrain-evalkit[trackers]'"
        ) from None
    quiet = wandb.Settings(
        mode="offline",
        console="off",
        silent=True,
        disable_git=True,
        disable_code=True,
        x_disable_stats=True,
        x_save_requirements=False,
    )
    notes = [note.model_dump() for note in report.checkpoints]
    with wandb.init(
        project=project,
        id=found.identity,
        name=f"{report.baseline} {found.identity[:8]}",
        config={"baseline": report.baseline, "axis": found.axis, "checkpoints": notes},
        dir=scratch,
        settings=quiet,
    ) as run:
        run.define_metric(found.axis, hidden=True)
        run.define_metric("*", step_metric=found.axis)
        for point in found.points:
            run.log({found.axis: point.x, "checkpoint": point.checkpoint, **point.values})
        columns: list[str | int] = [*Comparison._fields]
        rows = [[*row] for row in found.comparisons]
        run.summary["comparisons"] = wandb.Table(columns=columns, data=rows, allow_mixed_types=True)
        run.summary["verdict"] = report.verdict
        run.summary["exit_code"] = report.exit_code
    wandb.teardown()
