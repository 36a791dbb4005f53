"""Cells of an earlier run come into the results: from a folder, an archive or an artefact."""

from __future__ import annotations

import io
import shutil
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from evalkit.cli import cli
from evalkit.errors import ConfigError, ForgeError, StoreError
from evalkit.storage.carried import carry
from evalkit.storage.store import Store
from tests.forge_server import ForgeServer, serving
from tests.small_exams import doubles, exam, held, right, right_below, row
from tests.test_forge import Environ, github, gitlab

Pack = Callable[[Path, Path], Path]


@pytest.fixture
def forge() -> Iterator[ForgeServer]:
    with serving(ForgeServer()) as server:
        yield server


@pytest.fixture(scope="module")
def earlier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results of a run, with a report, a lock, a trained stage and a judge beside the cells."""
    folder = tmp_path_factory.mktemp("earlier") / "results"
    held([row("base", right), row("old", right_below(9))], [exam(doubles(20))], folder)
    for name in (
        "report/verdict.json",
        "doubles/lock",
        "runs/sft-1/final/config.json",
        "judges/chat-12345678/judgments.jsonl",
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("{}\n")
    next(folder.glob("doubles/base-*/cell.json")).with_name("lock").write_text("{}")
    return folder


def as_folder(results: Path, out: Path) -> Path:
    return Path(shutil.copytree(results, out / "deep" / "results"))


def as_zip(results: Path, out: Path) -> Path:
    return Path(shutil.make_archive(str(out / "packed"), "zip", results))


def as_tar(results: Path, out: Path) -> Path:
    return Path(shutil.make_archive(str(out / "packed"), "gztar", results.parent, results.name))


every_pack = pytest.mark.parametrize("pack", [as_folder, as_zip, as_tar])


def files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@every_pack
def test_whole_cells_and_what_judges_said_come_and_nothing_else(
    earlier: Path, tmp_path: Path, pack: Pack
) -> None:
    new, old = carry(pack(earlier, tmp_path), tmp_path / "results")
    assert (len(new), old) == (3, [])
    expected = {
        name: content
        for name, content in files(earlier).items()
        if name.startswith(("doubles/base", "doubles/old", "judges/")) and "lock" not in name
    }
    assert files(tmp_path / "results") == expected


@every_pack
def test_what_came_is_not_asked_again(earlier: Path, tmp_path: Path, pack: Pack) -> None:
    carry(pack(earlier, tmp_path), tmp_path / "results")
    asked = row("base", right)
    before = files(tmp_path / "results")
    held([asked, row("new", right)], [exam(doubles(20))], tmp_path / "results")
    kept = {name: content for name, content in before.items() if name.endswith(".parquet")}
    after = files(tmp_path / "results")
    assert kept.items() <= after.items()
    assert sum(name.endswith("answers.parquet") for name in after) == 3


def test_a_cell_that_is_here_already_is_left_as_it_is(earlier: Path, tmp_path: Path) -> None:
    carry(earlier, tmp_path)
    (mine,) = tmp_path.glob("doubles/base-*/answers.parquet")
    mine.write_bytes(b"my own")
    new, old = carry(earlier, tmp_path)
    assert (new, len(old)) == ([], 3)
    assert mine.read_bytes() == b"my own"


HOSTILE = (
    "../../evil/x-1/cell.json",
    "/abs/x-2/cell.json",
    "doubles/../x-3/cell.json",
    "doubles/x 4/cell.json",
    "doubles/x-5/..",
    "..\\..\\doubles\\x-6\\cell.json",
    ".../.hidden/cell.json",
    "doubles/x-7/\x1b[2J",
)


@pytest.mark.parametrize("form", ["zip", "tar"])
def test_no_name_in_an_archive_leads_out_of_the_results(tmp_path: Path, form: str) -> None:
    path = tmp_path / f"hostile.{form}"
    if form == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            for name in HOSTILE:
                archive.writestr(name, "{}")
    else:
        with tarfile.open(path, "w") as packed:
            for name in HOSTILE:
                member = tarfile.TarInfo(name)
                member.size = 2
                packed.addfile(member, io.BytesIO(b"{}"))
            link = tarfile.TarInfo("doubles/x-8/cell.json")
            link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
            packed.addfile(link)
    results = tmp_path / "inside" / "results"
    carry(path, results)
    assert set(files(tmp_path)) - {path.name} <= {
        f"inside/results/{name}/cell.json" for name in ("evil/x-1", "abs/x-2", "doubles/x-6")
    }


def test_what_breaks_off_leaves_no_half_of_a_cell(earlier: Path, tmp_path: Path) -> None:
    packed = as_tar(earlier, tmp_path)
    packed.write_bytes(packed.read_bytes()[: packed.stat().st_size // 2])
    with pytest.raises(StoreError, match=r"packed.tar.gz: not a whole archive"):
        carry(packed, tmp_path / "results")
    assert files(tmp_path / "results") == {}


@pytest.mark.parametrize("content", [b"", b"not an archive at all", b"PK\x05\x06" + b"\0" * 18])
def test_what_is_no_archive_of_cells_is_an_error_of_one_line(
    tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "x.zip").write_bytes(content)
    with pytest.raises(StoreError, match=r"x.zip: ") as told:
        carry(tmp_path / "x.zip", tmp_path / "results")
    assert "\n" not in str(told.value)
    with pytest.raises(StoreError, match="No such file"):
        carry(tmp_path / "none.zip", tmp_path / "results")


def fetch(environ: Environ, source: str, results: Path, *more: str) -> Result:
    args = ["baseline", "fetch", source, "--results", str(results), *more]
    return CliRunner().invoke(cli, args, env=environ)


def artifact(number: int, **more: object) -> dict[str, object]:
    run = {"head_branch": "main", "head_repository_id": 1, "repository_id": 1}
    run |= {key: more.pop(key) for key in [*more] if key in run}
    found = {"id": number, "name": "cells", "expired": False, "created_at": f"2026-01-0{number}"}
    return {**found, "workflow_run": run, **more}


def test_on_github_the_newest_artefact_of_the_branch_comes(
    forge: ForgeServer, earlier: Path, tmp_path: Path
) -> None:
    forge.artifacts = [
        artifact(3),
        artifact(4, expired=True),
        artifact(5, head_branch="feature"),
        artifact(6, head_repository_id=2),  # of a fork whose branch is called main too
        artifact(7, name="other"),
        artifact(2),
    ]
    forge.archives["3"] = as_zip(earlier, tmp_path).read_bytes()
    found = fetch(github(forge), "artifact:cells", tmp_path / "results")
    assert found.exit_code == 0, found.exception
    assert [line.split("\t")[1] for line in found.output.splitlines()] == ["new"] * 3
    assert len(Store(tmp_path / "results").cells()) == 2
    assert [asked for asked in forge.asked if "blob" in asked] == ["GET blob /3"]


def test_on_gitlab_the_artefact_of_the_last_job_of_the_target_branch_comes(
    forge: ForgeServer, earlier: Path, tmp_path: Path
) -> None:
    forge.archives["evaluate@release/1"] = as_zip(earlier, tmp_path).read_bytes()
    environ = gitlab(forge) | {"CI_MERGE_REQUEST_TARGET_BRANCH_NAME": "release/1"}
    assert fetch(environ, "artifact:evaluate", tmp_path / "r").exit_code == 0
    assert len(Store(tmp_path / "r").cells()) == 2
    other = fetch(environ, "artifact:evaluate", tmp_path / "r", "--branch", "main")
    assert isinstance(other.exception, ForgeError)
    assert "no artefact of the job 'evaluate' of a pipeline on 'main'" in str(other.exception)


def test_on_gitlab_a_token_that_may_not_is_told_which_may(
    forge: ForgeServer, tmp_path: Path
) -> None:
    environ = gitlab(forge, "") | {"CI_JOB_TOKEN": "job-token"}
    found = fetch(environ, "artifact:evaluate", tmp_path)
    assert isinstance(found.exception, ForgeError)
    assert "401" in str(found.exception)
    assert "set GITLAB_TOKEN; a job's own token does in Premium" in str(found.exception)


def test_where_there_is_no_artefact_yet_it_says_so(forge: ForgeServer, tmp_path: Path) -> None:
    forge.artifacts = [artifact(6, head_repository_id=2)]
    environ = github(forge) | {"GITHUB_BASE_REF": "main"}
    found = fetch(environ, "artifact:cells", tmp_path)
    assert isinstance(found.exception, ForgeError)
    assert "no artefact 'cells' of a run on 'main' yet, or it has expired" in str(found.exception)
    lacking = fetch(environ | {"GITHUB_TOKEN": ""}, "artifact:cells", tmp_path)
    assert isinstance(lacking.exception, ConfigError)


def test_an_archive_that_breaks_off_on_the_way_is_an_error(
    forge: ForgeServer, earlier: Path, tmp_path: Path
) -> None:
    forge.artifacts = [artifact(3)]
    whole = as_zip(earlier, tmp_path).read_bytes()
    forge.archives["3"] = whole[: len(whole) // 2]
    found = fetch(github(forge), "artifact:cells", tmp_path / "results")
    assert isinstance(found.exception, StoreError)
    assert not Store(tmp_path / "results").cells()
