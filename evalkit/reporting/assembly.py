"""Cells put together: every pair over every task, and the verdict of it all."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from evalkit.comparison.compare import compare
from evalkit.comparison.policy import Policy
from evalkit.comparison.sides import AnySide, Joined
from evalkit.reporting.cells import Found, joints_of, sides_of, with_wholes
from evalkit.reporting.groups import group_scores
from evalkit.reporting.scores import score_of
from evalkit.stats.decision import worst
from evalkit.verdict import CandidateVerdict, CheckpointScore, ExamNote, Overall, Report


def assemble(
    baseline: str, pairs: Iterable[tuple[str, str]], found: Sequence[Found], policy: Policy
) -> Report:
    """Compares every pair over every task and puts the verdicts together."""
    pairs = list(pairs)
    known = joints_of(found)
    found, policy = with_wholes(found), policy.with_parts(known)
    if policy.whole_run:
        policy = replace(policy, candidates=max(1, len(pairs)))
    sides = sides_of(found)
    rows: dict[str, list[int]] = {}
    for i, cell in enumerate(found):
        rows.setdefault(cell.checkpoint, []).append(i)
    scores: dict[int, CheckpointScore] = {}
    candidates = []
    for name, against in pairs:
        candidates.append(compare(name, against, sides(name, against), policy))
        for i in (*rows.get(name, ()), *rows.get(against, ())):
            scores[i] = scores.get(i) or score_of(found[i])
            if found[i].checkpoint != baseline:  # many checkpoints' samples fill the memory
                found[i].release()
    scores |= {i: score_of(cell) for i, cell in enumerate(found) if i not in scores}
    in_order = [scores[i] for i in range(len(found))]
    verdict, exit_code = worst_of(candidates, in_order)
    return Report(
        baseline=baseline,
        alpha=policy.alpha,
        ci_level=round(policy.conf, 12),
        verdict=verdict,
        exit_code=exit_code,
        candidates=candidates,
        scores=in_order,
        groups=group_scores(found, in_order),
        exams=_exams(baseline, found),
        notes=[*known.notes, *_estimand(policy)],
    )


def _exams(baseline: str, found: Sequence[Found]) -> list[ExamNote]:
    """What each task asked, told of the baseline's cell where it has one."""
    first: dict[str, Found] = {}
    for cell in found:
        if cell.side and (cell.checkpoint == baseline or cell.task not in first):
            first[cell.task] = cell
    return [
        ExamNote(task=task, domain=cell.domain, exam=_asked(cell.side))
        for task, cell in first.items()
        if cell.side
    ]


def _asked(side: AnySide) -> dict[str, str]:
    """What a task asked; of an exam in parts which these are, for each is told by itself."""
    if isinstance(side, Joined):
        return {"parts": ", ".join(side.parts)}
    return dict(_flat(side.meta.get("exam") or {}))


def _flat(exam: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """An exam's entries that say something, those of `sampling` among them."""
    for name, value in exam.items():
        if isinstance(value, Mapping):
            yield from _flat(value)
        elif value not in ("", None, [], ()) and name != "task":
            yield name, str(value)


def worst_of(
    candidates: Sequence[CandidateVerdict], scores: Sequence[CheckpointScore]
) -> tuple[Overall, int]:
    """The worst of the candidates' verdicts, or whether anything was measured at all."""
    if not candidates:
        measured = any(score.score is not None for score in scores)
        return ("passed", 0) if measured else ("invalid", 4)
    return worst([(candidate.verdict, candidate.exit_code) for candidate in candidates])


def _estimand(policy: Policy) -> list[str]:
    """Whose differences are not about what the items are a sample of."""
    if not policy.fixed:
        return []
    names = ", ".join(sorted(policy.fixed))
    return [f"items fixed for {names}: those intervals are about these very items, and no others"]
