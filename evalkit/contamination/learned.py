"""What of the exams a checkpoint has learned: its stage's data, or those that a manifest names.

Looked for once for the same data and exam, and kept beside the runs.  A paraphrase is not found.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from evalkit import plugins
from evalkit.contamination.found import touched
from evalkit.contamination.index import Entry, Index, indexed, talk
from evalkit.contamination.scan import Seen, look, seen
from evalkit.contamination.texts import Text
from evalkit.exams.exam import Exam
from evalkit.identity import identity
from evalkit.identity.weights import parsed
from evalkit.storage.files import write_beside
from evalkit.training.stage_key import content
from evalkit.types import Stage

NAME = "overlap.json"
TASK = "task:"


@dataclass(frozen=True)
class Learned:
    """The items of an exam that some data have something of."""

    of: int  # items there are
    whole: int  # of those touched, how many as a whole
    touched: tuple[str, ...]  # their identities, those as a whole first
    example: str  # the id of the first

    @property
    def items(self) -> frozenset[bytes]:
        """The identities of all that are touched."""
        return frozenset(map(bytes.fromhex, self.touched))


Looking = Callable[[Index], Seen]


def overlaps(
    stage: Stage, exams: Sequence[Exam], runs: Path, *, look: bool = True
) -> dict[str, Learned]:
    """What of each exam a stage learns.

    Looking reads every row of the data, so a bad one is told here: raises ConfigError.  Without
    `look`, only what is known already is told.
    """
    if plugins.trainer(stage.method, stage.trainer).prompts is None:
        return {}
    data = [content(source, stage) for source in stage.data]
    return known(data, exams, runs, (lambda index: _of_stage(stage, index)) if look else None)


def of_files(
    files: Sequence[Path], contents: Sequence[str], exams: Sequence[Exam], runs: Path, *, look: bool
) -> dict[str, Learned]:
    """What of each exam stands in files of that content."""
    return known(contents, exams, runs, (lambda index: seen(index, files)) if look else None)


def known(
    data: Sequence[str], exams: Sequence[Exam], runs: Path, looking: Looking | None
) -> dict[str, Learned]:
    """What is kept of these data and exams, and with `looking` what was not yet."""
    learned = identity.digest(list(data)).hex()[:16]
    keys = {f"{learned} {exam.label} {exam.source} {VERSION}": exam for exam in exams}
    kept = parsed(runs / NAME)
    new = {key: exam for key, exam in keys.items() if key not in kept}
    if looking and new:
        index, entries = indexed([*new.values()])
        found = looking(index)
        told = [_learned(own, found) for own in entries]
        kept |= {key: asdict(each) for key, each in zip(new, told, strict=True)}
        write_beside(runs / NAME, json.dumps(kept).encode())
    return {exam.label: _read(kept[key]) for key, exam in keys.items() if key in kept}


VERSION = 2
"""Raised when something else is looked for."""


def words(name: str, found: Mapping[str, Learned]) -> list[str]:
    """What of the exams a stage learns, in words."""
    return [_words(name, label, each) for label, each in found.items() if each.touched]


def _words(name: str, label: str, found: Learned) -> str:
    whole, parts = found.whole, len(found.touched) - found.whole
    told = [str(whole)] * bool(whole) + [f"parts of {parts}"] * bool(parts)
    learned = " and ".join(told)
    return (
        f"{name} learns {learned} of the {found.of} questions of {label}, such as "
        f"{found.example!r}: that score is not one of unseen questions"
    )


def _of_stage(stage: Stage, index: Index) -> Seen:
    """Files are looked through; of a task's own training split, whole prompts are compared.

    A benchmark's training split is made as its questions are, so that parts of it tell nothing.
    """
    hits = look(index, _prompts(stage))  # first: a row that will not do is told by its trainer
    found = seen(index, [Path(source) for source in stage.data if not source.startswith(TASK)])
    found.take(stage.name, hits)
    return found


def _prompts(stage: Stage) -> Iterator[Text]:
    prompts = plugins.trainer(stage.method, stage.trainer).prompts
    for number, prompt in enumerate(prompts(stage) if prompts else (), 1):
        yield from ((number, text, False) for text in talk(prompt))


def _learned(entries: Sequence[Entry], found: Seen) -> Learned:
    items = touched(entries, found)
    return Learned(
        len(entries),
        sum(each.exact for each in items),
        tuple(each.item.hex() for each in items),
        items[0].id if items else "",
    )


def _read(kept: Mapping[str, object]) -> Learned:
    told = dict(kept)
    told["touched"] = tuple(told["touched"])  # type: ignore[arg-type]
    return Learned(**told)  # type: ignore[arg-type]
