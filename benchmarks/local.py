"""A model in this process, beside lm-eval's `hf`: short generations, and many options to a context.

`python -m benchmarks.local build/local MODEL` takes a folder with a model, such as one that the
quickstart has trained.  Each side runs in a process of its own, in turn with the other; what is
told is the CPU time of answering on one thread, without imports and loading, and whether the
answers are equal.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

WINDOW = 2048  # tokens; what the models were trained on is no limit to their arithmetic
TOKENS = 16  # of a short generation
CONTEXT = 1_000  # tokens before the options
OPTIONS, WORDS = 10, 5  # options, and words in each
CLOSE = 1e-3  # between the log-likelihoods of both
BATCH = 64


def texts(model: Path, count: int, questions: int) -> dict[str, Any]:
    """Prompts to answer, and contexts with their options, of words that the model knows."""
    from transformers import AutoTokenizer

    tokenizer: Any = AutoTokenizer.from_pretrained(model)
    known = sorted(word for word in tokenizer.get_vocab() if word.isalpha() and len(word) > 1)
    drawn = random.Random(0)

    def words(number: int) -> str:
        return " ".join(drawn.choices(known, k=number))

    return {
        "prompts": [words(drawn.randint(8, 60)) for _ in range(count)],
        "questions": [
            [words(CONTEXT), [f" {words(WORDS)}" for _ in range(OPTIONS)]] for _ in range(questions)
        ],
    }


def evalkit(model: Path, asked: dict[str, Any]) -> dict[str, Any]:
    """By transformers_local, as the engine asks it."""
    from evalkit.asking.pool import pool
    from evalkit.backends.transformers_local import open_
    from evalkit.types import Checkpoint, Request, Sample, Sampling, Task

    options = {"device": "cpu", "batch_size": BATCH, "max_length": WINDOW}
    checkpoint = Checkpoint("m", str(model), options=options, format="completion")
    task = Task("t", "t", 1, lambda rows: ())
    sampling = Sampling(max_tokens=TOKENS)

    async def all_of() -> dict[str, Any]:
        opened = open_(checkpoint)
        said: dict[int, str] = {}
        liked: dict[int, list[float]] = {}

        async def say(job: tuple[int, str]) -> None:
            at, prompt = job
            answer = await opened.generate(Request(prompt, sampling, task, Sample("", prompt)))
            said[at] = answer.text

        async def like(job: tuple[int, tuple[str, list[str]]]) -> None:
            at, (context, options) = job
            liked[at] = [each.total for each in await opened.loglikelihood(context, options)]

        started = time.process_time()
        await pool(enumerate(asked["prompts"]), say, opened.concurrency)
        middle = time.process_time()
        await pool(enumerate(asked["questions"]), like, opened.concurrency)
        ended = time.process_time()
        await opened.close()
        return {
            "generations": middle - started,
            "options": ended - middle,
            "said": [said[at] for at in range(len(said))],
            "liked": [liked[at] for at in range(len(liked))],
        }

    return asyncio.run(all_of())


def lm_eval(model: Path, asked: dict[str, Any]) -> dict[str, Any]:
    """By lm-eval's `hf`, without its tasks: its requests, put to its model."""
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM

    opened = HFLM(str(model), device="cpu", batch_size=BATCH, max_length=WINDOW, dtype="float32")
    until = {"until": ["\n\n\n"], "max_gen_toks": TOKENS, "do_sample": False}
    generate = [
        Instance("generate_until", {}, (prompt, dict(until)), at)
        for at, prompt in enumerate(asked["prompts"])
    ]
    pairs = [
        Instance("loglikelihood", {}, (context, option), at)
        for at, (context, options) in enumerate(asked["questions"])
        for option in options
    ]
    started = time.process_time()
    said = opened.generate_until(generate, disable_tqdm=True)
    middle = time.process_time()
    liked = [total for total, _ in opened.loglikelihood(pairs, disable_tqdm=True)]
    ended = time.process_time()
    rows = [liked[at : at + OPTIONS] for at in range(0, len(liked), OPTIONS)]
    return {
        "generations": middle - started, "options": ended - middle, "said": said, "liked": rows,
    }  # fmt: skip


SIDES: dict[str, Callable[[Path, dict[str, Any]], dict[str, Any]]] = {
    "evalkit": evalkit,
    "lm-eval": lm_eval,
}


def main(work: Path, model: Path, rounds: int, count: int, questions: int) -> None:
    """Runs both in turn, and prints the medians, their ratio, and how far the answers agree."""
    work.mkdir(parents=True, exist_ok=True)
    (work / "asked.json").write_text(json.dumps(texts(model, count, questions)))
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in SIDES}
    for _ in range(rounds):
        for name in SIDES:
            out = work / f"{name}.json"
            command = [sys.executable, "-m", "benchmarks.local", str(work), str(model)]
            subprocess.run(
                [*command, "--side", name], check=True, stdout=sys.stderr,
                env={**os.environ, "OMP_NUM_THREADS": "1"},
            )  # fmt: skip
            found[name].append(json.loads(out.read_text()))
    ours, theirs = found["evalkit"], found["lm-eval"]
    print("| CPU s | evalkit | lm-eval `hf` | times |\n|:--|--:|--:|--:|")
    for what in ("generations", "options"):
        one, other = (median(run[what] for run in runs) for runs in (ours, theirs))
        print(f"| {what} | {one:.2f} | {other:.2f} | {other / one:.1f} |")
    print(agreement(ours[0], theirs[0]))


def agreement(ours: dict[str, Any], theirs: dict[str, Any]) -> str:
    """How many texts are equal, and by how much log-likelihoods differ at most."""
    same = sum(
        one.strip() == other.strip()
        for one, other in zip(*_both(ours, theirs, "said"), strict=True)
    )
    apart = max(
        abs(one - other)
        for row in zip(*_both(ours, theirs, "liked"), strict=True)
        for one, other in zip(*row, strict=True)
    )
    assert apart < CLOSE, f"log-likelihoods differ by {apart}"
    return (
        f"{same} of {len(ours['said'])} texts equal; log-likelihoods differ by {apart:.1e} at most"
    )


def _both(ours: dict[str, Any], theirs: dict[str, Any], what: str) -> tuple[Sequence[Any], ...]:
    return ours[what], theirs[what]


def _one(work: Path, model: Path, side: str) -> None:
    asked = json.loads((work / "asked.json").read_text())
    (work / f"{side}.json").write_text(json.dumps(SIDES[side](model, asked)))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", type=Path)
    parser.add_argument("model", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--questions", type=int, default=20)
    parser.add_argument("--side", choices=list(SIDES))
    given = parser.parse_args()
    if given.side:
        _one(given.work, given.model, given.side)
    else:
        main(given.work, given.model, given.rounds, given.count, given.questions)
