"""Weights that every rank saved its part of, as verl does under FSDP, put together."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from evalkit.errors import TrainingError
from evalkit.identity.weights import parsed

RANK = re.compile(r"model_world_size_(\d+)_rank_(\d+)\.pt")
LORA = re.compile(r"(.*)\.lora_([AB])\.(?:\w+\.)?weight")
WRAPPED = "base_model.model."  # how PEFT prefixes the names of the model inside


def ranks(source: Path) -> dict[str, Any]:
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
