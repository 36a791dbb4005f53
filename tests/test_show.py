"""`show` puts a sample's transcripts of two checkpoints side by side."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from evalkit.cli import cli
from evalkit.commands._side_by_side import LONGEST, side_by_side
from evalkit.errors import EvalkitError, StoreError
from evalkit.evidence.pairs import Pair
from evalkit.reporting.reading import sat
from evalkit.storage.store import Store
from evalkit.types import Request, Response, ToolCall
from tests.small_exams import Answering, doubles, exam, held, right, row
from tests.test_judge import fair, judged

Show = Callable[..., str]
NASTY = "\x1b[2J\x1b]0;owned\x07\u202e\x9b31m\0\r\u2066"


def careless(request: Request) -> Response:
    """Wrong below twenty, with a call; cut off on every third of these."""
    number = int(request.sample.id)
    if number >= 20:
        return right(request)
    calls = (ToolCall("add", '{"a": 1, "nested": {"b": [2]}}'), ToolCall("broken", "{not json"))
    return Response("seven", "let me see", calls, "length" if number % 3 == 0 else "tool_calls")


def not_late(request: Request) -> Response:
    return right(request) if int(request.sample.id) < 30 else Response("no idea")


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shown")
    held([row("base", not_late), row("sft", careless)], [exam(doubles(40))], folder)
    return folder


@pytest.fixture
def show(results: Path) -> Show:
    def call(*args: str, width: int = 100) -> str:
        found = CliRunner().invoke(
            cli, ["show", *args, "--results", str(results)], env={"COLUMNS": str(width)}
        )
        if found.exception and not isinstance(found.exception, SystemExit):
            raise found.exception
        return found.output

    return call


def columns(text: str) -> list[tuple[str, str]]:
    """What stands left and right of the rule."""
    split = (line.partition("│") for line in text.splitlines() if "│" in line)
    return [(left.strip(), after.strip()) for left, _, after in split]


def test_a_sample_is_shown_side_by_side_with_how_both_were_graded(show: Show) -> None:
    text = show("doubles/sft", "4", "--against", "base")
    assert text.startswith("── 4 · item ")
    assert "· lost\n" in text
    assert "  question: twice 4\n  target: 8\n" in text
    assert columns(text)[:4] == [
        ("base", "sft"),
        ("outcome: correct, score 1", "outcome: wrong, score 0"),
        ("read as: 8", "read as: seven"),
        ("ended: stop", "ended: tool_calls"),
    ]
    assert ("", "reasoning: let me see") in columns(text)


def test_calls_are_laid_out_where_their_arguments_are_json(show: Show) -> None:
    after = [right for _, right in columns(show("doubles/sft", "4", "--against", "base"))]
    start = after.index("calls: add({")
    assert after[start + 1 : start + 7] == ['"a": 1,', '"nested": {', '"b": [', "2", "]", "}"]
    assert after[start + 7 : start + 9] == ["})", "broken({not json)"]


def test_a_sample_may_be_called_by_the_beginning_of_its_items_hash(
    show: Show, results: Path
) -> None:
    by_id = show("doubles/sft", "11", "--against", "base")
    (item,) = re.findall(r"item (\w+)", by_id)
    assert show("doubles/sft", item, "--against", "base") == by_id
    (cell,) = (cell for cell in Store(results).cells() if "sft" in cell.path.name)
    assert show(str(cell.path), item, "--against", "base") == by_id


def test_a_beginning_that_several_items_share_is_an_error(tmp_path: Path) -> None:
    held([row("base", right), row("sft", right)], [exam(doubles(1_500))], tmp_path)
    pair = Pair(sat("doubles/base", tmp_path), sat("doubles/sft", tmp_path))
    begun = Counter(pair.after.item(index).hex()[:4] for index in range(1_500))
    ((shared, times),) = begun.most_common(1)
    with pytest.raises(StoreError, match=f"{times} items begin with '{shared}': give more of it"):
        pair.sample(shared)
    short = next(each[:3] for each in begun if not each[:3].isdigit())
    with pytest.raises(StoreError, match=f"no sample '{short}' in both cells; an id there is"):
        pair.sample(short)


def test_lost_and_gained_show_the_most_telling_with_every_cause(show: Show) -> None:
    text = show("doubles/sft", "--against", "base", "--lost", "4", "--gained", "2")
    heads = [line for line in text.splitlines() if line.startswith("── ")]
    assert [head.rpartition(" · ")[2] for head in heads] == ["lost"] * 4 + ["gained"] * 2
    ended = {right for _, right in columns(text) if right.startswith("outcome: ")}
    assert {"outcome: truncated, score 0", "outcome: wrong, score 0"} <= ended
    assert len(re.findall("· lost$", show("doubles/sft", "--against", "base", "--lost"), re.M)) == 3


def test_where_nothing_was_lost_it_says_so(tmp_path: Path) -> None:
    held([row("base", careless), row("sft", right)], [exam(doubles(30))], tmp_path)
    args = ["show", "doubles/sft", "--against", "base", "--lost", "--results", str(tmp_path)]
    found = CliRunner().invoke(cli, args)
    assert (found.stdout, found.stderr) == ("", "sft against base: there is none\n")


def test_on_a_narrow_terminal_one_stands_below_the_other(show: Show) -> None:
    text = show("doubles/sft", "4", "--against", "base", width=60)
    assert "│" not in text
    lines = text.splitlines()
    assert lines.index("base") < lines.index("  read as: 8") < lines.index("sft")
    assert lines.index("sft") < lines.index("  read as: seven")


@pytest.mark.parametrize("width", [40, 79, 80, 120])
def test_no_line_is_wider_than_the_terminal(show: Show, width: int) -> None:
    text = show("doubles/sft", "--against", "base", "--lost", "9", width=width)
    assert max(map(len, text.splitlines())) <= width


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (
            ("doubles/stf",),
            "no cell at doubles/stf: give a folder like .* did you mean 'doubles/sft'",
        ),
        (("doubles/sft", "4", "--against", "bse"), "no cell at bse: .* did you mean 'base'"),
        (("doubles/sft", "--lost"), "--lost and --gained: give the other cell as --against"),
        (("doubles/sft", "4", "--against", "sft"), "against itself: give another cell"),
        (("doubles/sft", "4444", "--against", "base"), "no sample '4444' in both cells"),
    ],
)
def test_what_cannot_be_shown_is_told_in_one_line(
    show: Show, args: tuple[str, ...], said: str
) -> None:
    with pytest.raises(EvalkitError, match=said) as told:
        show(*args)
    assert "\n" not in str(told.value)


def test_two_cells_of_one_checkpoint_go_by_their_folders(tmp_path: Path) -> None:
    for prompt, answer in (("", right), ("Be brief.", careless)):
        held([row("sft", answer, system_prompt=prompt)], [exam(doubles(20))], tmp_path)
    cells = [cell.path for cell in Store(tmp_path).cells()]
    assert len(cells) == 2
    pair = Pair(*(sat(str(path), tmp_path) for path in cells))
    text = side_by_side(pair.transcripts([pair.sample("5")]), 120, False)
    assert columns(text)[0] == tuple(path.name for path in cells)


def test_a_judges_words_are_shown_in_both_orders(tmp_path: Path) -> None:
    judged(tmp_path, fair)
    pair = Pair(sat("chat/base", tmp_path), sat("chat/sft", tmp_path))
    text = side_by_side(pair.transcripts(pair.telling(1, 0)), 120, False)
    assert "judge, this answer shown first: " in text
    assert "judge, this answer shown second: " in text


def saying(text: str) -> Answering:
    return lambda request: Response(text, text, (ToolCall(text, text),), text)


def test_hostile_text_can_neither_drive_the_terminal_nor_fill_it(tmp_path: Path) -> None:
    rows = [row("base", right), row("sft", saying(NASTY + "x" * 1_000_000 + "\n" * 1_000))]
    held(rows, [exam(doubles(12))], tmp_path)
    pair = Pair(sat("doubles/base", tmp_path), sat("doubles/sft", tmp_path))
    started = time.process_time()
    for width in (60, 120):
        text = side_by_side(pair.transcripts(pair.telling(1, 0)), width, False)
        assert not {*NASTY} & {*text} - {*"[]0123456789;JownedmJ"}
        assert len(text) < 30 * LONGEST
        assert "and 1,982,046 characters more" in text or "and 1,980,046" in text
    assert time.process_time() - started < 10
