"""How each framework writes a checkpoint: its files in its order, as operations on a folder.

Contents are those of a real tiny model where a reader looks at them.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Write = tuple[str, bytes]  # a path in the run's folder, and what is written there
Move = tuple[str, str]  # a path that is renamed to another; "" removes it
Operation = Write | Move

STATE = b'{"global_step": 5, "log_history": [{"step": 5, "loss": 0.5, "epoch": 1.0}]}'
CONTENTS = b'{"save_contents": ["model"], "global_step": 5, "contents": {}}'
ADAPTER = b'{"peft_type": "LORA", "base_model_name_or_path": "/models/base"}'


@dataclass(frozen=True)
class Layout:
    """A framework's way of writing the checkpoint of step 5."""

    name: str
    writes: Callable[[Path], list[Operation]]  # of a model's folder
    format: str = "hf"
    settles: bool = False  # whether it counts only once nothing was written for a while
    final: bool = False
    marked: bool = False  # whether a mark spares it having to be left alone for a while
    rotates: str = ""  # what rotation removes; "": nothing


def files(model: Path, folder: str, last: Sequence[str] = ()) -> list[Operation]:
    """A model's files, weights first, those named last."""
    names = sorted(path.name for path in model.iterdir())
    names.sort(key=lambda name: (name in last and 1 + last.index(name), "model" not in name))
    return [(f"{folder}/{name}", (model / name).read_bytes()) for name in names]


def without_weights(model: Path, folder: str) -> list[Operation]:
    return [op for op in files(model, folder) if not op[0].endswith(".safetensors")]


def in_parts(model: Path, folder: str) -> list[Operation]:
    """A model's files with its weights in two parts and an index."""
    from safetensors.torch import load, save

    state = load((model / "model.safetensors").read_bytes())
    names = sorted(state)
    parts = {"model-00001-of-00002.safetensors": names[:3], "model-00002-of-00002.safetensors": []}
    parts["model-00002-of-00002.safetensors"] = names[3:]
    where = {name: part for part, held in parts.items() for name in held}
    index = json.dumps({"metadata": {}, "weight_map": where}).encode()
    written: list[Operation] = [
        (f"{folder}/{part}", save({name: state[name] for name in held}))
        for part, held in parts.items()
    ]
    written.append((f"{folder}/model.safetensors.index.json", index))
    return written + without_weights(model, folder)


def pickled(value: Any) -> bytes:
    """What torch.save writes."""
    import torch

    buffer = io.BytesIO()
    torch.save(value, buffer)
    return buffer.getvalue()


def tensors() -> bytes:
    """A file that torch.save could have written, as far as an archive of it can be told."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr("archive/data.pkl", b"")
    return buffer.getvalue()


def adapter(folder: str, weights: str) -> list[Operation]:
    from safetensors.torch import save

    state = {"base_model.model.a.lora_A.weight": __import__("torch").ones(2, 2)}
    content = pickled(state) if weights.endswith(".bin") else save(state)
    return [(f"{folder}/{weights}", content), (f"{folder}/adapter_config.json", ADAPTER)]


def trainer(model: Path, folder: str = "checkpoint-5") -> list[Operation]:
    kept = [(f"{folder}/{name}", tensors()) for name in ("optimizer.pt", "rng_state.pth")]
    return [*files(model, folder), *kept, (f"{folder}/trainer_state.json", STATE)]


def trainer_adapter(model: Path) -> list[Operation]:
    beside = [op for op in without_weights(model, "checkpoint-5") if "token" in op[0]]
    written = adapter("checkpoint-5", "adapter_model.safetensors")
    return [*written, *beside, ("checkpoint-5/trainer_state.json", STATE)]


def trainer_sharded(model: Path) -> list[Operation]:
    """What accelerate writes under FSDP with sharded states: no configuration beside it."""
    inside = "checkpoint-5/pytorch_model_fsdp_0"
    parts: list[Operation] = [(f"{inside}/__0_0.distcp", b"xx"), (f"{inside}/.metadata", b"xx")]
    return [*parts, ("checkpoint-5/trainer_state.json", STATE)]


def trainer_zero3(model: Path) -> list[Operation]:
    kept = "checkpoint-5/global_step5/zero_pp_rank_0_mp_rank_00_model_states.pt"
    return [
        (kept, tensors()),
        ("checkpoint-5/zero_to_fp32.py", b"# DeepSpeed's own"),
        ("checkpoint-5/trainer_state.json", STATE),
    ]


def trainer_last(model: Path) -> list[Operation]:
    """What save_model leaves above the checkpoints; its state is that of the last of them."""
    return [("checkpoint-5/scheduler.pt", b"xx"), *files(model, ".", ("tokenizer_config.json",))]


def openrlhf(model: Path) -> list[Operation]:
    return files(model, "global_step5_hf", ("config.json", "tokenizer.json",
                                            "tokenizer_config.json"))  # fmt: skip


def openrlhf_adapter(model: Path) -> list[Operation]:
    beside = files(model, "global_step5_hf", ("config.json", "tokenizer_config.json"))
    written = adapter("global_step5_hf", "adapter_model.bin")
    return [*written, *(op for op in beside if not op[0].endswith(".safetensors"))]


def openrlhf_states(model: Path) -> list[Operation]:
    return [
        ("_actor/global_step5/mp_rank_00_model_states.pt", tensors()),
        ("_actor/latest", b"global_step5"),
    ]


def verl(model: Path, actor: str = "global_step_5/actor") -> list[Operation]:
    """verl's order: shards, the configuration, the weights, the data's state, the tracker."""
    return [
        *verl_shards(model, actor)[:-2],
        *[op for op in files(model, f"{actor}/huggingface") if op[0].endswith(".safetensors")],
        ("global_step_5/data.pt", tensors()),
        ("latest_checkpointed_iteration.txt", b"5"),
    ]


def verl_shards(model: Path, actor: str = "global_step_5/actor") -> list[Operation]:
    names = [f"{kind}_world_size_2_rank_{rank}.pt" for rank in (0, 1)
             for kind in ("model", "optim", "extra_state")]  # fmt: skip
    return [
        *((f"{actor}/{name}", tensors()) for name in names),
        (f"{actor}/fsdp_config.json", b'{"FSDP_version": 2, "world_size": 2}'),
        *without_weights(model, f"{actor}/huggingface"),
        ("global_step_5/data.pt", tensors()),
        ("latest_checkpointed_iteration.txt", b"5"),
    ]


def verl_sft(model: Path) -> list[Operation]:
    """Its tracker is renamed into place."""
    *written, _ = verl(model, "global_step_5")
    beside = "latest_checkpointed_iteration.txt.tmp"
    return [*written, (beside, b"5"), (beside, "latest_checkpointed_iteration.txt")]


def verl_asynchronous(model: Path) -> list[Operation]:
    return verl(model)[:-1]


def verl_megatron(model: Path) -> list[Operation]:
    actor = "global_step_5/actor"
    return [
        (f"{actor}/optimizer/dist_ckpt/common.pt", b"xx"),
        *files(model, f"{actor}/model/huggingface"),
        (f"{actor}/ckpt_contents.json", CONTENTS),
    ]


def verl_dist(model: Path) -> list[Operation]:
    actor = "global_step_5/actor"
    kept: list[Operation] = [(f"{actor}/model/dist_ckpt/__0_0.distcp", b"xx")]
    beside = without_weights(model, f"{actor}/model/huggingface")
    return [*kept, *beside, (f"{actor}/ckpt_contents.json", CONTENTS)]


def nemo(written: Sequence[Operation], model: Path) -> list[Operation]:
    """Everything below a folder that is renamed when it is whole."""
    beside, told = "tmp_step_5", b'{"total_steps": 5, "loss": 0.5, "note": "x"}'
    named: list[Operation] = [(f"{beside}/policy/{op[0]}", op[1]) for op in written]  # type: ignore[misc]
    tokenizer = [op for op in without_weights(model, f"{beside}/policy/tokenizer")
                 if "token" in op[0]]  # fmt: skip
    first: list[Operation] = [(f"{beside}/training_info.json", told)]
    first.append((f"{beside}/config.yaml", b"policy: {model_name: /models/base}\n"))
    return [*first, *named, *tokenizer, (beside, "step_5")]


def nemo_consolidated(model: Path) -> list[Operation]:
    shard = (model / "model.safetensors").read_bytes()
    inner = "weights/model"
    written: list[Operation] = [(f"{inner}/shard-00001-model-00001-of-00001.safetensors", shard)]
    return nemo([*written, *files(model, f"{inner}/consolidated")], model)


def nemo_shards(model: Path) -> list[Operation]:
    shard = (model / "model.safetensors").read_bytes()
    names = [f"weights/model/shard-0000{at}-model-00001-of-00001.safetensors" for at in (1, 2)]
    return nemo([(name, shard) for name in names], model)


def nemo_dcp(model: Path) -> list[Operation]:
    return nemo([("weights/__0_0.distcp", b"xx"), ("weights/.metadata", b"xx")], model)


def nemo_megatron(model: Path) -> list[Operation]:
    return nemo([("weights/iter_0000000/common.pt", b"xx")], model)


def marked(folder: str, mark: str) -> Callable[[Path], list[Operation]]:
    return lambda model: [*files(model, folder), (f"{folder}/{mark}", b"")]


def plain(model: Path) -> list[Operation]:
    """torchtune's: no mark, so that it is whole when it is a model and left alone."""
    return files(model, "epoch_5", ("tokenizer.json", "tokenizer_config.json"))


LAYOUTS = [
    Layout("Trainer", trainer, rotates="checkpoint-5"),
    Layout("Trainer in parts", lambda model: [*in_parts(model, "checkpoint-5"),
                                              ("checkpoint-5/trainer_state.json", STATE)]),
    Layout("Trainer, adapter", trainer_adapter, "peft", rotates="checkpoint-5"),
    Layout("Trainer, FSDP sharded", trainer_sharded, "dcp", rotates="checkpoint-5"),
    Layout("Trainer, ZeRO-3", trainer_zero3, "deepspeed"),
    Layout("Trainer, at the end", trainer_last, settles=True, final=True),
    Layout("OpenRLHF", openrlhf, settles=True, rotates="global_step5_hf"),
    Layout("OpenRLHF, adapter", openrlhf_adapter, "peft", settles=True),
    Layout("OpenRLHF, DeepSpeed alone", openrlhf_states, "deepspeed", settles=True),
    Layout("verl", verl, marked=True, rotates="global_step_5/actor"),
    Layout("verl, shards", verl_shards, "fsdp", marked=True, rotates="global_step_5/actor"),
    Layout("verl, SFT", verl_sft, marked=True, rotates="global_step_5"),
    Layout("verl, no tracker", verl_asynchronous, settles=True, rotates="global_step_5/actor"),
    Layout("verl, Megatron", verl_megatron, rotates="global_step_5/actor"),
    Layout("verl, Megatron alone", verl_dist, "verl-megatron"),
    Layout("NeMo RL", nemo_consolidated, rotates="step_5"),
    Layout("NeMo RL, shards", nemo_shards, "shards", rotates="step_5"),
    Layout("NeMo RL, version 1", nemo_dcp, "dcp", rotates="step_5"),
    Layout("NeMo RL, Megatron", nemo_megatron, "nemo-megatron"),
    Layout("open-instruct", marked("step_5", "COMPLETED"), marked=True, rotates="step_5"),
    Layout("open-instruct, GRPO", marked("step_5", ".checkpoint_complete"), marked=True),
    Layout("prime-rl", marked("step_5", "STABLE"), marked=True),
    Layout("torchtune", plain, settles=True, rotates="epoch_5"),
]  # fmt: skip


def apply(run: Path, operation: Operation) -> Iterator[None]:
    """Carries an operation out, and stops wherever a reader may look."""
    first, second = operation
    if isinstance(second, str):
        (run / first).rename(run / second)
        return
    path = run / first
    path.parent.mkdir(parents=True, exist_ok=True)
    if second:
        path.write_bytes(second[: len(second) // 2])
        yield
    path.write_bytes(second)
