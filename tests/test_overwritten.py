"""A folder overwritten in place never serves an old answer, however little of it changed."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from evalkit.cli import cli
from evalkit.events import silent
from evalkit.identity.fingerprint import fingerprint
from evalkit.matrix import Row
from evalkit.run import hold
from evalkit.storage.store import Cell, Store
from evalkit.types import Checkpoint, Model
from tests.small_exams import backend, doubles, exam, matrix
from tests.tiny_models import tiny_model

CONFIG = """\
baseline: latest
checkpoints: [{name: latest, model: checkpoint-latest}]
backend: {name: transformers_local, device: cpu, batch_size: 8}
tasks: [{name: mini-copy, sampling: {max_tokens: 3}}]
limit: 5
"""


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in, with a config and a cache of hashes of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "c.yaml").write_text(CONFIG)
    return tmp_path


def run(place: Path) -> list[Cell]:
    """`evalkit run-matrix`; the cells there are afterwards."""
    done = CliRunner().invoke(cli, ["run-matrix", "c.yaml"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return Store(place / "results").cells()


def texts(cell: Cell) -> list[str]:
    return [answer.response.text for answer in cell.each()]


def quietly(path: Path, change: Callable[[Path], None]) -> None:
    """Changes a file under its old name, size and time stamps, as far as anybody can."""
    before = path.stat()
    change(path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    after = path.stat()
    assert (after.st_size, after.st_mtime_ns) == (before.st_size, before.st_mtime_ns)


def tensor(path: Path, change: Callable[[Any], Any], name: str) -> None:
    """Changes one tensor of a file of weights."""
    from safetensors.torch import load_file, save_file

    weights = load_file(path)
    weights[name] = change(weights[name])
    save_file(weights, path, metadata={"format": "pt"})


def shards(folder: Path) -> Path:
    """The same model with its weights in several files; the last of them."""
    import transformers

    hf: Any = transformers
    hf.AutoModelForCausalLM.from_pretrained(folder).save_pretrained(folder, max_shard_size="30KB")
    (folder / "model.safetensors").unlink(missing_ok=True)
    found = sorted(folder.glob("model-*.safetensors"))
    assert len(found) > 1
    return found[-1]


def asked_again(place: Path, before: list[Cell]) -> list[Cell]:
    """The cells that a run after a change made; one more run makes none."""
    after = run(place)
    kept = [cell for cell in after if cell in before]
    assert kept == before
    stamps = {cell: cell.answers_path.stat().st_mtime_ns for cell in after}
    assert run(place) == after
    assert {cell: cell.answers_path.stat().st_mtime_ns for cell in after} == stamps
    return [cell for cell in after if cell not in before]


def test_other_weights_under_the_same_name_and_time_stamp_are_asked(place: Path) -> None:
    folder = tiny_model(place / "checkpoint-latest")
    (first,) = run(place)
    weights = folder / "model.safetensors"
    quietly(weights, lambda path: tensor(path, lambda old: -old, "model.embed_tokens.weight"))
    (second,) = asked_again(place, [first])
    assert texts(second) != texts(first)


def test_one_tensor_that_looks_frozen_is_enough(place: Path) -> None:
    folder = tiny_model(place / "checkpoint-latest")
    cells = run(place)

    def one_more(old: Any) -> Any:
        new = old.clone()
        new[-1] += 1
        return new

    weights = folder / "model.safetensors"
    quietly(weights, lambda path: tensor(path, one_more, "model.norm.weight"))
    assert len(asked_again(place, cells)) == 1


def test_one_shard_of_several_is_enough(place: Path) -> None:
    folder = tiny_model(place / "checkpoint-latest")
    last = shards(folder)
    cells = run(place)
    from safetensors.torch import load_file

    name = sorted(load_file(last))[0]
    quietly(last, lambda path: tensor(path, lambda old: old * 2, name))
    assert len(asked_again(place, cells)) == 1


@pytest.mark.parametrize("file", ["tokenizer.json", "tokenizer_config.json", "config.json"])
def test_what_surrounds_the_weights_counts_as_they_do(place: Path, file: str) -> None:
    folder = tiny_model(place / "checkpoint-latest", template=True)
    cells = run(place)
    path = folder / file
    changed = json.loads(path.read_text())
    changed["note"] = "another release"
    if file == "tokenizer.json":
        del changed["note"]
        changed["added_tokens"][-1]["lstrip"] = True
    path.write_text(json.dumps(changed))
    assert len(asked_again(place, cells)) == 1


def test_the_same_weights_written_again_are_the_same_checkpoint(place: Path) -> None:
    folder = tiny_model(place / "checkpoint-latest")
    cells = run(place)
    for path in folder.iterdir():
        path.write_bytes(path.read_bytes())
    assert run(place) == cells
    folder.rename(place / "moved")
    (place / "c.yaml").write_text(CONFIG.replace("checkpoint-latest", "moved"))
    assert run(place) == cells


def test_weights_changed_between_two_epochs_are_not_mixed(place: Path) -> None:
    folder = tiny_model(place / "checkpoint-latest")
    cells = run(place)
    more = CONFIG.replace("sampling:", "epochs: 2, sampling:")
    (place / "c.yaml").write_text(more)
    weights = folder / "model.safetensors"
    quietly(weights, lambda path: tensor(path, lambda old: -old, "model.embed_tokens.weight"))
    (second,) = asked_again(place, cells)
    assert len(texts(second)) == 10
    assert len(texts(cells[0])) == 5


def test_weights_that_a_trainer_saves_while_the_run_is_under_way_are_not_asked_as_the_old_ones(
    place: Path,
) -> None:
    weights = place / "model.safetensors"
    weights.write_bytes(b"old")
    asked_by, log = backend()

    def open_(checkpoint: Checkpoint) -> Model:
        weights.write_bytes(b"new")
        return asked_by.open(checkpoint)

    overwritten = replace(asked_by, open=open_, identify=lambda c: fingerprint(place))
    one = Row(Checkpoint("latest", backend="written"), overwritten)
    for failures in (1, 0):
        found = hold(matrix([one], [exam(doubles(5))]), place / "r", silent)
        assert len(found.failures) == failures
        assert len(log.asked) == (0 if failures else 5)
