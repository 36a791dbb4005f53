"""Calls against what is right: a list of calls, each argument with the values that it may have.

    [{"area": {"base": [10], "height": [5], "unit": ["cm", ""]}}]

An empty text among the values means that the argument may be left out.  Where the values are of
another type than the function declares, they are the name of a variable.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from . import java, javascript
from .answers import Language
from .calls import Call

Truth = Mapping[str, Mapping[str, Sequence[Any]]]
"""One call that is due: its name, and the values that each argument may have."""

IGNORED = re.compile(r"[ ,./\-_*^]")
"""What makes no difference between two texts, besides case and the kind of quotes."""


@dataclass(frozen=True, slots=True)
class Types:
    """A language's types by the names that functions declare, and how its literals are read."""

    named: Mapping[str, type]
    listed: tuple[str, ...]  # those whose elements are checked too
    value: Callable[[str, str, str], Any] | None = None  # None: arguments are values already


TYPES: dict[Language, Types] = {
    "python": Types(
        {
            "string": str,
            "integer": int,
            "float": float,
            "boolean": bool,
            "array": list,
            "tuple": list,
            "dict": dict,
            "any": str,
        },
        ("array", "tuple"),
    ),
    "java": Types(java.TYPES, ("Array", "ArrayList"), java.value),
    "javascript": Types(javascript.TYPES, ("array",), javascript.value),
}


def fault(
    calls: Sequence[Call],
    truths: Sequence[Truth],
    functions: Sequence[Mapping[str, Any]],
    language: Language = "python",
    rename: Callable[[str], str] = str,
) -> str:
    """What is wrong with the calls; "" where nothing is.

    Their order does not matter.  Each call that is due takes the first that fits, as upstream
    does; `rename` says how a function was called when it was asked for.
    """
    if len(calls) != len(truths):
        return f"{len(calls)} calls, {len(truths)} are due"
    left = list(calls)
    for truth in truths:
        name = next(iter(truth))
        function = next((each for each in functions if each["name"] == name), functions[0])
        faults = [_call_fault(call, truth[name], function, language, rename) for call in left]
        if "" not in faults:
            return faults[0] if len(faults) == 1 else f"no call fits {name}: {'; '.join(faults)}"
        del left[faults.index("")]
    return ""


def _call_fault(
    call: Call,
    due: Mapping[str, Sequence[Any]],
    function: Mapping[str, Any],
    language: Language,
    rename: Callable[[str], str],
) -> str:
    parameters = function["parameters"]
    if call.name != rename(function["name"]):
        return f"{call.name} is not {rename(function['name'])}"
    for name in parameters["required"]:
        if name not in call.arguments:
            return f"{name} is missing"
    for name, value in call.arguments.items():
        if name not in parameters["properties"] or name not in due:
            return f"{name} is not an argument"
        rule = parameters["properties"][name]
        if wrong := _argument_fault(value, rule, due[name], TYPES[language]):
            return f"{name} {wrong}"
    missing = (name for name in due if name not in call.arguments and "" not in due[name])
    return next((f"{name} is missing" for name in missing), "")


def _argument_fault(value: Any, rule: Mapping[str, Any], right: Sequence[Any], types: Types) -> str:
    """What is wrong with the value of an argument that is declared by `rule`."""
    declared = rule["type"]
    element = rule["items"]["type"] if declared in types.listed else ""
    if types.value:
        if type(value) is not str:
            return "is not given as a text in its language"
        value = types.value(value, declared, element)
    else:
        value = _converted(value, declared)
    outer, inner = types.named[declared], types.named[element] if element else None
    found = _type_of(right)
    if type(value) is outer:
        if inner and not any(_elements_fit(value, each, inner) for each in right):
            return f"has elements that are not of type {element}"
        variable = found not in (None, outer)
    elif type(value) is found:
        variable = True
    else:
        return f"is of type {type(value).__name__}, not {declared}"
    same = _among if variable else _comparison(outer, inner)
    return "" if same(value, right) else "has another value"


def _converted(value: Any, declared: str) -> Any:
    """A tuple where JSON has made lists of tuples, and a whole number where a float is due."""
    if declared == "tuple" and type(value) is tuple:
        return list(value)
    if declared == "float" and type(value) is int and value.bit_length() < 1024:
        return float(value)
    return value


def _type_of(values: Sequence[Any]) -> type | None:
    return next((type(value) for value in values if value != ""), None)


def _elements_fit(value: Any, right: Any, inner: type) -> bool:
    """Whether the elements have the declared type, or that of the values that are right."""
    if type(right) is not list:
        return True
    allowed = (inner, _type_of(right))
    return all(type(each) in allowed for each in value)


Comparison = Callable[[Any, Sequence[Any]], bool]


def _comparison(outer: type, inner: type | None) -> Comparison:
    if outer is list and inner is dict:
        return _dicts_among
    return COMPARISONS.get(outer, _among)


def _among(value: Any, right: Sequence[Any]) -> bool:
    return value in right


def _text_among(value: str, right: Sequence[Any]) -> bool:
    return _plain(value) in [_plain(each) for each in right if type(each) is str]


def _list_among(value: list[Any], right: Sequence[Any]) -> bool:
    """Texts in a list may differ as texts may; lists in it may not.  "" is like an empty list."""
    plain = [_plain(each) for each in value]
    return plain in [[_plain(each) for each in _parts(one)] for one in right]


def _dict_among(value: Any, right: Sequence[Any]) -> bool:
    return any(_dict_fits(value, each) for each in right if each != "")


def _dict_fits(value: Any, right: Any) -> bool:
    if not (isinstance(value, dict) and isinstance(right, dict)):
        return False
    known = all(
        key in right and _plain(each) in [_plain(one) for one in _parts(right[key])]
        for key, each in value.items()
    )
    return known and all(key in value or "" in _parts(each) for key, each in right.items())


def _dicts_among(value: list[Any], right: Sequence[Any]) -> bool:
    """Lists of as many dictionaries, in order; "" is like an empty list."""
    return any(
        len(value) == len(each)
        and all(_dict_among(one, [other]) for one, other in zip(value, each, strict=True))
        for each in map(_parts, right)
    )


def _parts(values: Any) -> Sequence[Any]:
    """The elements of a list; where the data have a text instead, upstream takes its letters."""
    return values if isinstance(values, list | str) else ()


def _plain(value: Any) -> Any:
    """A text without what makes no difference; anything else as it is."""
    if type(value) is not str:
        return value
    return IGNORED.sub("", value).lower().replace("'", '"')


COMPARISONS: dict[type, Comparison] = {dict: _dict_among, str: _text_among, list: _list_among}
