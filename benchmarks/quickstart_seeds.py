"""The quickstart's pipeline under several seeds: scores, verdicts and what each stage costs.

    python benchmarks/quickstart_seeds.py 0 1 2 3 4 [--work DIR] [--config FILE]

Every stage runs in a process of its own, and so does the evaluation of a seed: greedy answers by
plain `generate`, an exact test of the pairs that differ, Holm over the five domains.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from evalkit import Response, Sample, Stage, Task, plugins

ROOT = Path(__file__).parent.parent
BATCH = 64
Scores = dict[str, list[float]]


def stages(config: dict[str, Any], work: Path, seed: int) -> list[Stage]:
    """The pipeline of a configuration under a seed."""
    made = []
    for spec in config["pipeline"]:
        data = spec["data"] if isinstance(spec["data"], dict) else {spec["data"]: 1.0}
        parent = str(work / spec["parent"] / "final") if "parent" in spec else ""
        out = str(work / spec["name"])
        extra = {"data": data, "parent": parent, "out": out, "seed": seed}
        made.append(Stage(**{**spec, **extra}))
    return made


def train(spec: str) -> None:
    """Runs the stage that is given as JSON: the work of a child."""
    stage = Stage(**json.loads(spec))
    Path(stage.out).mkdir(parents=True, exist_ok=True)
    plugins.trainer(stage.method).run(stage)


def child(*arguments: str) -> tuple[str, float]:
    """Calls this file in a process of its own; its output and CPU-seconds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, __file__, *arguments]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return done.stdout, spent


class Local:
    """A checkpoint on the CPU, asked greedily."""

    def __init__(self, folder: Path) -> None:
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        torch.set_num_threads(1)
        model: Any = AutoModelForCausalLM.from_pretrained(folder)
        self.model = model.eval()
        self.tokenizer: Any = AutoTokenizer.from_pretrained(folder)

    def encoded(self, prompts: Sequence[Any]) -> Any:
        """The conversations as one batch, padded on the left."""
        texts = [
            self.tokenizer.apply_chat_template(p, tokenize=False, add_generation_prompt=True)
            for p in prompts
        ]
        options = {"return_tensors": "pt", "padding": True, "padding_side": "left"}
        return self.tokenizer(texts, add_special_tokens=False, **options)

    def generate(self, prompts: Sequence[Any], max_tokens: int) -> list[str]:
        """The greedy answers."""
        answers: list[str] = []
        for start in range(0, len(prompts), BATCH):
            batch = self.encoded(prompts[start : start + BATCH])
            written = self.model.generate(
                input_ids=batch.input_ids,
                attention_mask=batch.attention_mask,
                max_new_tokens=max_tokens,
                do_sample=False,
            )
            new = written[:, batch.input_ids.shape[1] :]
            answers += self.tokenizer.batch_decode(new, skip_special_tokens=True)
        return answers

    def likelihoods(self, samples: Sequence[Sample]) -> list[tuple[float, ...]]:
        """Of options that are one token each."""
        import torch

        found: list[tuple[float, ...]] = []
        for start in range(0, len(samples), BATCH):
            part = samples[start : start + BATCH]
            batch = self.encoded([sample.rendered() for sample in part])
            with torch.no_grad():
                logits = self.model(**batch).logits[:, -1].log_softmax(-1)
            for row, sample in zip(logits, part, strict=True):
                ids = [self.tokenizer(choice).input_ids[0] for choice in sample.choices]
                found.append(tuple(row[ids].tolist()))
        return found


def answers(model: Local, task: Task, samples: Sequence[Sample]) -> list[Response]:
    """The model's answers to a task."""
    if task.ask == "loglikelihood":
        return [Response(loglikelihoods=found) for found in model.likelihoods(samples)]
    prompts = [sample.rendered() for sample in samples]
    return [Response(text) for text in model.generate(prompts, task.sampling.max_tokens)]


def judged(judge: Local, task: Task, samples: Sequence[Sample], said: list[str]) -> list[float]:
    """1 for a win in both orders, 0 for a loss in both, else a half."""
    assert task.rubric is not None
    ask, read = task.rubric.ask, task.rubric.read
    pairs = list(zip(samples, said, strict=True))
    prompts = [ask(sample, text, sample.target) for sample, text in pairs]
    prompts += [ask(sample, sample.target, text) for sample, text in pairs]
    verdicts = [
        read(Response(text)) for text in judge.generate(prompts, task.rubric.sampling.max_tokens)
    ]
    orders = zip(verdicts[: len(pairs)], verdicts[len(pairs) :], strict=True)
    return [((one == "first") + (other == "second")) / 2 for one, other in orders]


def audit(judge: Local, task: Task) -> dict[str, float]:
    """The judge's accuracy in both orders, and how often its verdict turns with the order."""
    assert task.rubric is not None
    assert task.rubric.audit is not None
    ask, read = task.rubric.ask, task.rubric.read
    pairs = list(task.rubric.audit())
    prompts = [ask(pair.sample, pair.first, pair.second) for pair in pairs]
    prompts += [ask(pair.sample, pair.second, pair.first) for pair in pairs]
    said = [read(Response(text)) for text in judge.generate(prompts, 4)]
    straight, swapped = said[: len(pairs)], said[len(pairs) :]
    right = sum(v == pair.winner for v, pair in zip(straight, pairs, strict=True))
    right += sum(v != pair.winner for v, pair in zip(swapped, pairs, strict=True))
    flips = sum(one == other for one, other in zip(straight, swapped, strict=True))
    return {"accuracy": right / 2 / len(pairs), "flips": flips / len(pairs), "pairs": len(pairs)}


def evaluate(work: str, tasks: str, checkpoints: str) -> None:
    """Prints, as JSON, every checkpoint's scores by task: the work of a child."""
    import transformers

    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    judge = Local(Path(work) / "judge" / "final")
    chat = next(t for t in map(plugins.task, tasks.split(",")) if t.rubric is not None)
    result: dict[str, Any] = {"judge": audit(judge, chat), "scores": {}}
    for name in checkpoints.split(","):
        model = Local(Path(work) / name / "final")
        scores: Scores = {}
        for task in map(plugins.task, tasks.split(",")):
            samples = list(task.samples(lambda _: iter(())))
            given = answers(model, task, samples)
            if task.score is None:
                scores[task.name] = judged(judge, task, samples, [one.text for one in given])
            else:
                pairs = zip(samples, given, strict=True)
                scores[task.name] = [task.score(sample, one).value for sample, one in pairs]
        result["scores"][name] = scores
    print(json.dumps(result))


def p_values(before: list[float], after: list[float]) -> tuple[float, float]:
    """One-sided sign tests of items that differ: (worse, better)."""
    from scipy.stats import binom

    lost = sum(b > a for b, a in zip(before, after, strict=True))
    gained = sum(a > b for b, a in zip(before, after, strict=True))
    n = lost + gained
    return float(binom.sf(lost - 1, n, 0.5)), float(binom.sf(gained - 1, n, 0.5))


def holm(p: dict[str, float]) -> dict[str, float]:
    """Adjusted p-values (Holm 1979)."""
    adjusted, highest = {}, 0.0
    for rank, name in enumerate(sorted(p, key=p.__getitem__)):
        highest = max(highest, min(1.0, (len(p) - rank) * p[name]))
        adjusted[name] = highest
    return adjusted


def marks(base: Scores, other: Scores) -> dict[str, str]:
    """`+` for improved, `-` for regressed, `.` for neither, at 5 % over all domains."""
    tested = {name: p_values(base[name], other[name]) for name in base}
    worse = holm({name: p[0] for name, p in tested.items()})
    better = holm({name: p[1] for name, p in tested.items()})
    return {n: "-" if worse[n] < 0.05 else "+" if better[n] < 0.05 else "." for n in base}


def one_seed(config: dict[str, Any], work: Path, seed: int) -> None:
    """Trains, evaluates and prints one seed."""
    start, spent = time.monotonic(), {}
    for stage in stages(config, work, seed):
        arguments = {key: getattr(stage, key) for key in Stage.__dataclass_fields__}
        _, spent[stage.name] = child("--train", json.dumps(arguments))
    names = [stage for stage in spent if stage != "judge"]
    output, spent["evaluate"] = child(
        "--evaluate", str(work), ",".join(config["tasks"]), ",".join(names)
    )
    found = json.loads(output)
    judge = found["judge"]
    print(
        f"\nseed {seed}: judge accuracy {judge['accuracy']:.3f}, flips {judge['flips']:.3f} "
        f"({judge['pairs']} pairs)"
    )
    print("| checkpoint | " + " | ".join(config["tasks"]) + " |")
    print("|-|" + "-|" * len(config["tasks"]))
    base = found["scores"][config["baseline"]]
    for name, scores in found["scores"].items():
        mark = marks(base, scores)
        cells = [f"{sum(s) / len(s):.3f} {mark[task]}" for task, s in scores.items()]
        print(f"| {name} | " + " | ".join(cells) + " |")
    costs = ", ".join(f"{name} {seconds:.0f}" for name, seconds in spent.items())
    wall = time.monotonic() - start
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(f"CPU-s: {costs}; total {sum(spent.values()):.0f}; wall {wall:.0f} s; {peak:.0f} MB")
    sys.stdout.flush()


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("seeds", type=int, nargs="*")
    parser.add_argument("--config", type=Path, default=ROOT / "examples" / "quickstart.yaml")
    parser.add_argument("--work", type=Path, help="keep the checkpoints there")
    parser.add_argument("--train", help=argparse.SUPPRESS)
    parser.add_argument("--evaluate", nargs=3, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.train:
        train(given.train)
    elif given.evaluate:
        evaluate(*given.evaluate)
    else:
        config = yaml.safe_load(given.config.read_text())
        for seed in given.seeds:
            with tempfile.TemporaryDirectory() as folder:
                one_seed(config, Path(given.work or folder).absolute() / str(seed), seed)


if __name__ == "__main__":
    main()
