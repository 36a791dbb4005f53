"""The audit of a panel by itself: the same answers of the baseline, judged again and again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from statistics import fmean
from typing import Any

from evalkit.exams.exam import Exam
from evalkit.judging.agreement import repeat_sd, same_verdict
from evalkit.judging.asking import missing
from evalkit.judging.grading import heard
from evalkit.judging.judgments import Judgment, known
from evalkit.judging.ledger import Account, read, spent_on, written
from evalkit.judging.panel import Panel
from evalkit.judging.questions import Case, Docket, of_cell, rubric_of
from evalkit.seat import Seat
from evalkit.verdict import SelfAgreement

ITEMS, REPEATS = 50, 3
"""How many of the baseline's answers are judged again, and how often each is judged in all."""

Judged = Mapping[str, Judgment]


class RepeatAudit:
    """Some of the baseline's answers, judged again and again."""

    def __init__(self, seat: Seat, panel: Panel) -> None:
        self.seat, self.panel = seat, panel
        self.repeats = max(REPEATS, panel.repeats)

    @property
    def due(self) -> bool:
        """Whether it has not been done."""
        return self.seat.cell.answers_path.exists() and self._kept() is None

    def docket(self) -> Docket:
        """The answers, the same ones in every run."""
        exam = self.seat.exam
        few = exam.part([*exam.items][:ITEMS])
        once = replace(few, task=replace(few.task, epochs=1))
        return replace(of_cell(once, self.seat.cell), repeats=self.repeats)

    def note(self) -> None:
        """Works out what was said, and keeps it in the cell, unless somebody was not heard."""
        docket = self.docket()
        if missing(self.panel, docket):
            return
        asked = replace(self.panel, repeats=self.repeats)
        judged = known(docket.folder)
        found = _repeated(asked, docket, judged)
        kept = {
            "key": self._key(),
            "found": found.model_dump() if found else None,
            "spent": written(spent_on(asked, [docket], judged, since=self.panel.repeats)),
        }
        before = self.seat.cell.meta().get("repeated", {})
        self.seat.cell.write_meta(repeated={**before, self._preset: kept})

    def found(self) -> SelfAgreement | None:
        """What was found; None where nothing was, or nothing had to be asked."""
        kept = self._kept()
        return SelfAgreement.model_validate(kept["found"]) if kept and kept["found"] else None

    @property
    def spent(self) -> Account:
        """What asking again took."""
        return read((self._kept() or {}).get("spent", {}))

    def _kept(self) -> dict[str, Any] | None:
        """What an earlier run noted, if the panel was asked the same."""
        kept = self.seat.cell.meta().get("repeated", {}).get(self._preset)
        return kept if kept and kept["key"] == self._key() else None

    @property
    def _preset(self) -> str:
        return self.seat.exam.task.preset

    def _key(self) -> dict[str, Any]:
        judged_by = self.seat.judged_by(self.panel)
        return {"panel": judged_by, "source": self.seat.exam.source, "limit": self.seat.exam.limit}


def _repeated(panel: Panel, docket: Docket, judged: Judged) -> SelfAgreement | None:
    scale = rubric_of(docket.exam).scale
    each = [_by_repeat(panel, docket.exam, case, judged) for case in docket.cases]
    answers = [grades for grades in each if len(grades) == panel.repeats]
    if not answers:
        return None
    return SelfAgreement(
        items=len(answers),
        repeats=panel.repeats,
        agreement=fmean(same_verdict(grades, scale) for grades in answers),
        sd=repeat_sd(answers, scale),
    )


def _by_repeat(panel: Panel, exam: Exam, case: Case, judged: Judged) -> list[float]:
    """The panel's grade at every time that all of its judges were heard."""
    found = heard(panel, exam, case, judged)
    if not found.said:
        return []
    grades = []
    for repeat in range(panel.repeats):
        each = [found.of(judge, repeat) for judge in panel.judges]
        if all(grade is not None for grade in each):
            grades.append(panel.together([g for g in each if g is not None], found.rubric.scale))
    return grades
