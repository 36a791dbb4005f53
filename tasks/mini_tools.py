"""Function calling: one call of one of three functions, as JSON.

Generated, in the manner of the simple category of the Berkeley Function Calling Leaderboard
(Patil et al. 2025).  A call counts when it keeps the function's schema and its arguments are
the expected ones.  An engine with native tool calling may answer with a tool call instead.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from itertools import product
from random import Random
from typing import Any

from evalkit import Response, Sample, Sampling, Score, Task

from ._mini import evaluation, rng, shuffled, training, user
from ._mini_words import KINDS, NAMES

SEED = 4
PER_FUNCTION = 550
ONE_IN = 5

DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
THINGS = KINDS["fruit"] + KINDS["tool"] + KINDS["clothing"]
VALUES: dict[str, tuple[str | int, ...]] = {
    "place": KINDS["country"],
    "days": tuple(range(1, 31)),
    "hour": tuple(range(1, 25)),
    "day": DAYS,
    "person": NAMES,
    "item": THINGS,
    "count": tuple(range(1, 31)),
    "about": KINDS["sport"] + KINDS["job"],
}
FUNCTIONS: dict[str, tuple[tuple[str, str], tuple[str, ...]]] = {
    "forecast": (
        ("place", "days"),
        ("Tell me the weather in {place} for {days} days.", "For {days} days, how is {place}?"),
    ),
    "alarm": (
        ("day", "hour"),
        ("Wake me on {day} at {hour}.", "At {hour} on {day} I have to be up."),
    ),
    "email": (
        ("person", "about"),
        ("Write to {person} about {about}.", "Send a note on {about} to {person}."),
    ),
    "order": (
        ("item", "count"),
        ("Get me {count} of the {item}.", "Buy the {item}, {count} of it."),
    ),
    "call": (("person", "day"), ("Ring {person} on {day}.", "On {day}, phone {person}.")),
}


def schema(name: str) -> dict[str, Any]:
    """A function in the OpenAI form."""
    properties = {
        argument: {
            "type": "integer" if isinstance(VALUES[argument][0], int) else "string",
            "enum": list(VALUES[argument]),
        }
        for argument in FUNCTIONS[name][0]
    }
    parameters = {"type": "object", "properties": properties, "required": list(properties)}
    return {"type": "function", "function": {"name": name, "parameters": parameters}}


def problems() -> Iterator[Sample]:
    """Requests for every function, each in every wording."""
    draw = Random(SEED)
    for name, (arguments, texts) in FUNCTIONS.items():
        space = list(product(*(VALUES[argument] for argument in arguments)))
        for values in draw.sample(space, min(PER_FUNCTION, len(space))):
            yield from wordings(name, dict(zip(arguments, values, strict=True)), texts)


def wordings(name: str, values: dict[str, Any], texts: tuple[str, ...]) -> Iterator[Sample]:
    """One request in all its wordings."""
    key = f"{name} {' '.join(map(str, values.values()))}"
    others = rng(key).sample([other for other in FUNCTIONS if other != name], 2)
    offered = shuffled(key, [name, *others])
    for number, text in enumerate(shuffled(key, texts)):
        yield Sample(
            f"{key} / {number}",
            user(f"Functions: {' '.join(offered)}. {text.format(**values)}"),
            {"name": name, "arguments": values},
            tools=tuple(schema(function) for function in offered),
            stratum=name,
            cluster=key,
        )


def parse(response: Response) -> Mapping[str, Any] | None:
    """The call as `{"name", "arguments"}`, if the answer is one."""
    text = response.text
    if response.tool_calls:
        call = response.tool_calls[0]
        text = f'{{"name": {json.dumps(call.name)}, "arguments": {call.arguments}}}'
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):  # nested beyond what the parser follows
        return None
    return found if isinstance(found, dict) else None


def violations(call: Mapping[str, Any], tools: tuple[Mapping[str, Any], ...]) -> list[str]:
    """In what a call does not keep the schemas of the functions on offer."""
    if set(call) != {"name", "arguments"} or not isinstance(call["arguments"], dict):
        return ["not a name with arguments"]
    on_offer = {tool["function"]["name"]: tool["function"]["parameters"] for tool in tools}
    if call["name"] not in on_offer:
        return [f"no function {call['name']!r} on offer"]
    properties = on_offer[call["name"]]["properties"]
    arguments = call["arguments"]
    wrong = [f"{name} is missing" for name in properties if name not in arguments]
    wrong += [f"{name} is not an argument" for name in arguments if name not in properties]
    types = {"integer": int, "string": str}
    for name in properties.keys() & arguments.keys():
        value, rule = arguments[name], properties[name]
        if type(value) is not types[rule["type"]] or value not in rule["enum"]:
            wrong.append(f"{name} is not one of its values")
    return sorted(wrong)


def score(sample: Sample, response: Response) -> Score:
    """Right when the call keeps the schema and is the expected one."""
    call = parse(response)
    if call is None or len(response.tool_calls) > 1:
        return Score(0.0)
    wrong = violations(call, sample.tools)
    right = not wrong and dict(call) == sample.target
    return Score(float(right), json.dumps(call, sort_keys=True), {"violations": wrong})


def solution(sample: Sample) -> str:
    """The call as JSON without spaces."""
    return json.dumps(sample.target, separators=(",", ":"))


TASKS = (
    Task(
        "mini-tools",
        domain="function-calling",
        version=1,
        size=339,
        samples=evaluation(problems, ONE_IN),
        train=training(problems, ONE_IN),
        score=score,
        solution=solution,
        sampling=Sampling(max_tokens=24),
    ),
)
