"""AlpacaEval's recorded judgments, where EVALKIT_DATA has them, and small made-up data."""

from __future__ import annotations

import csv
import gzip
import json
import os
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

HOME = Path(os.environ.get("EVALKIT_DATA") or "absent")
RECORDED = HOME / "model_outputs" / "alpaca_eval"
BASELINE = HOME / "alpaca_eval" / "gpt4_1106_preview_model_outputs.json.gz"
BOARD = "src__leaderboards__data_AlpacaEval_2__weighted_alpaca_eval_gpt4_turbo_leaderboard.csv"
MODELS = (
    *("alpaca-7b", "claude-2.1", "claude-2.1_concise", "gemma-7b-it", "gpt-3.5-turbo-1106"),
    *("oasst-rlhf-llama-33b", "oasst-sft-llama-33b", "phi-2-sft", "phi-2", "vicuna-7b"),
)
PROMPT = (
    "<|im_start|>system\nYou judge.\n<|im_end|>\n<|im_start|>user\n"
    "Instruction {instruction}\nm: {output_1}\nM: {output_2}\nWhich?<|im_end|>"
)
"""A prompt in the form of the authors' files, in words that are not theirs."""


@cache
def published() -> dict[str, dict[str, str]]:
    """The leaderboard by model."""
    with (HOME / "alpaca_eval" / "leaderboards" / BOARD).open() as file:
        return {row[""]: row for row in csv.DictReader(file)}


@cache
def judged_rows(model: str) -> list[dict[str, Any]]:
    """A model's judged answers, in the order of the instructions."""
    rows = packed(RECORDED / f"{model}.annotations.json.gz")
    return sorted(rows, key=lambda row: numbers()[row["instruction"]])


@cache
def numbers() -> dict[str, int]:
    """The number of every instruction."""
    return {row["instruction"]: number for number, row in enumerate(packed(BASELINE))}


def packed(path: Path) -> list[dict[str, Any]]:
    """The rows of a packed JSON file."""
    return list(json.loads(gzip.decompress(path.read_bytes())))


def small(folder: Path, count: int = 20, *, fitted: bool = False) -> Path:
    """A data folder of a few made-up instructions, with what the authors fit if asked."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = [
        {"instruction": f"Explain {i}.", "output": f"It is {i}, of course.", "dataset": "made"}
        for i in range(count)
    ]
    for name in ("gpt4_1106_preview_model_outputs", "text_davinci_003_model_outputs"):
        (folder / f"{name}.json").write_text(json.dumps(rows))
    (folder / "alpaca_eval_clf.txt").write_text(PROMPT)
    (folder / "alpaca_eval.txt").write_text(PROMPT)
    if fitted:
        difficulties(folder, count)
    return folder


def difficulties(folder: Path, count: int) -> None:
    """Made-up difficulties, in the form of the authors' file."""
    random = np.random.default_rng(1)
    difficulty = random.normal(size=count)
    with (folder / "df_gamed.csv").open("w") as file:
        print("model,index,preference,std_delta_len,instruction_difficulty,not_gamed_baseline",
              file=file)  # fmt: skip
        for name, way in (("verbose", -0.7), ("concise", 1.2)):
            for i in range(count):
                length = way + random.normal()
                chance = 1 / (1 + np.exp(1.6 * np.tanh(length) - difficulty[i]))
                print(f"{name},{i},{chance},{length},{difficulty[i]},False", file=file)
