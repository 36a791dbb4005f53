"""From cells to a report: every candidate against the baseline, then against its parent."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from pydantic import ValidationError

from evalkit import plugins
from evalkit.comparison import unpaired
from evalkit.comparison.arm import Arm
from evalkit.comparison.clean import with_clean
from evalkit.comparison.comparability import under
from evalkit.comparison.compare import compare
from evalkit.comparison.policy import Policy
from evalkit.comparison.refusal import hopeless
from evalkit.comparison.sides import Side, Sides
from evalkit.errors import ConfigError, StoreError
from evalkit.evidence.values import NO_SAMPLES, Evidence
from evalkit.grading.manner import averaged
from evalkit.judging import trust
from evalkit.judging.costs import cost_of
from evalkit.judging.session import tally_of
from evalkit.matrix import Matrix
from evalkit.planning.noise import kept as noted
from evalkit.run import Held
from evalkit.sandbox.about import warning
from evalkit.seat import Seat
from evalkit.series.recipe import Recipe, members, seeds_of
from evalkit.stats.decision import worst
from evalkit.stats.intervals import score_ci
from evalkit.stats.linear import linear
from evalkit.storage.files import write_beside
from evalkit.storage.store import Store
from evalkit.training.lineage import made_by
from evalkit.training.logged import training_notes
from evalkit.types import Checkpoint
from evalkit.verdict import (
    CandidateVerdict,
    CellVerdict,
    CheckpointNote,
    CheckpointScore,
    ExamNote,
    Manner,
    Overall,
    Pictures,
    Renderer,
    Report,
)


@dataclass(frozen=True)
class Found:
    """One checkpoint's cell of one task."""

    checkpoint: str
    task: str  # as it is called in reports: with its preset, if any
    domain: str
    side: Side | Recipe | None  # None: nothing was measured

    def release(self) -> None:
        """Lets go of its samples, which are read again if they are needed again."""
        if self.side:
            self.side.release()


def of_run(held: Held, judged: Sequence[CandidateVerdict] | None = None) -> Report:
    """The report of a run; with `judged`, of verdicts that were reached otherwise."""
    from evalkit.series.lines import changes

    matrix = held.matrix
    found = [_found(seat) for seat in held.seats]
    advisory = frozenset(note.task for note in held.judges if note.advisory)
    policy = replace(matrix.policy, advisory=advisory)
    report = assemble(
        matrix.baseline,
        matrix.pairs if judged is None else (),
        with_recipes(found, matrix.recipes),
        policy,
    )
    candidates = _told_apart(judged or _cleaned(report, found, matrix), matrix)
    verdict, exit_code = _worst([c for c in candidates if not c.on_the_way], report.scores)
    hopeless_margins = [f"{each.name}: {each.words}" for each in hopeless(report, policy)]
    parents = {row.checkpoint.name: row.checkpoint.parent for row in matrix.rows}
    whole = report.model_copy(
        update={
            "verdict": verdict,
            "exit_code": exit_code,
            "candidates": candidates,
            "checkpoints": [_lineage(row.checkpoint, matrix) for row in matrix.rows],
            "changes": changes(found, parents, policy.alpha),
            "judges": held.judges,
            "noise": [note for seat in held.seats if (note := noted(seat))],
            "training": training_notes(matrix),
            "notes": [*report.notes, *_notes(held), *hopeless_margins],
        }
    )
    return _judging(whole, held)


def _cleaned(report: Report, found: Sequence[Found], matrix: Matrix) -> list[CandidateVerdict]:
    """The candidates with what they are on the items that no training data have, where known."""
    if not any(each.touched for tasks in matrix.learned.values() for each in tasks.values()):
        return report.candidates
    by_name = {(cell.checkpoint, cell.task): cell.side for cell in found}
    domains = {cell.task: cell.domain for cell in found}

    def sides(one: CandidateVerdict) -> list[Sides]:
        return [
            Sides(task, domain, by_name.get((one.against, task)), by_name.get((one.name, task)))
            for task, domain in domains.items()
        ]

    return [with_clean(each, sides(each), matrix, matrix.policy.conf) for each in report.candidates]


def _told_apart(judged: Sequence[CandidateVerdict], matrix: Matrix) -> list[CandidateVerdict]:
    """The candidates, those that their stage has left behind marked as such."""
    behind = {row.checkpoint.name for row in matrix.rows if row.checkpoint.on_the_way}
    return [
        each.model_copy(update={"on_the_way": True}) if each.name in behind else each
        for each in judged
    ]


def _lineage(checkpoint: Checkpoint, matrix: Matrix) -> CheckpointNote:
    run = matrix.runs.get(checkpoint.stage)
    return CheckpointNote(
        name=checkpoint.name,
        identity=_stated(checkpoint.identity),
        parent=checkpoint.parent,
        method=checkpoint.method,
        backend=checkpoint.backend,
        stage=checkpoint.stage,
        step=checkpoint.step,
        made=made_by(run, checkpoint.step if checkpoint.on_the_way else None) if run else None,
    )


def _judging(report: Report, held: Held) -> Report:
    """The report with what judging each cell took, and the flags of its judge."""
    flags = {note.task: note.flags for note in held.judges if note.flags}
    costs = {
        (seat.row.checkpoint.name, seat.exam.label): cost_of(
            tally_of(seat).spent, held.matrix.prices
        )
        for seat in held.seats
        if seat.exam.task.rubric and seat.cell.meta().get("judging")
    }

    def flagged(cell: CellVerdict) -> CellVerdict:
        more = [flag for flag in flags.get(cell.task, ()) if flag not in cell.flags]
        return cell.model_copy(update={"flags": [*cell.flags, *more]}) if more else cell

    candidates = [
        each.model_copy(update={"cells": [flagged(cell) for cell in each.cells]})
        for each in report.candidates
    ]
    scores = [
        score.model_copy(update={"judging": costs.get((score.checkpoint, score.task))})
        for score in report.scores
    ]
    return report.model_copy(update={"candidates": candidates, "scores": scores})


def of_store(store: Store, names: Sequence[str], policy: Policy, *, seeds: bool = False) -> Report:
    """The report on checkpoints that a results folder holds already, the first the baseline.

    With `seeds` a name stands for its training seeds, name-s0 and so on, where there are such.
    Raises StoreError naming what is there when one is not.
    """
    found = list(stored(store))
    there = {cell.checkpoint for cell in found}
    groups = {name: (seeds and seeds_of(name, there)) or members(name) for name in names}
    if any({*groups[names[0]]} & {*groups[name]} for name in names[1:]):
        raise ConfigError(f"{names[0]} is the baseline: name others to hold against it")
    for name in (member for group in groups.values() for member in group):
        if name not in there:
            known = ", ".join(sorted(there)) or "nothing"
            raise StoreError(f"no cells of {name!r} in {store.root}; there are: {known}")
    tasks = {cell.task for cell in found if cell.checkpoint in groups[names[0]]}
    wanted = {member for group in groups.values() for member in group}
    chosen = [cell for cell in found if cell.checkpoint in wanted and cell.task in tasks]
    recipes = {name: group for name, group in groups.items() if len(group) > 1}
    pairs = [(name, names[0]) for name in names[1:]]
    return assemble(names[0], pairs, with_recipes(chosen, recipes), policy)


def with_recipes(found: Sequence[Found], recipes: Mapping[str, Sequence[str]]) -> list[Found]:
    """The cells, and after them those of every recipe: its seeds' of one task together."""
    sides = {(cell.checkpoint, cell.task): cell.side for cell in found}
    domains = {cell.task: cell.domain for cell in found}
    averaged = []
    for name, group in recipes.items():
        for task, domain in domains.items():
            each = [side for m in group if isinstance(side := sides.get((m, task)), Side)]
            whole = Recipe(tuple(group), tuple(each)) if len(each) == len(group) else None
            averaged.append(Found(name, task, domain, whole))
    return [*found, *averaged]


def assemble(
    baseline: str, pairs: Iterable[tuple[str, str]], found: Sequence[Found], policy: Policy
) -> Report:
    """Compares every pair over every task and puts the verdicts together."""
    pairs = list(pairs)
    if policy.whole_run:
        policy = replace(policy, candidates=max(1, len(pairs)))
    by_name = {(cell.checkpoint, cell.task): cell.side for cell in found}
    domains = {cell.task: cell.domain for cell in found}
    rows: dict[str, list[int]] = {}
    for i, cell in enumerate(found):
        rows.setdefault(cell.checkpoint, []).append(i)
    scores: dict[int, CheckpointScore] = {}
    candidates = []
    for name, against in pairs:
        sides = [
            Sides(task, domain, by_name.get((against, task)), by_name.get((name, task)))
            for task, domain in domains.items()
        ]
        candidates.append(compare(name, against, sides, policy))
        for i in (*rows.get(name, ()), *rows.get(against, ())):
            scores[i] = scores.get(i) or _score(found[i])
            if found[i].checkpoint != baseline:  # many checkpoints' samples fill the memory
                found[i].release()
    scores |= {i: _score(cell) for i, cell in enumerate(found) if i not in scores}
    in_order = [scores[i] for i in range(len(found))]
    verdict, exit_code = _worst(candidates, in_order)
    return Report(
        baseline=baseline,
        alpha=policy.alpha,
        ci_level=round(policy.conf, 12),
        verdict=verdict,
        exit_code=exit_code,
        candidates=candidates,
        scores=in_order,
        exams=_exams(baseline, found),
        notes=_estimand(policy),
    )


def _exams(baseline: str, found: Sequence[Found]) -> list[ExamNote]:
    """What each task asked, told of the baseline's cell where it has one."""
    first: dict[str, Found] = {}
    for cell in found:
        if cell.side and (cell.checkpoint == baseline or cell.task not in first):
            first[cell.task] = cell
    return [
        ExamNote(task=task, domain=cell.domain, exam=dict(_flat(cell.side.meta.get("exam") or {})))
        for task, cell in first.items()
        if cell.side
    ]


def _flat(exam: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """An exam's entries that say something, those of `sampling` among them."""
    for name, value in exam.items():
        if isinstance(value, Mapping):
            yield from _flat(value)
        elif value not in ("", None, [], ()) and name != "task":
            yield name, str(value)


def _worst(
    candidates: Sequence[CandidateVerdict], scores: Sequence[CheckpointScore]
) -> tuple[Overall, int]:
    if not candidates:
        measured = any(score.score is not None for score in scores)
        return ("passed", 0) if measured else ("invalid", 4)
    return worst([(candidate.verdict, candidate.exit_code) for candidate in candidates])


def _found(seat: Seat) -> Found:
    preset = seat.exam.task.preset
    meta = seat.cell.meta()
    measured = preset in meta.get("exams", {}) and seat.cell.scores_path(preset).exists()
    side = Side(seat.cell, under(meta, preset), preset) if measured else None
    return Found(seat.row.checkpoint.name, seat.exam.label, seat.exam.task.domain, side)


def stored(store: Store) -> Iterable[Found]:
    """Every scored cell by each of its names; of one name and task, the one used last is last."""
    for cell in sorted(
        store.cells(), key=lambda cell: (cell.path / "cell.json").stat().st_mtime_ns
    ):
        meta = cell.meta()
        for preset in meta.get("exams", {}):
            if cell.scores_path(preset).exists() or unpaired.bare(meta):
                task = f"{meta['task']}@{preset}" if preset else meta["task"]
                side = Side(cell, under(meta, preset), preset)
                for name in meta.get("names", [meta["checkpoint"]["name"]]):
                    yield Found(name, task, meta["domain"], side)


def _estimand(policy: Policy) -> list[str]:
    """Whose differences are not about what the items are a sample of."""
    if not policy.fixed:
        return []
    names = ", ".join(sorted(policy.fixed))
    return [f"items fixed for {names}: those intervals are about these very items, and no others"]


def _score(found: Found) -> CheckpointScore:
    if isinstance(found.side, Side) and unpaired.bare(found.side.meta):
        return _bare_score(found, found.side)
    arm = _arm(found)
    score = arm.score if arm else None
    return CheckpointScore(
        checkpoint=found.checkpoint,
        task=found.task,
        domain=found.domain,
        n=len(arm.items) if arm else 0,
        epochs=arm.epochs if arm else 1,
        score=score,
        ci=_alone(arm, score) if arm and score is not None else None,
        outcomes=arm.outcomes if arm else {},
        metrics=_metrics(found),
        manner=_manner(found),
        **_tokens(found),
        cells=_cells(found),
    )


def _metrics(found: Found) -> dict[str, float]:
    if not isinstance(found.side, Side):
        return {}
    return dict(found.side.meta.get("metrics", {}).get(found.side.preset, {}))


def _bare_score(found: Found, side: Side) -> CheckpointScore:
    whole = None
    with suppress(StoreError):  # the comparison says why
        whole = side.summary
    return CheckpointScore(
        checkpoint=found.checkpoint,
        task=found.task,
        domain=found.domain,
        n=whole.n if whole else 0,
        score=whole.score if whole else None,
    )


def _sides(found: Found) -> tuple[Side, ...]:
    if isinstance(found.side, Recipe):
        return found.side.sides
    return (found.side,) if found.side else ()


def _cells(found: Found) -> list[str]:
    """The folders of its cells, relative to the results."""
    paths = [side.cell.path for side in _sides(found)]
    return [f"{path.parent.name}/{path.name}" for path in paths]


def _tokens(found: Found) -> dict[str, int]:
    """What its answers took, where every cell of it has counted them."""
    counts = [side.meta.get("totals") or {} for side in _sides(found)]
    names = ("prompt_tokens", "completion_tokens")
    known = [name for name in names if counts and all(name in count for count in counts)]
    return {name: sum(int(count[name]) for count in counts) for name in known}


def _manner(found: Found) -> Manner | None:
    """How its answers read, where every cell of it tells."""
    told = [side.meta.get("manner") or {} for side in _sides(found)]
    if not told or not all(told):
        return None
    try:
        each = [Manner.model_validate(one) for one in told]
    except ValidationError:  # another's cell
        return None
    if len(each) == 1:
        return each[0]
    return Manner.model_validate(averaged([one.model_dump() for one in each]))


def _arm(found: Found) -> Arm | None:
    """A cell's scores; none where there are none, or none that can be read."""
    with suppress(StoreError):  # the comparison says why
        return found.side.arm if found.side else None
    return None


def _alone(arm: Arm, score: float) -> tuple[float, float] | None:
    """The interval of a score by itself; none where it has no two independent items."""
    known = arm.take(np.flatnonzero(~np.isnan(arm.means))) if arm.missing else arm
    weights = tuple(known.weights.values())
    moved = linear(known.means[None, :], known.clusters, known.strata, weights)[0]
    return score_ci(score, moved) if len(moved) > 1 else None


def _notes(held: Held) -> list[str]:
    notes = [*held.failures, *held.matrix.notes]
    for backend in sorted({row.backend.name for row in held.matrix.rows}):
        names = [
            row.checkpoint.name
            for row in held.matrix.rows
            if row.backend.name == backend and not row.backend.reads_prompt
        ]
        if names:
            notes.append(f"answered by {backend}, not by a model: {', '.join(names)}")
    limits = {seat.exam.limit for seat in held.seats if seat.exam.limit}
    notes += [f"limited to {limit} items of each task" for limit in sorted(limits)]
    notes += [said for note in held.judges for said in trust.said(note)]
    reach = [seat.cell.meta().get("within_reach", ()) for seat in held.seats]
    return [*notes, *sorted({warning(each) for each in reach if each})]


def _stated(identity: str) -> str:
    """An identity made up because none could be told says nothing to a reader."""
    return "" if identity.startswith("unstated") else identity


def _percent(share: float | None) -> str:
    return "unknown" if share is None else f"{share:.0%}"


def write(
    report: Report, folder: Path, formats: Iterable[str], evidence: Evidence = NO_SAMPLES
) -> list[Path]:
    """Writes `verdict.json`, `report.md` and the formats asked for; returns the files."""
    written: list[Path] = []
    for name in dict.fromkeys(("json", "markdown", *formats)):
        renderer = plugins.report_format(name)
        written.append(folder / renderer.filename)
        write_one(renderer, report, written[-1], evidence)
    return written


def write_one(
    renderer: Renderer | Pictures, report: Report, path: Path, evidence: Evidence
) -> None:
    """Writes one format to a file, or its pictures into a folder."""
    if isinstance(renderer, Pictures):
        for name, content in renderer.draw(report):
            write_beside(path / name, content)
    else:
        write_beside(path, renderer.render(report, evidence).encode("utf-8", "replace"))
