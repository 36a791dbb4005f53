"""A tiny Llama and its tokenizer, made and trained from nothing, in plain PyTorch on the CPU.

Matrices are trained by Muon (Jordan et al. 2024, "Muon: An optimizer for hidden layers in neural
networks"), everything else by AdamW; with AdamW alone so small a model learns next to nothing in
the time that it has here.  Only the tokens of the answers count in the loss.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from evalkit import Prompt, Stage, Trainer
from evalkit.errors import ConfigError

from . import data, manifest
from ._settings import parse as settings
from ._shapes import DEMONSTRATION, Row

SHAPES = (DEMONSTRATION,)


@dataclass(frozen=True)
class Args:
    """What a stage may set under `args`."""

    steps: int = 600
    batch_size: int = 64
    learning_rate: float = 3e-3  # of AdamW
    muon_learning_rate: float = 2e-2
    warmup: int = 20  # steps; after them both rates fall to 0 along a cosine
    hidden_size: int = 96
    layers: int = 3
    heads: int = 4
    intermediate_size: int = 256
    initializer_range: float = 0.06


def parse(args: Mapping[str, Any]) -> Args:
    """The stage's arguments; raises ConfigError for a name or a value that will not do."""
    parsed = settings(Args, args, "pretrain")
    if parsed.hidden_size % (2 * parsed.heads):
        raise ConfigError("args: hidden_size has to be a multiple of twice heads")
    return parsed


def check(stage: Stage) -> None:
    """Raises ConfigError for a stage that cannot be run."""
    parse(stage.args)
    data.check(stage.data, SHAPES, stage.paths)
    if stage.parent:
        raise ConfigError("parent: pretrain starts from nothing; leave it out")
    if stage.reward:
        raise ConfigError("reward: pretrain takes none; leave it out")


def prompts(stage: Stage) -> Iterator[Prompt]:
    """What the stage would learn to answer."""
    return data.prompts(stage, SHAPES)


def run(stage: Stage) -> None:
    """Trains the model and leaves it in `final`."""
    import torch
    import transformers

    check(stage)
    transformers.utils.logging.disable_progress_bar()
    args = parse(stage.args)
    torch.set_num_threads(1)  # more threads are slower at this size, and sum in another order
    torch.manual_seed(stage.seed)
    rows = data.mixed(stage, SHAPES, args.steps * args.batch_size)
    tokenizer, sequences = _encode(rows)
    model = _model(args, tokenizer)
    loss = _train(model, args, _batches(sequences, args, stage.seed), tokenizer.pad_token_id)
    final = Path(stage.out) / "final"
    model.save_pretrained(final)
    tokenizer.save_pretrained(final)
    manifest.append(stage, "final", args.steps, "torch", {"loss": loss, **asdict(args)})


def _conversation(row: Row) -> list[dict[str, str]]:
    prompt, answer = row["prompt"], row["completion"]
    question = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt
    reply = [{"role": "assistant", "content": answer}] if isinstance(answer, str) else answer
    return [*question, *reply]


def _encode(rows: list[Row]) -> tuple[Any, list[tuple[list[int], int]]]:
    """A tokenizer made of the rows, and each row as its tokens and the length of its prompt."""
    from ._tokenizer import word_tokenizer

    talks = [_conversation(row) for row in rows]
    tokenizer = word_tokenizer(turn["content"] for talk in talks for turn in talk)
    whole = tokenizer.apply_chat_template(talks, tokenize=False)
    prompts = [
        tokenizer.apply_chat_template(talk[:-1], tokenize=False, add_generation_prompt=True)
        for talk in talks
    ]
    ids = tokenizer(whole, add_special_tokens=False)["input_ids"]
    heads = tokenizer(prompts, add_special_tokens=False)["input_ids"]
    return tokenizer, [(tokens, len(head)) for tokens, head in zip(ids, heads, strict=True)]


def _model(args: Args, tokenizer: Any) -> Any:
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=args.hidden_size,
        intermediate_size=args.intermediate_size,
        num_hidden_layers=args.layers,
        num_attention_heads=args.heads,
        num_key_value_heads=args.heads,
        max_position_embeddings=512,
        initializer_range=args.initializer_range,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return LlamaForCausalLM(config)


def _batches(
    sequences: list[tuple[list[int], int]], args: Args, seed: int
) -> Iterator[list[tuple[list[int], int]]]:
    """Endless batches of sequences of about one length, which wastes little on padding."""
    chance = random.Random(seed)
    size = args.batch_size
    while True:
        order = chance.sample(sequences, len(sequences))
        for start in range(0, len(order), 16 * size):
            pool = sorted(order[start : start + 16 * size], key=lambda pair: len(pair[0]))
            batches = [pool[i : i + size] for i in range(0, len(pool), size)]
            yield from chance.sample(batches, len(batches))


def _train(
    model: Any, args: Args, batches: Iterator[list[tuple[list[int], int]]], pad: int
) -> float:
    import torch

    matrices = [p for name, p in model.named_parameters() if p.ndim == 2 and "layers" in name]
    others = [p for name, p in model.named_parameters() if not (p.ndim == 2 and "layers" in name)]
    optimizers: list[Any] = [
        torch.optim.Muon(matrices, lr=args.muon_learning_rate, weight_decay=0.0),
        torch.optim.AdamW(others, lr=args.learning_rate, betas=(0.9, 0.95), weight_decay=0.0),
    ]
    schedules = [
        torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step, args))
        for optimizer in optimizers
    ]
    loss = torch.zeros(())
    for _ in range(args.steps):
        tokens, labels = _padded(next(batches), pad)
        loss = model(input_ids=tokens, labels=labels).loss
        loss.backward()
        for part in (*optimizers, *schedules):
            part.step()
        model.zero_grad()
    return loss.item()


def _rate(step: int, args: Args) -> float:
    if step < args.warmup:
        return (step + 1) / args.warmup
    done = (step - args.warmup) / max(1, args.steps - args.warmup)
    return 0.5 * (1 + math.cos(math.pi * min(1.0, done)))


def _padded(batch: list[tuple[list[int], int]], pad: int) -> tuple[Any, Any]:
    """Tokens, and labels that leave out the prompts and the padding."""
    import torch

    width = max(len(tokens) for tokens, _ in batch)
    ids = torch.full((len(batch), width), pad)
    labels = torch.full((len(batch), width), -100)
    for row, (tokens, head) in enumerate(batch):
        ids[row, : len(tokens)] = torch.tensor(tokens)
        labels[row, head : len(tokens)] = ids[row, head : len(tokens)]
    return ids, labels


TRAINERS = (
    Trainer(
        "pretrain",
        methods=("pretrain",),
        run=run,
        check=check,
        packages=("tokenizers", "torch", "transformers"),
        prompts=prompts,
    ),
)
