"""Whether every method learns: each trained on the quickstart's model, over several seeds.

    python -m benchmarks.trainers results/quickstart --seeds 5

Takes the quickstart's own `base` and `sft`, trains every method of TRL and both reference methods
for a few steps on the CPU, and prints a Markdown table: the mean of what the method should move
over the first and over the last quarter of the steps, and in how many seeds it moved that way.
Pairs are a solution against the same with a question mark behind it; rewards are for sums.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from evalkit import Stage, plugins
from evalkit.training import curves

SUMS = {"task:mini-arithmetic": 1.0}
WORDS = {"task:mini-instruct": 1.0}
BOTH = {"pairs": 1.0}
TRL = {"use_cpu": True, "logging_steps": 1}
GROUPS = {**TRL, "num_generations": 8, "max_completion_length": 8, "learning_rate": 5e-4}
PAIRS = {**TRL, "max_steps": 20, "per_device_train_batch_size": 32, "learning_rate": 5e-4}
OWN = {"use_cpu": True, "steps": 40, "max_completion_length": 8, "learning_rate": 5e-4}


@dataclass(frozen=True)
class Trial:
    """A method, what it learns from, and what it should move in which direction."""

    name: str
    method: str
    moves: str
    up: bool
    args: dict[str, Any]
    parent: str = "sft"
    data: dict[str, float] = field(default_factory=lambda: dict(SUMS))
    lora: dict[str, Any] = field(default_factory=dict)


def trials() -> list[Trial]:
    """Every method, DPO and GRPO under several losses."""
    supervised = {**TRL, "max_steps": 30, "per_device_train_batch_size": 32}
    supervised["learning_rate"] = 1e-3
    rolled = {**GROUPS, "max_steps": 80, "per_device_train_batch_size": 128}
    lora = {"r": 8, "target_modules": "all-linear"}
    found = [
        Trial("cpt", "cpt", "loss", False, supervised, "base", {"text": 1.0}),
        Trial("sft", "sft", "loss", False, supervised, "base", WORDS),
        Trial("sft, LoRA", "sft", "loss", False, {**supervised, "learning_rate": 5e-3}, "base",
              WORDS, lora),
    ]  # fmt: skip
    for loss in ("sigmoid", "hinge", "ipo", "robust"):
        args = {**PAIRS, "loss_type": [loss], "label_smoothing": 0.1 if loss == "robust" else 0.0}
        found.append(Trial(f"dpo, {loss}", "dpo", "rewards/margins", True, args, data=BOTH))
    found += [
        Trial("kto", "kto", "rewards/margins", True, PAIRS, data=BOTH),
        Trial("reward", "reward", "accuracy", True, PAIRS, data=BOTH),
    ]
    for loss in ("grpo", "dr_grpo", "dapo", "bnpo"):
        args = {**rolled, "loss_type": loss}
        args["scale_rewards"] = "none" if loss == "dr_grpo" else "group"
        found.append(Trial(f"grpo, {loss}", "grpo", "reward", True, args))
    return [
        *found,
        Trial("rloo", "rloo", "reward", True, rolled),
        Trial("reinforce", "reinforce", "reward", True, {**OWN, "prompts": 64}),
        Trial("ppo", "ppo", "reward", True, {**OWN, "prompts": 128, "beta": 0.01}),
    ]


@dataclass(frozen=True)
class Result:
    """What one seed of a trial came to."""

    first: float
    last: float
    seconds: float  # CPU, a step

    def moved(self, *, up: bool) -> float:
        """How far it went in the direction that it should."""
        return (self.last - self.first) * (1 if up else -1)


def run(trial: Trial, seed: int, parents: dict[str, Path], steps: int = 0) -> Result:
    """Trains once, in a folder that is thrown away; `steps` in place of the trial's own."""
    args = dict(trial.args)
    if steps:
        args["steps" if "steps" in args else "max_steps"] = steps
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        out.mkdir()
        own = {"text": texts, "pairs": pairs}
        data = {
            own[name](Path(folder)) if name in own else name: w for name, w in trial.data.items()
        }
        rewarded = trial.moves == "reward"
        stage = Stage(
            trial.method,
            trial.method,
            str(out),
            str(parents[trial.parent]),
            data,
            "task:mini-arithmetic" if rewarded else "",
            args,
            seed,
            lora=trial.lora,
        )
        started = time.process_time()
        plugins.trainer(trial.method).run(stage)
        spent = time.process_time() - started
        values = [value for _, value in curves.read(out)[trial.moves]]
    quarter = max(1, len(values) // 4)
    return Result(mean(values[:quarter]), mean(values[-quarter:]), spent / len(values))


def solved() -> Iterator[tuple[str, str]]:
    """The questions of a task and their solutions."""
    task = plugins.task("mini-instruct")
    assert task.train
    assert task.solution
    for sample in task.train(lambda _: iter(())):
        prompt = sample.rendered()
        yield prompt if isinstance(prompt, str) else prompt[-1]["content"], task.solution(sample)


def texts(folder: Path) -> str:
    """Running text: each question with its solution."""
    return _written(folder, ({"text": f"{asked} {answer}"} for asked, answer in solved()))


def pairs(folder: Path) -> str:
    """Each solution against the same with a question mark behind it."""
    return _written(
        folder,
        (
            {
                "prompt": [{"role": "user", "content": asked}],
                "chosen": [{"role": "assistant", "content": answer}],
                "rejected": [{"role": "assistant", "content": f"{answer}?"}],
            }
            for asked, answer in solved()
        ),
    )


def _written(folder: Path, rows: Iterable[dict[str, Any]]) -> str:
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def mean(values: Sequence[float]) -> float:
    """The arithmetic mean."""
    return sum(values) / len(values)


def parents_of(results: Path) -> dict[str, Path]:
    """The quickstart's `base` and `sft`, the ones trained last."""
    found = {}
    for name in ("base", "sft"):
        runs = sorted(results.glob(f"runs/{name}-*/done.json"), key=lambda p: p.stat().st_mtime)
        found[name] = runs[-1].parent / "final"
    return found


def line(trial: Trial, results: Sequence[Result]) -> str:
    """A row of the table."""
    moves = [each.moved(up=trial.up) for each in results]
    right = sum(move > 0 for move in moves)
    return (
        f"| {trial.name} | {trial.moves} {'↑' if trial.up else '↓'} "
        f"| {mean([each.first for each in results]):.3f} "
        f"| {mean([each.last for each in results]):.3f} "
        f"| {min(moves):+.3f} | {right} of {len(results)} "
        f"| {mean([each.seconds for each in results]):.2f} |"
    )


def main() -> None:
    """Prints the table, method by method."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", type=Path, help="what `make quickstart` made")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--only", default="", help="trials whose name begins so")
    given = parser.parse_args()
    parents = parents_of(given.results)
    print("| method | moves | first quarter | last quarter | least | seeds | CPU-s a step |")
    print("|:--|:--|--:|--:|--:|:-:|--:|", flush=True)
    for trial in trials():
        if trial.name.startswith(given.only):
            results = [run(trial, seed, parents) for seed in range(given.seeds)]
            print(line(trial, results), flush=True)


if __name__ == "__main__":
    main()
