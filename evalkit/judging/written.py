"""A user's own rubric: a Markdown file with placeholders, told from them to be of one kind.

    ---
    scale: [1, 5]            # of a grade; 1 to 10 if left out
    schema: true             # the verdict as JSON, which servers that can are made to keep to
    system: You are strict.  # a system message
    max_tokens: 1024
    temperature: 0.0
    ---
    Which answer to {question} is better?  {answer_a}  {answer_b}

With `{answer_a}` and `{answer_b}` two answers are compared, in both orders; with `{answer}` one is
graded by itself; `{reference}` is the sample's target.  Answers stand between fences that no
answer can close, since they are made from its own hash.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from evalkit.errors import ConfigError, did_you_mean
from evalkit.identity import identity
from evalkit.judging.readers import SIDES, Reader, either, labels, rating, verdict_json
from evalkit.judging.rubrics import (
    PLACEHOLDER,
    Views,
    both_orders,
    filled,
    side_by_side,
    target,
)
from evalkit.types import Message, Prompt, Response, Rubric, Sample, Sampling, Task, View

PLACEHOLDERS = ("question", "answer", "answer_a", "answer_b", "reference")
VERDICT_SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "properties": {
        "explanation": {"type": "string"},
        "verdict": {"type": "string", "enum": ["A", "B", "tie"]},
    },
    "required": ["explanation", "verdict"],
    "additionalProperties": False,
}


class _Head(BaseModel):
    """What may stand between the dashes at the top of the file."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    scale: tuple[float, float] = (1.0, 10.0)
    verdict_schema: bool = Field(default=False, alias="schema")
    system: str = ""
    max_tokens: int = Field(default=1024, gt=0)
    temperature: float = Field(default=0.0, ge=0)

    @model_validator(mode="after")
    def _rising(self) -> _Head:
        if not self.scale[0] < self.scale[1]:
            raise ValueError("scale must rise, as in [1, 5]")
        return self


def rubric(path: Path) -> Rubric:
    """The rubric that a file holds; raises ConfigError naming the file and what is wrong."""
    text = _read(path)
    head, body = _split(path, text)
    used = set(PLACEHOLDER.findall(body))
    pairwise = _pairwise(path, used)
    if not head.verdict_schema and "[[" not in body:
        what = "[[A]], [[B]] or [[C]] for a tie" if pairwise else "its grade as [[7]]"
        raise ConfigError(f"{path}: says nowhere how to answer: ask for {what}, or `schema: true`")
    if head.verdict_schema:
        body = f"{body}\n\n{_form(head, pairwise=pairwise)}"
    scale = (0.0, 1.0) if pairwise else head.scale
    version = hashlib.sha256(text.encode()).hexdigest()[:12]
    return Rubric(
        version,
        _compared(head, body) if pairwise else _alone(head, body),
        _reader(head, pairwise=pairwise),
        Sampling(temperature=head.temperature, max_tokens=head.max_tokens),
        scale=scale,
        against=target if pairwise else None,
        schema=_schema(head, pairwise=pairwise) if head.verdict_schema else None,
        note=side_by_side if pairwise else None,
    )


def judged(task: Task, path: Path) -> Task:
    """The task with its answers judged by a file's rubric, whatever graded them before.

    It goes by the file's name as a preset does, so that its answers are those of the task itself.
    """
    found = rubric(path)
    before = task.presets.get(task.preset, {})
    name = "-".join(part for part in (task.preset, path.stem) if part)
    return replace(
        task,
        score=None,
        scorer="",
        rubric=found,
        bounds=found.scale,
        higher_is_better=True,
        costly=False,
        runs_code=False,
        metrics=None,
        refit=None,
        presets={**task.presets, name: before},
        preset=name,
    )


def fenced(text: str) -> str:
    """A text between fences with its own hash, which nothing inside it can hold."""
    mark = hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:12]
    return f"<answer {mark}>\n{text}\n</answer {mark}>"


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or error
        raise ConfigError(f"{path}: cannot read the rubric: {why}") from None


def _split(path: Path, text: str) -> tuple[_Head, str]:
    if not text.startswith("---\n"):
        return _Head(), text.strip()
    head, closed, body = text.removeprefix("---\n").partition("\n---\n")
    if not closed:
        raise ConfigError(f"{path}: its head is not closed: end it with a line of three dashes")
    try:
        return _Head.model_validate(yaml.safe_load(head) or {}), body.strip()
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: its head is not YAML: {' '.join(str(error).split())}") from None
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        name = ".".join(map(str, problem["loc"])) or "its head"
        raise ConfigError(f"{path}: {name}: {problem['msg']}") from None


def _pairwise(path: Path, used: set[str]) -> bool:
    for name in sorted(used - {*PLACEHOLDERS}):
        raise ConfigError(f"{path}: no placeholder {{{name}}}{did_you_mean(name, PLACEHOLDERS)}")
    two = {"answer_a", "answer_b"} & used
    if len(two) == 1 or (two and "answer" in used) or not two | ({"answer"} & used):
        raise ConfigError(
            f"{path}: needs {{answer}} to grade one answer, or {{answer_a}} and {{answer_b}} to "
            "compare two"
        )
    return bool(two)


def _compared(head: _Head, body: str) -> Views:
    def ask(sample: Sample, first: str, second: str) -> Prompt:
        return _prompt(head, body, sample, {"answer_a": first, "answer_b": second})

    return both_orders(ask, f"{head.system}\n{body}")


def _alone(head: _Head, body: str) -> Views:
    def views(sample: Sample, answer: Response, _: Response) -> Sequence[View]:
        prompt = _prompt(head, body, sample, {"answer": answer.text})
        return [View("alone", prompt, f"{head.system}\n{body}")]

    return views


def _prompt(head: _Head, body: str, sample: Sample, answers: Mapping[str, str]) -> list[Message]:
    """The rubric about a sample; its `reference` is the target unless the sample says another."""
    reference = sample.metadata.get("reference", sample.target)
    values = {
        "question": sample.question or identity.as_text(sample.rendered()),
        "reference": _text(reference),
        **{name: fenced(text) for name, text in answers.items()},
    }
    system: list[Message] = [{"role": "system", "content": head.system}] if head.system else []
    return [*system, {"role": "user", "content": filled(body, values)}]


def _reader(head: _Head, *, pairwise: bool) -> Reader:
    written = labels(SIDES) if pairwise else rating(head.scale)
    if not head.verdict_schema:
        return written
    return either(verdict_json(None if pairwise else head.scale), written)


def _form(head: _Head, *, pairwise: bool) -> str:
    """The form of the verdict in words, for servers that keep to no schema."""
    low, high = head.scale
    verdict = '"verdict": "A", "B" or "tie"' if pairwise else f'"score": {low:g} to {high:g}'
    return f'Answer with one JSON object and nothing else: {{"explanation": "why", {verdict}}}'


def _schema(head: _Head, *, pairwise: bool) -> Mapping[str, Any]:
    if pairwise:
        return VERDICT_SCHEMA
    low, high = head.scale
    score = {"type": "number", "minimum": low, "maximum": high}
    properties = {"explanation": {"type": "string"}, "score": score}
    return {**VERDICT_SCHEMA, "properties": properties, "required": [*properties]}


def _text(target: Any) -> str:
    return target if isinstance(target, str) else "" if target is None else str(target)
