"""How a call is asked for: the authors' system prompt, or tools in the OpenAI form.

Functions are described to a model in two steps: what their language is, which also turns every
argument of Java and JavaScript into a text; then the list in the prompt, or the tools.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from evalkit.types import Message

from .answers import Language

Function = Mapping[str, Any]

SYSTEM = (
    "You are an expert in composing functions."
    "You are given a question and a set of possible functions. Based on the question, you will"
    " need to make one or more function/tool calls to achieve the purpose. If none of the"
    " functions can be used, point it out. If the given question lacks the parameters required by"
    " the function, also point it out.\n\n"
    "You should only return the function calls in your response.\n\n"
    "If you decide to invoke any of the function(s), you MUST put it in the format of"
    " [func_name1(params_name1=params_value1, params_name2=params_value2...), func_name2(params)]."
    "  You SHOULD NOT include any other text in the response.\n\n"
    "At each turn, you should try your best to complete the tasks requested by the user within the"
    " current turn. Continue to output functions to call until you have fulfilled the user's"
    " request to the best of your ability. Once you have no more functions to call, the system"
    " will consider the current turn complete and proceed to the next turn or task.\n\n"
    "Here is a list of functions in json format that you can invoke.\n{functions}\n"
)
"""`DEFAULT_SYSTEM_PROMPT_FORMAT` of the authors, put together."""

HINTS: dict[Language, str] = {
    "python": " Note that the provided function is in Python 3 syntax.",
    "java": " Note that the provided function is in Java 8 SDK syntax.",
    "javascript": " Note that the provided function is in JavaScript syntax.",
}
NAMES: dict[Language, str] = {"java": "Java", "javascript": "JavaScript"}

JSON_TYPES = {
    **dict.fromkeys(("integer", "byte", "short", "long", "Bigint"), "integer"),
    **dict.fromkeys(("number", "float", "double"), "number"),
    **dict.fromkeys(("string", "char", "String", "any", "Any"), "string"),
    **dict.fromkeys(("boolean", "bool"), "boolean"),
    **dict.fromkeys(("array", "list", "tuple", "ArrayList", "Array", "Queue", "Stack"), "array"),
    **dict.fromkeys(("dict", "object", "HashMap", "Hashtable"), "object"),
}
"""The type that JSON schema has for each of the benchmark's; "string" for any other."""


def prompt(turns: Sequence[Message], functions: Sequence[Function]) -> list[Message]:
    """The conversation with the functions in its system prompt, before what it says already."""
    system = SYSTEM.format(functions=json.dumps(list(functions), indent=4))
    if turns[0]["role"] == "system":
        own, *rest = turns
        return [{"role": "system", "content": f"{system}\n\n{own['content']}"}, *rest]
    return [{"role": "system", "content": system}, *turns]


def described(functions: Iterable[Function], language: Language) -> list[Function]:
    """Functions as a model is told of them."""
    return [
        {
            **function,
            "description": function["description"] + HINTS[language],
            "parameters": {
                **function["parameters"],
                "properties": {
                    name: _as_text(rule, NAMES[language]) if language in NAMES else rule
                    for name, rule in function["parameters"]["properties"].items()
                },
            },
        }
        for function in functions
    ]


def _as_text(rule: Mapping[str, Any], language: str) -> dict[str, Any]:
    """An argument of another language: a text, with its type told in words."""
    known, told = dict(rule), rule["description"]
    if rule["type"] == "any":
        told += f" This parameter can be of any type of {language} object in string representation."
    else:
        told += f" This is {language} {rule['type']} type parameter in string representation."
    if rule["type"] in ("ArrayList", "Array", "array"):
        element = known.pop("items")["type"]
        told += f" The list elements are of type {element}; they are not in string representation."
    if rule["type"] == "dict" and "properties" in known:
        members = json.dumps(known.pop("properties"))
        told += (
            " The dictionary entries have the following schema; they are not in string"
            f" representation. {members}"
        )
    return {**known, "type": "string", "description": told}


def tools(functions: Iterable[Function]) -> tuple[Mapping[str, Any], ...]:
    """Functions as tools; names lose their dots, and types become those of JSON schema."""
    return tuple(
        {
            "type": "function",
            "function": {
                **function,
                "name": undotted(function["name"]),
                "parameters": {
                    **function["parameters"],
                    "type": "object",
                    "properties": _schemas(function["parameters"]["properties"]),
                },
            },
        }
        for function in functions
    )


def undotted(name: str) -> str:
    """A function's name as servers allow it."""
    return name.replace(".", "_")


def _schemas(properties: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _schema(rule) for name, rule in properties.items()}


def _schema(rule: Mapping[str, Any]) -> dict[str, Any]:
    found = {**rule, "type": JSON_TYPES.get(rule.get("type", ""), "string")}
    if rule.get("type") == "float":
        found["format"] = "float"
        found["description"] = f"{rule['description']} This is a float type value."
    if found["type"] not in ("array", "object"):
        return found
    if "properties" in rule:
        found["properties"] = _schemas(rule["properties"])
    elif "items" in rule:
        found["items"] = _items(rule["items"])
    return found


def _items(rule: Mapping[str, Any]) -> dict[str, Any]:
    """The elements of an array; of their own elements nothing but the type is changed."""
    found = {**rule, "type": JSON_TYPES.get(rule.get("type", ""), "string")}
    if found["type"] == "array" and "items" in rule:
        inner = rule["items"]
        found["items"] = {**inner, "type": JSON_TYPES.get(inner.get("type", ""), "string")}
    elif found["type"] == "object" and "properties" in rule:
        found["properties"] = _schemas(rule["properties"])
    return found
