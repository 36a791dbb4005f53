"""Answers to BFCL near what is right: every way to be wrong that a model may hit upon.

Each is a function of a generator of random numbers, so that a seed gives the same ones again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

Arguments = dict[str, Any]
Calls = list[tuple[str, Arguments]]
Mutation = Callable[[Calls, Random], Calls]

NOBODY_PASSES = {
    *("live_simple_106-63-0", "live_simple_112-68-0"),  # values that may be nothing at all
    *("live_multiple_862-181-3", "live_multiple_964-207-0"),  # an argument nobody declares
    *("simple_java_36", "simple_java_65"),  # lists of several types, read as texts
}
"""Questions that no answer passes, here or with the official checker."""

STRANGE: tuple[Any, ...] = (
    *("", " ", "None", "null", "true", "é", "İ", "ß", "日本", "‘a’", "a'b", 'a"b', "x" * 300),
    *(0, 1, -1, 10**30, 0.0, -0.0, 1.5, float("inf"), True, False, None),
    *([], [[]], ["a"], [1, "a"], {}, {"a": 1}, [{"a": 1}], [None], {"a": {"b": [1]}}),
)
SOURCE = (
    *("true", "True", "null", "5", "-5", "5L", "5.0", "5.0f", "5e3", "5n", "'c'", '"text"', "a b"),
    *("new int[]{1, 2}", "new String[]{a, b}", 'new String[]{"a"}', "new int[][]{{1}, {2}}"),
    *("new ArrayList<>()", "new ArrayList<>(Arrays.asList(1, 2))", "new HashMap<>()"),
    *("new ArrayList<String>() {{ add('a'); add('b'); }}", "Arrays.asList(1)"),
    'new HashMap<String, Integer>() {{ put("a", 1); put("b", true); }}',
    *("[1, 2]", "['a', 'b']", "[[1, 2], [3]]", "[[1],[2]", "new Array(1, 2)", "new Array([1],[2])"),
    *("{}", "{'a': 1}", "{a: [1, 2], b: 'x'}", '{"a": {"b": 1}}', "{a: true,}", "[{a: 1}, {b: 2}]"),
    *("", " ", "é", "new Date()", "function() {}", "() => 1", "x.y", "a + b", "`t`", "٣", "1_0"),
)
TEXTS = (
    *("{}", "```\n{}\n```", "```python\n{}\n```", "`{}`", "Sure! {}", "{}\nDone.", "{};", "({})"),
    *("[{}]", " \t{}\n\n", "'{}'", "[{}, {}]", "{}{}", "print({})", "{}  # why", "<tool>{}</tool>"),
    *("", "[]", "[[]]", "None", "No function fits.", "[None]", "[f]", "f", "f()", "[f(), g()]"),
)
PYTHON = (
    *(
        "1 + 1",
        "2 ** 3",
        "10 * 2.5",
        "-5",
        "+5",
        "~5",
        "not True",
        "-'a'",
        "- -5",
        "7 // 2",
        "7 % 2",
    ),
    *(
        "'a' + 'b'",
        "'a' * 3",
        "[1] + [2]",
        "1 << 4",
        "1 / 0",
        "x + 1",
        "(1, 2)",
        "{1, 2}",
        "...",
        "b'a'",
    ),
    *(
        "name",
        "a.b",
        "f()",
        "f(1)",
        "f(x=1)",
        "x[0]",
        "x[1:2]",
        "x[1, 2]",
        "lambda: 1",
        "1 if x else 2",
    ),
    *(
        "f'{x}'",
        "'a' 'b'",
        "1 < 2",
        "a or b",
        "[*x]",
        "{**x}",
        "[i for i in x]",
        "(y := 1)",
        "1j",
        "await x",
    ),
    *(
        "r'\\d'",
        "'\\d'",
        "'''a\nb'''",
        "0x1f",
        "1_000",
        "1e400",
        "'é'",
        "None",
        "True",
        "{'a': [1, (2, 3)]}",
    ),
)


def different(value: Any, chance: Random) -> Any:
    """A value like another, and not always as good."""
    ways: list[Callable[[], Any]] = [lambda: chance.choice(STRANGE), lambda: [value]]
    match value:
        case bool():
            ways += [lambda: not value, lambda: str(value), lambda: int(value)]
        case int():
            ways += [lambda: float(value), lambda: str(value), lambda: value + 1, lambda: -value]
        case float():
            ways += [
                lambda: round(value, 0),
                lambda: f"{value:g}",
                lambda: value + 0.5,
                lambda: -value,
            ]
        case str():
            ways += [lambda: respelt(value, chance)] * 6
        case list():
            ways += [lambda: shaken(value, chance)] * 6
        case dict():
            ways += [lambda: turned(value, chance)] * 6
    return chance.choice(ways)()


def respelt(text: str, chance: Random) -> str:
    """A text with something done to its letters."""
    at = chance.randrange(len(text) + 1)
    ways = [
        text.upper(),
        text.title(),
        text.replace(" ", ""),
        text.replace(" ", "_"),
        text.replace("e", "é"),
        f"{text[:at]}{chance.choice(' ,./-_*^')}{text[at:]}",
        f"{text[:at]}{chance.choice('x;:!éß日')}{text[at:]}",
        text[:at] + text[at + 1 :],
        f"'{text}'",
        f"{text} ",
    ]
    return chance.choice(ways)


def shaken(items: list[Any], chance: Random) -> Any:
    """A list with something done to its elements."""
    if not items:
        return [chance.choice(STRANGE)]
    at = chance.randrange(len(items))
    changed = [*items[:at], different(items[at], chance), *items[at + 1 :]]
    return chance.choice(
        [items[::-1], items[1:], [*items, items[0]], changed, changed, tuple(items), str(items)]
    )


def turned(members: dict[str, Any], chance: Random) -> Any:
    """A dictionary with something done to its members."""
    added = {**members, "another": chance.choice(STRANGE)}
    if not members:
        return added
    key = chance.choice(list(members))
    without = {name: value for name, value in members.items() if name != key}
    changed = {**members, key: different(members[key], chance)}
    return chance.choice([added, without, changed, changed, list(members), json.dumps(members)])


def value_changed(calls: Calls, chance: Random) -> Calls:
    at, (name, arguments) = chance.choice(list(enumerate(calls)))
    if not arguments:
        return calls
    key = chance.choice(list(arguments))
    changed = {**arguments, key: different(arguments[key], chance)}
    return [*calls[:at], (name, changed), *calls[at + 1 :]]


def source_changed(calls: Calls, chance: Random) -> Calls:
    """An argument of Java or JavaScript, which is a text, in another form."""
    at, (name, arguments) = chance.choice(list(enumerate(calls)))
    if not arguments:
        return calls
    changed = {**arguments, chance.choice(list(arguments)): chance.choice(SOURCE)}
    return [*calls[:at], (name, changed), *calls[at + 1 :]]


def argument_dropped(calls: Calls, chance: Random) -> Calls:
    at, (name, arguments) = chance.choice(list(enumerate(calls)))
    gone = chance.choice([*arguments, ""])
    kept = {key: value for key, value in arguments.items() if key != gone}
    return [*calls[:at], (name, kept), *calls[at + 1 :]]


def argument_added(calls: Calls, chance: Random) -> Calls:
    at, (name, arguments) = chance.choice(list(enumerate(calls)))
    added = {**arguments, "another": chance.choice(STRANGE)}
    return [*calls[:at], (name, added), *calls[at + 1 :]]


def renamed(calls: Calls, chance: Random) -> Calls:
    at, (name, arguments) = chance.choice(list(enumerate(calls)))
    other = chance.choice(
        [f"{name}x", name.upper(), name.replace(".", "_"), name.replace("_", ".")]
    )
    return [*calls[:at], (other or "f", arguments), *calls[at + 1 :]]


def reordered(calls: Calls, chance: Random) -> Calls:
    return chance.sample(calls, len(calls))


def recounted(calls: Calls, chance: Random) -> Calls:
    return chance.choice([calls[1:], [*calls, calls[0]], [calls[0], *calls[2:], calls[0]], []])


MUTATIONS: tuple[Mutation, ...] = (
    *(value_changed, value_changed, value_changed, argument_dropped, argument_added),
    *(renamed, reordered, recounted),
)


def mutants(calls: Calls, chance: Random, *, source: bool) -> Iterator[Calls]:
    """Other calls without end, one or two steps away; `source`: arguments are texts of code."""
    ways = (*MUTATIONS, *([source_changed] * 6 if source else []))
    while calls:
        found = chance.choice(ways)(calls, chance)
        if found and chance.random() < 0.3:
            found = chance.choice(ways)(found, chance)
        yield found


def as_python(calls: Calls) -> str:
    """Calls as a prompted model writes them."""
    each = (f"{name}({', '.join(f'{k}={v!r}' for k, v in given.items())})" for name, given in calls)
    return f"[{', '.join(each)}]"


def as_code(calls: Calls, chance: Random) -> str:
    """Calls with arguments that are code, in quotes or not."""
    quotes = ("", "", '"', "'")

    def literal(value: Any) -> str:
        quote = chance.choice(quotes)
        return f"{quote}{value}{quote}" if isinstance(value, str) else repr(value)

    each = (
        f"{name}({', '.join(f'{k}={literal(v)}' for k, v in given.items())})"
        for name, given in calls
    )
    return f"[{', '.join(each)}]"


def garbled(text: str, chance: Random) -> str:
    """A text with a few characters lost, doubled, swapped or put in; or in other surroundings."""
    if chance.random() < 0.3:
        return chance.choice(TEXTS).replace("{}", text)
    for _ in range(chance.randint(1, 3)):
        at = chance.randrange(len(text) + 1)
        put = chance.choice("()[]{}'\",=.:; \n\\+-*/0a_é#@`<>")
        cut = chance.choice((0, 0, 1))
        text = text[:at] + chance.choice((put, "")) + text[at + cut :]
    return text


def spliced(text: str, chance: Random) -> str:
    """A text with an argument's value replaced by an expression of Python."""
    starts = [at for at, character in enumerate(text) if character == "="]
    if not starts:
        return text
    at = chance.choice(starts) + 1
    ends = [end for end in (text.find(",", at), text.find(")", at)) if end >= 0]
    return text[:at] + chance.choice(PYTHON) + text[min(ends, default=len(text)) :]


def random_case(language: str, types: tuple[str, ...], chance: Random) -> dict[str, Any]:
    """A function of one argument of any type, what is right for it, and a call of it."""
    declared = chance.choice(types)
    rule = {"type": declared, "items": {"type": chance.choice(types)}}
    variable = chance.random() < 0.1
    right = [_right(declared, variable, chance) for _ in range(chance.randint(1, 3))]
    if chance.random() < 0.3:
        right.insert(chance.randrange(len(right) + 1), "")
    value: Any = chance.choice(STRANGE)
    if language != "python":
        value = chance.choice((*SOURCE, str(chance.choice(right))))
    elif chance.random() < 0.7:
        value = _chosen(chance.choice(right))
        value = different(value, chance) if chance.random() < 0.5 else value
    parameters = {"type": "dict", "properties": {"a": rule}, "required": chance.choice(([], ["a"]))}
    return {
        "functions": [{"name": "m.f", "description": "", "parameters": parameters}],
        "truths": [{"m.f": {"a": right}}],
        "calls": [("m.f", {"a": value} if chance.random() < 0.95 else {})],
    }


def _right(declared: str, variable: bool, chance: Random) -> Any:
    """A value that may be right for a type, choices in dictionaries included, or a name."""
    if variable:
        return chance.choice(("name", "a.b", "f(1)"))
    if declared in ("dict", "HashMap"):
        return {key: [chance.choice(STRANGE), *chance.choice(([], [""]))] for key in "ab"}
    if declared in ("array", "tuple", "Array", "ArrayList"):
        members = [{"a": [1, ""], "b": ["x"]}, {"a": ["y"]}]
        kinds: tuple[list[Any], ...] = (
            [1, 2],
            ["a", "B c"],
            [1.5],
            [True],
            members,
            [[1], [2]],
            ["a", 1],
            [],
        )
        return chance.choice(kinds)
    return chance.choice(STRANGE)


def _chosen(value: Any) -> Any:
    """A value without the choices in it."""
    if isinstance(value, dict):
        return {k: v[0] if isinstance(v, list) and v else v for k, v in value.items()}
    return [_chosen(each) for each in value] if isinstance(value, list) else value


PIECES = (
    *(
        "new ",
        "int",
        "String",
        "Object",
        "[]",
        "{",
        "}",
        "(",
        ")",
        "[",
        "]",
        "<",
        ">",
        ",",
        ", ",
        ":",
    ),
    *("ArrayList<", "ArrayList<>(", "Arrays.asList(", "HashMap<", "HashMap<>()", "put(", "add("),
    *(
        "{{",
        "}}",
        "))",
        'put("a", ',
        'put("b", 2)',
        "add(1)",
        "new Array(",
        "[[",
        "]]",
        "], [",
        "],[",
    ),
    *(
        "a",
        "b",
        "1",
        "-2",
        "3.5",
        "4L",
        "5f",
        "6n",
        "true",
        "false",
        '"x"',
        "'y'",
        '"',
        "'",
        " ",
        "\n",
    ),
)


def literal(chance: Random) -> str:
    """Something like a literal of Java or JavaScript, mostly a collection, mostly broken."""
    if chance.random() < 0.5:
        return "".join(chance.choices(PIECES, k=chance.randint(1, 14)))
    return (
        garbled(chance.choice(SOURCE), chance) if chance.random() < 0.5 else chance.choice(SOURCE)
    )
