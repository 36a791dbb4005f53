"""The environment of an evaluation: that of its user, without what a training left in it.

Variables of a launcher make a library believe that it is one of several processes, or that all
of the memory is its own.
"""

from __future__ import annotations

from collections.abc import Mapping

NAMES = frozenset(
    {
        "RANK",
        "LOCAL_RANK",
        "WORLD_SIZE",
        "LOCAL_WORLD_SIZE",
        "GROUP_RANK",
        "ROLE_RANK",
        "NODE_RANK",
        "PYTORCH_CUDA_ALLOC_CONF",
        "PYTORCH_ALLOC_CONF",
        "CUDA_VISIBLE_DEVICES",
    }
)
HEADS = ("MASTER_", "ACCELERATE_", "FSDP_", "TORCHELASTIC_", "DEEPSPEED_", "RAY_", "ROLE_")


def scrubbed(environment: Mapping[str, str], devices: str = "") -> dict[str, str]:
    """The environment without a training's variables, and with these devices if any are named."""
    kept = {
        name: value
        for name, value in environment.items()
        if name not in NAMES and not name.startswith(HEADS)
    }
    return {**kept, **({"CUDA_VISIBLE_DEVICES": devices} if devices else {})}
