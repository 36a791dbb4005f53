"""inspect-ai's logs become cells."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from evalkit.errors import DataError
from evalkit.interchange import _archive
from evalkit.interchange._archive import Archive
from evalkit.interchange.imported import mean
from evalkit.interchange.kept import identities
from tests.interchange_logs import LOGS, compared, imports, kept

BASE, TUNED, JSON = (LOGS / "inspect" / name for name in ("base", "tuned", "base-json"))


def log(folder: Path, task: str) -> Path:
    (path,) = (path for path in folder.iterdir() if task in path.name)
    return path


def rewritten(path: Path, to: Path, change: Callable[[str, Any], Any]) -> Path:
    """A log with some of its members changed, by another writer of zip archives."""
    with Archive(path) as archive, zipfile.ZipFile(to, "w", zipfile.ZIP_DEFLATED) as out:
        for name in archive.names():
            value = change(name, json.loads(archive.read(name)))
            if value is not None:
                out.writestr(name, json.dumps(value))
    return to


@pytest.mark.parametrize("whose", [BASE, TUNED])
@pytest.mark.parametrize("task", ["tiny-count", "tiny-options"])
def test_the_scores_are_inspects_own(whose: Path, task: str) -> None:
    path = log(whose, task)
    with Archive(path) as archive:
        metrics = json.loads(archive.read("header.json"))["results"]["scores"][0]["metrics"]
    own = next(iter(metrics.values()))["value"]
    (found,) = imports(path).values()
    assert mean(found.rows) == pytest.approx(own)


def test_members_compressed_by_zstandard_are_read() -> None:
    with zipfile.ZipFile(log(BASE, "tiny-count")) as raw:
        assert {member.compress_type for member in raw.infolist()} == {93}
    assert len(imports(log(BASE, "tiny-count"))["tiny_count"].rows) == 20


def test_a_json_log_says_the_same_as_an_archive() -> None:
    whole = imports(log(BASE, "tiny-count"))["tiny_count"]
    part = imports(JSON)["tiny_count"]
    assert {row.content for row in part.rows} < {row.content for row in whole.rows}
    assert part.exam == whole.exam
    assert mean(part.rows) == 0.5


def test_two_checkpoints_are_compared_with_their_epochs(tmp_path: Path) -> None:
    kept(tmp_path, "base", BASE)
    kept(tmp_path, "tuned", TUNED)
    cells = compared(tmp_path)[1]
    assert cells["tiny_count"].epochs == (2, 2)
    assert cells["tiny_count"].outcomes.candidate["truncated"] == 2
    assert cells["tiny_count"].baseline_score == pytest.approx(0.5)
    assert cells["tiny_count"].candidate_score == pytest.approx(0.7)


def test_a_shuffled_data_set_with_numbers_for_ids_is_paired_by_its_questions(
    tmp_path: Path,
) -> None:
    def shuffled(name: str, value: Any) -> Any:
        if name.startswith("samples/"):
            value["id"] = 11 - value["id"]
            value["choices"] = value["choices"][::-1]
        return value

    path = log(TUNED, "tiny-options")
    turned = rewritten(path, tmp_path / "shuffled.eval", shuffled)
    (straight,), (other,) = imports(path).values(), imports(turned).values()
    scores = dict(zip(identities(straight), (row.value for row in straight.rows), strict=True))
    assert scores == dict(zip(identities(other), (row.value for row in other.rows), strict=True))


def test_a_sample_that_failed_is_missing_not_wrong(tmp_path: Path) -> None:
    def failed(name: str, value: Any) -> Any:
        if name == "samples/q0_epoch_1.json":
            value |= {"error": {"message": "no sandbox"}, "scores": {}}
        return value

    path = rewritten(log(TUNED, "tiny-count"), tmp_path / "t.eval", failed)
    kept(tmp_path / "r", "base", log(BASE, "tiny-count"))
    kept(tmp_path / "r", "tuned", path)
    cell = compared(tmp_path / "r")[1]["tiny_count"]
    assert cell.verdict == "invalid"
    assert cell.outcomes.candidate["errored"] == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda n, v: None if n == "header.json" else v, "header.json is missing"),
        (lambda n, v: {**v, "status": "cancelled"} if n == "header.json" else v, "'cancelled'"),
        (lambda n, v: {**v, "results": None} if n == "header.json" else v, "`results` is NoneType"),
        (lambda n, v: None if "q3_epoch_2" in n else v, "the log is not whole"),
        (lambda n, v: {"id": 1} if "samples/q3" in n else v, "`input` is missing"),
        (lambda n, v: [] if n == "header.json" else v, "expected a JSON object"),
    ],
)
def test_what_is_wrong_with_a_log_is_told_in_one_line(
    tmp_path: Path, change: Callable[[str, Any], Any], message: str
) -> None:
    path = rewritten(log(BASE, "tiny-count"), tmp_path / "broken.eval", change)
    with pytest.raises(DataError, match=message) as told:
        imports(path)
    assert "broken.eval" in str(told.value)
    assert "\n" not in str(told.value)


def test_a_name_that_climbs_out_of_the_archive_is_not_a_sample(tmp_path: Path) -> None:
    path = tmp_path / "climbs.eval"
    path.write_bytes(log(BASE, "tiny-options").read_bytes())
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("samples/../../../escaped.json", "{}")
        archive.writestr("/etc/escaped.json", "{}")
    assert len(imports(path)["tiny_options"].rows) == 10
    assert not list(tmp_path.parent.rglob("escaped.json"))


def test_an_archive_that_swells_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_archive, "MOST_MEMBER_BYTES", 1 << 22)
    path = tmp_path / "bomb.eval"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("header.json", " " * (1 << 23))
    assert path.stat().st_size < 1 << 14
    with pytest.raises(DataError, match="swells"):
        imports(path)


def test_a_zstandard_member_is_counted_as_it_comes_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        _archive, "MOST_MEMBER_BYTES", 1500
    )  # header.json is 1935 bytes, 904 packed
    with pytest.raises(DataError, match=r"header\.json: swells"):
        imports(log(BASE, "tiny-count"))


@pytest.mark.parametrize("at", [0.02, 0.3, 0.6])
def test_a_damaged_archive_is_told_in_one_line(tmp_path: Path, at: float) -> None:
    content = bytearray(log(BASE, "tiny-count").read_bytes())
    start = int(len(content) * at)
    content[start : start + 400] = bytes(400)
    path = tmp_path / "damaged.eval"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"damaged\.eval"):
        imports(path)


def test_half_an_archive_is_told(tmp_path: Path) -> None:
    path = tmp_path / "half.eval"
    path.write_bytes(log(BASE, "tiny-count").read_bytes()[:9000])
    with pytest.raises(DataError, match="not a whole zip archive"):
        imports(path)
