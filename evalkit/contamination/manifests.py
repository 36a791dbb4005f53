"""What checkpoints have learned that were not trained in this run: by the manifests that tell."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from evalkit.errors import EvalkitError
from evalkit.matrix import Matrix
from evalkit.training import lineage
from evalkit.training.lineage import Known
from evalkit.training.stage_key import file_content
from evalkit.verdict import SourceNote

if TYPE_CHECKING:
    from evalkit.contamination.learned import Learned


def with_manifests(matrix: Matrix, results: Path, *, look: bool) -> Matrix:
    """The matrix with what the manifests of the results folder tell of its other checkpoints.

    Files that are not there any more, or are others than they were, tell nothing.
    """
    known = [each for each in lineage.everything(results) if each.identity]
    found = dict(matrix.learned)
    for row in matrix.rows:
        checkpoint = row.checkpoint
        if (checkpoint.stage or checkpoint.name) in found:
            continue
        made = [each for each in known if each.identity == checkpoint.identity][-1:]
        sources = {
            source.source: source
            for one in made
            for each in (one, *lineage.ancestors(known, one))
            for source in _there(each)
        }
        if sources:
            learned = _of(list(sources.values()), matrix, results / "runs", look=look)
            found[checkpoint.name] = learned
    return replace(matrix, learned=found)


def _of(
    sources: Sequence[SourceNote], matrix: Matrix, runs: Path, *, look: bool
) -> Mapping[str, Learned]:
    from evalkit.contamination.learned import of_files  # most runs know of no data

    files, contents = [Path(each.source) for each in sources], [each.sha256 for each in sources]
    try:
        return of_files(files, contents, matrix.exams, runs, look=look)
    except EvalkitError:  # data in a form of somebody else's
        return {}


def _there(known: Known) -> Iterator[SourceNote]:
    for source in known.made.data:
        path = Path(source.source)
        if source.sha256 and path.is_file() and file_content(path) == source.sha256:
            yield source
