"""One kept checkpoint evaluated, in a process of its own: the child of a watch.

It makes a model of the checkpoint if it is not one yet, says in the manifest what it is, asks
what has not been asked, and reports on everything that the watch has evaluated so far.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path

from evalkit import plugins
from evalkit.errors import EvalkitError, ModelError
from evalkit.processes.children import end_with
from evalkit.reporting.report import of_run
from evalkit.reporting.writing import write
from evalkit.run import Held, hold
from evalkit.terminal.progress import progress
from evalkit.training import curves, manifest
from evalkit.types import Stage
from evalkit.verdict import Renderer, Report
from evalkit.watching import keeping
from evalkit.watching.finding import logged
from evalkit.watching.keeping import EVALUATED
from evalkit.watching.registering import register, unchanged
from evalkit.watching.subject import Watch, base, compared, rows_of


def evaluate(watch: Watch, name: str) -> int:
    """Evaluates one kept checkpoint; returns 0 where everything was measured, else 4."""
    matrix, loaded = compared(watch)
    kept = next(each for each in keeping.everything(watch.folder) if each.name == name)
    register(watch, kept, base(watch, matrix))
    unchanged(watch, kept)
    done = keeping.evaluated(watch.folder)
    shown = [e for e in keeping.everything(watch.folder) if e.name in done or e.name == name]
    rows = (*matrix.rows, *rows_of(watch, matrix, loaded, shown))
    with progress() as notify:
        held = hold(replace(matrix, rows=rows), Path(watch.results), notify)
    _keep_curves(watch)
    found = of_run(_with_curves(held, watch))
    write(found, watch.folder / "report", matrix.reports)
    called = kept.called(watch.run)
    sys.stdout.write(_rendered(_only(found, called)))
    measured = all(row.score is not None for row in found.scores if row.checkpoint == called)
    if not measured or held.failures:
        return ModelError.exit_code
    verdict = next((each.verdict for each in found.candidates if each.name == called), "")
    entry = {"event": EVALUATED, "path": name, "step": kept.step, "verdict": verdict}
    manifest.append(watch.folder, {**entry, "time": round(time.time(), 3)})
    return 0


def _keep_curves(watch: Watch) -> None:
    """What the training has logged, taken over or read from its own logs."""
    own = Path(watch.source) / curves.NAME
    if own.exists():
        shutil.copyfile(own, watch.folder / curves.NAME)
        return
    (watch.folder / curves.NAME).unlink(missing_ok=True)
    for step, values in logged(Path(watch.source)):
        curves.append(watch.folder, step, values)


def _with_curves(held: Held, watch: Watch) -> Held:
    stages = (Stage(watch.run, "", ""),)
    return replace(held, matrix=replace(held.matrix, stages=stages, runs={watch.run: watch.folder}))


def _only(report: Report, name: str) -> Report:
    """The report cut down to one candidate."""
    kept = [each for each in report.candidates if each.name == name]
    wanted = {name, *(each.against for each in kept)}
    return report.model_copy(
        update={
            "candidates": kept,
            "scores": [row for row in report.scores if row.checkpoint in wanted],
            "groups": [each for each in report.groups if each.checkpoint in wanted],
            "checkpoints": [note for note in report.checkpoints if note.name in wanted],
            "training": [],
        }
    )


def _rendered(report: Report) -> str:
    renderer = plugins.find("reports", "terminal")
    assert isinstance(renderer, Renderer)
    return renderer.render(report)


def command(watch: Watch, name: str) -> list[str]:
    """The process that evaluates a kept checkpoint."""
    spec = json.dumps(asdict(watch))
    module = "evalkit.watching.evaluation"
    return [sys.executable, "-m", module, spec, name, str(os.getpid())]


def main() -> None:
    """The child of a watch."""
    end_with(int(sys.argv[3]))
    try:
        sys.exit(evaluate(Watch(**json.loads(sys.argv[1])), sys.argv[2]))
    except EvalkitError as error:
        sys.stderr.write(f"evalkit: {' '.join(str(error).split())}\n")
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
