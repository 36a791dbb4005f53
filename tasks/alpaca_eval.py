"""AlpacaEval 1 and 2: 805 instructions, each answer held against a reference model's by a judge.

Dubois et al., Length-Controlled AlpacaEval: A Simple Way to Debias Automatic Evaluators, 2024,
arXiv:2404.04475; Li et al., AlpacaEval, 2023; prompts, order and readings as in
tatsu-lab/alpaca_eval at cd543a1.  The judge's prompts are the authors' files, read as data.
"""

from __future__ import annotations

import ast
import random
import re
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from evalkit import Message, Opinion, Response, Rows, Rubric, Sample, Sampling, Source, Task, View
from evalkit.errors import DataError
from evalkit.judging.hearing import GARBAGE
from evalkit.judging.readers import likeliest
from evalkit.judging.rubrics import beside, both_orders, filled, target

from ._alpaca_control import metrics, refit
from ._judged import raw_metrics

COMMIT = "github:tatsu-lab/alpaca_eval@cd543a149df89434d8a54582c0151c0b945c3d20"
PROMPTS = "src/alpaca_eval/evaluators_configs"
HUB = "hub:tatsu-lab/alpaca_eval@main"  # what the authors fitted is kept there alone
TURN = re.compile(r"<\|im_start\|>(\w+)\n(.*?)<\|im_end\|>", re.DOTALL)
RANKED = re.compile(r"\[[^\[\]]*\]", re.DOTALL)


def source(reference: str, prompt: str) -> Source:
    """The reference's answers, the judge's prompt, and what the authors fitted once."""
    folder, _, name = prompt.partition("/")
    return Source(
        hub="",
        revision="",
        folder="alpaca_eval",
        splits={
            "test": f"{reference}_model_outputs",
            "prompt": name,
            "fitted": "df_gamed",
        },
        counts={"test": 805},
        fields=("instruction", "output", "dataset"),
        licence="CC-BY-NC-4.0",
        elsewhere={
            "test": (f"{COMMIT}/results/{reference}/model_outputs.json",),
            "prompt": (
                f"package:alpaca-eval/alpaca_eval/evaluators_configs/{folder}/{name}.txt",
                f"{COMMIT}/{PROMPTS}/{folder}/{name}.txt",
            ),
            "fitted": (f"{HUB}/df_gamed.csv",),
        },
    )


def samples(rows: Rows, *, fitted: bool) -> Iterator[Sample]:
    """The instructions in their order, each with the reference's answer as its target."""
    template = _messages(str(next(rows("prompt"))["text"]))
    difficulties = _difficulties(rows) if fitted else {}
    for number, row in enumerate(rows("test")):
        instruction = str(row["instruction"])
        yield Sample(
            str(number),
            [{"role": "user", "content": instruction}],
            str(row["output"]),
            question=instruction,
            stratum=str(row["dataset"]),
            metadata={"template": template, **difficulties.get(number, {})},
        )


def _messages(text: str) -> list[Message]:
    """The judge's prompt as its turns, before anything is put into it."""
    found = [(role, content.strip()) for role, content in TURN.findall(text)]
    if not found or "{output_1}" not in text or "{output_2}" not in text:
        raise DataError("alpaca_eval: the judge's prompt has no turns, or no place for the answers")
    return [{"role": role, "content": content} for role, content in found]


def _difficulties(rows: Rows) -> dict[int, dict[str, Any]]:
    """What the authors fitted, by instruction; empty where it is not to be had.

    A row is a variant of the reference's answer, with the difficulty of its instruction.
    """
    found: dict[int, dict[str, Any]] = {}
    try:
        for row in rows("fitted"):
            fresh = {"difficulty": float(row["instruction_difficulty"]), "gamed": []}
            own = found.setdefault(int(float(row["index"])), fresh)
            own["gamed"].append([float(row["preference"]), float(row["std_delta_len"])])
    except DataError:
        return {}
    except (KeyError, ValueError, TypeError, OverflowError) as error:
        raise DataError(f"alpaca_eval: df_gamed: {error}") from None
    return found


def ask(sample: Sample, first: str, second: str) -> list[Message]:
    """What the judge is asked about two answers."""
    values = {"instruction": sample.question, "output_1": first, "output_2": second}
    return [
        {"role": turn["role"], "content": filled(turn["content"], values)}
        for turn in sample.metadata["template"]
    ]


def _template(sample: Sample) -> str:
    return "\n".join(turn["content"] for turn in sample.metadata["template"])


def views(sample: Sample, answer: Response, other: Response) -> Sequence[View]:
    """Both orders."""
    return both_orders(ask, _template(sample))(sample, answer, other)


def single_order(sample: Sample, answer: Response, other: Response) -> Sequence[View]:
    """The one order that the authors draw from the instruction."""
    pair = views(sample, answer, other)
    drawn = random.Random(f"is_switched_outputs{sample.question}0")
    (switched,) = drawn.choices([False, True], k=1)
    return [view for view in pair if view.turned is not switched]


def note(sample: Sample, answer: Response, other: Response) -> dict[str, Any]:
    """Lengths and style, and what the authors fitted for the instruction."""
    known = {name: sample.metadata[name] for name in ("difficulty", "gamed")
             if name in sample.metadata}  # fmt: skip
    return {**beside(answer.text, other.text), **known}


def ranked(response: Response) -> Opinion:
    """Reads a list of two models with their ranks, as Python or as JSON."""
    found = RANKED.search(response.text[:2000])
    if found is None:
        return Opinion(failure=GARBAGE if "rank" in response.text else "")
    try:
        ranks = {str(each["model"]): each["rank"] for each in ast.literal_eval(found[0])}
    except (ValueError, SyntaxError, TypeError, KeyError, RecursionError, MemoryError):
        return Opinion(failure=GARBAGE)
    rank = ranks.get("model_1")
    if rank not in (1, 2) or ranks.get("model_2", 3 - rank) == rank:
        return Opinion(failure=GARBAGE)
    return Opinion(float(rank == 1), f"model_{rank}")


def solution(sample: Sample) -> str:
    """The reference's own answer, which ties with it."""
    return str(sample.target)


def rubric(
    shown: Callable[[Sample, Response, Response], Sequence[View]], sampling: Sampling
) -> Rubric:
    """The weighted annotator of AlpacaEval 2: the odds of the two names, at the first token."""
    return Rubric(
        1, shown, likeliest("m", "M"), sampling, against=target, top_logprobs=5, note=note
    )


ANSWERS = Sampling(max_tokens=2048)
WEIGHTED = rubric(views, Sampling(max_tokens=1))
AUTHORS = rubric(single_order, Sampling(temperature=1.0, max_tokens=1))
RANKING = Rubric(1, views, ranked, Sampling(max_tokens=100), against=target, note=note)
RANKING_ONCE = Rubric(1, single_order, ranked, Sampling(max_tokens=100), against=target, note=note)

TASKS = (
    Task(
        "alpaca-eval-2",
        domain="chat",
        version=1,
        samples=partial(samples, fitted=True),
        rubric=WEIGHTED,
        sampling=ANSWERS,
        metrics=metrics,
        refit=refit,
        solution=solution,
        source=source("gpt4_1106_preview", "alpaca_eval_clf_gpt4_turbo/alpaca_eval_clf"),
        presets={"authors": {"rubric": AUTHORS}, "raw": {"refit": None}},
    ),
    Task(
        "alpaca-eval-1",
        domain="chat",
        version=1,
        samples=partial(samples, fitted=False),
        rubric=RANKING,
        sampling=ANSWERS,
        metrics=raw_metrics,
        solution=solution,
        source=source("text_davinci_003", "alpaca_eval_gpt4/alpaca_eval"),
        presets={"authors": {"rubric": RANKING_ONCE}},
    ),
)
