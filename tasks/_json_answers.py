"""Whether an answer is JSON that a schema allows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from evalkit.types import Response, Sample, Score

from ._code import blocks

SHOWN = 200  # characters of what was wrong


@dataclass(frozen=True)
class JsonSchema:
    """The answer, or its last fenced block, is JSON that the schema allows.

    Without `schema` the target of each row is its schema.
    """

    schema: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        if self.schema is not None:
            try:
                _check(self.schema)
            except ValueError as error:
                raise ValueError(f"schema: {error}") from None

    def expected(self, target: Any, choices: tuple[str, ...]) -> Any:
        """The schema that is a row's own."""
        if self.schema is None:
            _check(target)
            return target
        return None

    def __call__(self, sample: Sample, response: Response) -> Score:
        """Right when nothing is wrong with it; what was, first of all, is kept for people."""
        text = next(reversed(blocks(response.text)), response.text).strip()
        if not text:
            return Score(0.0)
        try:
            found = orjson.loads(text)
        except orjson.JSONDecodeError as error:
            return Score(0.0, details={"error": f"not JSON: {error}"[:SHOWN]})
        wrong = _wrong(found, sample.target if self.schema is None else self.schema)
        return Score(float(not wrong), text, {"error": wrong} if wrong else {})

    def solution(self, sample: Sample) -> str:
        """An empty object: what a schema wants cannot be told in general."""
        return "{}"


def _check(schema: Any) -> None:
    from jsonschema import Draft202012Validator, SchemaError
    from jsonschema.validators import validator_for

    if not isinstance(schema, Mapping):
        raise ValueError(f"has to be a JSON schema, not {type(schema).__name__}")
    try:
        validator_for(schema, Draft202012Validator).check_schema(dict(schema))
    except SchemaError as error:
        raise ValueError(f"is no JSON schema: {error.json_path}: {error.message[:SHOWN]}") from None


def _wrong(found: Any, schema: Mapping[str, Any]) -> str:
    """What of an answer a schema does not allow; empty where nothing is."""
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import best_match
    from jsonschema.validators import validator_for
    from referencing import Registry
    from referencing.exceptions import Unresolvable

    kind = validator_for(schema, Draft202012Validator)
    try:  # with a registry of its own nothing is fetched from elsewhere
        worst = best_match(kind(schema, registry=Registry()).iter_errors(found))
    except RecursionError:
        return "nested too deeply"
    except Unresolvable as error:
        raise ValueError(f"the schema refers to what it does not hold: {error}") from None
    return f"{worst.json_path}: {worst.message}"[:SHOWN] if worst else ""
