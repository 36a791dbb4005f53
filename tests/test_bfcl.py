"""BFCL: how calls are asked for, read and checked; its columns; hostile answers."""

from __future__ import annotations

import csv
import json
import os
import time
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import pytest

from evalkit import plugins
from evalkit.configuration.sections import TaskSection
from evalkit.errors import DataError
from evalkit.exams.exam import sit
from evalkit.types import Graded, Message, Response, Sample, Score, ToolCall
from tasks import bfcl
from tasks._bfcl import figures, java, javascript, python_calls
from tasks._bfcl.calls import Unreadable

from .bfcl_mutations import NOBODY_PASSES, STRANGE, as_python, literal

HOME = Path(os.environ.get("EVALKIT_DATA") or "absent")
here = pytest.mark.skipif(
    not (HOME / "bfcl_v4").is_dir(), reason="EVALKIT_DATA has no folder bfcl_v4"
)

AREA: dict[str, Any] = {
    "name": "geometry.area",
    "description": "The area.",
    "parameters": {
        "type": "dict",
        "properties": {
            "base": {"type": "integer", "description": "b"},
            "height": {"type": "float", "description": "h"},
            "unit": {"type": "string", "description": "u"},
            "tags": {"type": "array", "items": {"type": "string"}, "description": "t"},
            "at": {"type": "tuple", "items": {"type": "float"}, "description": "a"},
            "how": {"type": "dict", "description": "o"},
            "steps": {"type": "array", "items": {"type": "dict"}, "description": "s"},
            "deep": {"type": "boolean", "description": "d"},
        },
        "required": ["base"],
    },
}
TRUTH: dict[str, Any] = {
    "base": [10],
    "height": [5.0, ""],
    "unit": ["square cm", ""],
    "tags": [["New York, NY", "b"], ""],
    "at": [[1.5, 2.0], ""],
    "how": [{"mode": ["fast", "quick"], "level": [3, ""]}, ""],
    "steps": [[{"do": ["cut"]}, {"do": ["glue"], "times": [2, ""]}], ""],
    "deep": [True, ""],
}


def sample(category: str = "simple_python", *truths: dict[str, Any], **changed: Any) -> Sample:
    rows = {
        category: {"id": "x", "question": [[{"role": "user", "content": "Go."}]],
                   "function": [AREA], **changed},
        f"{category} answers": {"id": "x", "ground_truth": list(truths) or [{AREA["name"]: TRUTH}]},
    }  # fmt: skip

    def read(split: str) -> Iterator[dict[str, Any]]:
        if split in rows:
            yield rows[split]

    (found,) = bfcl.samples(read)
    return found


def said(text: str, category: str = "simple_python", *truths: dict[str, Any]) -> Score:
    return bfcl.score(sample(category, *truths), Response(text))


def right(text: str, category: str = "simple_python", *truths: dict[str, Any]) -> bool:
    return said(text, category, *truths).value == 1.0


def called(*calls: tuple[str, Any], category: str = "simple_python") -> Score:
    made = tuple(ToolCall(name, json.dumps(given)) for name, given in calls)
    return bfcl.score_native(sample(category), Response(tool_calls=made))


def turns_of(one: Sample) -> list[Message]:
    prompt = one.rendered()
    assert not isinstance(prompt, str)
    return list(prompt)


@cache
def official(name: str) -> dict[str, Sample]:
    return {one.id: one for one in sit(TaskSection(name=name), None, None)[0].items.values()}


# how it is asked


def test_functions_are_described_in_the_system_prompt_before_what_it_says() -> None:
    system, user = turns_of(sample())
    assert user == {"role": "user", "content": "Go."}
    listed = system["content"].partition("that you can invoke.\n")[2]
    assert json.loads(listed)[0]["name"] == "geometry.area"
    assert json.loads(listed)[0]["description"].endswith("in Python 3 syntax.")
    turns = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Go."}]
    first, *rest = turns_of(sample(question=[turns]))
    assert first["content"] == f"{system['content']}\n\nBe brief."
    assert rest == turns[1:]


@here
def test_tools_have_no_dots_in_their_names_and_types_of_json_schema() -> None:
    types = {"string", "integer", "number", "boolean", "array", "object"}
    dotted = 0
    for identity, one in official("bfcl-fc").items():
        plain = official("bfcl")[identity].metadata["functions"]
        dotted += any("." in function["name"] for function in plain)
        for tool in one.tools:
            rules = tool["function"]["parameters"]["properties"].values()
            assert "." not in tool["function"]["name"]
            assert {rule["type"] for rule in rules} <= types
        assert not official("bfcl")[identity].tools
    assert dotted == 1354


@here
def test_every_category_is_there_whole() -> None:
    found = Counter(one.stratum for one in official("bfcl").values())
    assert found == Counter(figures.COUNTS)
    assert found.total() == len(official("bfcl-fc")) == 3641


@here
def test_live_requests_with_the_same_functions_are_one_cluster() -> None:
    clusters = Counter(one.cluster for one in official("bfcl").values() if one.cluster)
    assert clusters.total() == 2251
    assert len(clusters) == 836
    assert not official("bfcl")["simple_python_0"].cluster


def test_a_question_without_its_ground_truth_is_an_error() -> None:
    def read(split: str) -> Iterator[dict[str, Any]]:
        if split == "multiple":
            yield {"id": "multiple_7", "question": [[]], "function": [AREA]}

    with pytest.raises(DataError, match="multiple_7 has no ground truth"):
        list(bfcl.samples(read))


def test_a_row_without_its_functions_is_an_error() -> None:
    with pytest.raises(DataError, match="bfcl: x: function is no list"):
        sample(function=None)


def test_an_argument_of_no_known_type_is_an_error() -> None:
    odd = {**AREA, "parameters": {"properties": {"a": {"type": "matrix"}}, "required": []}}
    with pytest.raises(DataError, match="argument 'a' is of no known type"):
        sample(function=[odd])


# right and wrong


@pytest.mark.parametrize(
    "given",
    [
        "base=10",
        "base=5 + 5",
        "base=10, height=5",  # a whole number where a float is due
        "base=10, height=5.0, unit='SQUARE_CM'",
        "base=10, unit='square, c-m.'",
        "base=10, tags=['new york ny', 'B']",
        "base=10, at=(1.5, 2.0)",
        "base=10, at=[1.5, 2]",
        "base=10, how={'mode': 'Quick'}",
        "base=10, how={'level': 3, 'mode': 'fast'}",
        "base=10, steps=[{'do': 'cut'}, {'do': 'glue', 'times': 2}]",
        "base=10, deep=True",
        "7, base=10",  # arguments without a name count for nothing
    ],
)
def test_what_is_right_in_python(given: str) -> None:
    assert right(f"[geometry.area({given})]")


def test_the_elements_of_what_must_be_given_have_its_type() -> None:
    """Those of what may be left out need not, as upstream has it."""
    truth = {AREA["name"]: {"base": [10], "at": [[1.5, 2.0]]}}
    assert right("[geometry.area(base=10, at=[1.5, 2.0])]", "simple_python", truth)
    found = said("[geometry.area(base=10, at=[1.5, 2])]", "simple_python", truth)
    assert found.details["fault"] == "at has elements that are not of type float"


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ("", "base is missing"),
        ("base=11", "base has another value"),
        ("base=10.0", "base is of type float, not integer"),
        ("base='10'", "base is of type str, not integer"),
        ("base=True", "base is of type bool, not integer"),
        ("base=10, depth=1", "depth is not an argument"),
        ("base=10, height='5'", "height is of type str, not float"),
        ("base=10, unit='square m'", "unit has another value"),
        ("base=10, unit='square cḿ'", "unit has another value"),
        ("base=10, tags=['b', 'New York, NY']", "tags has another value"),
        ("base=10, tags=['New York, NY']", "tags has another value"),
        ("base=10, tags=['New York, NY', 2]", "tags has another value"),
        ("base=10, tags=('New York, NY', 'b')", "tags is of type tuple, not array"),
        ("base=10, how={'mode': 'slow'}", "how has another value"),
        ("base=10, how={'level': 3}", "how has another value"),
        ("base=10, how={'mode': 'fast', 'x': 1}", "how has another value"),
        ("base=10, steps=[{'do': 'glue'}, {'do': 'cut'}]", "steps has another value"),
        ("base=10, steps=[{'do': 'cut'}]", "steps has another value"),
        ("base=10, deep=1", "deep is of type int, not boolean"),
        ("base=10, **more", "None is not an argument"),
        ("base=10 ** 400, height=1", "base has another value"),
        ("base=10, height=10 ** 400", "height is of type int, not float"),
    ],
)
def test_what_is_wrong_in_python(given: str, fault: str) -> None:
    found = said(f"[geometry.area({given})]")
    assert (found.value, found.details["fault"]) == (0.0, fault)
    assert found.answer is not None


def test_the_name_of_a_variable_has_to_be_exact() -> None:
    truth = {AREA["name"]: {**TRUTH, "tags": ["My_List"]}}
    assert right("[geometry.area(base=10, tags=My_List)]", "simple_python", truth)
    assert right("[geometry.area(base=10, tags='My_List')]", "simple_python", truth)
    assert not right("[geometry.area(base=10, tags=my_list)]", "simple_python", truth)


def test_what_is_due_may_not_be_left_out() -> None:
    truth = {AREA["name"]: {"base": [10], "unit": ["cm"]}}
    found = said("[geometry.area(base=10)]", "simple_python", truth)
    assert found.details["fault"] == "unit is missing"


def test_parallel_calls_come_in_any_order_and_all_of_them() -> None:
    truths = [{AREA["name"]: {"base": [number]}} for number in (1, 2, 2)]
    one, two = "geometry.area(base=1)", "geometry.area(base=2)"
    for calls in ([one, two, two], [two, one, two], [two, two, one]):
        assert right(f"[{', '.join(calls)}]", "parallel", *truths)
    for calls in ([one, two], [one, one, two], [one, two, two, two], [one]):
        assert not right(f"[{', '.join(calls)}]", "parallel", *truths)
    assert said(f"[{one}]", "parallel", *truths).details["fault"] == "1 calls, 3 are due"


def test_calls_are_read_with_or_without_their_list_and_fences() -> None:
    call = "geometry.area(base=10)"
    for text in (call, f"[{call}]", f"```\n[{call}]\n```", f"`{call}`", f"\n\n[{call}]\n"):
        assert right(text)
    for text in (f"Sure: {call}", f"```python\n[{call}]\n```", f"[{call}", f"{call};", "", "[]"):
        assert right(text) == (text == f"[{call}")


def test_a_call_that_cannot_be_read_is_unparsed_and_wrong() -> None:
    found = said("I would call geometry.area with base 10.")
    assert (found.value, found.answer) == (0.0, None)


def test_relevance_asks_whether_there_is_a_call_at_all() -> None:
    for category in ("irrelevance", "live_irrelevance"):
        for text in ("None of them fits.", "", "[]", "[geometry.area(", "[geometry]"):
            assert right(text, category)
        assert not right("[anything(at=all)]", category)
    assert right("[anything(at=all)]", "live_relevance")
    assert not right("[]", "live_relevance")
    assert said("Which base?", "live_relevance").answer is None


# tool calls


def test_a_tool_is_called_by_the_name_it_was_offered_under() -> None:
    assert called(("geometry_area", {"base": 10})).value == 1.0
    assert called(("geometry.area", {"base": 10})).value == 0.0
    assert called(("geometry_area", {"base": 10}), ("geometry_area", {"base": 10})).value == 0.0


def test_text_is_no_tool_call() -> None:
    text = "[geometry_area(base=10)]"
    assert bfcl.score_native(sample(), Response(text)).value == 0.0
    assert bfcl.score_native(sample("irrelevance"), Response(text)).value == 1.0
    offered = Response("[]", tool_calls=(ToolCall("geometry_area", '{"base": 10}'),))
    assert bfcl.score(sample(), offered).value == 0.0


def test_tool_calls_that_an_engine_leaves_in_the_text_are_read() -> None:
    tagged = '<tool_call>\n{"name": "geometry_area", "arguments": {"base": 10}}\n</tool_call>'
    assert bfcl.score_native(sample(), Response(f"Now.\n{tagged}")).value == 1.0
    assert bfcl.score_native(sample(), Response(f"{tagged}\n{tagged}")).value == 0.0
    assert bfcl.score_native(sample("irrelevance"), Response(tagged)).value == 0.0
    broken = bfcl.score_native(sample(), Response("<tool_call>\n{'name': 1}\n</tool_call>"))
    assert (broken.value, broken.answer) == (0.0, None)


@pytest.mark.parametrize("arguments", ["", "{", "[1]", "null", '"a"', "{" * 10**6, "9" * 5000])
def test_arguments_that_are_no_object_are_no_call(arguments: str) -> None:
    response = Response(tool_calls=(ToolCall("geometry_area", arguments),))
    found = bfcl.score_native(sample(), response)
    assert (found.value, found.answer) == (0.0, None)
    assert bfcl.score_native(sample("irrelevance"), response).value == 1.0


# syntax


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("-5", -5), ("'a' 'b'", "ab"), ("...", "..."), ("None", None), ("1e400", float("inf")),
        ("name", "name"), ("f(1, 'x')", "f(1, 'x')"), ("f(x=1)", {"f": {"x": 1}}),
        ("x[1:2]", "x[1:2]"), ("(1, [2])", (1, [2])), ("2 ** 10 // 3", 341), ("[1] + [2]", [1, 2]),
        ("'ab' * 3", "ababab"), ("+5", -5), ("os.system('x')", "os.system('x')"),
    ],
)  # fmt: skip
def test_an_argument_in_python(text: str, value: Any) -> None:
    (call,) = python_calls.calls(f"[m.f(a={text})]")
    assert (call.name, call.arguments) == ("m.f", {"a": value})


@pytest.mark.parametrize(
    "text",
    [
        *("a.b", "x + 1", "{1}", "lambda: 1", "f'{x}'", "1 if x else 2", "[*x]", "{**x}", "not x"),
        *("9 ** 9 ** 9", "1 << 10 ** 9", "'a' * 10 ** 9", "10 ** 9 * 'a'", "'%999999999d' % 1"),
        *("[[0] * 4000] * 4000", "1 / 0", "__import__('os').system('true') + 1", "-'a'", "'a' - 1"),
        *("(" * 300, "9" * 5000, "\0", "\ud800", "x" * 200_000),
    ],
)
def test_an_argument_that_python_cannot_have(text: str) -> None:
    with pytest.raises(Unreadable):
        python_calls.calls(f"[f(a={text})]")


@pytest.mark.parametrize(
    ("literal", "declared", "element", "value"),
    [
        ("5", "integer", "", 5), ("5L", "integer", "", "5L"), ("5L", "long", "", 5),
        ("5", "long", "", "5"), ("5.0f", "float", "", 5.0), ("5.0", "float", "", "5.0"),
        ("5e3", "double", "", 5000.0), ("true", "boolean", "", True),
        ("True", "boolean", "", "True"),
        ("x", "any", "", "x"), ("new int[]{1, 2}", "Array", "integer", [1, 2]),
        ("new String[]{a, b}", "Array", "String", ["a", "b"]),
        ("{1, 2}", "Array", "integer", "{1, 2}"),
        ('new ArrayList<>(Arrays.asList("a", "b"))', "ArrayList", "String", ["a", "b"]),
        ("new ArrayList<Long>() {{ add(1L); add(2L); }}", "ArrayList", "long", [1, 2]),
        ("new ArrayList<>()", "ArrayList", "any", []), ("new HashMap<>()", "HashMap", "", {}),
        ('new HashMap<String, Object>() {{ put("a", 1); put("b", "x"); }}', "HashMap", "",
         {"a": 1, "b": "x"}),
    ],
)  # fmt: skip
def test_a_literal_of_java(literal: str, declared: str, element: str, value: Any) -> None:
    found = java.value(literal, declared, element)
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("literal", "declared", "element", "value"),
    [
        ("5", "integer", "", 5), ("5.0", "integer", "", "5.0"), ("5", "float", "", 5.0),
        ("5n", "Bigint", "", 5), ("'x'", "String", "", "x"), ("false", "Boolean", "", False),
        ("[1, 2]", "array", "integer", [1, 2]), ("['a', 'b']", "array", "String", ["a", "b"]),
        ("new Array(1, 2)", "array", "float", [1.0, 2.0]), ("[]", "array", "any", []),
        ("[[1, 2], [3]]", "array", "array", [[1, 2], [3]]), ("[[1], [2]", "array", "any", ["[1"]),
        ("{a: 1, 'b': [true, x], c: 'y'}", "dict", "", {"a": 1, "b": [True, "x"], "c": "y"}),
        ("state", "dict", "", "state"),
    ],
)  # fmt: skip
def test_a_literal_of_javascript(literal: str, declared: str, element: str, value: Any) -> None:
    found = javascript.value(literal, declared, element)
    assert (found, type(found)) == (value, type(value))


def test_a_call_in_java_and_in_javascript() -> None:
    (call,) = java.calls('new A().f(a=1, b="x y", c=new int[] {1, 2}, d=new P(1,  2), e=g(1, 2))')
    assert call.name == "new A().f"
    assert call.arguments == {"a": "1", "b": "x y", "c": "new int[]{1,2}", "d": "new P(1, 2)",
                              "e": "g(1, 2)"}  # fmt: skip
    (call,) = javascript.calls("a.f(a=1, b='x y', c=[1, 2], d={k: `v`}, e=() => 1)")
    assert call.name == "a.f"
    assert call.arguments == {"a": "1", "b": "x y", "c": "[1, 2]", "d": "{k: `v`}", "e": "() => 1"}


@pytest.mark.parametrize("text", ["f(a=1, a=2)", "f(x, y)", "f(a=)", "x", "", "f(a=1", "f(\ud800)"])
@pytest.mark.parametrize("language", [java, javascript])
def test_what_is_no_call_in_java_or_javascript(language: Any, text: str) -> None:
    with pytest.raises(Unreadable):
        language.calls(text)


# columns


def graded(values: dict[str, list[float | None]]) -> list[Graded]:
    return [
        Graded(
            Sample(f"{stratum} {number}", "", stratum=stratum),
            (None if value is None else Score(value),),
        )
        for stratum, each in values.items()
        for number, value in enumerate(each)
    ]


def test_a_column_is_there_when_all_its_categories_are() -> None:
    found = figures.figures(
        graded({"simple_python": [1, 0], "live_simple": [1, None], "multiple": [None]})
    )
    assert found == {"simple_python": 0.5, "live_simple": 1.0}


def test_no_overall_score_of_v3_or_v4_is_given() -> None:
    found = figures.figures(graded({name: [1.0] for name in figures.COUNTS}))
    assert not [name for name in found if "overall" in name.lower() or "single" in name.lower()]
    assert set(found.values()) == {1.0}
    assert set(found) == {*figures.COUNTS, *figures.COLUMNS}


@pytest.mark.parametrize("weights", [*figures.COLUMNS.values(), *figures.SINGLE_TURN.values()])
def test_weights_come_to_one(weights: dict[str, float]) -> None:
    assert sum(weights.values()) == pytest.approx(1.0)
    assert weights.keys() <= figures.COUNTS.keys()


def test_a_preset_is_the_weights_of_its_version_and_asks_nothing_else() -> None:
    for name in ("bfcl", "bfcl-fc"):
        for preset in ("", "v2", "v2-live", "v3"):
            task = plugins.task(name, preset)
            assert task.weights.keys() == figures.COUNTS.keys()
            assert task.samples is plugins.task(name).samples
            counted = {each for each, weight in task.weights.items() if weight}
            assert ("live_relevance" in counted) == bool(preset)
            assert ("irrelevance" in counted) == (preset != "v2-live")


def percentages(row: dict[str, str]) -> dict[str, float]:
    return {name: float(value[:-1]) for name, value in row.items() if value.endswith("%")}


@here
def test_the_columns_are_those_of_the_published_leaderboard() -> None:
    folder = HOME / "bfcl_v4" / "published_leaderboard_2025-12-16"
    tables = {}
    for table in ("non_live", "live", "overall"):
        with (folder / f"data_{table}.csv").open() as file:
            tables[table] = {row["Model"]: percentages(row) for row in csv.DictReader(file)}
    assert len(tables["overall"]) == 109
    for model, whole in tables["overall"].items():
        alone, live = tables["non_live"][model], tables["live"][model]
        accuracy = dict(
            zip(
                figures.COUNTS,
                (
                    *(alone[f"{name}AST"] for name in ("Python Simple ", "Java Simple ")),
                    *(alone[f"{name}AST"] for name in ("JavaScript Simple ", "Multiple ")),
                    *(alone[f"{name}AST"] for name in ("Parallel ", "Parallel Multiple ")),
                    alone["Irrelevance Detection"],
                    *(live[f"Python {name}AST"] for name in ("Simple ", "Multiple ", "Parallel ")),
                    live["Python Parallel Multiple AST"],
                    live["Irrelevance Detection"],
                    live["Relevance Detection"],
                ),
                strict=True,
            )
        )
        found = figures.figures(graded({name: [value] for name, value in accuracy.items()}))
        for column, published in {
            "non-live simple": whole["Non-Live Simple AST"],
            "non-live AST": whole["Non-Live AST Acc"],
            "live AST": whole["Live Acc"],
            "irrelevance detection": whole["Irrelevance Detection"],
            "relevance detection": whole["Relevance Detection"],
        }.items():
            assert found[column] == pytest.approx(published, abs=0.011)


# every question


@here
@pytest.mark.parametrize("name", ["bfcl", "bfcl-fc"])
def test_all_questions_but_six_have_an_answer_that_passes(name: str) -> None:
    task = plugins.task(name)
    assert task.score
    assert task.solution
    failed = {
        one.id for one in official(name).values()
        if task.score(one, Response(task.solution(one))).value != 1.0
    }  # fmt: skip
    assert failed == NOBODY_PASSES


@here
def test_what_is_wrong_in_a_known_way_never_passes() -> None:
    chance = Random(1)
    for one in list(official("bfcl").values())[::5]:
        if one.stratum not in bfcl.CHECKED or one.stratum in bfcl.OTHER_LANGUAGES:
            continue
        calls = [
            (call.name, dict(call.arguments)) for call in python_calls.calls(bfcl.solution(one))
        ]
        at = chance.randrange(len(calls))
        name, given = calls[at]
        wrong = {**given, "another": chance.choice(STRANGE)}
        assert not judged(one, [*calls[:at], (name, wrong), *calls[at + 1 :]])
        assert not judged(one, [*calls[:at], (f"{name}_", given), *calls[at + 1 :]])
        assert not judged(one, [*calls, calls[0]])
        assert not judged(one, calls[1:])
        shuffled = chance.sample(calls, len(calls))
        assert judged(one, shuffled) or one.id in NOBODY_PASSES


def judged(one: Sample, calls: list[tuple[str, dict[str, Any]]]) -> bool:
    return bfcl.score(one, Response(as_python(calls))).value == 1.0


# hostile


def call_of(argument: str) -> str:
    return f"[f(a={argument})]"


HOSTILE = [
    *("[" * 10**6, "f(" * 5 * 10**5, "x" * 10**6, "`" * 10**6, "\ud800" * 10**5, "/*" * 24_000),
    *(call_of("(" * 190), call_of("-" * 45_000 + "1"), call_of("x." * 24_000 + "y")),
    *(call_of("1+" * 24_000 + "1"), call_of("not " * 12_000 + "1"), call_of("9" * 45_000)),
    *(call_of("'x'*4000+" * 5_000 + "''"), call_of("[1]*4000+" * 5_000 + "[]")),
    *(call_of("new A(" * 190 + ")" * 190), call_of("a=" * 24_000 + "1")),
    *(call_of("() => " * 8_000 + "1"), call_of("x ? y : " * 6_000 + "z"), '"' * 49_999),
    *(call_of("{a:" * 190 + "1" + "}" * 190), "[" + "f(a=1)," * 7_000 + "]"),
    *("<tool_call>" * 90_000, "<tool_call>\n" + "[" * 10**5 + "\n</tool_call>"),
]


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: ascii(text[:14]))
@pytest.mark.parametrize("category", ["simple_python", "simple_java", "simple_javascript"])
def test_a_hostile_answer_is_wrong_soon(category: str, text: str) -> None:
    function = {**AREA, "parameters": {"type": "dict", "properties": {}, "required": []}}
    asked = sample(category, {AREA["name"]: {}}, function=[function])
    start = time.process_time()
    assert bfcl.score(asked, Response(text)).value == 0.0
    assert bfcl.score_native(asked, Response(text)).value == 0.0
    assert time.process_time() - start < 10.0


@pytest.mark.parametrize(
    ("literal", "declared"),
    [
        ("new HashMap<" * 10_000, "HashMap"), ("new HashMap<>() {" + " " * 1900, "HashMap"),
        ('new HashMap<>() {{' + 'put("",' * 300, "HashMap"), 
        ("new HashMap<" + ">" * 1900, "HashMap"),
        ("new ArrayList<>() {{" + " " * 1900, "ArrayList"), 
        ("new ArrayList<>(Arrays.asList(" * 60, "ArrayList"),
        ("new int[]{" * 190, "Array"), ("9" * 10**6, "integer"), ("1" * 10**6 + "L", "long"),
        ("[[" + "],[" * 600, "array"), ("[[" + "], [" * 480 + "]", "array"), ("[" * 1990, "array"),
        ("{" + "a:" * 900, "dict"), ("{" + "a:b," * 450 + "}", "dict"), ("[[1]," * 390, "array"),
    ],
)  # fmt: skip
def test_a_hostile_literal_takes_no_time(literal: str, declared: str) -> None:
    start = time.process_time()
    for language in (java, javascript):
        if declared in language.TYPES:
            language.value(literal, declared, "String")
    assert time.process_time() - start < 2.0


def test_any_literal_is_read_without_an_error() -> None:
    chance = Random(3)
    for _ in range(3000):
        text = literal(chance)
        for language in (java, javascript):
            for declared in language.TYPES:
                language.value(text, declared, chance.choice(list(language.TYPES)))
