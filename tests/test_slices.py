"""`evalkit slices`: where a difference comes from, explored and not decided."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from evalkit.cli import cli
from evalkit.comparison.slices import Slices
from evalkit.errors import EvalkitError
from evalkit.types import Request, Response, Rows, Sample
from tests.small_exams import doubles, exam, held, right, row

SUBJECTS = ("algebra", "biology", "chemistry", "law")


def subjects(count: int, cluster: int = 1) -> Callable[[Rows], Iterable[Sample]]:
    def made(_: Rows) -> Iterable[Sample]:
        for i in range(count):
            subject = SUBJECTS[i % len(SUBJECTS)] if i else "one of a kind"
            group = f"{i // cluster}" if cluster > 1 else ""
            yield Sample(str(i), f"twice {i}?", str(2 * i), stratum=subject, cluster=group)

    return made


def weak_in(*names: str) -> Callable[[Request], Response]:
    """Wrong in these subjects in half of the cases."""

    def answer(request: Request) -> Response:
        lost = request.sample.stratum in names and int(request.sample.id) % 8 < 4
        return Response("no idea") if lost else right(request)

    return answer


def told(*arguments: object, code: int = 0) -> Slices:
    command = ["slices", "--format", "json", *map(str, arguments)]
    result = CliRunner().invoke(cli, command, catch_exceptions=False)
    assert result.exit_code == code, result.output
    return Slices.model_validate_json(result.output)


def sat(results: Path, count: int = 401, cluster: int = 1) -> Path:
    task = replace(doubles(count), samples=subjects(count, cluster))
    held([row("before"), row("after", weak_in("law"))], [exam(task)], results)
    return results


def test_the_slice_that_lost_comes_first_and_is_marked(tmp_path: Path) -> None:
    found = told("before", "after", "--results", sat(tmp_path))
    law, *others = found.slices
    assert (law.task, law.name, law.n, law.marked) == ("doubles", "law", 100, True)
    assert law.delta == pytest.approx(-0.5)
    assert law.ci[1] < -0.4
    assert law.q == pytest.approx(4 * law.p)  # the smallest of four
    assert all(each.delta == 0 and not each.marked for each in others)
    assert found.left_out == ["doubles: one of a kind"]
    assert found.exploratory


def test_slices_of_clusters_are_estimated_by_cluster(tmp_path: Path) -> None:
    alone = told("before", "after", "--results", sat(tmp_path / "a")).slices[0]
    eights = told("before", "after", "--results", sat(tmp_path / "e", cluster=8)).slices[0]
    assert eights.delta == alone.delta
    assert eights.ci != alone.ci


def test_the_table_says_that_it_decides_nothing(tmp_path: Path) -> None:
    command = ["slices", "before", "after", "--results", str(sat(tmp_path))]
    result = CliRunner().invoke(cli, command, catch_exceptions=False)
    assert result.exit_code == 0
    assert "exploratory: no verdict comes of it" in result.output
    assert result.output.splitlines()[1].split()[:2] == ["doubles:", "law"]


def test_two_exams_have_no_slices_in_common(tmp_path: Path) -> None:
    task = doubles(20)
    held([row("before")], [exam(task)], tmp_path)
    held([row("after")], [exam(replace(task, version=2))], tmp_path)
    found = told("before", "after", "--results", tmp_path, code=4)
    assert "two different exams" in found.invalid["doubles"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("befor", "after"), "did you mean 'before'"),
        (("before", "after", "--task", "double"), "did you mean 'doubles'"),
    ],
)
def test_a_wrong_name_is_told(tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    with pytest.raises(EvalkitError, match=said):
        told(*arguments, "--results", sat(tmp_path, 41))
