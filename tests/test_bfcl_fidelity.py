"""BFCL against its official package, `bfcl-eval`, in the environment that `evalkit env bfcl` makes.

Everything is asked of both: how each question is put, what is read out of a text, what a literal
is worth, and whether an answer is right.  The answers are the recorded ones of six models, and
mutations of what is right.  Needs the environment, and the data under EVALKIT_DATA.
"""

from __future__ import annotations

import json
import os
import subprocess
import tarfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

import pytest

from evalkit.configuration.sections import TaskSection
from evalkit.envs import make, python_of
from evalkit.envs.making import outside
from evalkit.events import silent
from evalkit.exams.exam import sit
from evalkit.types import Response, Sample, ToolCall
from tasks import bfcl
from tasks._bfcl import java, javascript
from tasks._bfcl.answers import Language, prompted
from tasks._bfcl.calls import Unreadable
from tasks._bfcl.checking import TYPES

from .bfcl_mutations import (
    SOURCE,
    TEXTS,
    Calls,
    as_code,
    as_python,
    garbled,
    literal,
    mutants,
    random_case,
    spliced,
)

HOME = Path(os.environ.get("EVALKIT_DATA") or "absent")
RECORDED = HOME / "model_outputs" / "bfcl_v1"
OFFICIAL = Path(__file__).parent / "bfcl_official.py"
OF_V1 = {
    "simple": "simple_python",
    "java": "simple_java",
    "javascript": "simple_javascript",
    "multiple_function": "multiple",
    "parallel_function": "parallel",
    "parallel_multiple_function": "parallel_multiple",
    "relevance": "irrelevance",
}
LANGUAGES: dict[Language, str] = {
    "python": "simple_python",
    "java": "simple_java",
    "javascript": "simple_javascript",
}
SEED = 20_251_216


pytestmark = [
    pytest.mark.integration,
    pytest.mark.timeout(600),
    pytest.mark.skipif(
        not (HOME / "bfcl_v4").is_dir(), reason="EVALKIT_DATA has no folder bfcl_v4"
    ),
]


@pytest.fixture(scope="module", autouse=True)
def environment() -> None:
    """The official package in its environment."""
    make("bfcl", silent)


def official(cases: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """What the official package says to each."""
    lines = "".join(f"{json.dumps(case)}\n" for case in cases)
    command = [str(python_of("bfcl")), str(OFFICIAL)]
    done = subprocess.run(
        command, input=lines, capture_output=True, text=True, check=True, env=outside()
    )
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(answers) == len(cases)
    return answers


@cache
def questions(name: str) -> dict[str, Sample]:
    return {one.id: one for one in sit(TaskSection(name=name), None, None)[0].items.values()}


@dataclass
class Trial:
    """Answers judged here and there."""

    cases: list[dict[str, Any]] = field(default_factory=list)
    ours: list[bool] = field(default_factory=list)

    def says(self, sample: Sample, text: str) -> None:
        self._add(sample, bfcl.score(sample, Response(text)).value, text=text)

    def calls(self, sample: Sample, calls: Sequence[tuple[str, str]], text: str = "") -> None:
        """Calls of tools, as a server gives them or left in the text."""
        response = (
            Response(text) if text else Response(tool_calls=tuple(ToolCall(*c) for c in calls))
        )
        self._add(sample, bfcl.score_native(sample, response).value, calls=list(calls))

    def _add(self, sample: Sample, value: float, **answer: Any) -> None:
        functions = sample.metadata["functions"]
        case = {"category": sample.stratum, "functions": functions, "truths": sample.target}
        self.cases.append(case | answer)
        self.ours.append(value == 1.0)

    def agreed(self) -> Counter[str]:
        """How many passed and failed; fails on the first that the two judge differently.

        Where the official checker stops with an error, it has no verdict.
        """
        found = Counter[str]()
        for case, ours, theirs in zip(self.cases, self.ours, official(self.cases), strict=True):
            if theirs["said"].startswith("crash"):
                found["no verdict"] += 1
                continue
            assert ours == theirs["valid"], (case, theirs)
            found["passed" if ours else "failed"] += 1
        return found


def test_every_question_is_asked_as_the_authors_ask_it() -> None:
    strata = sorted({one.stratum for one in questions("bfcl").values()})
    asked = 0
    for answer in official([{"asked": category} for category in strata]):
        for identity, theirs in answer.items():
            assert list(questions("bfcl")[identity].rendered()) == theirs["turns"]
            tools = [dict(tool) for tool in questions("bfcl-fc")[identity].tools]
            assert json.dumps(tools) == json.dumps(theirs["tools"])  # order included
            asked += 1
    assert asked == 3641


def test_solutions_pass_and_fail_alike() -> None:
    trial = Trial()
    for identity, one in questions("bfcl").items():
        trial.says(one, bfcl.solution(one))
        native = questions("bfcl-fc")[identity]
        trial.calls(native, encoded(solved(native)))
    assert trial.agreed() == {"passed": 2 * 3635, "failed": 2 * 6}


def solved(sample: Sample) -> Calls:
    """What is right, as tools are called."""
    tagged = bfcl.solution_native(sample).split("<tool_call>")[1:]
    calls = [json.loads(each.partition("</tool_call>")[0]) for each in tagged]
    return [(call["name"], call["arguments"]) for call in calls]


def encoded(calls: Calls) -> list[tuple[str, str]]:
    return [(name.replace(".", "_"), json.dumps(given)) for name, given in calls]


# what six models answered


def members(archive: Path) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """The categories in an archive, each with its lines."""
    with tarfile.open(archive) as opened:
        for member in opened:
            file = opened.extractfile(member)
            if file:
                name = member.name.partition("v1_test_")[2].rpartition("_")[0]
                yield name, [json.loads(line) for line in file]


@cache
def asked_in_v1() -> dict[str, str]:
    """The questions that V1's verdicts quote: those that some model failed."""
    return {
        line["prompt"]["id"]: line["prompt"]["question"]
        for archive in sorted((RECORDED / "score").iterdir())
        for _, lines in members(archive)
        for line in lines
        if "prompt" in line
    }


def made(model: str, result: Any) -> list[tuple[str, str]] | None:
    """The calls of a recorded answer; None where it is a text."""
    try:
        if isinstance(result, list):
            return [(name, given) for call in result for name, given in call.items()]
        if model.startswith("Nous") and "<tool_call>" in result:
            tagged = result.split("<tool_call>")[1:]
            each = [json.loads(part.partition("</tool_call>")[0]) for part in tagged]
        elif model.startswith("Salesforce"):
            each = json.loads(result)["tool_calls"]
        else:
            return None
        return [(call["name"].replace(".", "_"), json.dumps(call["arguments"])) for call in each]
    except (ValueError, KeyError, TypeError):
        return None


@pytest.mark.skipif(not RECORDED.is_dir(), reason="EVALKIT_DATA has no model_outputs/bfcl_v1")
def test_the_recorded_answers_of_six_models_are_judged_alike() -> None:
    trial, same = Trial(), Counter[bool | None]()
    for archive in sorted((RECORDED / "result").iterdir()):
        model = archive.name
        for name, lines in members(archive):
            for line in lines if name in OF_V1 else ():
                identity = f"{OF_V1[name]}_{line['id'].rpartition('_')[2]}"
                one = questions("bfcl")[identity]
                known = asked_in_v1().get(line["id"])
                same[known and one.rendered()[-1]["content"] == known] += 1  # type: ignore[index]
                calls = made(model, line["result"])
                tagged = line["result"] if model.startswith("Nous") else ""
                if calls is None:
                    trial.says(one, str(line["result"]))
                else:
                    trial.calls(one, calls, tagged)
    found = trial.agreed()
    assert found.total() == 6 * 1390 == same.total()
    assert (same[True], same[False]) == (4200, 900)
    assert found["passed"] > 5000
    assert found["no verdict"] == 0


# mutations of what is right


def test_mutations_of_every_ground_truth_are_judged_alike() -> None:
    chance, trial = Random(SEED), Trial()
    for one in questions("bfcl-fc").values():
        if one.stratum not in bfcl.CHECKED:
            trial.says(one, garbled(chance.choice(TEXTS).replace("{}", "[f(a=1)]"), chance))
            continue
        names = [next(iter(truth)) for truth in one.target]
        calls = [(name, given) for name, (_, given) in zip(names, solved(one), strict=True)]
        source = one.stratum in bfcl.OTHER_LANGUAGES
        for mutant in islice(mutants(calls, chance, source=source), 30 if source else 6):
            trial.says(one, texts(mutant, chance, source))
            try:
                trial.calls(one, encoded(mutant))
            except TypeError:  # what JSON has no form for
                continue
    found = trial.agreed()
    assert found["no verdict"] == 0
    assert min(found["passed"], found["failed"]) > 4000


def texts(calls: Calls, chance: Random, source: bool) -> str:
    """Calls as a prompted model may write them, in part badly."""
    text = as_code(calls, chance) if source else as_python(calls)
    draw = chance.random()
    if draw < 0.25:
        return garbled(text, chance)
    return spliced(text, chance) if draw < 0.5 and not source else text


@pytest.mark.parametrize("language", LANGUAGES)
def test_any_type_any_value_and_any_ground_truth_are_judged_alike(language: Language) -> None:
    chance, trial = Random(SEED), Trial()
    for _ in range(20_000):
        case = random_case(language, tuple(TYPES[language].named), chance)
        one = Sample(
            "", "", case["truths"], stratum=LANGUAGES[language],
            metadata={"functions": case["functions"]},
        )  # fmt: skip
        if chance.random() < 0.5:
            trial.calls(one, encoded(case["calls"]))
        else:
            write = as_python if language == "python" else lambda calls: as_code(calls, chance)
            trial.says(one, write(case["calls"]))
    found = trial.agreed()
    assert found["no verdict"] < 1000
    assert min(found["passed"], found["failed"]) > 300


@pytest.mark.parametrize("language", [java, javascript])
def test_literals_are_worth_the_same(language: Any) -> None:
    chance = Random(SEED)
    name: Language = "java" if language is java else "javascript"
    listed = TYPES[name].listed
    cases, ours = [], []
    for _ in range(30_000):
        declared = chance.choice(("dict", "HashMap", *listed, *language.TYPES))
        if declared not in language.TYPES:
            continue
        element = chance.choice(list(language.TYPES)) if declared in listed else ""
        text = literal(chance)
        cases.append({"language": name, "literal": text, "declared": declared, "element": element})
        ours.append(repr(language.value(text, declared, element)))
    theirs = official(cases)
    for case, here, there in zip(cases, ours, theirs, strict=True):
        assert here == there["value"], case
    changed = sum(here != repr(case["literal"]) for case, here in zip(cases, ours, strict=True))
    assert changed > 300


@pytest.mark.parametrize("language", LANGUAGES)
def test_texts_are_read_alike(language: Language) -> None:
    """But for templates of JavaScript that nothing closes: newer grammars mend them otherwise."""
    chance = Random(SEED)
    cases, ours = [], []
    for _ in range(20_000):
        text = odd(language, chance)
        if language == "javascript" and text.count("`") % 2:
            continue
        cases.append({"category": LANGUAGES[language], "text": text})
        ours.append(read(text, language))
    nothing = {"None": "", "{}": ""}
    for case, here, there in zip(cases, ours, official(cases), strict=True):
        assert here == nothing.get(there["read"], there["read"]), case
    assert sum(bool(here) for here in ours) > 1500


def odd(language: Language, chance: Random) -> str:
    """A text that is nearly a list of calls."""
    if language == "python":
        text = "[m.f(a=1, b='x', c=[1, 2], d={'k': 2.5}), g()]"
        text = spliced(spliced(text, chance), chance) if chance.random() < 0.6 else text
        return garbled(text, chance) if chance.random() < 0.4 else text
    values = (chance.choice(SOURCE) if chance.random() < 0.7 else literal(chance) for _ in range(3))
    given = [f"{name}={value}" for name, value in zip("abc", values, strict=True)]
    given = given[: chance.randint(0, 3)] + chance.choice(([], ["z"], ["5"], ["a=1"]))
    name = chance.choice(("f", "a.f", "a.b.f", "new X().f", "f(1).g"))
    text = f"[{name}({', '.join(given)})]"
    return garbled(text, chance) if chance.random() < 0.4 else text


def read(text: str, language: Language) -> str:
    """What is read out of a text here, as the official package would have it; "" for nothing."""
    try:
        calls = prompted(Response(text), language)
    except Unreadable:
        return ""
    return repr([{call.name: dict(call.arguments)} for call in calls])
