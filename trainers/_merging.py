"""Weights in other formats to safetensors, on the CPU.

Checkpoints are files of somebody else's program: tensors are read with `weights_only`.
"""

from __future__ import annotations

import pickle
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from evalkit import Saved
from evalkit.errors import TrainingError
from evalkit.identity.weights import files, lacks_tokenizer, parsed
from evalkit.storage.files import gather

from ._distributed import consolidate, whole
from ._ranks import ranks


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
            consolidate(source, folder)
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


READERS = {"bin": _pickled, "fsdp": ranks, "dcp": whole}
CASTS = ("fsdp", "dcp")  # training keeps 32 bits of each number
