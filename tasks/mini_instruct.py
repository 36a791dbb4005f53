"""Short instructions with constraints that code can verify: count, kind, order, first, without.

Generated, in the manner of IFEval (Zhou et al. 2023, "Instruction-Following Evaluation for Large
Language Models"): an answer counts when every constraint of the instruction holds.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

from evalkit import Response, Sample, Sampling, Score, Task

from ._mini import evaluation, rng, shuffled, training, user
from ._mini_words import KINDS, WORDS

SEED = 3
PER_FORM = 900
NUMBERS = {1: "one", 2: "two", 3: "three", 4: "four", 5: "five", 6: "six"}
ONE_IN = 5

Target = dict[str, Any]
FORMS: dict[str, tuple[str, ...]] = {
    "repeat": ("Write {word} {n} times.", "Say the word {word} {n} times."),
    "list": ("List {n} of kind {kind}, {word} first.", "Start with {word}: {n} of kind {kind}."),
    "without": ("List {n} of kind {kind} but not {word}.", "Without {word}, {n} of kind {kind}."),
    "reverse": ("Reverse: {words}.", "Write {words} in reverse."),
}


def draw(form: str, chance: Random) -> Target:
    """The constraints of one instruction of a form."""
    kind = chance.choice(list(KINDS))
    if form == "reverse":
        return {"form": form, "words": chance.sample(WORDS, chance.randint(2, 4))}
    number = chance.randint(2, 6) if form == "repeat" else chance.randint(2, 4)
    return {"form": form, "kind": kind, "word": chance.choice(KINDS[kind]), "n": number}


def problems() -> Iterator[Sample]:
    """Instructions of every form, each in every wording."""
    chance = Random(SEED)
    seen: set[str] = set()
    for _ in range(PER_FORM):
        for form, texts in FORMS.items():
            target = draw(form, chance)
            words = sorted(target.get("words", [target.get("word", "")]))
            key = f"{form} {target.get('n', '')} {' '.join(words)}"
            if key not in seen:
                seen.add(key)
                yield from wordings(key, texts, target)


def wordings(key: str, texts: tuple[str, ...], target: Target) -> Iterator[Sample]:
    """One instruction in all its wordings."""
    slots = {**target, "n": NUMBERS.get(target.get("n", 0), "")}
    slots["words"] = " ".join(target.get("words", ()))
    for number, text in enumerate(shuffled(key, texts)):
        yield Sample(
            f"{key} / {number}",
            user(text.format(**slots)),
            target,
            stratum=target["form"],
            cluster=key,
        )


def _listed(target: Target, words: list[str]) -> dict[str, bool]:
    return {
        "count": len(words) == target["n"],
        "kind": set(words) <= set(KINDS[target["kind"]]),
        "distinct": len(set(words)) == len(words),
    }


CONSTRAINTS: dict[str, Callable[[Target, list[str]], dict[str, bool]]] = {
    "repeat": lambda target, words: {
        "word": set(words) == {target["word"]},
        "count": len(words) == target["n"],
    },
    "list": lambda target, words: {
        **_listed(target, words),
        "first": words[:1] == [target["word"]],
    },
    "without": lambda target, words: {
        **_listed(target, words),
        "without": target["word"] not in words,
    },
    "reverse": lambda target, words: {"order": words == target["words"][::-1]},
}


def score(sample: Sample, response: Response) -> Score:
    """Right when every constraint holds of the words of the answer."""
    words = re.findall(r"[a-z]+", response.text.lower())
    if not words:
        return Score(0.0)
    held = CONSTRAINTS[sample.target["form"]](sample.target, words)
    return Score(float(all(held.values())), " ".join(words), held)


def solution(sample: Sample) -> str:
    """Words that keep every constraint."""
    target: Target = sample.target
    if target["form"] == "reverse":
        return " ".join(reversed(target["words"]))
    if target["form"] == "repeat":
        return " ".join([target["word"]] * target["n"])
    others = [word for word in KINDS[target["kind"]] if word != target["word"]]
    picked = rng(sample.id).sample(others, target["n"])
    return " ".join([target["word"], *picked[1:]] if target["form"] == "list" else picked)


TASKS = (
    Task(
        "mini-instruct",
        domain="instruction-following",
        version=1,
        size=448,
        samples=evaluation(problems, ONE_IN),
        train=training(problems, ONE_IN),
        score=score,
        solution=solution,
        sampling=Sampling(max_tokens=12),
    ),
)
