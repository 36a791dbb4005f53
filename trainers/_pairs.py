"""On-policy preference pairs: a task's solution against the parent's own wrong answer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from evalkit import Response, Sample, Task, plugins

from .data import TASK, Row, training_samples

TEMPERATURE = 1.0  # the parent's answers as it would give them, not only the likeliest
BATCH = 128


def on_policy(rows: list[Row], model: Any, tokenizer: Any, wanted: int, seed: int) -> list[Row]:
    """Up to so many pairs (0: all) of the rows in their order; other rows pass as they are."""
    import torch

    torch.manual_seed(seed)
    pairs: list[Row] = []
    for start in range(0, len(rows), BATCH):
        pairs += _pairs_of(rows[start : start + BATCH], model, tokenizer)
        if 0 < wanted <= len(pairs):
            break
    return pairs[: wanted or None]


def _pairs_of(rows: list[Row], model: Any, tokenizer: Any) -> Iterator[Row]:
    yield from (row for row in rows if "rejected" in row)
    for source in sorted({row["source"] for row in rows if "rejected" not in row}):
        task = plugins.task(source.removeprefix(TASK))
        samples = {sample.id: sample for sample in training_samples(source)}
        own = [row for row in rows if row.get("source") == source]
        answers = generate(model, tokenizer, own, task.sampling.max_tokens)
        for row, text in zip(own, answers, strict=True):
            if _falls_short(task, samples[row["id"]], text):
                chosen = row["completion"]
                said = text if isinstance(chosen, str) else [{**chosen[0], "content": text}]
                yield {"prompt": row["prompt"], "chosen": chosen, "rejected": said}


def _falls_short(task: Task, sample: Sample, text: str) -> bool:
    """Whether the solution is the better answer; where a judge grades, whether it is another."""
    if not text:
        return False  # an empty answer has no tokens to learn from
    if task.score is None:
        return task.solution is not None and text != task.solution(sample)
    return task.score(sample, Response(text)).value < task.bounds[1]


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
