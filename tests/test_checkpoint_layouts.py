"""Checkpoints told whole from half-written, in every layout, at every moment of their writing."""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path

import pytest

from evalkit.identity.weights import lacking
from evalkit.watching import keeping
from evalkit.watching.finding import Found, found
from tests.layouts import LAYOUTS, Layout, apply, files, trainer, verl
from tests.tiny_models import tiny_model

SETTLED = 10.0


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("model"), template=True)


def written(layout: Layout, model: Path, run: Path) -> None:
    for operation in layout.writes(model):
        list(apply(run, operation))


def aged(run: Path, seconds: float = 60) -> None:
    """As if nothing had been written for a while."""
    before = time.time() - seconds
    for path in run.rglob("*"):
        os.utime(path, (before, before))


def steps(run: Path) -> list[int]:
    return [each.saved.step for each in found(run, SETTLED)]


def only(run: Path) -> Found:
    (each,) = found(run, SETTLED)
    return each


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.name)
def test_a_checkpoint_is_not_found_before_its_last_file_is_whole(
    layout: Layout, model: Path, tmp_path: Path
) -> None:
    operations = layout.writes(model)
    for at, operation in enumerate(operations):
        for _ in apply(tmp_path, operation):
            aged(tmp_path, 0 if layout.marked else 60)  # stopped here for good, perhaps
            assert found(tmp_path, SETTLED) == [], operation[0]
        aged(tmp_path, 0 if layout.marked else 60)
        whole = at == len(operations) - 1
        assert steps(tmp_path) == [5] * whole, operation[0]
    each = only(tmp_path)
    assert (each.saved.format, each.saved.final) == (layout.format, layout.final)
    assert bool(each.saved.by_hand) == (not each.saved.files)


@pytest.mark.parametrize(
    "layout", [each for each in LAYOUTS if each.settles], ids=lambda layout: layout.name
)
def test_without_a_last_file_a_checkpoint_must_have_been_left_alone(
    layout: Layout, model: Path, tmp_path: Path
) -> None:
    written(layout, model, tmp_path)
    assert found(tmp_path, SETTLED) == []
    assert len(found(tmp_path, 0.0)) == 1  # the training is over


@pytest.mark.parametrize(
    "layout", [each for each in LAYOUTS if each.rotates], ids=lambda layout: layout.name
)
def test_a_checkpoint_that_rotation_takes_away_stays_where_it_was_kept(
    layout: Layout, model: Path, tmp_path: Path
) -> None:
    run, place = tmp_path / "run", tmp_path / "kept"
    written(layout, model, run)
    aged(run)
    each = only(run)
    before = {name: Path(path).read_bytes() for name, path in each.saved.files.items()}
    assert keeping.keep(each, place)
    shutil.rmtree(run / layout.rotates)
    assert steps(run) == []
    (kept,) = keeping.everything(place)
    inside = place / (kept.name if kept.format == "hf" else f"{kept.name}.kept")
    after = {str(p.relative_to(inside)): p.read_bytes() for p in inside.rglob("*") if p.is_file()}
    assert after == before


@pytest.mark.parametrize(
    "layout", [each for each in LAYOUTS if each.rotates], ids=lambda layout: layout.name
)
def test_a_checkpoint_that_is_being_rotated_away_is_not_kept_in_part(
    layout: Layout, model: Path, tmp_path: Path
) -> None:
    run, place = tmp_path / "run", tmp_path / "kept"
    written(layout, model, run)
    aged(run)
    each = only(run)
    gone = [path for path in each.saved.files.values() if path.endswith((".safetensors", ".pt"))]
    Path((gone or [*each.saved.files.values()])[-1]).unlink()
    assert keeping.keep(each, place) is None
    assert keeping.everything(place) == []
    assert not any(place.glob("step-*"))


def test_what_rotation_leaves_of_an_actor_is_no_checkpoint(model: Path, tmp_path: Path) -> None:
    for operation in verl(model):
        list(apply(tmp_path, operation))
    shutil.rmtree(tmp_path / "global_step_5" / "actor")
    assert (tmp_path / "global_step_5" / "data.pt").exists()
    assert steps(tmp_path) == []


def test_verls_steps_count_up_to_the_one_that_the_tracker_names(
    model: Path, tmp_path: Path
) -> None:
    for operation in verl(model):
        list(apply(tmp_path, operation))
    shutil.copytree(tmp_path / "global_step_5", tmp_path / "global_step_10")
    assert steps(tmp_path) == [5]
    tracker = tmp_path / "latest_checkpointed_iteration.txt"
    tracker.write_text("")  # it is being written, and empty for a moment
    assert steps(tmp_path) == []
    tracker.write_text("10\n")
    assert steps(tmp_path) == [5, 10]


def test_a_rank_that_has_not_written_its_shard_keeps_the_checkpoint_from_counting(
    model: Path, tmp_path: Path
) -> None:
    layout = next(each for each in LAYOUTS if each.name == "verl, shards")
    written(layout, model, tmp_path)
    (tmp_path / "global_step_5" / "actor" / "model_world_size_2_rank_1.pt").unlink()
    assert steps(tmp_path) == []


def test_an_adapter_is_one_even_with_the_configuration_of_a_model_beside_it(
    model: Path, tmp_path: Path
) -> None:
    layout = next(each for each in LAYOUTS if each.name == "OpenRLHF, adapter")
    written(layout, model, tmp_path)
    aged(tmp_path)
    assert (tmp_path / "global_step5_hf" / "config.json").exists()
    assert only(tmp_path).saved.format == "peft"


def test_nanochats_own_files_are_not_taken_for_a_model(tmp_path: Path) -> None:
    for name in ("model_000005.pt", "meta_000005.json", "optim_000005_rank0.pt"):
        (tmp_path / name).write_bytes(b"{}")
    assert found(tmp_path, 0.0) == []


def test_where_neighbours_have_a_mark_a_folder_needs_one(model: Path, tmp_path: Path) -> None:
    for folder in ("step_5", "step_10"):
        for operation in files(model, folder):
            list(apply(tmp_path, operation))
    (tmp_path / "step_5" / "STABLE").touch()
    aged(tmp_path)
    assert steps(tmp_path) == [5]


def test_what_is_only_readable_by_its_own_program_is_told_with_the_command_that_reads_it(
    model: Path, tmp_path: Path
) -> None:
    said = {}
    for layout in LAYOUTS:
        run = tmp_path / layout.name
        written(layout, model, run)
        said[layout.name] = found(run, 0.0)[0].saved.by_hand
    assert {name for name, text in said.items() if text} == {
        "Trainer, ZeRO-3", "OpenRLHF, DeepSpeed alone", "verl, Megatron alone", "NeMo RL, Megatron",
    }  # fmt: skip
    assert "zero_to_fp32.py" in said["Trainer, ZeRO-3"]
    assert "ckpt.save_hf" in said["OpenRLHF, DeepSpeed alone"]
    assert "verl.model_merger merge --backend megatron" in said["verl, Megatron alone"]
    assert "convert_megatron_to_hf.py" in said["NeMo RL, Megatron"]
    assert all(text.endswith("`evalkit add-checkpoint RUN OUT --step 5`")
               for text in said.values() if text)  # fmt: skip


def test_deepspeeds_states_beside_a_model_of_the_same_step_are_not_told_of(
    model: Path, tmp_path: Path
) -> None:
    for name in ("OpenRLHF", "OpenRLHF, DeepSpeed alone"):
        written(next(each for each in LAYOUTS if each.name == name), model, tmp_path)
    assert [each.saved.format for each in found(tmp_path, 0.0)] == ["hf"]


def test_what_the_trainer_logged_last_travels_with_its_checkpoint(
    model: Path, tmp_path: Path
) -> None:
    for operation in trainer(model):
        list(apply(tmp_path, operation))
    assert only(tmp_path).saved.train == {"step": 5.0, "loss": 0.5, "epoch": 1.0}
    layout = next(each for each in LAYOUTS if each.name == "NeMo RL")
    written(layout, model, tmp_path / "nemo")
    saved = only(tmp_path / "nemo").saved
    assert saved.train == {"total_steps": 5.0, "loss": 0.5}
    assert saved.base == "/models/base"


def test_optimizers_and_states_are_no_part_of_a_model(model: Path, tmp_path: Path) -> None:
    for operation in trainer(model):
        list(apply(tmp_path, operation))
    names = set(only(tmp_path).saved.files)
    assert names == {path.name for path in model.iterdir()}


# ---------------------------------------------------------------------------- damaged weights


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda folder: (folder / "config.json").write_text('{"model_type": '),
         "config.json is missing or not whole"),
        (lambda folder: (folder / "config.json").write_text("[]"),
         "config.json is missing or not whole"),
        (lambda folder: (folder / "model.safetensors").unlink(),
         "no weights: neither model.safetensors nor pytorch_model.bin"),
        (lambda folder: (folder / "model.safetensors").write_bytes(b""),
         "model.safetensors is not whole"),
        (lambda folder: (folder / "model.safetensors").write_bytes(b"\xff" * 64),
         "model.safetensors is not whole"),
        (lambda folder: os.truncate(folder / "model.safetensors", 5000),
         "model.safetensors is not whole"),
    ],
    ids=["half a configuration", "a list", "no weights", "empty", "noise", "cut short"],
)  # fmt: skip
def test_what_is_missing_is_named(damage: object, said: str, model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(model, folder)
    damage(folder)  # type: ignore[operator]
    assert lacking(folder) == said


def test_an_index_is_believed_only_within_its_folder(model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(model, folder)
    (folder / "model.safetensors").rename(tmp_path / "model.safetensors")
    index = folder / "model.safetensors.index.json"
    for name in ("../model.safetensors", str(tmp_path / "model.safetensors")):
        index.write_text(json.dumps({"weight_map": {"w": name}}))
        assert lacking(folder).endswith("which is outside the folder")
    index.write_text(json.dumps({"weight_map": {"w": "part.safetensors"}}))
    assert lacking(folder) == "part.safetensors is missing"
    index.write_text(json.dumps({"weight_map": {}}))
    assert lacking(folder) == "the index of the weights is not whole"
