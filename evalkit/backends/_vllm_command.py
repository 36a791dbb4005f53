"""The command line of `vllm serve` for a checkpoint: what is decided here and not by its defaults.

The dtype is the weights' own, answers are drawn as `Sampling` says and not as a model's
generation_config.json would have it, and nothing comes from the network.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evalkit.identity.fingerprint import ADAPTER

MODULE = "vllm.entrypoints.openai.api_server"
RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)
"""What `--max-lora-rank` takes."""

CPU_CACHE_GIB = "4"
"""Of keys and values on a CPU, where vLLM would take nearly all the memory there is."""


@dataclass(frozen=True, slots=True)
class Served:
    """A checkpoint's files, and how it is called by its server."""

    name: str
    token: str  # a second name, which no other server has: what answers to it is ours
    folder: Path
    base: Path | None = None  # of an adapter

    @property
    def whole(self) -> Path:
        """The folder with all the weights: the checkpoint's own, or its base's."""
        return self.base or self.folder


def command(
    python: str, served: Served, port: int, dtype: str, chosen: Mapping[str, Any]
) -> list[str]:
    """The words of the command."""
    words = [python, "-m", MODULE, "--host", "127.0.0.1", "--port", str(port)]
    words += ["--model", str(served.whole), "--dtype", dtype, "--generation-config", "vllm"]
    words += _names(served)
    words += ["--tensor-parallel-size", str(chosen["tensor_parallel"])]
    words += ["--data-parallel-size", str(chosen["data_parallel"])]
    if chosen["max_length"]:
        words += ["--max-model-len", str(chosen["max_length"])]
    if chosen["quantization"]:
        words += ["--quantization", chosen["quantization"]]
    words.append(f"--{'' if chosen['prefix_caching'] else 'no-'}enable-prefix-caching")
    if chosen["tool_call_parser"]:
        words += ["--enable-auto-tool-choice", "--tool-call-parser", chosen["tool_call_parser"]]
    return [*words, *map(str, chosen["extra_args"])]


def _names(served: Served) -> list[str]:
    """What the server calls its model; an adapter stands beside its base, and is not merged."""
    if served.base is None:
        return ["--served-model-name", served.name, served.token]
    rank = int(json.loads((served.folder / ADAPTER).read_bytes()).get("r", 8))
    fitting = next((each for each in RANKS if each >= rank), rank)
    module = json.dumps({"name": served.name, "path": str(served.folder)})
    words = ["--served-model-name", served.token, "--enable-lora", "--lora-modules", module]
    if (served.folder / "tokenizer_config.json").exists():  # its template with it
        words += ["--tokenizer", str(served.folder)]
    return [*words, "--max-lora-rank", str(fitting)]


def variables(given: Mapping[str, str], *, cpu: bool) -> dict[str, str]:
    """What its process finds in its environment besides ours."""
    own = {"HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1", "VLLM_LOGGING_COLOR": "0"}
    if cpu and "VLLM_CPU_KVCACHE_SPACE" not in given:
        own["VLLM_CPU_KVCACHE_SPACE"] = CPU_CACHE_GIB
    return own
