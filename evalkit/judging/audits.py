"""The audit of a panel on labelled answers, kept once it has been heard on all of them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from statistics import fmean
from typing import Any

from evalkit.errors import DataError
from evalkit.exams.exam import Exam
from evalkit.identity import identity
from evalkit.judging.agreement import kappa
from evalkit.judging.asking import missing
from evalkit.judging.grading import heard
from evalkit.judging.judgments import Judgment, known
from evalkit.judging.labels import Labelled, labelled
from evalkit.judging.ledger import read, spent_on, written
from evalkit.judging.panel import Panel
from evalkit.judging.questions import Docket, rubric_of
from evalkit.judging.tally import orders, side
from evalkit.matrix import Matrix
from evalkit.storage.files import write_beside
from evalkit.storage.store import safe

Judged = Mapping[str, Judgment]
Found = dict[str, Any]
"""What an audit found: fields of a `JudgeNote`, and what it `spent`."""


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
        judged = known(self.folder)
        found = _agreement(self.panel, self.exam, self._labelled(), judged)
        found["spent"] = written(spent_on(self.panel, [self.docket()], judged))
        text = json.dumps({**self._key(), "found": found}, indent=1)
        write_beside(self.folder / "audit.json", text.encode())
        return found

    def kept(self) -> Found | None:
        """What an earlier run found, if it was about the same."""
        with suppress(OSError, ValueError, TypeError, KeyError):  # judged already: audited again
            kept = json.loads((self.folder / "audit.json").read_bytes())
            if {name: kept[name] for name in self._key()} == self._key():
                found = dict(kept["found"])
                read(found.get("spent", {}))
                return found
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
        names = dict.fromkeys(each.view for each in found.said)
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


def _file_hash(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}: cannot read the labelled answers") from None
