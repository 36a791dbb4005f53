"""Checkpoints in other formats made models: real ones, whose weights come back bit by bit."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from evalkit import Saved, plugins
from evalkit.errors import TrainingError
from evalkit.identity.weights import lacking, lacks_tokenizer
from evalkit.watching.finding import exporter, found
from tests.layouts import Operation, Write, apply, nemo, pickled, without_weights
from tests.tiny_models import tiny_model
from trainers.checkpoints import export

ROOT = Path(__file__).parents[1]
LORA = "base_model.model."
pytestmark = [
    pytest.mark.filterwarnings("ignore:torch.distributed is disabled"),  # a single process
    pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing"),  # PEFT's
]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("model"), template=True)


def weights(folder: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    return load_file(folder / "model.safetensors")


def same(folder: Path, expected: Mapping[str, Any]) -> None:
    """The folder is a model that loads with exactly these weights."""
    import torch
    import transformers

    hf: Any = transformers
    loaded, told = hf.AutoModelForCausalLM.from_pretrained(folder, output_loading_info=True)
    assert not any(told[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    state = loaded.state_dict()
    for name, value in expected.items():
        assert torch.equal(state[name].float(), value.float()), name
    assert hf.AutoTokenizer.from_pretrained(folder).chat_template
    assert not lacking(folder)


def laid(run: Path, operations: list[Operation]) -> Path:
    for operation in operations:
        list(apply(run, operation))
    return run


def exported(run: Path, out: Path, base: str = "") -> Path:
    """The one checkpoint of a run, exported as its trainer does."""
    (each,) = found(run, 0.0)
    export_it = exporter(each.trainer).export
    assert export_it is not None
    export_it(replace(each.saved, base=base or each.saved.base), out)
    return out


def verl_run(run: Path, model: Path, shards: list[bytes], lora: bytes = b"") -> Path:
    """verl's checkpoint of step 5, with what every rank saved."""
    actor, world = "global_step_5/actor", len(shards)
    told = f'{{"FSDP_version": 2, "world_size": {world}}}'.encode()
    return laid(run, [
        *((f"{actor}/model_world_size_{world}_rank_{rank}.pt", shard)
          for rank, shard in enumerate(shards)),
        (f"{actor}/fsdp_config.json", told),
        *([(f"{actor}/lora_train_meta.json", lora)] if lora else []),
        *without_weights(model, f"{actor}/huggingface"),
        ("latest_checkpointed_iteration.txt", b"5"),
    ])  # fmt: skip


def state_of(model: Path) -> dict[str, Any]:
    """The weights as a model holds them: with the head that is tied to nothing."""
    return weights(model)


@pytest.fixture
def rank(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int, int], Any]]:
    """Makes this process one rank of several, for torch to shard tensors in earnest."""
    import torch.distributed as dist
    from torch.distributed.device_mesh import init_device_mesh
    from torch.testing._internal.distributed.fake_pg import FakeStore

    def become(at: int, world: int) -> Any:
        if dist.is_initialized():
            dist.destroy_process_group()
        dist.init_process_group("fake", rank=at, world_size=world, store=FakeStore())
        return init_device_mesh("cpu", (world,))

    yield become
    if dist.is_initialized():
        dist.destroy_process_group()


def sharded(state: Mapping[str, Any], world: int, become: Callable[[int, int], Any]) -> list[bytes]:
    """What every rank saves of tensors that are sharded by their first dimension."""
    import torch
    from torch.distributed.tensor import DTensor, Shard

    files = []
    for at in range(world):
        mesh = become(at, world)
        held = {}
        for name, value in state.items():
            parts = list(torch.chunk(value, world))
            empty = value.new_empty((0, *value.shape[1:]))
            local = parts[at] if at < len(parts) else empty
            held[name] = DTensor.from_local(
                local.clone(), mesh, [Shard(0)], run_check=False, shape=value.shape,
                stride=value.stride(),
            )  # fmt: skip
        files.append(pickled(held))
    return files


@pytest.mark.parametrize("world", [1, 2, 3])
def test_the_shards_of_every_rank_are_one_model(
    world: int, model: Path, tmp_path: Path, rank: Callable[[int, int], Any]
) -> None:
    files = sharded(weights(model), world, rank)  # 3 divides neither 32 nor 260 rows
    run = verl_run(tmp_path / "run", model, files)
    same(exported(run, tmp_path / "out"), weights(model))


def test_low_rank_updates_are_added_to_the_weights_that_they_change(
    model: Path, tmp_path: Path, rank: Callable[[int, int], Any]
) -> None:
    import torch

    before = weights(model)
    name = "model.layers.0.self_attn.q_proj"
    a, b = torch.randn(2, 32), torch.randn(32, 2)
    state = {f"{LORA}{key}": value for key, value in before.items() if key != f"{name}.weight"}
    state[f"{LORA}{name}.base_layer.weight"] = before[f"{name}.weight"]
    state[f"{LORA}{name}.lora_A.default.weight"] = a
    state[f"{LORA}{name}.lora_B.default.weight"] = b
    meta = b'{"r": 2, "lora_alpha": 4, "task_type": "CAUSAL_LM"}'
    run = verl_run(tmp_path / "run", model, sharded(state, 2, rank), meta)
    expected = {**before, f"{name}.weight": before[f"{name}.weight"] + 2.0 * (b @ a)}
    same(exported(run, tmp_path / "out"), expected)


def test_updates_without_their_scale_are_refused(
    model: Path, tmp_path: Path, rank: Callable[[int, int], Any]
) -> None:
    import torch

    state = {"x.lora_A.weight": torch.ones(2, 2), "x.lora_B.weight": torch.ones(2, 2)}
    run = verl_run(tmp_path / "run", model, sharded(state, 1, rank))
    with pytest.raises(TrainingError, match=r"lora_train_meta\.json is missing"):
        exported(run, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def distributed(folder: Path, state: Any) -> list[Write]:
    """What torch.distributed.checkpoint writes into the folder, from a single process."""
    import torch.distributed.checkpoint

    dcp: Any = torch.distributed.checkpoint  # its own types leave half of this out
    dcp.save(state, checkpoint_id=str(folder), no_dist=True)
    return [(path.name, path.read_bytes()) for path in sorted(folder.iterdir())]


def test_a_distributed_checkpoint_of_accelerates_is_one_model(model: Path, tmp_path: Path) -> None:
    written = distributed(tmp_path / "dcp", {"model": weights(model)})
    operations: list[Operation] = [
        (f"checkpoint-5/pytorch_model_fsdp_0/{name}", content) for name, content in written
    ]
    state = b'{"global_step": 5, "log_history": []}'
    run = laid(tmp_path / "run", [*operations, ("checkpoint-5/trainer_state.json", state)])
    same(exported(run, tmp_path / "out", str(model)), weights(model))


def test_a_distributed_checkpoint_of_nemo_rls_is_one_model(model: Path, tmp_path: Path) -> None:
    written = distributed(tmp_path / "dcp", {"model": weights(model)})
    inside: list[Operation] = [(f"weights/{name}", content) for name, content in written]
    run = laid(tmp_path / "run", nemo(inside, model))
    same(exported(run, tmp_path / "out", str(model)), weights(model))


def test_numbers_are_kept_in_the_format_that_the_model_states(model: Path, tmp_path: Path) -> None:
    """Training holds 32 bits of each; a model that states 16 is given as that."""
    import json

    import torch

    stated = tmp_path / "stated"
    stated.mkdir()
    for path in model.iterdir():
        (stated / path.name).write_bytes(path.read_bytes())
    config = json.loads((stated / "config.json").read_text())
    (stated / "config.json").write_text(json.dumps({**config, "dtype": "bfloat16"}))
    written = distributed(tmp_path / "dcp", {"model": weights(model)})
    inside: list[Operation] = [(f"weights/{name}", content) for name, content in written]
    run = laid(tmp_path / "run", nemo(inside, stated))
    out = exported(run, tmp_path / "out", str(stated))
    assert {value.dtype for value in weights(out).values()} == {torch.bfloat16}


class Malicious:
    """An object that runs a command when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        return os.system, (f"touch {self.path}",)


@pytest.mark.parametrize("kind", ["index", "shard", "bin", "adapter"])
def test_what_a_pickle_would_run_is_not_run(kind: str, model: Path, tmp_path: Path) -> None:
    touched = tmp_path / "touched"
    pickle.loads(pickle.dumps(Malicious(touched)))
    assert touched.exists()  # it would be
    touched.unlink()
    evil = Malicious(touched)
    if kind == "index":
        inside: list[Operation] = [("weights/__0_0.distcp", b"x")]
        inside.append(("weights/.metadata", pickle.dumps(evil)))
        run = laid(tmp_path / "run", nemo(inside, model))
    elif kind == "shard":
        run = verl_run(tmp_path / "run", model, [pickled({"w": evil})])
    else:
        name = {"bin": "pytorch_model.bin", "adapter": "adapter_model.bin"}[kind]
        described = b'{"peft_type": "LORA", "r": 2, "target_modules": ["q_proj"]}'
        extra: list[Operation] = [("step_5/adapter_config.json", described)]
        run = laid(tmp_path / "run", [
            (f"step_5/{name}", pickled({"w": evil})),
            *(extra if kind == "adapter" else []),
            *without_weights(model, "step_5"),
        ])  # fmt: skip
    with pytest.raises(TrainingError):
        exported(run, tmp_path / "out", str(model))
    assert not touched.exists()
    assert not (tmp_path / "out").exists()


def test_objects_beside_the_tensors_of_a_distributed_checkpoint_are_left_alone(
    model: Path, tmp_path: Path
) -> None:
    touched = tmp_path / "touched"
    written = distributed(tmp_path / "dcp", {"model": {**weights(model), "x": Malicious(touched)}})
    inside: list[Operation] = [(f"weights/{name}", content) for name, content in written]
    run = laid(tmp_path / "run", nemo(inside, model))
    same(exported(run, tmp_path / "out", str(model)), weights(model))
    assert not touched.exists()


def test_an_index_that_leads_out_of_its_folder_is_refused(model: Path, tmp_path: Path) -> None:
    written = distributed(tmp_path / "dcp", {"model": weights(model)})
    moved = [(name, content.replace(b"__0_0.distcp", b"../_0.distcp")) for name, content in written]
    inside: list[Operation] = [(f"weights/{name}", content) for name, content in moved]
    run = laid(tmp_path / "run", nemo(inside, model))
    with pytest.raises(TrainingError, match=r"is not an index of weights: it names \.\./_0\.dist"):
        exported(run, tmp_path / "out", str(model))


@pytest.mark.parametrize("parts", [1, 2])
def test_pickled_weights_become_safetensors(parts: int, model: Path, tmp_path: Path) -> None:
    state = weights(model)
    names = sorted(state)
    split = [names[at::parts] for at in range(parts)]
    files = [pickled({name: state[name] for name in held}) for held in split]
    called = ["pytorch_model.bin"] if parts == 1 else [
        f"pytorch_model-0000{at}-of-00002.bin" for at in (1, 2)]  # fmt: skip
    index = {name: called[at] for at, held in enumerate(split) for name in held}
    listed = f'{{"weight_map": {index}}}'.replace("'", '"').encode()
    run = laid(tmp_path / "run", [
        *((f"epoch_5/{name}", content) for name, content in zip(called, files, strict=True)),
        *([("epoch_5/pytorch_model.bin.index.json", listed)] if parts > 1 else []),
        *without_weights(model, "epoch_5"),
    ])  # fmt: skip
    same(exported(run, tmp_path / "out"), state)


def adapted(model: Path, folder: Path, *, safe: bool) -> Any:
    """An adapter with updates that are not zero, saved; returns the model they are merged into."""
    import torch
    import transformers
    from peft import LoraConfig, get_peft_model

    hf: Any = transformers
    torch.manual_seed(1)
    config = LoraConfig(
        r=2, lora_alpha=8, target_modules=["q_proj", "down_proj"], init_lora_weights=False
    )
    wrapped: Any = get_peft_model(hf.AutoModelForCausalLM.from_pretrained(model), config)
    wrapped.save_pretrained(folder, safe_serialization=safe)
    return wrapped.merge_and_unload().state_dict()


@pytest.mark.parametrize("kind", ["adapter_model.safetensors", "adapter_model.bin"])
def test_an_adapter_is_merged_into_its_base(kind: str, model: Path, tmp_path: Path) -> None:
    import torch
    from safetensors.torch import load_file

    expected = adapted(model, tmp_path / "adapter", safe=True)
    told = (tmp_path / "adapter" / "adapter_config.json").read_bytes()
    safe = (tmp_path / "adapter" / "adapter_model.safetensors").read_bytes()
    state = load_file(tmp_path / "adapter" / "adapter_model.safetensors")
    content = safe if kind.endswith("safetensors") else pickled(state)
    run = laid(tmp_path / "run", [
        (f"global_step5_hf/{kind}", content),
        ("global_step5_hf/adapter_config.json", told),
        *without_weights(model, "global_step5_hf"),
    ])  # fmt: skip
    out = exported(run, tmp_path / "out", str(model))
    same(out, {name: value for name, value in expected.items() if name in weights(model)})
    moved = [name for name, value in weights(model).items()
             if not torch.equal(value, expected[name])]  # fmt: skip
    assert len(moved) == 4  # two modules of two layers
    assert not (out / "adapter_config.json").exists()


def test_an_adapter_whose_base_is_not_here_names_it(model: Path, tmp_path: Path) -> None:
    from tests.layouts import openrlhf_adapter

    run = laid(tmp_path / "run", openrlhf_adapter(model))
    with pytest.raises(TrainingError, match=r"belongs to /models/base, which is not here: name"):
        exported(run, tmp_path / "out")


def test_exporting_again_changes_nothing(model: Path, tmp_path: Path) -> None:
    run = verl_run(tmp_path / "run", model, [pickled(weights(model))])
    out = exported(run, tmp_path / "out")
    before = {path.name: path.stat().st_mtime_ns for path in out.iterdir()}
    exported(run, out)
    assert {path.name: path.stat().st_mtime_ns for path in out.iterdir()} == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "run"]


def test_a_model_without_a_tokenizer_takes_that_of_the_one_it_was_trained_from(
    model: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "run" / "checkpoint-5"
    folder.mkdir(parents=True)
    for name in ("model.safetensors", "config.json"):
        (folder / name).write_bytes((model / name).read_bytes())
    found_here = Saved(5, str(folder), "hf", {path.name: str(path) for path in folder.iterdir()})
    with pytest.raises(TrainingError, match=r"there is no tokenizer; name the model that it was"):
        export(found_here, tmp_path / "out")
    export(replace(found_here, base=str(model)), tmp_path / "out")
    assert not lacks_tokenizer(tmp_path / "out")
    same(tmp_path / "out", weights(model))


# ------------------------------------------------------------------------- from two processes


@pytest.fixture(scope="module")
def written(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What two ranks of a real FSDP training have written of the model."""
    out = tmp_path_factory.mktemp("ranks")
    command = [sys.executable, "-m", "tests.sharded", str(model), str(out)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run(command, check=True, cwd=ROOT, env=environment, timeout=300)
    return out


@pytest.mark.integration
@pytest.mark.parametrize("kind", ["fsdp1", "fsdp2"])
def test_what_fsdp_saved_in_two_processes_is_one_model(
    kind: str, written: Path, model: Path, tmp_path: Path
) -> None:
    shards = [path.read_bytes() for path in sorted((written / kind).iterdir())]
    run = verl_run(tmp_path / "run", model, shards)
    same(exported(run, tmp_path / "out"), weights(model))


@pytest.mark.integration
@pytest.mark.parametrize("kind", ["accelerate", "automodel"])
def test_what_two_processes_saved_together_is_one_model(
    kind: str, written: Path, model: Path, tmp_path: Path
) -> None:
    place = "weights" if kind == "accelerate" else "weights/model"
    parts: list[Operation] = [
        (f"{place}/{path.name}", path.read_bytes()) for path in sorted((written / kind).iterdir())
    ]
    run = laid(tmp_path / "run", nemo(parts, model))
    same(exported(run, tmp_path / "out", str(model)), weights(model))


def test_every_launched_trainer_exports_what_it_finds() -> None:
    launched = [each for each in plugins.all_plugins("trainers").values() if each.launched]
    assert len(launched) == 3
    assert all(each.scan and each.export and each.logged for each in launched)
