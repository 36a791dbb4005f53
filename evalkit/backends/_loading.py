"""Weights and tokenizer from a folder or the hub: safetensors only, never code that comes along."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from evalkit.backends import _adapters
from evalkit.errors import ConfigError, ModelError
from evalkit.identity.fingerprint import base_named
from evalkit.identity.weights import is_adapter, parsed
from evalkit.types import Checkpoint

FILES = ["*.safetensors", "*.json", "*.txt", "*.model", "*.jinja"]
DTYPES = ("auto", "float32", "bfloat16", "float16")
QUANTIZATIONS = ("", "8bit", "4bit")


@dataclass(frozen=True, slots=True)
class Loaded:
    """A causal language model ready to be asked."""

    model: Any
    tokenizer: Any
    format: Literal["chat", "completion"]
    ends: frozenset[int]  # tokens that end an answer
    window: int | None  # tokens that prompt and answer may have together; None is no limit
    shared: str = ""  # the base's key, where the next adapter may be put on it


def folder(checkpoint: Checkpoint, revision: str = "") -> Path:
    """Where the checkpoint lies on this machine, fetched from the hub where it is a hub id."""
    name = checkpoint.model
    if not name:
        raise ConfigError(f"checkpoint {checkpoint.name!r}: needs `model`, a folder or a hub id")
    path = Path(name)
    if path.is_dir():
        return path
    if path.is_absolute() or name.startswith(".") or name.count("/") > 1:
        raise ModelError(f"checkpoint {checkpoint.name!r}: there is no folder {name}")
    try:
        from huggingface_hub import snapshot_download

        return Path(
            snapshot_download(
                name, revision=revision or None, allow_patterns=FILES, ignore_patterns=["*/*"]
            )
        )
    except ImportError:
        raise ModelError(MISSING) from None
    except Exception as error:  # the hub's errors have no common ancestor
        raise ModelError(
            f"checkpoint {checkpoint.name!r}: {name!r} is neither a folder here nor to be had "
            f"from the hub: {one_line(error)}"
        ) from None


def load(checkpoint: Checkpoint, chosen: Mapping[str, Any]) -> Loaded:
    """The model on its device; raises ModelError naming the checkpoint and its folder."""
    where = folder(checkpoint, chosen["revision"])
    try:
        import transformers
    except ImportError:
        raise ModelError(MISSING) from None
    if chosen["quantization"] and not find_spec("bitsandbytes"):
        raise ModelError(f"checkpoint {checkpoint.name!r}: {UNQUANTIZED}")
    hf: Any = transformers  # its own types leave half of this out
    hf.utils.logging.set_verbosity_error()
    hf.utils.logging.disable_progress_bar()
    try:
        tokenizer = hf.AutoTokenizer.from_pretrained(
            _with_tokenizer(checkpoint, where), trust_remote_code=False, local_files_only=True
        )
        shared = _shared(checkpoint, where, chosen)
        model, missing = _weights(hf, where, chosen, shared)
    except Exception as error:  # a damaged folder can fail in any way inside the library
        raise ModelError(
            f"checkpoint {checkpoint.name!r}: cannot load {where}: {one_line(error)}"
        ) from None
    if missing:
        names = ", ".join(sorted(missing)[:3])
        raise ModelError(f"checkpoint {checkpoint.name!r}: {where} lacks the weights {names}, …")
    form = _format(checkpoint, tokenizer)
    return Loaded(model, tokenizer, form, _ends(model, tokenizer), _window(model, chosen), shared)


def _weights(
    hf: Any, where: Path, chosen: Mapping[str, Any], shared: str
) -> tuple[Any, Collection[str]]:
    """The model, on a base that is there already where it can be, and the weights it lacks."""
    model = _adapters.taken(shared)
    if model is not None:
        with suppress(Exception):  # whatever keeps it from being put on: it is loaded from nothing
            missing = _adapters.put_on(model, where)
            return model.eval(), missing  # layers that were just made would drop out
        del model
    model, info = hf.AutoModelForCausalLM.from_pretrained(
        where,
        dtype=chosen["dtype"],
        use_safetensors=True,
        trust_remote_code=False,
        local_files_only=True,
        output_loading_info=True,
        device_map=_device_map(chosen),
        quantization_config=_quantization(hf, chosen["quantization"]),
    )
    if _device_map(chosen) is None:
        model = model.to(device(chosen["device"]))
    return model.eval(), info["missing_keys"]


def _shared(checkpoint: Checkpoint, where: Path, chosen: Mapping[str, Any]) -> str:
    named = base_named(where)
    if not named:
        return ""
    return _adapters.shared(where, folder(replace(checkpoint, model=named)), chosen)


def _with_tokenizer(checkpoint: Checkpoint, where: Path) -> Path:
    """The folder with the tokenizer: an adapter that brings none has its base's."""
    named = base_named(where)
    if not named or (where / "tokenizer_config.json").exists():
        return where
    return folder(replace(checkpoint, model=named))


def _device_map(chosen: Mapping[str, Any]) -> str | None:
    """Where weights go while they are loaded; None: they are moved afterwards."""
    if chosen["device"] == "all":
        return "auto"
    return device(chosen["device"]) if chosen["quantization"] else None


def _quantization(hf: Any, name: str) -> Any:
    """How transformers shrinks weights while it loads them, by bitsandbytes."""
    return hf.BitsAndBytesConfig(**{f"load_in_{name}": True}) if name else None


def device(name: str) -> str:
    """The device meant: `auto` is the accelerator where there is one."""
    if name not in ("auto", "all"):
        return name
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def dtype(name: str, checkpoint: Checkpoint) -> str:
    """The dtype meant: `auto` is the one that the weights are stored in."""
    if name != "auto":
        return name
    folder = Path(checkpoint.model)
    if is_adapter(folder):
        folder = Path(str(parsed(folder / "adapter_config.json").get("base_model_name_or_path")))
    config = parsed(folder / "config.json")
    return str(config.get("dtype") or config.get("torch_dtype") or "auto")


def one_line(error: Exception) -> str:
    """An error's first words: libraries write pages."""
    words = " ".join(str(error).split())[:300]
    return f"{type(error).__name__}: {words}"


def _format(checkpoint: Checkpoint, tokenizer: Any) -> Literal["chat", "completion"]:
    if checkpoint.format == "chat" and not tokenizer.chat_template:
        raise ModelError(
            f"checkpoint {checkpoint.name!r}: `format: chat`, but its tokenizer has no chat "
            "template: leave format out or set it to completion"
        )
    return checkpoint.format or ("chat" if tokenizer.chat_template else "completion")


def _ends(model: Any, tokenizer: Any) -> frozenset[int]:
    """Every token that either the model's or the tokenizer's files call an end."""
    stated = model.generation_config.eos_token_id
    ends = set(stated) if isinstance(stated, list) else {stated}
    return frozenset(end for end in ends | {tokenizer.eos_token_id} if end is not None)


def _window(model: Any, chosen: Mapping[str, Any]) -> int | None:
    stated = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    return chosen["max_length"] or stated


MISSING = "this backend needs torch and transformers: pip install 'posttrain-evalkit[hf]'"
UNQUANTIZED = "8bit and 4bit need bitsandbytes: pip install 'posttrain-evalkit[quantization]'"
