"""What the harness adds to TRL's own training time, side by side in one process.

    python -m benchmarks.trainer_overhead results/quickstart

The same stage is trained by TRL's trainer with and without what evalkit puts around it: the
callback that writes every log and registers every checkpoint, and the reward as it is called
through evalkit.  Both log every step and save every tenth.  Printed are medians of CPU-seconds of
`train()`, and the share that is spent inside evalkit's own code.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.trainers import GROUPS, SUMS, TRL, WORDS, parents_of
from evalkit import Stage
from trainers import rewards, trl_inprocess

SAVING = {"logging_steps": 1, "save_strategy": "steps", "save_steps": 10, "max_steps": 40}
STAGES: dict[str, dict[str, Any]] = {
    "sft": {"data": WORDS, "args": {**TRL, **SAVING, "per_device_train_batch_size": 32}},
    "grpo": {
        "data": SUMS,
        "args": {**GROUPS, **SAVING, "per_device_train_batch_size": 64},
        "reward": "task:mini-arithmetic",
    },
}


class Spent:
    """CPU-seconds inside some functions."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def watch(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The same function, timed."""

        def timed(*args: Any, **kwargs: Any) -> Any:
            started = time.process_time()
            try:
                return function(*args, **kwargs)
            finally:
                self.seconds += time.process_time() - started

        timed.__name__ = function.__name__
        return timed


def trained(stage: Stage, rows: list[Any], *, alone: bool) -> tuple[float, float]:
    """CPU-seconds of one training, and those of them inside evalkit."""
    trainer = trl_inprocess.trainer_of(stage, rows)
    spent = Spent()
    own = next(c for c in trainer.callback_handler.callbacks if type(c).__name__ == "Registrar")
    if alone:
        trainer.remove_callback(own)
        if stage.reward:
            trainer.reward_funcs[0] = plain(stage)
    else:
        for event in ("on_step_end", "on_save", "on_log"):
            setattr(own, event, spent.watch(getattr(own, event)))
    started = time.process_time()
    trainer.train()
    return time.process_time() - started, spent.seconds


def plain(stage: Stage) -> Callable[..., list[float]]:
    """The reward as one would write it for TRL, with the rows parsed beforehand."""
    import json

    graded = rewards.load(stage.reward, stage.paths)
    known: dict[str, Any] = {}

    def reward(prompts: Any, completions: Any, row: list[str], **_: Any) -> list[float]:
        for line in row:
            known.setdefault(line, json.loads(line))
        return [
            graded(prompt, done[-1]["content"], known[line])
            for prompt, done, line in zip(prompts, completions, row, strict=True)
        ]

    return reward


def main() -> None:
    """Prints a row a method."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", type=Path, help="what `make quickstart` made")
    parser.add_argument("--repeats", type=int, default=5)
    given = parser.parse_args()
    parent = str(parents_of(given.results)["sft"])
    print("| method | TRL alone, CPU-s | with evalkit | difference | inside evalkit |")
    print("|:--|--:|--:|--:|--:|", flush=True)
    for method, spec in STAGES.items():
        alone, beside, inside = [], [], []
        for repeat in range(given.repeats + 1):
            for bare in (True, False):
                with tempfile.TemporaryDirectory() as folder:
                    stage = Stage(method, method, folder, parent, **spec)
                    trl_inprocess._prepare(stage)
                    seconds, own = trained(stage, trl_inprocess.rows_of(stage), alone=bare)
                if repeat == 0:
                    continue  # warm-up
                (alone if bare else beside).append(seconds)
                inside += [] if bare else [own / seconds]
        before, after = statistics.median(alone), statistics.median(beside)
        print(
            f"| {method} | {before:.2f} | {after:.2f} | {after / before - 1:+.1%} "
            f"| {statistics.median(inside):.2%} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
