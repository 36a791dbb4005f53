"""Weights in other formats to safetensors, on the CPU.

Checkpoints are files of somebody else's program: tensors are read with `weights_only`, and what
PyTorch itself would unpickle freely (the index of a distributed checkpoint) is read here first,
letting through nothing but the classes that such an index consists of.
"""

from __future__ import annotations

import pickle
import re
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from evalkit import Saved
from evalkit.errors import TrainingError
from evalkit.files import gather
from evalkit.weights import files, lacks_tokenizer, parsed

RANK = re.compile(r"model_world_size_(\d+)_rank_(\d+)\.pt")
LORA = re.compile(r"(.*)\.lora_([AB])\.(?:\w+\.)?weight")
WRAPPED = "base_model.model."  # how PEFT prefixes the names of the model inside
INDEX_CLASSES = {
    "torch.distributed.checkpoint.metadata": {
        "_MEM_FORMAT_ENCODING",
        "BytesStorageMetadata",
        "ChunkStorageMetadata",
        "Metadata",
        "MetadataIndex",
        "StorageMeta",
        "TensorProperties",
        "TensorStorageMetadata",
    },
    "torch.distributed.checkpoint.filesystem": {"_StorageInfo"},
    "torch.serialization": {"_get_layout"},
    "torch": {"Size"},
    "collections": {"OrderedDict"},
    "pathlib": {"PosixPath"},
    "pathlib._local": {"PosixPath"},
}


def merge(saved: Saved, folder: Path) -> None:
    """Writes a checkpoint's weights into the folder as safetensors, and what else it holds.

    Raises TrainingError where its files are more than weights, or less.
    """
    try:
        _merge(saved, folder)
    except pickle.UnpicklingError as error:
        reason = str(error).strip().partition("\n")[0]
        raise TrainingError(f"{saved.path} holds more than weights: {reason}") from None


def _merge(saved: Saved, folder: Path) -> None:
    with _gathered(saved, folder) as source:
        if saved.format == "peft":
            _apply_adapter(source, saved.base, folder)
            return
        config = {name: path for name, path in files(source).items() if not _is_weights(name)}
        gather(config, folder)
        if saved.format == "shards":
            _consolidate(source, folder)
            return
        state = READERS[saved.format](source)
        described = parsed(folder / "config.json") or parsed(Path(saved.base) / "config.json")
        _write(state, folder, described if saved.format in CASTS else {})


def _is_weights(name: str) -> bool:
    return name.endswith((".safetensors", ".bin", ".pt", ".index.json"))


@contextmanager
def _gathered(saved: Saved, folder: Path) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f"{folder.name}.from.") as name:
        gather(saved.files, Path(name))
        yield Path(name)


def _write(state: Mapping[str, Any], folder: Path, config: Mapping[str, Any]) -> None:
    """The weights as transformers keeps them, in the number format that the model states."""
    import torch
    from huggingface_hub import save_torch_state_dict

    if config:
        stated = config.get("dtype") or config.get("torch_dtype") or "bfloat16"
        dtype = getattr(torch, str(stated), torch.bfloat16)
        state = {n: v.to(dtype) if v.is_floating_point() else v for n, v in state.items()}
    save_torch_state_dict({n: v.contiguous() for n, v in state.items()}, folder)


def _apply_adapter(source: Path, base: str, folder: Path) -> None:
    """Merges an adapter into its base model, as PEFT does."""
    import transformers
    from peft import PeftModel

    own = str(parsed(source / "adapter_config.json").get("base_model_name_or_path") or "")
    known = [own] if Path(own).is_absolute() else []  # what is relative is so to a lost folder
    stated = next((p for p in (*known, base) if p and (Path(p) / "config.json").is_file()), "")
    if not stated:
        raise TrainingError(
            f"the adapter in {source} belongs to {own or 'an unnamed model'}, which is not here: "
            "name the model that it was trained from"
        )
    kind = str((parsed(Path(stated) / "config.json").get("architectures") or [""])[0])
    model_class = getattr(transformers, kind, transformers.AutoModelForCausalLM)
    transformers.utils.logging.disable_progress_bar()
    with warnings.catch_warnings():  # PEFT's own use of names that transformers has renamed
        warnings.simplefilter("ignore", FutureWarning)
        model = model_class.from_pretrained(stated, dtype="auto")
        merged = PeftModel.from_pretrained(model, str(source)).merge_and_unload()
    merged.save_pretrained(folder)
    beside = stated if lacks_tokenizer(source) else str(source)
    tokenizer = transformers.AutoTokenizer.from_pretrained(beside)
    tokenizer.save_pretrained(folder)


def _pickled(source: Path) -> dict[str, Any]:
    """`pytorch_model.bin`, whole or in parts."""
    import torch

    state: dict[str, Any] = {}
    for path in sorted(source.glob("pytorch_model*.bin")):
        state |= torch.load(path, map_location="cpu", weights_only=True)
    return state


def _ranks(source: Path) -> dict[str, Any]:
    """Sharded tensors that every rank saved for itself, put together by their placement."""
    import torch
    import torch.distributed.tensor  # makes its classes known to the reader

    named = {match: path for path in source.iterdir() if (match := RANK.fullmatch(path.name))}
    paths = [path for _, path in sorted((int(match[2]), path) for match, path in named.items())]
    shards = [torch.load(path, map_location="cpu", weights_only=True) for path in paths]
    state = {name: _joined(name, [shard[name] for shard in shards]) for name in shards[0]}
    return _without_lora(state, parsed(source / "lora_train_meta.json"))


def _joined(name: str, parts: list[Any]) -> Any:
    import torch
    from torch.distributed.tensor import DTensor

    first = parts[0]
    if not isinstance(first, DTensor):
        return first  # a buffer: every rank has all of it
    placements: tuple[Any, ...] = first.placements
    sharded = [(at, place.dim) for at, place in enumerate(placements) if place.is_shard()]
    if any(place.is_partial() for place in placements) or len(sharded) > 1:
        raise TrainingError(f"{name} is sharded over more than one dimension: cannot be merged")
    if not sharded:
        return first.to_local()
    axis, dim = sharded[0]
    mesh = first.device_mesh.mesh
    row = mesh.movedim(axis, -1).reshape(-1, mesh.shape[axis])[0]  # one whole copy's ranks
    whole = torch.cat([parts[int(rank)].to_local() for rank in row], dim=dim)
    if whole.shape != first.shape:
        raise TrainingError(f"{name} comes to {list(whole.shape)}, not to {list(first.shape)}")
    return whole


def _without_lora(state: dict[str, Any], lora: Mapping[str, Any]) -> dict[str, Any]:
    """The state of the model alone: low-rank updates are added to the weights they belong to."""
    state = {name.removeprefix(WRAPPED).replace(".base_layer", ""): v for name, v in state.items()}
    pairs: dict[str, dict[str, str]] = {}
    for name in state:
        if match := LORA.fullmatch(name):
            pairs.setdefault(match[1], {})[match[2]] = name
    if not pairs:
        return state
    if not lora.get("r"):
        raise TrainingError("the weights hold LoRA updates, but lora_train_meta.json is missing")
    scale = float(lora.get("lora_alpha") or lora["r"]) / float(lora["r"])
    for module, pair in pairs.items():
        if f"{module}.weight" not in state:
            raise TrainingError("only LoRA updates were saved, without the weights they change")
        update = state.pop(pair["B"]).float() @ state.pop(pair["A"]).float()
        weight = state[f"{module}.weight"]
        state[f"{module}.weight"] = (weight.float() + scale * update).to(weight.dtype)
    return state


def _distributed(source: Path) -> dict[str, Any]:
    """A checkpoint of torch.distributed, as accelerate and NeMo RL write them."""
    import torch
    from torch.distributed.checkpoint.format_utils import dcp_to_torch_save

    folder = next(path.parent for path in source.rglob(".metadata"))
    _check_index(folder / ".metadata")
    whole = source / "whole.pt"
    dcp_to_torch_save(folder, whole)
    state = torch.load(whole, map_location="cpu", weights_only=True)
    while set(state) == {"model"}:
        state = state["model"]
    return dict(state)


class _Index(pickle.Unpickler):
    """Reads the index of a distributed checkpoint, and nothing else that a pickle can do."""

    def find_class(self, module: str, name: str) -> Any:
        """The class of that name; raises UnpicklingError where an index has no need of it."""
        import torch

        number = module == "torch" and isinstance(getattr(torch, name, None), torch.dtype)
        if not number and name not in INDEX_CLASSES.get(module, ()):
            raise pickle.UnpicklingError(f"{module}.{name} has no place in an index of weights")
        return super().find_class(module, name)


def _check_index(path: Path) -> None:
    try:
        with path.open("rb") as file:
            _Index(file).load()
    except Exception as error:
        raise TrainingError(f"{path} is not an index of weights: {error}") from None


def _consolidate(source: Path, folder: Path) -> None:
    """Safetensors that hold a part of each tensor, with its place in the whole."""
    from safetensors import safe_open
    from torch.distributed.checkpoint._consolidate_hf_safetensors import (
        consolidate_safetensors_files,
    )

    names: set[str] = set()
    for path in source.glob("*.safetensors"):
        with safe_open(path, framework="pt") as opened:
            names.update(opened.keys())
    consolidate_safetensors_files(str(source), str(folder), dict.fromkeys(names, 1))
    (made,) = folder.glob("model-*.safetensors")
    made.rename(folder / "model.safetensors")
    (folder / "model.safetensors.index.json").unlink(missing_ok=True)


READERS = {"bin": _pickled, "fsdp": _ranks, "dcp": _distributed}
CASTS = ("fsdp", "dcp")  # training keeps 32 bits of each number
