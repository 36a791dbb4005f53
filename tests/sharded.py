"""Writes a model's weights as training on two devices does: `python -m tests.sharded MODEL OUT`.

The two processes are real, and so are FSDP and the writers of torch.distributed:

    fsdp1/ fsdp2/   verl's: a file of sharded tensors from every rank
    accelerate/     a distributed checkpoint, as accelerate writes it under FSDP
    automodel/      safetensors that hold a part of each tensor, as NeMo RL writes them
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Any

WORLD = 2


def write(rank: int, model: Path, out: Path) -> None:
    """What one rank writes."""
    import torch
    import torch.distributed
    from torch.distributed.device_mesh import init_device_mesh

    dist: Any = torch.distributed  # its own types leave half of this out
    store = dist.FileStore(str(out / "store"), WORLD)
    os.environ.update(RANK=str(rank), WORLD_SIZE=str(WORLD), LOCAL_RANK=str(rank))
    dist.init_process_group("gloo", rank=rank, world_size=WORLD, store=store)
    mesh = init_device_mesh("cpu", (WORLD,), mesh_dim_names=("fsdp",))
    second = _second(model, mesh)
    for name, state in (("fsdp1", _first(model, mesh)), ("fsdp2", second)):
        torch.save(state, out / name / f"model_world_size_{WORLD}_rank_{rank}.pt")
    _distributed(second, out)
    dist.barrier()
    dist.destroy_process_group()


def _loaded(model: Path) -> Any:
    import transformers

    hf: Any = transformers
    return hf.AutoModelForCausalLM.from_pretrained(model)


def _first(model: Path, mesh: Any) -> Any:
    import torch
    from torch.distributed.fsdp import FullyShardedDataParallel as Fsdp
    from torch.distributed.fsdp import ShardedStateDictConfig, StateDictType

    cpu: Any = torch.device("cpu")
    wrapped = Fsdp(_loaded(model), device_mesh=mesh, device_id=cpu)
    config = ShardedStateDictConfig(offload_to_cpu=False)
    Fsdp.set_state_dict_type(wrapped, StateDictType.SHARDED_STATE_DICT, config)
    return wrapped.state_dict()


def _second(model: Path, mesh: Any) -> Any:
    from torch.distributed.fsdp import fully_shard

    whole = _loaded(model)
    for layer in whole.model.layers:
        fully_shard(layer, mesh=mesh)
    fully_shard(whole, mesh=mesh)
    return whole.state_dict()


def _distributed(state: Any, out: Path) -> None:
    import torch.distributed.checkpoint

    dcp: Any = torch.distributed.checkpoint
    dcp.save({"model": dict(state)}, checkpoint_id=str(out / "accelerate"))
    writer = dcp.HuggingFaceStorageWriter(
        path=str(out / "automodel"), fqn_to_index_mapping=dict.fromkeys(state, 1),
        save_distributed=True,
    )  # fmt: skip
    dcp.save(dict(state), storage_writer=writer)


def main() -> None:
    """Starts the ranks and waits for them."""
    import torch.multiprocessing

    mp: Any = torch.multiprocessing
    model, out = Path(sys.argv[1]), Path(sys.argv[2])
    for name in ("fsdp1", "fsdp2", "accelerate", "automodel"):
        shutil.rmtree(out / name, ignore_errors=True)
        (out / name).mkdir(parents=True)
    mp.spawn(write, args=(model, out), nprocs=WORLD)


if __name__ == "__main__":
    main()
