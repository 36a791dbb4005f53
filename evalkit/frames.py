"""A results folder as pandas frames, for notebooks: `evalkit.load("results").cells`.

Scores are oriented to [0, 1], as in reports; `value` is on the task's own scale.  Of several
cells of one checkpoint and task the one used last counts, as for `evalkit compare`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

    from evalkit.comparison.sides import Side
    from evalkit.reporting.cells import Found
    from evalkit.verdict import Report

REPORT = "report/verdict.json"
SCORES = ("item", "id", "epoch", "value", "answer", "target", "outcome", "stratum", "cluster")
ASKED = ("item", "id", "epoch", "question")
ANSWERED = ("text", "reasoning", "tool_calls", "finish_reason", "error")
TOKENS = ("prompt_tokens", "completion_tokens")
NUMBERS = ("delta", "low", "high", "margin", "p_regressed", "p_improved")
NUMBERS_OF_CELLS = ("before", "after", "lost", "gained")
FIRST = ["task", "checkpoint"]


def load(results: Path | str = "results") -> Results:
    """A results folder; raises StoreError where there is none."""
    from evalkit.errors import StoreError

    if not Path(results).is_dir():
        raise StoreError(f"{results}: no such folder: give one that `evalkit run-matrix` wrote")
    return Results(Path(results))


class Results:
    """What a results folder holds; each frame is read when it is first asked for."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def __repr__(self) -> str:
        return f"Results({str(self.root)!r})"

    @cached_property
    def cells(self) -> pd.DataFrame:
        """A row for each task that a checkpoint sat: scores, tokens, and how answers ended.

        What is made of several tasks has no row here, so that no answer is counted twice.
        """
        import pandas as pd

        from evalkit.comparison.policy import Policy
        from evalkit.reporting.assembly import assemble

        scores = assemble("", (), list(self._found.values()), Policy()).scores
        rows = []
        for score in (each for each in scores if not each.parts):
            low, high = score.ci or (None, None)
            row = score.model_dump(exclude={"ci", "outcomes", "metrics", "cells", "parts"})
            row |= {"low": low, "high": high, **score.metrics}
            row |= {f"outcome_{name}": count for name, count in score.outcomes.items()}
            rows.append(row | {"folder": " ".join(score.cells)})
        frame = _in_front(pd.DataFrame(rows), FIRST)
        outcomes = [name for name in frame.columns if name.startswith("outcome_")]
        return frame.fillna(dict.fromkeys(outcomes, 0)).astype(dict.fromkeys(outcomes, "int64"))

    @cached_property
    def samples(self) -> pd.DataFrame:
        """A row for each answer: its score, what was read out of it, and how it ended."""
        return _joined(self._sides(), _scores)

    def answers(self, task: str = "", checkpoint: str = "") -> pd.DataFrame:
        """A row for each answer, with the texts: of one task, of one checkpoint, or of all."""
        return _joined(self._sides(task, checkpoint), _answers)

    @cached_property
    def comparisons(self) -> pd.DataFrame:
        """A row for each domain and task of each candidate, as the last report has them."""
        from evalkit.reporting.reading import read_verdict

        return _compared(read_verdict(self.root / REPORT))

    def compare(self, baseline: str, *candidates: str) -> pd.DataFrame:
        """The same of any checkpoints there are, without margins, as `evalkit compare` does."""
        from evalkit.comparison.policy import Policy
        from evalkit.reporting.report import of_store
        from evalkit.storage.store import Store

        return _compared(of_store(Store(self.root), [baseline, *candidates], Policy()))

    @cached_property
    def _found(self) -> dict[tuple[str, str], Found]:
        from evalkit.errors import StoreError
        from evalkit.reporting.cells import stored
        from evalkit.storage.store import Store

        found = {(cell.checkpoint, cell.task): cell for cell in stored(Store(self.root))}
        if not found:
            raise StoreError(f"{self.root}: no cells in it: give a folder that a run wrote")
        return dict(sorted(found.items(), key=lambda item: (item[0][1], item[0][0])))

    def _sides(self, task: str = "", checkpoint: str = "") -> Iterator[tuple[Found, Side]]:
        """The cells of these names that have samples; raises UnknownName where a name is none."""
        from evalkit.comparison.sides import Side
        from evalkit.errors import UnknownName

        for kind, name, index in (("checkpoint", checkpoint, 0), ("task", task, 1)):
            known = {key[index] for key in self._found}
            if name and name not in known:
                raise UnknownName(kind, name, known)
        for key, found in self._found.items():
            asked_for = checkpoint in ("", key[0]) and task in ("", key[1])
            if asked_for and isinstance(found.side, Side):
                yield found, found.side


def _joined(sides: Iterable[tuple[Found, Side]], read: Callable[[Side], Any]) -> pd.DataFrame:
    """What is read of each cell, one below the other, with the names in front."""
    import pandas as pd

    frames = [
        frame.assign(task=found.task, checkpoint=found.checkpoint)
        for found, side in sides
        if (frame := read(side)) is not None
    ]
    if not frames:
        return pd.DataFrame(columns=FIRST)
    whole = _in_front(pd.concat(frames, ignore_index=True), FIRST)
    return whole.astype(dict.fromkeys(FIRST, "category"))


def _in_front(frame: pd.DataFrame, first: list[str]) -> pd.DataFrame:
    return frame[[*first, *(name for name in frame.columns if name not in first)]]


def _scores(side: Side) -> pd.DataFrame | None:
    """A cell's grades; none where it is a bare score."""
    from evalkit.stats.scales import orient

    frame = _read(side.cell.scores_path(side.preset), SCORES)
    if frame is not None:
        low, high = side.meta.get("bounds", (0.0, 1.0))
        higher = bool(side.meta.get("higher_is_better", True))
        frame.insert(3, "score", orient(frame["value"].to_numpy(), (low, high), higher))
    return frame


def _answers(side: Side) -> pd.DataFrame | None:
    return _read(side.cell.answers_path, (*ASKED, *ANSWERED, *TOKENS))


def _read(path: Path, columns: Sequence[str]) -> pd.DataFrame | None:
    """Some columns of a table, items as `evalkit show` takes them; none where there is no file."""
    from evalkit.storage.tables import read_table

    if not path.exists():
        return None
    frame = read_table(path, [*columns]).select([*columns]).to_pandas()
    frame["item"] = [item.hex() for item in frame["item"]]
    return frame


def _compared(report: Report) -> pd.DataFrame:
    import pandas as pd

    from evalkit.reporting.flat import Comparison, comparisons

    frame = pd.DataFrame(comparisons(report), columns=list(Comparison._fields))
    return frame.astype({**dict.fromkeys((*NUMBERS, *NUMBERS_OF_CELLS), "float64"), "n": "Int64"})
