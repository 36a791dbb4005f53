"""On-policy preference pairs: a task's solution against the parent's own wrong answer.

They are made once for a stage and kept in its folder, so that every device, and a training that
was resumed, learns from the same ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson

from evalkit import Response, Sample, Stage, Task, plugins
from evalkit.errors import TrainingError
from evalkit.storage.files import write_beside

from ._shapes import Row
from .data import TASK, training_samples

NAME = "pairs.jsonl"
TEMPERATURE = 1.0  # the parent's answers as it would give them, not only the likeliest
BATCH = 128


def paired(stage: Stage, rows: list[Row], wanted: int) -> list[Row]:
    """The rows with a rejected answer each; `wanted` (0: all) limits those that are made here."""
    if all("rejected" in row for row in rows):
        return rows
    kept = Path(stage.out) / NAME
    if not kept.exists():
        pairs = on_policy(stage, rows, wanted)
        if not pairs:
            raise TrainingError(f"{stage.name}: the parent answers everything right: no pairs")
        write_beside(kept, b"".join(orjson.dumps(pair) + b"\n" for pair in pairs))
    return [orjson.loads(line) for line in kept.read_bytes().splitlines()]


def on_policy(stage: Stage, rows: list[Row], wanted: int) -> list[Row]:
    """Up to so many pairs (0: all) of the rows in their order; other rows pass as they are."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model: Any = AutoModelForCausalLM.from_pretrained(stage.parent)
    model.to(device(stage)).eval()
    tokenizer: Any = AutoTokenizer.from_pretrained(stage.parent)
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    sources = {row["source"] for row in rows if "rejected" not in row}
    known = {
        source: {sample.id: sample for sample in training_samples(source, stage.paths)}
        for source in sources
    }
    torch.manual_seed(stage.seed)
    pairs: list[Row] = []
    for start in range(0, len(rows), BATCH):
        pairs += _pairs_of(rows[start : start + BATCH], known, model, tokenizer)
        if 0 < wanted <= len(pairs):
            break
    return pairs[: wanted or None]


def device(stage: Stage) -> str:
    """The accelerator where there is one and it is wanted."""
    import torch

    found = torch.accelerator.current_accelerator(check_available=True)
    return "cpu" if stage.args.get("use_cpu") or found is None else str(found)


def _pairs_of(
    rows: list[Row], known: Mapping[str, Mapping[str, Sample]], model: Any, tokenizer: Any
) -> Iterator[Row]:
    yield from (row for row in rows if "rejected" in row)
    for source in sorted({row["source"] for row in rows if "rejected" not in row}):
        task = plugins.task(source.removeprefix(TASK))
        own = [row for row in rows if row.get("source") == source]
        answers = generate(model, tokenizer, own, task.sampling.max_tokens)
        for row, text in zip(own, answers, strict=True):
            if _falls_short(task, known[source][row["id"]], text):
                chosen = row["completion"]
                said = text if isinstance(chosen, str) else [{**chosen[0], "content": text}]
                yield {**row, "chosen": chosen, "rejected": said}


def _falls_short(task: Task, sample: Sample, text: str) -> bool:
    """Whether the solution is the better answer; where a judge grades, whether it is another."""
    if not text:
        return False  # an empty answer has no tokens to learn from
    if task.score is None:
        return task.solution is not None and text != task.solution(sample)
    return task.score(sample, Response(text)).value != task.bounds[task.higher_is_better]


def generate(model: Any, tokenizer: Any, rows: Sequence[Row], max_tokens: int) -> list[str]:
    """One sampled answer to the prompt of each row."""
    import torch

    texts = [
        row["prompt"]
        if isinstance(row["prompt"], str)
        else tokenizer.apply_chat_template(
            row["prompt"], tokenize=False, add_generation_prompt=True
        )
        for row in rows
    ]
    chat = not isinstance(rows[0]["prompt"], str)  # a chat template adds the special tokens itself
    batch = tokenizer(
        texts, return_tensors="pt", padding=True, padding_side="left", add_special_tokens=not chat
    ).to(model.device)
    with torch.no_grad():
        written = model.generate(
            input_ids=batch["input_ids"],
            attention_mask=batch["attention_mask"],
            max_new_tokens=max_tokens,
            do_sample=True,
            temperature=TEMPERATURE,
            top_k=0,
            pad_token_id=tokenizer.pad_token_id,
        )
    answers = written[:, batch["input_ids"].shape[1] :]
    return [str(text) for text in tokenizer.batch_decode(answers, skip_special_tokens=True)]
