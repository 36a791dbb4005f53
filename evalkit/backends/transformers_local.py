"""A checkpoint in this process, by transformers: for CPUs, odd architectures and debugging.

Greedy text is that of `model.generate(do_sample=False)` sample by sample, and log-likelihoods are
those of a plain forward pass, however requests happen to be batched.  Only `Sampling` decides how
an answer is drawn: repetition penalties and the like in generation_config.json are not applied.
"""

from __future__ import annotations

import os
import threading
from asyncio import gather
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from evalkit.backends._adapters import keep, sharing
from evalkit.backends._batcher import Batcher
from evalkit.backends._decoding import Row, decode
from evalkit.backends._loading import (
    DTYPES,
    QUANTIZATIONS,
    Loaded,
    device,
    dtype,
    folder,
    load,
    one_line,
)
from evalkit.backends._options import options
from evalkit.backends._scoring import Question, joined, score, windows
from evalkit.backends._tokens import encode, split, whole
from evalkit.backends._wire import cut
from evalkit.errors import ConfigError, ModelError
from evalkit.types import Backend, Checkpoint, LogLikelihood, Prompt, Request, Response

OPTIONS: Mapping[str, Any] = {
    "device": "auto",  # cuda where there is one, else cpu; all spreads it over every GPU
    "dtype": "auto",  # as the weights are stored
    "quantization": "",
    "batch_size": 64,  # at most: less where memory is short
    "max_length": 0,  # tokens of prompt and answer together; 0 is the model's own maximum
    "revision": "",  # of a hub id
}
GPUS = ("/dev/nvidiactl", "/dev/kfd")
POOL = 4  # batches' worth of requests to sort by length


class Local:
    """A loaded model that answers whatever waits, in batches."""

    def __init__(self, loaded: Loaded, batch_size: int) -> None:
        self.loaded = loaded
        self.format = loaded.format
        self.concurrency = POOL * batch_size
        self._closed = threading.Event()
        self._thread = ThreadPoolExecutor(1, "transformers")  # one: torch keeps threads for each
        self._decoder = Batcher[Row, list[int]](
            lambda rows: decode(loaded, rows, self._closed.is_set),
            batch_size, self.concurrency, self._thread, _relieve,
        )  # fmt: skip
        self._scorer = Batcher[Question, list[LogLikelihood]](
            lambda questions: score(loaded.model, questions, batch_size),
            batch_size, self.concurrency, self._thread, _relieve,
        )  # fmt: skip

    async def generate(self, request: Request) -> Response:
        """The answer; whatever fails is the error of this sample alone."""
        try:
            ids = encode(self.loaded, request.prompt, request.sample.tools)
            row = Row(ids, self._fitting(request, len(ids)), request.seed)
            tokens = await self._decoder.ask(row, len(ids))
        except ModelError as error:
            return Response(finish_reason="error", error=str(error))
        except Exception as error:  # one bad sample never stops a run
            return Response(finish_reason="error", error=one_line(error))
        text = self.loaded.tokenizer.decode(tokens, skip_special_tokens=True)
        text, stopped = cut(text, request.sampling.stop)
        ended = stopped or tokens[-1] in self.loaded.ends
        return Response(
            text=text,
            finish_reason="stop" if ended else "length",
            prompt_tokens=len(ids),
            completion_tokens=len(tokens),
        )

    async def loglikelihood(
        self, context: Prompt, continuations: Sequence[str]
    ) -> list[LogLikelihood]:
        """How likely each continuation is; raises ModelError where that cannot be told."""
        try:
            head, tails = split(self.loaded, context, continuations)
            if not all(tails):
                raise ModelError("an empty choice has no log-likelihood")
            length = len(head) + max(map(len, tails)) - 1
            window = self.loaded.window
            if window is not None and length > window:
                raise ModelError(
                    f"prompt and choice have {length} tokens, the model reads {window}"
                )
            return await self._scorer.ask(Question(head, tails), length)
        except ModelError:
            raise
        except Exception as error:  # one bad sample never stops a run
            raise ModelError(one_line(error)) from error

    async def rolling(self, text: str) -> LogLikelihood:
        """How likely a whole text is: each token once, under as much before it as fits."""
        try:
            questions = windows(whole(self.loaded, text), self.loaded.window)
            parts = await gather(
                *(self._scorer.ask(one, len(one.context) + len(one.continuations[0]) - 1)
                  for one in questions)
            )  # fmt: skip
        except Exception as error:  # one bad sample never stops a run
            raise ModelError(one_line(error)) from error
        return joined([part[0] for part in parts])

    async def close(self) -> None:
        """Ends the batch under way and gives back the memory, but for a base that is shared."""
        self._closed.set()
        await self._decoder.close()
        await self._scorer.close()
        self._thread.shutdown(wait=True)
        keep(self.loaded.shared, self.loaded.model)
        del self.loaded, self._decoder, self._scorer
        _relieve()

    def _fitting(self, request: Request, length: int) -> Any:
        """The request's sampling, its maximum cut to the room that the prompt leaves."""
        window, wanted = self.loaded.window, request.sampling.max_tokens
        if length == 0:
            raise ModelError("the prompt has no tokens")
        if window is not None and length >= window:
            raise ModelError(f"the prompt has {length} tokens, the model reads {window}")
        room = wanted if window is None else min(wanted, window - length)
        return replace(request.sampling, max_tokens=room)


def _relieve() -> None:
    """Gives back the memory of what is no longer there."""
    import gc

    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def open_(checkpoint: Checkpoint) -> Local:
    """Loads the checkpoint; raises ModelError where that cannot be done."""
    return Local(load(checkpoint, _chosen(checkpoint)), _chosen(checkpoint)["batch_size"])


def identify(checkpoint: Checkpoint) -> str:
    """sha256 over weights, tokenizer, template and configuration; an adapter's base included."""
    from evalkit.identity.fingerprint import base_named, fingerprint

    where = folder(checkpoint, _chosen(checkpoint)["revision"])
    named = base_named(where)
    return fingerprint(where, folder(replace(checkpoint, model=named)) if named else None)


def environment(checkpoint: Checkpoint) -> Mapping[str, str]:
    """Engine and version, device and dtype."""
    chosen = _chosen(checkpoint)
    return {
        "engine": "transformers",
        "transformers": _version("transformers"),
        "torch": _version("torch"),
        "device": device(chosen["device"]),
        "dtype": dtype(chosen["dtype"], checkpoint),
    }


def holds_device(checkpoint: Checkpoint) -> bool:
    """Whether a GPU would hold it; told without torch, which a parent need not import."""
    wanted = _chosen(checkpoint)["device"]
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES") == ""
    there = not hidden and any(Path(each).exists() for each in GPUS)
    return there if wanted == "auto" else bool(wanted != "cpu")


def _chosen(checkpoint: Checkpoint) -> dict[str, Any]:
    chosen = options(checkpoint, OPTIONS)
    if chosen["dtype"] not in DTYPES:
        raise ConfigError(f"checkpoint {checkpoint.name!r}: dtype is one of {', '.join(DTYPES)}")
    if chosen["quantization"] not in QUANTIZATIONS:
        raise ConfigError(f"checkpoint {checkpoint.name!r}: quantization is 8bit, 4bit or empty")
    if chosen["batch_size"] < 1:
        raise ConfigError(f"checkpoint {checkpoint.name!r}: batch_size is at least 1")
    return chosen


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "not installed"


BACKENDS = (
    Backend(
        "transformers_local",
        open_,
        identify,
        environment,
        OPTIONS,
        holds_device=holds_device,
        sharing=sharing,
    ),
)
