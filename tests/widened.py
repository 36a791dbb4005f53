"""The same Llama with larger attention heads, for engines that take only some sizes.

The new places of a head are zeros, spread so that what rotary embeddings rotate together stays
together; their base is raised so that each pair turns as it did, and queries are scaled by what
the larger head takes away.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

NEW = 32
HEADS = {"q_proj": "num_attention_heads", "k_proj": "num_key_value_heads",
         "v_proj": "num_key_value_heads"}  # fmt: skip


def widened(source: Path, target: Path) -> Path:
    """A copy of a checkpoint whose heads have 32 places; what it says is the same."""
    from safetensors.torch import load_file, save_file

    shutil.copytree(source, target)
    config = json.loads((source / "config.json").read_text())
    weights = load_file(source / "model.safetensors")
    wide = {name: _widened(name, weight, config) for name, weight in weights.items()}
    save_file(wide, target / "model.safetensors", {"format": "pt"})
    config["rope_parameters"]["rope_theta"] **= NEW / config["head_dim"]
    config["head_dim"] = NEW
    (target / "config.json").write_text(json.dumps(config))
    return target


def _widened(name: str, weight: Tensor, config: dict[str, Any]) -> Tensor:
    import torch

    old = config["head_dim"]
    places = torch.tensor([*range(old // 2), *range(NEW // 2, NEW // 2 + old // 2)])
    kind = name.split(".")[-2]
    if kind == "o_proj":
        return _widened(name.replace(kind, "v_proj"), weight.T, config).T.contiguous()
    if kind not in HEADS:
        return weight
    heads = config[HEADS[kind]]
    wide = torch.zeros(heads, NEW, weight.shape[1])
    wide[:, places] = weight.reshape(heads, old, -1)
    if kind == "q_proj":
        wide *= (NEW / old) ** 0.5
    return wide.view(heads * NEW, -1).contiguous()
