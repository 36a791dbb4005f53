"""What happens beside a training by transformers: checkpoints registered, logs kept.

Nothing here takes long: other devices wait for whoever is busy at the end of a step.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from evalkit import Stage
from evalkit.training import curves

from . import manifest

SUMMARY = "train_runtime"  # what the last log of a training is told by


def registrar(stage: Stage) -> Any:
    """A callback that saves at the steps to be evaluated, and writes down saves and logs."""
    from transformers import TrainerCallback

    steps = () if isinstance(stage.evaluate, str) else {int(step) for step in stage.evaluate}

    class Registrar(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            control.should_save = control.should_save or state.global_step in steps

        def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if state.is_world_process_zero:
                saved(stage, state)

        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
            if state.is_world_process_zero and logs and SUMMARY not in logs:
                curves.append(stage.out, state.global_step, logs)

    return Registrar()


def saved(stage: Stage, state: Any) -> None:
    """Registers the checkpoint of the step that training has come to."""
    path = f"checkpoint-{state.global_step}"
    if path not in {entry["path"] for entry in manifest.read(stage.out)}:
        manifest.append(stage, path, state.global_step, "trl", metrics(state))


def metrics(state: Any) -> dict[str, float]:
    """The latest training metrics, without what depends on the clock."""
    logged: Iterable[dict[str, Any]] = reversed(state.log_history)
    last = next((entry for entry in logged if SUMMARY not in entry), {})
    return {
        name: float(value)
        for name, value in last.items()
        if isinstance(value, int | float) and not name.endswith(curves.TIMES)
    }
