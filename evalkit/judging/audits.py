"""Audits of a panel: labelled answers, and the same answers of the baseline asked about again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

from evalkit import identity
from evalkit.errors import DataError
from evalkit.exam import Exam
from evalkit.files import write_beside
from evalkit.judging.agreement import kappa, repeat_sd, same_verdict
from evalkit.judging.asking import missing
from evalkit.judging.grading import heard
from evalkit.judging.judgments import Judgment, known
from evalkit.judging.labels import Labelled, labelled
from evalkit.judging.panel import Panel
from evalkit.judging.questions import Case, Docket, of_cell, rubric_of
from evalkit.judging.tally import orders, side
from evalkit.matrix import Matrix
from evalkit.seat import Seat
from evalkit.store import safe
from evalkit.verdict import SelfAgreement

ITEMS, REPEATS = 50, 3
"""How many of the baseline's answers are judged again, and how often each is judged in all."""

Judged = Mapping[str, Judgment]
Found = dict[str, Any]
"""What an audit found: fields of a `JudgeNote`."""


class LabelAudit:
    """A task's labelled answers, and the folder that keeps what was said of them."""

    def __init__(self, matrix: Matrix, exam: Exam, panel: Panel, results: Path) -> None:
        self.exam, self.panel = exam, panel
        self.labels = matrix.jury.labels.get(exam.label) or matrix.jury.labels.get(exam.task.name)
        self.folder = folder_of(results, exam, panel)

    @property
    def wanted(self) -> bool:
        """Whether there are any labels."""
        return rubric_of(self.exam).audit is not None or self.labels is not None

    def docket(self) -> Docket:
        """What is to be judged."""
        return Docket(self.exam, self.folder, [each.case for each in self._labelled()])

    def found(self) -> Found:
        """What is known; a panel that has not been heard on every answer decides nothing."""
        kept = self.kept()
        if kept is not None:
            return kept
        if missing(self.panel, self.docket()):
            return {"advisory": True, "flags": ["not_audited"]}
        found = _agreement(self.panel, self.exam, self._labelled(), known(self.folder))
        text = json.dumps({**self._key(), "found": found}, indent=1)
        write_beside(self.folder / "audit.json", text.encode())
        return found

    def kept(self) -> Found | None:
        """What an earlier run found, if it was about the same."""
        with suppress(OSError, ValueError, TypeError, KeyError):  # judged already: audited again
            kept = json.loads((self.folder / "audit.json").read_bytes())
            if {name: kept[name] for name in self._key()} == self._key():
                return dict(kept["found"])
        return None

    def _labelled(self) -> list[Labelled]:
        return labelled(self.exam, self.labels)

    def _key(self) -> dict[str, Any]:
        """What the audit is about, told without reading a question."""
        return {
            "source": self.exam.source,
            "labels": _file_hash(self.labels) if self.labels else "",
            "panel": self.panel.described(rubric_of(self.exam)),
        }


def _agreement(panel: Panel, exam: Exam, rows: list[Labelled], judged: Judged) -> Found:
    rubric = rubric_of(exam)
    right: list[bool] = []
    turned: list[bool] = []
    rated: list[tuple[float, float]] = []
    for row in rows:
        found = heard(panel, exam, row.case, judged)
        views = found.views
        names = dict.fromkeys(q.view.name for q, _ in found.opinions)
        right += [name in views and side(views[name]) == side(row.grade) for name in names]
        turned += [side(a) != side(b) for a, b in orders(views)]
        if found.grade is not None:
            rated.append((found.grade, row.grade))
    return {
        "accuracy": fmean(right) if rubric.pairwise and right else None,
        "flip_rate": fmean(turned) if turned else None,
        "kappa": kappa(rated, rubric.scale),
        "pairs": len(rows),
    }


def folder_of(results: Path, exam: Exam, panel: Panel) -> Path:
    """Where audits of a panel on a task are kept."""
    names = [judge.identity for judge in panel.judges]
    who = names[0] if len(names) == 1 else identity.digest(names).hex()
    return results / "judges" / f"{safe(exam.label)}-{who[:8]}"


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
        found = _repeated(asked, docket, known(docket.folder))
        kept = {"key": self._key(), "found": found.model_dump() if found else None}
        before = self.seat.cell.meta().get("repeated", {})
        self.seat.cell.write_meta(repeated={**before, self._preset: kept})

    def found(self) -> SelfAgreement | None:
        """What was found; None where nothing was, or nothing had to be asked."""
        kept = self._kept()
        return SelfAgreement.model_validate(kept["found"]) if kept and kept["found"] else None

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
    if not found.opinions:
        return []
    grades = []
    for repeat in range(panel.repeats):
        each = [found.of(judge, repeat) for judge in panel.judges]
        if all(grade is not None for grade in each):
            grades.append(panel.together([g for g in each if g is not None], found.rubric.scale))
    return grades


def _file_hash(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}: cannot read the labelled answers") from None
