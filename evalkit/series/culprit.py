"""A bisection over a matrix: every look is an ordinary run of two checkpoints, answers kept."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from evalkit.errors import ConfigError
from evalkit.events import Notify
from evalkit.matrix import Matrix
from evalkit.reporting import report as reporting
from evalkit.run import hold
from evalkit.series.bisection import Bisection, Look, Plan, answered, bisect, looks
from evalkit.storage.store import Store
from evalkit.training.pipeline import identified, trained

FIRST_LOOK = 100


def search(
    matrix: Matrix,
    chain: tuple[str, ...],
    results: Path,
    notify: Notify,
    *,
    start: int = FIRST_LOOK,
    alpha: float = 0.05,
) -> Bisection:
    """The first checkpoint of the chain that is worse than its first by more than the margin.

    Raises ConfigError where no margin says what is worse.
    """
    if not matrix.policy.margins and not matrix.policy.gating_cells:
        raise ConfigError(
            "a bisection takes a margin: nothing else says how much worse is worse; "
            "give `gate: {margins: …}`"
        )
    most = max(len(exam.due) for exam in matrix.exams)
    plan = Plan(chain, looks(start, most), alpha)
    made = _made(matrix, chain, results, notify)

    def look(name: str, limit: int, level: float) -> Look:
        before = _answers(results)
        held = hold(_pair(made, chain[0], name, limit, level), results, notify)
        (verdict,) = reporting.of_run(held).candidates
        answer, why = answered(verdict)
        return Look(
            checkpoint=name,
            limit=limit,
            alpha=level,
            answer=answer,
            why="; ".join([why, *held.failures]) if answer == "invalid" else why,
            asked=_answers(results) - before,
        )

    return bisect(plan, look)


def _made(matrix: Matrix, chain: tuple[str, ...], results: Path, notify: Notify) -> Matrix:
    """The matrix with the chain's stages trained, if it has any, and nobody else's."""
    judges = [row.checkpoint.name for row in matrix.judges]
    wanted = tuple(s.name for s in matrix.stages if s.name in (*chain, *judges))
    if not wanted:
        rows = tuple(row for row in matrix.rows if row.checkpoint.name in chain)
        return identified(replace(matrix, rows=rows, stages=()))
    found = trained(identified(matrix), results, notify, wanted)
    rows = tuple(row for row in found.rows if row.checkpoint.name in chain)
    return identified(replace(found, rows=rows, stages=()))


def _pair(matrix: Matrix, good: str, name: str, limit: int, alpha: float) -> Matrix:
    policy = replace(matrix.policy, alpha=alpha, inconclusive_passes=False, suspect_fails=False)
    exams = tuple(replace(exam, limit=min(limit, exam.limit or limit)) for exam in matrix.exams)
    rows = (matrix.row(good), matrix.row(name))
    return replace(matrix, baseline=good, rows=rows, exams=exams, policy=policy)


def _answers(results: Path) -> int:
    return sum(cell.meta().get("totals", {}).get("answers", 0) for cell in Store(results).cells())
