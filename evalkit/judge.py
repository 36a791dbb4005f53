"""Judging: a second model compares stored answers with a reference, in both orders.

A judge is a checkpoint behind the same Model seam.  It is asked after the judged checkpoint has
left the device; what it said is kept by content, so only changed answers are judged again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from evalkit import identity, journal
from evalkit.engine import pool, prepare, run
from evalkit.errors import EvalkitError
from evalkit.exam import Exam
from evalkit.grade import Grade, Grader, without_thoughts
from evalkit.journal import Journal
from evalkit.lock import hold
from evalkit.store import JUDGMENTS, Answer, Cell
from evalkit.types import Backend, Checkpoint, Request, Response, Rubric, Sample, Score
from evalkit.verdict import JudgeNote

MIN_ACCURACY = 0.80
"""Below this agreement with held-out labels a judge is advisory."""

MAX_FLIP_RATE = 0.25
"""Above this share of verdicts that turn with the order a judge is unstable."""

UNJUDGED = "unjudged"
"""The outcome of a sample whose judgment could not be had: the next run asks for it again."""

WORTH = {"first": 1.0, "tie": 0.5, "second": 0.0}


@dataclass(frozen=True, slots=True)
class Judge:
    """A judge of this run: who it is and how it is asked."""

    checkpoint: Checkpoint
    backend: Backend

    @property
    def identity(self) -> str:
        """What a judgment's key and a cell's exam name: the model and how it is addressed."""
        return identity.digest(identity.treatment(self.checkpoint)).hex()[:16]


@dataclass(frozen=True, slots=True)
class Judging:
    """Pairs of answers to be judged, and the folder that keeps what was said of them."""

    exam: Exam
    folder: Path
    pairs: list[tuple[Sample, str, str]]  # (sample, one answer, the other)


def of_cell(exam: Exam, cell: Cell) -> Judging:
    """Every answer of a cell against its sample's reference."""
    answers = cell.answers()
    return Judging(
        exam,
        cell.path,
        [
            (sample, without_thoughts(found.response).text, str(sample.target))
            for item, sample in exam.items.items()
            for epoch in range(exam.task.epochs)
            if (found := answers.get((item, epoch))) and not found.response.error
        ],
    )


def of_audit(exam: Exam, judge: Judge, results: Path) -> Judging | None:
    """The task's held-out labelled pairs, where it has any."""
    rubric = rubric_of(exam)
    if rubric.audit is None:
        return None
    folder = results / "judges" / f"{exam.task.name}-{judge.identity[:8]}"
    return Judging(
        exam, folder, [(pair.sample, pair.first, pair.second) for pair in rubric.audit()]
    )


def judge_all(judge: Judge, judgings: list[Judging]) -> None:
    """Asks the judge for every judgment that is missing, each pair in both orders."""
    run(_judge_all(judge, judgings))


async def _judge_all(judge: Judge, judgings: list[Judging]) -> None:
    todo = [(j.folder, *missing) for j in judgings for missing in _missing(judge, j)]
    if not todo:
        return
    with ExitStack() as stack:
        kept: dict[Path, Journal] = {}
        for folder, _, _ in todo:
            if folder not in kept:
                stack.enter_context(hold(folder / "lock"))
                kept[folder] = stack.enter_context(Journal(_file(folder)))

        model = await asyncio.to_thread(judge.backend.open, judge.checkpoint)

        async def one(job: tuple[Path, str, Request]) -> None:
            folder, key, asked = job
            prompt = prepare(asked.prompt, judge.checkpoint, model)
            response = await model.generate(
                Request(prompt, asked.sampling, asked.task, asked.sample, 0, asked.seed)
            )
            if not response.error:
                kept[folder].append({"key": key, "text": response.text})

        try:
            await pool(todo, one, model.concurrency)
        finally:
            await model.close()


def _missing(judge: Judge, judging: Judging) -> Iterator[tuple[str, Request]]:
    known = set(_judgments(judging.folder))
    for sample, one, other in judging.pairs:
        for first, second in ((one, other), (other, one)):
            asked = _request(judging.exam, sample, first, second)
            key = _key(judge, asked)
            if key not in known:
                known.add(key)
                yield key, asked


def grader(judge: Judge, exam: Exam, cell: Cell) -> Grader:
    """The grader that reads a cell's judgments: a win 1, a tie ½, the mean of both orders.

    A judgment that is missing or cannot be read leaves the sample missing, never won or lost;
    one that cannot be read is not asked for again, since it would say the same.
    """
    known = _judgments(cell.path)

    def read(sample: Sample, answer: Answer) -> Grade:
        if answer.response.error:
            return None, "errored"
        text = without_thoughts(answer.response).text
        ahead, behind = _both_orders(judge, exam, known, sample, text, str(sample.target))
        if ahead is None or behind is None:
            return None, UNJUDGED if _unheard(judge, exam, known, sample, text) else "unreadable"
        value = (ahead + behind) / 2
        outcome = {1.0: "win", 0.0: "loss"}.get(value, "tie")
        heard = _keys(judge, exam, sample, text, str(sample.target))
        return Score(value, outcome, {"orders": [ahead, behind], "judgments": heard}), outcome

    return read


def audit(judge: Judge, exam: Exam, judging: Judging) -> JudgeNote:
    """How often the judge agrees with held-out labels, and how often order turns it.

    A judge that has not been heard on every pair has no accuracy yet, and decides nothing.
    """
    rubric = rubric_of(exam)
    known = _judgments(judging.folder)
    if any(True for _ in _missing(judge, judging)):
        return JudgeNote(task=exam.label, judge=judge.checkpoint.name, advisory=True)
    right: list[float] = []
    flips = 0
    labelled = list(rubric.audit() if rubric.audit else ())
    for pair in labelled:
        orders = _both_orders(judge, exam, known, pair.sample, pair.first, pair.second)
        label = WORTH[pair.winner]
        right += [float(worth == label) for worth in orders]
        flips += orders[0] != orders[1]
    accuracy = sum(right) / len(right) if right else None
    flip_rate = flips / len(labelled) if labelled else None
    return JudgeNote(
        task=exam.label,
        judge=judge.checkpoint.name,
        accuracy=accuracy,
        flip_rate=flip_rate,
        pairs=len(labelled),
        advisory=(accuracy is not None and accuracy < MIN_ACCURACY)
        or (flip_rate is not None and flip_rate > MAX_FLIP_RATE),
    )


def rubric_of(exam: Exam) -> Rubric:
    """The rubric of a judged task."""
    if exam.task.rubric is None:
        raise EvalkitError(f"{exam.task.name} is not judged: it has a scorer of its own")
    return exam.task.rubric


def _both_orders(
    judge: Judge, exam: Exam, known: dict[str, str], sample: Sample, one: str, other: str
) -> tuple[float | None, float | None]:
    """What `one` is worth against `other` when shown first, and when shown second."""
    worths: list[float | None] = []
    for key in _keys(judge, exam, sample, one, other):
        text = known.get(key)
        said = None if text is None else rubric_of(exam).read(Response(text))
        worths.append(None if said is None else WORTH[said])
    ahead, behind = worths
    return ahead, None if behind is None else 1 - behind


def _unheard(judge: Judge, exam: Exam, known: dict[str, str], sample: Sample, text: str) -> bool:
    return any(key not in known for key in _keys(judge, exam, sample, text, str(sample.target)))


def _keys(judge: Judge, exam: Exam, sample: Sample, one: str, other: str) -> list[str]:
    """The keys of both judgments of a pair: with `one` shown first, and second."""
    orders = ((one, other), (other, one))
    return [_key(judge, _request(exam, sample, *order)) for order in orders]


def _request(exam: Exam, sample: Sample, first: str, second: str) -> Request:
    rubric = rubric_of(exam)
    prompt = rubric.ask(sample, first, second)
    return Request(prompt, rubric.sampling, exam.task, sample, 0, 0)


def _key(judge: Judge, asked: Request) -> str:
    return identity.digest([judge.identity, identity.request(asked).hex()]).hex()[:32]


def _judgments(folder: Path) -> dict[str, str]:
    return {row["key"]: row["text"] for row in journal.read(_file(folder))}


def _file(folder: Path) -> Path:
    return folder / JUDGMENTS
