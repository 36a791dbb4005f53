"""Ways of grading that a user's file names: exact texts, patterns, choices, JSON, math, code.

Each is a dataclass whose fields are the options that the file may give.  What a model wrote is
read in time linear in its length, or within a time limit.
"""

from __future__ import annotations

import string
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from evalkit.sandbox.limits import Limits
from evalkit.types import Response, Sample, Score, Scorer

from ._choice_answers import Choice
from ._code import blocks, graded, passes
from ._json_answers import JsonSchema

SECONDS = 2.0  # of CPU time that a pattern may take to be found in an answer
GROUP = r"\((?!\?)[^()]*\)"
PUNCTUATION = str.maketrans("", "", string.punctuation)


def texts(target: Any) -> list[str]:
    """The texts accepted: the target, or those that it lists."""
    listed = target if isinstance(target, list) and target else [target]
    if not all(
        isinstance(each, str | int | float) and not isinstance(each, bool) for each in listed
    ):
        raise ValueError(f"has to be a text, a number or a list of such, not {target!r}")
    return [str(each) for each in listed]


@dataclass(frozen=True)
class Exact:
    """The answer is one of the texts accepted, spaces at its ends and between words aside."""

    ignore_case: bool = False
    ignore_punctuation: bool = False

    def expected(self, target: Any, choices: tuple[str, ...]) -> list[str]:
        """The texts accepted."""
        return texts(target)

    def __call__(self, sample: Sample, response: Response) -> Score:
        """Right when the whole answer is one of them."""
        return self.graded(sample, response.text)

    def graded(self, sample: Sample, text: str) -> Score:
        """The grade of what was read out of an answer."""
        if not text.strip():
            return Score(0.0)
        right = self._plain(text) in map(self._plain, sample.target)
        return Score(float(right), text.strip())

    def solution(self, sample: Sample) -> str:
        """The first of the texts."""
        return str(sample.target[0])

    def _plain(self, text: str) -> str:
        text = text.casefold() if self.ignore_case else text
        text = text.translate(PUNCTUATION) if self.ignore_punctuation else text
        return " ".join(text.split())


@dataclass(frozen=True)
class Regex:
    """What a pattern finds in the answer is one of the texts accepted."""

    pattern: str
    which: Literal["first", "last"] = "last"
    ignore_case: bool = False
    ignore_punctuation: bool = False

    def __post_init__(self) -> None:
        import regex

        try:
            groups = regex.compile(self.pattern).groups
        except regex.error as error:
            raise ValueError(f"pattern: is no regular expression: {error}") from None
        if groups > 1:
            raise ValueError(f"pattern: has {groups} groups; make all but the answer's (?:…)")

    def expected(self, target: Any, choices: tuple[str, ...]) -> list[str]:
        """The texts accepted."""
        return texts(target)

    def __call__(self, sample: Sample, response: Response) -> Score:
        """Right when the group of the pattern, or all of it, is one of the texts."""
        try:
            found = self._found(response.text)
        except TimeoutError:
            return Score(0.0, outcome="timed_out")
        if found is None:
            return Score(0.0)
        return Exact(self.ignore_case, self.ignore_punctuation).graded(sample, found)

    def solution(self, sample: Sample) -> str:
        """The first of the texts, with the pattern around it where that is found to do."""
        import regex

        text = str(sample.target[0])
        around = regex.sub(GROUP, lambda _: text, self.pattern, count=1)
        return around if self(sample, Response(around)).value else text

    def _found(self, text: str) -> str | None:
        import regex

        found: str | None = None
        for match in regex.compile(self.pattern).finditer(text, timeout=SECONDS, concurrent=True):
            found = match[match.re.groups] or ""
            if self.which == "first":
                break
        return found


@dataclass(frozen=True)
class Math:
    """The answer is mathematically equal to the target, as math-verify reads both."""

    def expected(self, target: Any, choices: tuple[str, ...]) -> str:
        """The expression."""
        if not isinstance(target, str | int | float) or isinstance(target, bool):
            raise ValueError(f"has to be a number or an expression as text, not {target!r}")
        return str(target)

    def __call__(self, sample: Sample, response: Response) -> Score:
        """Right when the last expression of the answer equals the target."""
        from evalkit.grading.mathematics import verify

        if not response.text.strip():
            return Score(0.0)
        found = verify(response.text, f"${str(sample.target).strip('$')}$")
        if found.timed_out:
            return Score(0.0, outcome="timed_out")
        return Score(float(found.equal), found.answer)

    def solution(self, sample: Sample) -> str:
        """The target in a box."""
        return f"\\boxed{{{sample.target}}}"


@dataclass(frozen=True)
class Code:
    """The last block of Python in the answer passes the tests, in the sandbox."""

    seconds: float = 10.0  # of CPU time
    memory: int = 2048  # MiB

    def __post_init__(self) -> None:
        for name in ("seconds", "memory"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name}: has to be above 0")

    def expected(self, target: Any, choices: tuple[str, ...]) -> str:
        """The tests as one piece of source."""
        listed: Sequence[Any] = target if isinstance(target, list) else [target]
        if not listed or not all(isinstance(each, str) and each.strip() for each in listed):
            raise ValueError("has to be Python source that tests the answer, or a list of asserts")
        source = "\n".join(listed)
        try:
            compile(source, "tests", "exec")
        except (SyntaxError, ValueError) as error:
            raise ValueError(f"is no Python: {error}") from None
        return source

    def __call__(self, sample: Sample, response: Response) -> Score:
        """Right when the tests run to their end after it."""
        code = next(reversed(blocks(response.text)), response.text)
        if not code.strip():
            return Score(0.0)
        limits = Limits(self.seconds, 4 * self.seconds, 6 * self.seconds, self.memory << 20)
        return graded(code, partial(passes, code, str(sample.target), limits))

    def solution(self, sample: Sample) -> str:
        """Nothing: a program cannot be told from its tests."""
        return "pass"


SCORERS = (
    Scorer("exact", Exact, "the answer is one of the texts accepted"),
    Scorer("regex", Regex, "what a pattern finds in it is one of the texts accepted"),
    Scorer("choice", Choice, "its letter, or the likeliest option, is the right one", chooses=True),
    Scorer("json_schema", JsonSchema, "it is JSON that a schema allows", files=("schema",)),
    Scorer("math", Math, "it equals the target mathematically", packages=("math_verify",)),
    Scorer("code", Code, "its last block of Python passes the tests", runs_code=True),
)
