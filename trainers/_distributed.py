"""Checkpoints of `torch.distributed.checkpoint`, as accelerate and NeMo RL write them.

PyTorch unpickles their index freely, so it is read here first, letting through nothing but the
classes that such an index consists of.
"""

from __future__ import annotations

import pickle
import warnings
from pathlib import Path, PurePosixPath
from typing import Any

from evalkit.errors import TrainingError

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


def whole(source: Path) -> dict[str, Any]:
    """The tensors of the checkpoint below a folder, each in one piece, by their names in the model.

    Other objects in it are left where they are: PyTorch would unpickle them.  Raises
    TrainingError where the index is none.
    """
    import torch
    import torch.distributed.checkpoint as dcp
    from torch.distributed.checkpoint.metadata import TensorStorageMetadata

    folder = next(path.parent for path in source.rglob(".metadata"))
    index = _index(folder / ".metadata")
    state = {
        name: torch.empty(stored.size, dtype=stored.properties.dtype)
        for name, stored in index.state_dict_metadata.items()
        if isinstance(stored, TensorStorageMetadata)
    }
    with warnings.catch_warnings():  # that it is one process that reads
        warnings.simplefilter("ignore", UserWarning)
        dcp.load(state, checkpoint_id=str(folder), no_dist=True)  # type: ignore[attr-defined]
    paths = {name: (index.planner_data or {}).get(name, (name,)) for name in state}
    inside = all(path[0] == "model" and len(path) > 1 for path in paths.values())
    return {".".join(map(str, paths[name][inside:])): value for name, value in state.items()}


class _Index(pickle.Unpickler):
    """Reads the index of a distributed checkpoint, and nothing else that a pickle can do."""

    def find_class(self, module: str, name: str) -> Any:
        """The class of that name; raises UnpicklingError where an index has no need of it."""
        import torch

        number = module == "torch" and isinstance(getattr(torch, name, None), torch.dtype)
        if not number and name not in INDEX_CLASSES.get(module, ()):
            raise pickle.UnpicklingError(f"{module}.{name} has no place in an index of weights")
        return super().find_class(module, name)


def _index(path: Path) -> Any:
    try:
        with path.open("rb") as file:
            found = _Index(file).load()
        places = [PurePosixPath(stored.relative_path) for stored in found.storage_data.values()]
        outside = [place for place in places if place.is_absolute() or ".." in place.parts]
        if outside:
            raise ValueError(f"it names {outside[0]}, which is outside the folder")
        dict(found.state_dict_metadata)
    except Exception as error:
        raise TrainingError(f"{path} is not an index of weights: {error}") from None
    return found


def consolidate(source: Path, folder: Path) -> None:
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
