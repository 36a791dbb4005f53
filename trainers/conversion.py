"""The data of a stage as each framework reads it: pure functions over rows, one row at a time.

Rows of several sources are drawn by their weights without being held: what a source gives is
decided while it is read, and its order is the framework's to shuffle.  A prompt that is a text
becomes one message of the user where any row is a conversation, or where the framework knows
conversations only.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import orjson

from evalkit import Stage
from evalkit.errors import ConfigError

from . import data
from ._shapes import DEMONSTRATION, PREFERENCE, QUESTION, TEXT, Row, Shape

BATCH = 4096  # rows of a Parquet row group, and of one write
SPEAKERS = {"prompt": "user", "completion": "assistant", "chosen": "assistant"}
SPEAKERS["rejected"] = "assistant"
REWARDED = ("grpo", "rloo", "ppo", "reinforce++", "reinforce++-baseline")
PAIRED = ("dpo", "reward")
SHAPES = {"cpt": TEXT, "sft": DEMONSTRATION, **dict.fromkeys(PAIRED, PREFERENCE)}

Converter = Callable[[Iterable[Row], str, bool], Iterator[Row]]
"""(rows, method, whether they are conversations) -> rows of the framework."""


def shape(method: str) -> Shape:
    """The columns that a row must have for a method."""
    return SHAPES.get(method, QUESTION)


@dataclass(frozen=True)
class Survey:
    """What reading a stage's data once has shown."""

    rows: Mapping[str, int]  # source -> how many it holds
    chat: bool  # whether any row is a conversation


def _read(stage: Stage, source: str) -> Iterator[Row]:
    return data.rows(source, (shape(stage.method),), stage.paths)


def survey(stage: Stage) -> Survey:
    """Reads all of a stage's data once; raises ConfigError naming the first row that is wrong."""
    counts: dict[str, int] = {}
    chat = False
    for source in stage.data:
        counts[source] = 0
        for row in _read(stage, source):
            counts[source] += 1
            chat = chat or not isinstance(row.get("prompt", ""), str)
        if not counts[source]:
            raise ConfigError(f"data: {source} holds no rows")
    return Survey(counts, chat)


def drawn(stage: Stage, found: Survey) -> Iterator[Row]:
    """As many rows as the sources hold, from each its share of the weights.

    Shares above what a source holds repeat it; what is left over, and shares below, are drawn
    at random, each row as likely as any other.
    """
    total, weights = sum(found.rows.values()), sum(stage.data.values())
    for source, weight in stage.data.items():
        held = found.rows[source]
        share = round(total * weight / weights)
        for _ in range(share // held):
            yield from _read(stage, source)
        yield from _some(_read(stage, source), share % held, held, f"{stage.seed} {source}")


def _some(rows: Iterator[Row], wanted: int, held: int, seed: str) -> Iterator[Row]:
    """So many of the rows held, in their order: Knuth's selection sampling, algorithm S."""
    chance = random.Random(seed)
    for at, row in enumerate(rows if wanted else ()):
        if chance.random() * (held - at) < wanted:
            wanted -= 1
            yield row
        if not wanted:
            return


def turns(row: Row, key: str) -> list[dict[str, Any]]:
    """What a row says under a key, as messages."""
    said = row[key]
    return [{"role": SPEAKERS[key], "content": said}] if isinstance(said, str) else list(said)


def _packed(row: Row) -> str:
    """The whole row as JSON, which a reward unpacks again."""
    return orjson.dumps(row).decode()


def to_openrlhf(rows: Iterable[Row], method: str, chat: bool) -> Iterator[Row]:
    """Rows for OpenRLHF's readers; for a reward the row itself travels as the label."""
    keys = shape(method)
    for row in rows:
        kept = {key: turns(row, key) if chat and key in SPEAKERS else row[key] for key in keys}
        yield {**kept, "row": _packed(row), **_origin(row)} if method in REWARDED else kept


def _origin(row: Row) -> dict[str, str]:
    return {"datasource": str(row.get("source", "default"))}


def to_verl(rows: Iterable[Row], method: str, chat: bool) -> Iterator[Row]:
    """Rows for verl's readers, which know conversations only."""
    for at, row in enumerate(rows):
        if method == "sft":
            yield {"messages": turns(row, "prompt") + turns(row, "completion")}
        else:
            yield {
                "data_source": str(row.get("source", "default")),
                "prompt": turns(row, "prompt"),
                "ability": str(row.get("source", "default")),
                "reward_model": {"style": "rule", "ground_truth": _packed(row)},
                "extra_info": {"split": "train", "index": at},
            }


def to_nemo(rows: Iterable[Row], method: str, chat: bool) -> Iterator[Row]:
    """Rows for NeMo RL's readers; for a reward the row itself travels as the last message."""
    for row in rows:
        prompt = turns(row, "prompt")
        if method == "sft":
            yield {"messages": prompt + turns(row, "completion")}
        elif method in PAIRED:
            ranked = [turns(row, "chosen"), turns(row, "rejected")]
            completions = [{"rank": at, "completion": said} for at, said in enumerate(ranked)]
            yield {"context": prompt, "completions": completions}
        else:
            yield {"messages": [*prompt, {"role": "assistant", "content": _packed(row)}]}


def write_jsonl(rows: Iterable[Row], path: Path) -> None:
    """Writes rows as lines of JSON."""
    with path.open("wb") as file:
        for batch in _batches(rows):
            file.write(b"".join(orjson.dumps(row) + b"\n" for row in batch))


def write_parquet(rows: Iterable[Row], path: Path) -> None:
    """Writes rows as Parquet, with the fields that the first of them have.

    Raises ConfigError where a later row has more: calls of tools, say, among plain messages.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    batches = _batches(rows)
    first = pa.Table.from_pylist(next(batches))
    with pq.ParquetWriter(path, first.schema) as writer:
        writer.write_table(first)
        for batch in batches:
            writer.write_table(_alike(batch, first.schema))


def _alike(batch: list[Row], schema: Any) -> Any:
    """The rows under a schema that loses nothing of them."""
    import pyarrow as pa

    found = pa.Table.from_pylist(batch)
    if found.schema == schema:
        return found
    with suppress(pa.ArrowTypeError, pa.ArrowInvalid):
        if pa.unify_schemas([schema, found.schema], promote_options="permissive") == schema:
            return pa.Table.from_pylist(batch, schema=schema)
    raise ConfigError(
        f"data: the first {BATCH} rows have no field like those of a later one: "
        f"{found.schema.to_string(truncate_metadata=True)}; put such a row first"
    )


def _batches(rows: Iterable[Row]) -> Iterator[list[Row]]:
    left = iter(rows)
    while batch := list(islice(left, BATCH)):
        yield batch
