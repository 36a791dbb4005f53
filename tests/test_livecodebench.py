"""LiveCodeBench: editions by name, tests out of their packing, verdicts by the authors' rules.

The tests of its problems are not at hand here, so the problems are made: in the form of the
authors' files, the private tests pickled, compressed and in base64.
"""

from __future__ import annotations

import base64
import json
import os
import pickle
import zlib
from collections.abc import Callable, Iterable, Mapping
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from evalkit import plugins
from evalkit.cli import cli
from evalkit.configuration.sections import TaskSection
from evalkit.errors import ConfigError, DataError
from evalkit.exams.exam import sit
from evalkit.grading.several import Several
from evalkit.sandbox.limits import Limits
from evalkit.types import Graded, Response, Sample, Score
from tasks import _livecodebench_cases, livecodebench
from tasks._livecodebench_cases import cases_of, unpacked
from tasks.livecodebench import (
    PARTS,
    code_of,
    conversation,
    edition,
    same_output,
)

Test = tuple[str, str]


def packed(text: object) -> str:
    return base64.b64encode(zlib.compress(pickle.dumps(text))).decode()


def listed(tests: Iterable[Test], kind: str) -> str:
    return json.dumps([{"input": a, "output": b, "testtype": kind} for a, b in tests])


def problem(number: int, **changed: Any) -> dict[str, Any]:
    """A problem that reads two numbers and prints their sum plus its own number."""
    tests = [(f"{a}\n{b}\n", f"{a + b + number}\n") for a, b in ((1, 2), (3, 4), (10, -10))]
    return {
        "question_id": f"abc{number}_a",
        "question_title": "Sum",
        "question_content": f"Print the sum of two numbers and {number}.",
        "platform": "atcoder",
        "contest_id": f"abc{number}",
        "contest_date": f"2024-{number % 12 + 1:02}-05T00:00:00",
        "starter_code": "",
        "difficulty": ("easy", "medium", "hard")[number % 3],
        "public_test_cases": listed(tests[:1], "stdin"),
        "private_test_cases": packed(listed(tests[1:], "stdin")),
        "metadata": "{}",
        **changed,
    }


def method(number: int) -> dict[str, Any]:
    """A problem of LeetCode's kind: a method that is called."""
    tests = [(f"[{a}, 1]\n{a}", f"[[{a}, 1], {number}]") for a in range(3)]
    return problem(
        number,
        platform="leetcode",
        starter_code="class Solution:\n    def pair(self, a: List[int], b: int) -> list:\n        ",
        public_test_cases=listed(tests[:2], "functional"),
        private_test_cases=packed(listed(tests[2:], "functional")),
        metadata='{"func_name": "pair"}',
    )


def write(folder: Path, parts: Mapping[str, list[dict[str, Any]]], suffix: str = ".jsonl") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for part, rows in parts.items():
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / f"{part}{suffix}").write_text(text)
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The authors' six files, in small."""
    parts = {part: [problem(10 * i), method(10 * i + 1)] for i, part in enumerate(PARTS)}
    return write(tmp_path / "lcb", parts)


def samples(name: str, data: Path) -> dict[str, Sample]:
    (exam,) = sit(TaskSection(name=f"livecodebench:{name}"), data, None)
    return {sample.id: sample for sample in exam.items.values()}


def verdict(sample: Sample, code: str) -> tuple[float, dict[str, Any], str]:
    graded = livecodebench.score(sample, Response(f"So:\n```python\n{code}\n```\n"))
    return graded.value, dict(graded.details), graded.outcome


@pytest.mark.parametrize(
    ("name", "parts", "first", "last"),
    [
        ("release_v1", PARTS[:1], date.min, date.max),
        ("release_v5", PARTS[:5], date.min, date.max),
        ("release_v6:2024-08-01..2025-02-01", PARTS, date(2024, 8, 1), date(2025, 2, 1)),
        ("release_v6:2024-08-01..", PARTS, date(2024, 8, 1), date.max),
        ("release_v2:..2024-08-01", PARTS[:2], date.min, date(2024, 8, 1)),
        ("v6", PARTS[5:], date.min, date.max),
        ("v2_v4", PARTS[1:4], date.min, date.max),
    ],
)
def test_a_name_says_which_problems(
    name: str, parts: tuple[str, ...], first: date, last: date
) -> None:
    found = edition(name)
    assert (found.parts, found.first, found.last) == (parts, first, last)
    assert plugins.task(f"livecodebench:{name}").name == f"livecodebench:{name}"


@pytest.mark.parametrize(
    "name",
    [
        *("", "release_v7", "v0", "latest", "release_v5:", "release_v5:..", "release_v5:2024"),
        *("release_v5:2024-13-01..", "release_v5:2024-01-01", "release_v5:2024-01-01..x", "v5:v6"),
    ],
)
def test_a_name_that_says_nothing_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=r"livecodebench:"):
        edition(name)


def test_a_release_has_all_that_came_before_it(folder: Path) -> None:
    assert len(samples("release_v1", folder)) == 2
    assert len(samples("release_v6", folder)) == 12
    assert set(samples("v2", folder)) == {"abc10_a", "abc11_a"}


def test_a_window_has_both_its_days(folder: Path) -> None:
    days = {key: problem(int(key[3:-2]))["contest_date"][:10] for key in samples("v6", folder)}
    first, last = sorted(days.values())
    assert len(samples(f"v6:{first}..{last}", folder)) == 2
    assert len(samples(f"v6:{first}..{first}", folder)) == 1
    with pytest.raises(DataError, match="hold no questions"):
        samples("v6:1999-01-01..1999-12-31", folder)


def test_one_file_of_ones_own_may_hold_all_of_them(tmp_path: Path) -> None:
    write(tmp_path, {"mine": [problem(1), problem(2), method(3)]})
    assert len(samples("release_v6", tmp_path / "mine.jsonl")) == 3
    with pytest.raises(DataError, match="hold no questions"):
        samples("v6", tmp_path / "mine.jsonl")


def test_a_problem_that_comes_twice_is_an_error(tmp_path: Path) -> None:
    write(tmp_path, {"mine": [problem(1), problem(1)]})
    with pytest.raises(DataError, match="abc1_a comes twice"):
        samples("release_v1", tmp_path / "mine.jsonl")


EXPECTED = """\
### Question:
Print the sum of two numbers and 7.

### Format: Read the inputs from stdin solve the problem and write the answer to stdout (do not \
directly test on the sample inputs). Enclose your code within delimiters as follows. Ensure that \
when the python program runs, it reads the inputs, runs the algorithm and writes output to STDOUT.
```python
# YOUR CODE HERE
```

### Answer: (use the provided format with backticks)

"""


def test_the_prompt_is_the_published_one() -> None:
    system, user = conversation(problem(7))
    assert (system["role"], user["content"]) == ("system", EXPECTED)
    _, user = conversation(method(7))
    assert "You will use the following starter code" in user["content"]
    assert "```python\nclass Solution:\n    def pair(self" in user["content"]


SHOT = {"question": "Add.", "sample_code": "class Solution:", "answer": "print(1)"}


def test_a_base_model_is_shown_one_worked_problem_of_the_kind(folder: Path) -> None:
    for kind in ("stdin", "func"):
        shot = {**SHOT, "question": f"Add by {kind}."}
        (folder / f"few_shot_generation_{kind}.json").write_text(json.dumps([shot, SHOT]))
    (exam,) = sit(TaskSection(name="livecodebench:v1", preset="base"), folder, None)
    prompts = {sample.id: sample.rendered() for sample in exam.items.values()}
    assert prompts["abc0_a"] == (
        "### Question\nAdd by stdin.\n\n### Answer\n\nprint(1)\n\n"
        "### Question\nPrint the sum of two numbers and 0.\n\n### Answer\n\n"
    )
    assert prompts["abc1_a"] == (
        "### Question\nAdd by func.\n\n### Starter Code\nclass Solution:\n\n### Answer\n\n"
        "print(1)\n\n### Question\nPrint the sum of two numbers and 1.\n\n"
        f"### Starter Code\n{method(1)['starter_code']}\n\n### Answer\n\n"
    )
    sample = next(each for each in exam.items.values() if each.id == "abc0_a")
    assert livecodebench.score_base(sample, Response(SUM.format(0))).value == 1.0


def test_without_the_authors_examples_a_base_model_cannot_be_asked(folder: Path) -> None:
    (exam,) = sit(TaskSection(name="livecodebench:v1", preset="base"), folder, None)
    with pytest.raises(DataError, match=r"has no few_shot_generation_(stdin|func) or"):
        next(iter(exam.items.values())).rendered()


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("```python\na\nb\n```", "a\nb"),
        ("```\na\n```\n```python\nb\n```\nend", "b"),
        ("x\n```python\na\n```\ny\n```", "y"),
        ("one ``` two ``` on a line", ""),
        ("```python\na", ""),
        ("a", ""),
        ("", ""),
    ],
)
def test_the_code_is_what_stands_between_the_last_two_fences(text: str, code: str) -> None:
    assert code_of(text) == code


def test_tests_come_out_of_their_packing() -> None:
    tests = [("1\n2", "3"), ("é", "\u2028")]
    assert cases_of(packed(listed(tests, "stdin"))) == tests
    assert cases_of(listed(tests, "stdin")) == tests
    lines = json.dumps([{"input": ["1", "2"], "output": "3", "testtype": "stdin"}])
    assert cases_of(lines) == [("1\n2", "3")]
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        data = pickle.dumps("[]", protocol)
        assert unpacked(base64.b64encode(zlib.compress(data)).decode()) == "[]"


class Evil:
    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        return os.system, ("touch /tmp/evil",)


HOSTILE = {
    "an object": packed(Evil()),
    "a list": packed(["[]"]),
    "bytes": packed(b"[]"),
    "two texts": base64.b64encode(zlib.compress(b"X\x01\x00\x00\x00aX\x01\x00\x00\x00b.")).decode(),
    "no text": base64.b64encode(zlib.compress(pickle.dumps(None))).decode(),
    "a memo bomb": base64.b64encode(
        zlib.compress(b"X\x01\x00\x00\x00aj\xff\xff\xff\xff.")
    ).decode(),
    "not a pickle": base64.b64encode(zlib.compress(b"hello")).decode(),
    "cut off": packed("[]" * 1000)[:40],
    "not compressed": base64.b64encode(b"hello").decode(),
    "not base64": "?",
    "empty": base64.b64encode(zlib.compress(b"")).decode(),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_only_a_text_is_unpacked(name: str) -> None:
    with pytest.raises(DataError, match="livecodebench: "):
        unpacked(HOSTILE[name])
    assert not Path("/tmp/evil").exists()


def test_a_bomb_is_not_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_livecodebench_cases, "MOST_BYTES", 1 << 20)
    with pytest.raises(DataError, match="over 1048576 bytes"):
        unpacked(packed("0" * (1 << 21)))


@pytest.mark.parametrize(
    ("printed", "expected", "same"),
    [
        ("YES", "YES\n", True),
        ("yes", "YES", False),
        ("1 2\n3", "1 2 \n 3\n\n", True),
        ("1  2", "1 2", True),
        ("a  b", "a b", False),
        ("0.10", "0.1", True),
        ("1e3 2", "1000 2.0", True),
        ("50000000000000000", "50000000000000001", False),
        ("1\n2", "1 2", False),
        ("1\n\n2", "1\n2", False),
        ("nan 1", "nan 1.0", False),
        ("sNaN 1", "sNaN 1.0", False),
        ("", "", True),
        ("1 2 3", "1 2", False),
        ("9" * 10_000 + ".0", "9" * 10_000, True),
    ],
)
def test_output_is_compared_by_lines_and_numbers(printed: str, expected: str, same: bool) -> None:
    assert same_output(printed, expected) is same


SUM = "print(int(input()) + int(input()) + {})"


def test_a_program_that_reads_and_prints(folder: Path) -> None:
    sample = samples("v2", folder)["abc10_a"]
    assert verdict(sample, SUM.format(10)) == (1.0, {}, "")
    assert verdict(sample, SUM.format(11)) == (0.0, {"test": 1, "ended": "wrong answer"}, "")
    late = "a, b = int(input()), int(input())\nprint(a + b + 10 * (b > 0))"
    assert verdict(sample, late)[1] == {"test": 3, "ended": "wrong answer"}
    assert verdict(sample, "1/0")[1] == {
        "test": 1,
        "ended": "raised",
        "said": "ZeroDivisionError: division by zero",
    }
    assert verdict(sample, "x = (")[1]["test"] == 0


def test_a_method_is_called_and_its_value_compared(folder: Path) -> None:
    sample = samples("v2", folder)["abc11_a"]

    def returns(value: str) -> str:
        return f"class Solution:\n    def pair(self, a: List[int], b: int):\n        return {value}"

    assert verdict(sample, returns("[a, 11]"))[0] == 1.0
    assert verdict(sample, returns("(a, 11)"))[0] == 1.0  # a tuple is as good as a list
    assert verdict(sample, returns("[tuple(a), 11]"))[0] == 0.0  # inside it is not
    assert verdict(sample, returns("[a, 11.0]"))[0] == 1.0
    assert verdict(sample, returns("str([a, 11])"))[0] == 0.0
    assert verdict(sample, "def pair(a, b): return [a, 11]")[0] == 1.0
    assert verdict(sample, returns("self.absent"))[1]["ended"] == "raised"
    always = "class A:\n    def __eq__(self, o): return True\n" + returns("A()")
    assert verdict(sample, always)[1] == {"test": 1, "ended": "wrong answer"}


@pytest.mark.parametrize(
    ("code", "value"),
    [
        ("import sys\na, b = sys.stdin.read().split()\nprint(int(a) + int(b) + 10)", 1.0),
        ("from sys import stdin\nprint(int(stdin.readline()) + int(stdin.readline()) + 10)", 1.0),
        ("if __name__ == '__main__':\n    print(int(input()) + int(input()) + 10)", 1.0),
        ("print(int(input()) + int(input()) + 10)\nexit()", 1.0),
        ("print(reduce(add, [int(input()), int(input()), 10]))", 1.0),
        ("import sys\nprint(sum(map(int, sys.stdin)) + 10)", 0.0),
        ("print(sum(map(int, open(0))) + 10)", 0.0),
        ("import resource\nprint(int(input()) + int(input()) + 10)", 0.0),
        ("n = 0\ndef f():\n    global n\n    n = 10\nf()\n" + SUM.format("n"), 0.0),
        ("import sys\nsys.stdout.buffer.write(b'%d' % (int(input()) + int(input()) + 10))", 0.0),
    ],
)
def test_programs_pass_and_fail_as_with_the_authors(folder: Path, code: str, value: float) -> None:
    assert verdict(samples("v2", folder)["abc10_a"], code)[0] == value


def test_a_test_has_six_seconds(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert livecodebench.LIMITS.seconds == 6.0
    monkeypatch.setattr(livecodebench, "LIMITS", Limits(seconds=0.2, clock=5.0))
    sample = samples("v2", folder)["abc10_a"]
    value, details, outcome = verdict(
        sample, "if int(input()) + int(input()) > 3:\n    while True: pass\nprint(13)"
    )
    assert (value, outcome, details["ended"]) == (0.0, "timed_out", "timed out")
    slow = "print(int(input()) + int(input()) + 10)\nfor _ in range(1_000_000): pass"
    assert verdict(sample, slow)[0] == 1.0  # each test has its own


def test_tests_stay_in_their_file_until_they_are_needed(folder: Path) -> None:
    sample = samples("v2", folder)["abc10_a"]
    stored = sample.metadata["private"]
    assert sample.target == stored.sha256
    assert stored.read() == problem(10)["private_test_cases"]
    path = folder / "test2.jsonl"
    path.write_text(path.read_text().replace("abc10_a", "abc99_a"))
    changed = json.loads(path.read_text().splitlines()[0])
    assert stored.read() == changed["private_test_cases"]  # the field is what counts
    path.write_text("{}\n" + path.read_text())
    with pytest.raises(DataError, match=r"test2\.jsonl"):
        stored.read()


@pytest.mark.parametrize("suffix", [".json", ".jsonl"])
def test_other_files_are_held_in_memory(tmp_path: Path, suffix: str) -> None:
    import gzip

    write(tmp_path, {"mine": [problem(10)]}, suffix)
    path = tmp_path / f"mine{suffix}"
    zipped = tmp_path / f"zipped{suffix}.gz"
    zipped.write_bytes(gzip.compress(path.read_bytes()))
    for data in (path, zipped):
        (sample,) = samples("release_v1", data).values()
        assert verdict(sample, SUM.format(10))[0] == 1.0


def test_a_changed_test_is_another_revision_of_the_data(folder: Path) -> None:
    def digest() -> str:
        return sit(TaskSection(name="livecodebench:v2"), folder, None)[0].data_digest

    before = digest()
    other = packed(listed([("1\n1\n", "3\n")], "stdin"))
    write(folder, {"test2": [problem(10, private_test_cases=other), method(11)]})
    assert digest() != before


def test_figures_stand_beside_the_mean(folder: Path) -> None:
    found = samples("release_v6", folder)
    graded = [Graded(each, (Score(1.0), Score(0.0))) for each in found.values()]
    figures = livecodebench.figures(graded)
    several = Several(2, 1.0, 0.0)
    for each in graded:
        for score in each.scores:
            assert score
            several.take(each.sample.id, score.value, score.answer)
    assert several.figures()["pass@2"] == 1.0
    assert figures["pass@1 easy"] == figures["pass@1 hard"] == 0.5


def test_garbage_is_graded(folder: Path) -> None:
    (first, *_) = samples("v2", folder).values()
    for text in ("", "```" * 100_000, "```\n" * 3, "\0", "\ud800```\n\ud800\n```", "x" * 1_000_000):
        assert livecodebench.score(first, Response(text)).value == 0.0


def test_it_is_listed_with_how_it_is_named() -> None:
    listed = CliRunner().invoke(cli, ["list", "tasks"]).output
    (line,) = [each for each in listed.splitlines() if each.startswith("livecodebench:")]
    assert "livecodebench:release_v6" in line


def test_one_path_holds_for_every_edition(folder: Path, tmp_path: Path) -> None:
    from evalkit.configuration import config
    from evalkit.configuration.resolve import resolve

    path = tmp_path / "my.yaml"
    path.write_text(
        "baseline: base\ncheckpoints: [{name: base, backend: echo}]\n"
        'tasks: ["livecodebench:v1", "livecodebench:v2:2024-01-01.."]\n'
        "data: {livecodebench: lcb}\n"
    )
    exams = resolve(config.load(path)).exams
    assert [len(exam.items) for exam in exams] == [2, 2]
    path.write_text(path.read_text().replace("{livecodebench:", "{livecodebunch:v1:"))
    with pytest.raises(ConfigError, match=r"my\.yaml:4: data\.livecodebunch"):
        resolve(config.load(path))
