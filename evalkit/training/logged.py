"""What each stage of a pipeline logged, as the report has it."""

from __future__ import annotations

from math import isfinite
from pathlib import Path

from evalkit.matrix import Matrix
from evalkit.training import curves
from evalkit.types import Stage
from evalkit.verdict import Curve, TrainingNote


def training_notes(matrix: Matrix) -> list[TrainingNote]:
    """A note for each stage that has been trained, in the order of the file."""
    return [
        _note(stage, matrix.runs[stage.name])
        for stage in matrix.stages
        if stage.name in matrix.runs
    ]


def _note(stage: Stage, run: Path) -> TrainingNote:
    found = curves.read(run)
    return TrainingNote(
        stage=stage.name,
        method=stage.method,
        curves=[_curve(name, curves.thinned(curve)) for name, curve in found.items()],
        flags=curves.flags(found),
    )


def _curve(name: str, points: curves.Curve) -> Curve:
    values = [float(f"{value:.6g}") if isfinite(value) else None for _, value in points]
    return Curve(name=name, steps=[step for step, _ in points], values=values)
