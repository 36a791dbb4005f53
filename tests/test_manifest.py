"""The run manifest."""

from __future__ import annotations

from pathlib import Path

from evalkit import Stage
from trainers.manifest import NAME, append, read


def test_lines_are_added_and_never_changed(tmp_path: Path) -> None:
    stage = Stage("sft", "sft", str(tmp_path), parent="/base")
    append(stage, "checkpoint-5", 5, "numpy", {"loss": 0.5})
    before = (tmp_path / NAME).read_bytes()
    append(stage, "final", 9, "numpy", {})
    assert (tmp_path / NAME).read_bytes().startswith(before)
    first, last = read(tmp_path)
    assert first["train"] == {"loss": 0.5}
    assert (last["path"], last["step"], last["parent"]) == ("final", 9, "/base")
    assert (last["event"], last["format"], last["backend"]) == ("checkpoint", "hf", "numpy")
    assert last["backend_version"][0].isdigit()


def test_a_torn_line_is_not_read(tmp_path: Path) -> None:
    stage = Stage("sft", "sft", str(tmp_path))
    append(stage, "final", 9, "numpy", {})
    with (tmp_path / NAME).open("ab") as file:
        file.write(b'{"event": "check')
    assert [entry["path"] for entry in read(tmp_path)] == ["final"]


def test_a_stage_that_has_made_nothing_has_an_empty_manifest(tmp_path: Path) -> None:
    assert read(tmp_path) == []
