"""Logs in which anything stands anywhere: an error of one line, or a cell, and nothing else."""

from __future__ import annotations

import json
import random
import shutil
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from evalkit.errors import DataError
from evalkit.interchange import write_every_eval_ever
from evalkit.interchange._archive import Archive
from evalkit.interchange.exported import exported
from evalkit.storage.store import Store
from tests.interchange_logs import LOGS, compared, kept

JUNK: tuple[Any, ...] = (
    *(None, True, -1, 0, 2.5, 1e308, 10**400, float("nan"), float("inf"), "", "x", "\ud800"),
    *("../../etc/passwd", "\x1b[31m", [], {}, [[]], [None], {"": None}, "1" * 5000, [{}, 1]),
)
TURNS = 25


def places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value)
    for key, part in inner:
        yield (*at, key)
        if isinstance(part, dict | list):
            yield from places(part, (*at, key))


def spoilt(value: Any, chance: random.Random) -> Any:
    """The value with one part of it, chosen at random, removed or replaced by junk."""
    copy = json.loads(json.dumps(value))
    *path, last = chance.choice([at for at in places(copy) if "events" not in at])
    holder = copy
    for key in path:
        holder = holder[key]
    if isinstance(holder, dict) and chance.random() < 0.3:
        del holder[last]
    else:
        holder[last] = chance.choice(JUNK)
    return copy


def is_cell_or_one_line(results: Path, path: Path) -> None:
    try:
        kept(results, "tuned", path)
    except DataError as error:
        assert "\n" not in str(error)  # noqa: PT017
        assert path.name in str(error) or "samples" in str(error)  # noqa: PT017


def test_any_results_file_of_lm_eval(tmp_path: Path) -> None:
    chance = random.Random(1)
    shutil.copytree(LOGS / "lm-eval" / "base", tmp_path / "log")
    (path,) = (tmp_path / "log").glob("results_*.json")
    whole = json.loads(path.read_text())
    del whole["results"]["tiny_text"]
    kept(tmp_path / "r", "base", path)
    for _ in range(TURNS):
        path.write_text(json.dumps(spoilt(whole, chance)))
        is_cell_or_one_line(tmp_path / "r", path)
    compared(tmp_path / "r")


def test_any_samples_file_of_lm_eval(tmp_path: Path) -> None:
    chance = random.Random(2)
    shutil.copytree(LOGS / "lm-eval" / "base", tmp_path / "log")
    (path,) = (tmp_path / "log").glob("results_*.json")
    (samples,) = (tmp_path / "log").glob("samples_tiny_words_*.jsonl")
    lines = [json.loads(line) for line in samples.read_text().splitlines()]
    kept(tmp_path / "r", "base", path)
    for _ in range(TURNS):
        samples.write_text("\n".join(map(json.dumps, spoilt(lines, chance))))
        is_cell_or_one_line(tmp_path / "r", path)
    compared(tmp_path / "r")


def test_any_log_of_inspect(tmp_path: Path) -> None:
    chance = random.Random(3)
    path = next(path for path in (LOGS / "inspect" / "base").iterdir() if "options" in path.name)
    with Archive(path) as archive:
        members = {
            name: json.loads(archive.read(name))
            for name in archive.names()
            if name.startswith(("header", "samples/"))
        }
    kept(tmp_path / "r", "base", path)
    for _ in range(TURNS):
        with zipfile.ZipFile(tmp_path / "log.eval", "w") as archive:
            for name, value in spoilt(members, chance).items():
                archive.writestr(name or "nameless", json.dumps(value))
        is_cell_or_one_line(tmp_path / "r", tmp_path / "log.eval")
    compared(tmp_path / "r")


@pytest.mark.parametrize("part", ["aggregate", "samples"])
def test_any_file_of_every_eval_ever(tmp_path: Path, part: str) -> None:
    chance = random.Random(part)
    kept(tmp_path / "own", "base", LOGS / "lm-eval" / "base")
    cells = exported(Store(tmp_path / "own"), "base")
    now = datetime(2026, 1, 1, tzinfo=UTC)
    path, samples = write_every_eval_ever.write(cells[:1], tmp_path / "out", now)
    whole = json.loads(path.read_text())
    del whole["detailed_evaluation_results"]["checksum"]
    path.write_text(json.dumps(whole))
    lines = [json.loads(line) for line in samples.read_text().splitlines()]
    kept(tmp_path / "r", "base", path)
    for _ in range(TURNS):
        if part == "aggregate":
            path.write_text(json.dumps(spoilt(whole, chance)))
        else:
            samples.write_text("\n".join(map(json.dumps, spoilt(lines, chance))))
        is_cell_or_one_line(tmp_path / "r", path)
    compared(tmp_path / "r")


def test_a_list_in_a_folder_of_logs_is_passed_over(tmp_path: Path) -> None:
    shutil.copytree(LOGS / "lm-eval" / "base", tmp_path / "log")
    (tmp_path / "log" / "other.json").write_text("[1, 2]")
    kept(tmp_path / "r", "base", tmp_path / "log")
    assert len(Store(tmp_path / "r").cells()) == 2
