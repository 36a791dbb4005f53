"""Whether a stage learns what it will be asked: its prompts against the questions of the exams.

Prompts are compared as text, by hash, whatever their case and spacing: a row's prompt and its last
message against an item's, and against the bare question.  A paraphrase is not found.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from evalkit import identity, plugins
from evalkit.exam import Exam
from evalkit.files import write_beside
from evalkit.stage_key import content
from evalkit.types import Prompt, Sample, Stage
from evalkit.weights import parsed

NAME = "overlap.json"


@dataclass(frozen=True)
class Overlap:
    """How many items of an exam a stage learns to answer."""

    items: int
    of: int
    example: str  # the id of one of them


def overlaps(stage: Stage, exams: Sequence[Exam], runs: Path, *, look: bool = True) -> list[str]:
    """What of the exams a stage learns, in words; looked for once for the same data and exam.

    Looking reads every row of the data, so a bad one is told here: raises ConfigError.  Without
    `look`, only what is known already is told.
    """
    prompts = plugins.trainer(stage.method, stage.trainer).prompts
    if prompts is None:
        return []
    learned = identity.digest([content(source, stage) for source in stage.data]).hex()[:16]
    keys = {f"{learned} {exam.label} {exam.source}": exam for exam in exams}
    known = parsed(runs / NAME)
    if look and set(keys) - set(known):
        taught = {hashed for prompt in prompts(stage) for hashed in _hashes(prompt)}
        new = {key: asdict(_against(taught, exam)) for key, exam in keys.items()}
        known |= new
        write_beside(runs / NAME, json.dumps(known).encode())
    found = {exam.label: Overlap(**known[key]) for key, exam in keys.items() if key in known}
    return [_words(stage, label, overlap) for label, overlap in found.items() if overlap.items]


def _against(taught: set[bytes], exam: Exam) -> Overlap:
    count, common = 0, []
    for sample in exam.every():
        count += 1
        common += [] if taught.isdisjoint(_asked(sample)) else [sample.id]
    return Overlap(len(common), count, common[0] if common else "")


def _asked(sample: Sample) -> Iterator[bytes]:
    if sample.question:
        yield _hash(sample.question)
    yield from _hashes(sample.rendered())


def _hashes(prompt: Prompt) -> Iterator[bytes]:
    if isinstance(prompt, str):
        yield _hash(prompt)
        return
    with suppress(KeyError, IndexError, TypeError):
        yield _hash("\n".join(str(turn.get("content")) for turn in prompt))
        yield _hash(str(prompt[-1].get("content")))


def _hash(text: str) -> bytes:
    plain = " ".join(text.casefold().split())
    return hashlib.sha256(plain.encode("utf-8", "replace")).digest()[:12]


def _words(stage: Stage, label: str, found: Overlap) -> str:
    return (
        f"{stage.name} learns {found.items} of the {found.of} questions of {label}, such as "
        f"{found.example!r}: that score is not one of unseen questions"
    )
