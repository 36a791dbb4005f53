"""Checkpoints on disk: those of Hugging Face's Trainer found, and any format made a model.

A half-written checkpoint is not one.  Trainer writes weights first and `trainer_state.json`
last, in place; so a checkpoint counts when both are whole.  What it leaves at the end, in the
folder above, has no last file: it counts when it is whole and nothing was written for a while.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from evalkit import Saved
from evalkit.errors import TrainingError
from evalkit.identity.weights import files, lacking, lacks_tokenizer, parsed, quiet, saved
from evalkit.storage.files import gather, made_whole

QUIET_SECONDS = 10.0
STEP = re.compile(r"checkpoint-(\d+)")
STATE = "trainer_state.json"
SHARDED = "pytorch_model_fsdp_0"  # where accelerate puts sharded weights, without a config
BY_HAND = {
    "deepspeed": "ZeRO's shards, which DeepSpeed alone can read: run `python {0}/zero_to_fp32.py "
    "{0} OUT`, or have the trainer save models (OpenRLHF: ckpt.save_hf; accelerate: "
    "zero3_save_16bit_model)",
    "verl-megatron": "Megatron's own format: train with mbridge, which saves models, or run "
    "`python -m verl.model_merger merge --backend megatron --local_dir {0} --target_dir OUT`",
    "nemo-megatron": "Megatron's own format: run NeMo RL's "
    "`examples/converters/convert_megatron_to_hf.py --config {0}/config.yaml "
    "--megatron-ckpt-path {0}/policy/weights/iter_0000000 --hf-ckpt-path OUT`",
}
"""Formats that are no model until somebody else's program has made one of them."""


def scan(run: Path, settled: float = QUIET_SECONDS) -> Sequence[Saved]:
    """The whole checkpoints of a run of Trainer, and of everything built on it, by step.

    What has no last file counts when nothing was written to it for `settled` seconds.
    """
    return [*numbered(run, STEP, _checkpoint), *_last(run, settled)]


def numbered(
    run: Path, name: re.Pattern[str], read: Callable[[int, Path], Saved | None]
) -> Iterator[Saved]:
    """What `read(step, folder)` finds in the folders of such names, in the order of steps."""
    folders = [
        (int(match[1]), path)
        for path in _folders(run)
        if (match := name.fullmatch(path.name)) is not None
    ]
    for step, path in sorted(folders):
        try:
            found = read(step, path)
        except OSError:
            continue  # it was rotated away while it was looked at
        if found is not None:
            yield found


def _folders(run: Path) -> list[Path]:
    try:
        return [path for path in run.iterdir() if path.is_dir()]
    except OSError:
        return []


def _checkpoint(step: int, folder: Path) -> Saved | None:
    state = parsed(folder / STATE)
    if not state:
        return None
    if (folder / SHARDED / ".metadata").exists() and lacking(folder):
        names = {**files(folder.parent), **files(folder), **below(folder, SHARDED)}
        return Saved(step, str(folder), "dcp", names, _metrics(state))
    found = saved(step, folder)
    if not found and (folder / f"global_step{step}").is_dir():
        found = by_hand(step, folder, "deepspeed")
    return replace(found, train=_metrics(state)) if found else None


def by_hand(step: int, folder: Path, kind: str) -> Saved:
    """A checkpoint of which only somebody else's program makes a model, and how it is told to."""
    then = f"then `evalkit add-checkpoint RUN OUT --step {step}`"
    told = f"{folder} holds {BY_HAND[kind].format(folder)}, {then}"
    return Saved(step, str(folder), kind, {}, by_hand=told)


def below(folder: Path, name: str) -> dict[str, str]:
    """The files of a folder inside another, under names that say so."""
    return {f"{name}/{path.name}": str(path) for path in sorted((folder / name).iterdir())}


def _metrics(state: dict[str, Any]) -> dict[str, float]:
    history = state.get("log_history")
    last = history[-1] if isinstance(history, list) and history else {}
    return numbers(last if isinstance(last, dict) else {})


def logged(run: Path) -> Sequence[tuple[int, dict[str, float]]]:
    """What Trainer logged, step by step, as its last checkpoint tells it."""
    states = [parsed(found / STATE) for found in sorted(_folders(run), key=lambda path: path.name)]
    rows = [row for state in states for row in state.get("log_history") or ()]
    return [
        (int(row["step"]), numbers(row))
        for row in rows
        if isinstance(row, dict) and isinstance(row.get("step"), int)
    ]


def numbers(values: dict[str, Any]) -> dict[str, float]:
    """The entries that are numbers, as such."""
    return {
        str(name): float(value)
        for name, value in values.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }


def _last(run: Path, settled: float) -> Iterator[Saved]:
    steps = [int(match[1]) for path in _folders(run) if (match := STEP.fullmatch(path.name))]
    if not steps or lacks_tokenizer(run) or not quiet(run, settled):
        return
    step = parsed(run / STATE).get("global_step")
    found = saved(step if isinstance(step, int) else max(steps), run)
    if found is not None:
        yield replace(found, final=True)


def export(found: Saved, folder: Path) -> None:
    """Makes a folder that transformers loads: safetensors, configuration, tokenizer.

    All of it or nothing; what is there already stays.  Weights in another format are merged in
    this process, on the CPU.  Raises TrainingError where a model cannot be made of them.
    """
    from . import _merging

    if folder.is_dir():
        return
    if found.by_hand:
        raise TrainingError(found.by_hand)
    try:
        with made_whole(folder) as beside:
            if found.format in ("hf", "bare"):
                gather(found.files, beside)
            else:
                _merging.merge(found, beside)
            _complete(found, beside)
    except FileNotFoundError as error:
        raise TrainingError(f"{found.path}: {error.filename} is gone: it was removed") from None


def _complete(found: Saved, folder: Path) -> None:
    """Adds what a model needs besides weights from its base, and sees that nothing is missing."""
    base = Path(found.base) if found.base else None
    if base and base.is_dir():
        wanted = [name for name in files(base) if not name.endswith((".safetensors", ".bin"))]
        wanted = [name for name in wanted if not name.endswith(".index.json")]
        if not lacks_tokenizer(folder):
            wanted = [name for name in wanted if name == "config.json"]
        there = {name: str(base / name) for name in wanted if not (folder / name).exists()}
        gather(there, folder)
    reason = lacking(folder)
    if not reason and lacks_tokenizer(folder):
        reason = "there is no tokenizer"
    if reason:
        raise TrainingError(
            f"{found.path}: no model could be made of it: {reason}; "
            "name the model that it was trained from"
        )
