"""The rows of a user's own benchmark as samples; whatever is wrong names the line.

A row without an id goes by the hash of what it asks: rows may be added anywhere, and the others
stay the same items.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from string import ascii_uppercase as LETTERS
from typing import Any

import orjson

from evalkit.configuration.sections import TaskSection
from evalkit.errors import DataError, did_you_mean
from evalkit.exams import formats
from evalkit.own.templates import CHOICES, as_text, fields, filled
from evalkit.types import Message, Prompt, Rows, Sample, Scoring

SOLUTION = "solution"
"""The field of a row, if there is one, with an answer that earns full marks: for dry runs."""

Row = Mapping[str, Any]


class Misfit(Exception):
    """What a row does not have, and which key of the user's file wants it."""

    def __init__(self, key: str, message: str) -> None:
        super().__init__(message)
        self.key = key


@dataclass(frozen=True)
class Questions:
    """The samples of one file; called as a task's `samples`."""

    section: TaskSection
    scoring: Scoring
    chooses: bool  # whether rows have options
    path: Path

    def __call__(self, _: Rows | None = None) -> Iterator[Sample]:
        """Every row as a sample; raises DataError at the first that will not do."""
        for place, row in formats.read(self.path):
            try:
                yield self.sample(row)
            except Misfit as error:
                raise DataError(f"{self.path}: {place}: {error} (`{error.key}`)") from None

    def first(self) -> None:
        """Raises Misfit where not even the first row is as the user's file says."""
        for _, row in formats.read(self.path):
            self.sample(row)
            return

    def sample(self, row: Any) -> Sample:
        """One row; raises Misfit."""
        if not isinstance(row, dict):
            raise Misfit("data", "is not an object with named fields")
        section = self.section
        options = self._options(row) if self.chooses else ()
        prompt = self._prompt(row, options)
        lettered = any(CHOICES in fields(turn.content) for turn in section.prompt)
        choices = tuple(LETTERS[: len(options)]) if lettered and self._likeliest else options
        metadata = {"options": list(options)} if self.chooses else {}
        if row.get(SOLUTION) is not None:
            metadata[SOLUTION] = row[SOLUTION]
        return Sample(
            as_text(row[section.id]) if row.get(section.id) is not None else _hash(prompt, options),
            prompt,
            self._target(row, options),
            question=self._asked(row) or last_of(prompt),
            choices=choices,
            stratum=as_text(_field(row, "stratum", section.stratum)) if section.stratum else "",
            cluster=as_text(_field(row, "cluster", section.cluster)) if section.cluster else "",
            metadata=metadata,
        )

    @property
    def _likeliest(self) -> bool:
        return self.section.ask == "loglikelihood"

    def _asked(self, row: Row) -> str:
        """What is asked without what all prompts have in common: the fields in the last message."""
        names = dict.fromkeys(fields(self.section.prompt[-1].content))
        return "\n".join(row[name] for name in names if isinstance(row.get(name), str))

    def _options(self, row: Row) -> tuple[str, ...]:
        given = self.section.choices
        found = given if isinstance(given, list) else _field(row, "choices", given)
        if not isinstance(found, list) or not all(isinstance(each, str) for each in found):
            raise Misfit("choices", "its options have to be a list of texts")
        if not 2 <= len(found) <= len(LETTERS) or len(set(found)) < len(found):
            raise Misfit("choices", f"has to have 2 to {len(LETTERS)} different options")
        return tuple(found)

    def _target(self, row: Row, options: tuple[str, ...]) -> Any:
        name = self.section.target
        try:
            return self.scoring.expected(row.get(name), options)
        except ValueError as error:
            if name not in row:
                _field(row, "target", name)
            raise Misfit("target", f"its {name!r} {error}") from None

    def _prompt(self, row: Row, options: tuple[str, ...]) -> Prompt:
        turns = self.section.prompt
        values = {CHOICES: _lettered(options)} if self.chooses else {}
        for turn in turns:
            for name in fields(turn.content):
                if name not in values:
                    values[name] = as_text(_field(row, "prompt", name))
        if len(turns) > 1:
            return [{"role": each.role, "content": filled(each.content, values)} for each in turns]
        alone = turns[0]
        talk = (
            row.get(alone.content[1:-1]) if alone.content == f"{{{alone.content[1:-1]}}}" else None
        )
        if isinstance(talk, list):
            return _talk(talk)
        text = filled(alone.content, values)
        return text if alone.role == "user" else [{"role": alone.role, "content": text}]


def _field(row: Row, key: str, name: str) -> Any:
    if row.get(name) is None:
        hint = did_you_mean(name, [each for each in row if row[each] is not None])
        raise Misfit(key, f"has no field {name!r}{hint}")
    return row[name]


def _talk(given: list[Any]) -> list[Message]:
    for turn in given:
        told = isinstance(turn, dict) and all(
            isinstance(turn.get(k), str) for k in ("role", "content")
        )
        if not told:
            raise Misfit("prompt", "messages have to have a `role` and a `content` each")
    return [{"role": turn["role"], "content": turn["content"]} for turn in given]


def last_of(prompt: Prompt) -> str:
    """The last thing that is said in a prompt."""
    return prompt if isinstance(prompt, str) else prompt[-1]["content"]


def _lettered(options: tuple[str, ...]) -> str:
    return "\n".join(f"{LETTERS[i]}. {option}" for i, option in enumerate(options))


def _hash(prompt: Prompt, options: tuple[str, ...]) -> str:
    whole = orjson.dumps([prompt, options])
    return hashlib.sha256(whole).hexdigest()[:12]
