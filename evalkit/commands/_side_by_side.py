"""Transcripts of two checkpoints for a terminal: in two columns, or one below the other."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from io import StringIO

from rich import box
from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from evalkit.evidence.values import Answered, Graded, Transcript
from evalkit.reading import printable
from evalkit.types import ToolCall

TWO_COLUMNS = 80  # columns of a terminal below which there is no room for two
LONGEST = 20_000  # characters of a text; beyond that nobody reads side by side
INDENT = 2
STYLES = {-1: "bold red", 0: "", 1: "green"}

Section = tuple[str, str]
"""A heading, and the text under it; no text is no section."""


def side_by_side(transcripts: Sequence[Transcript], width: int, colour: bool) -> str:
    """The transcripts, one after the other."""
    file = StringIO()
    # An empty environment: NO_COLOR, COLUMNS and their like must not change the bytes.
    console = Console(
        file=file,
        width=width,
        force_terminal=colour,
        color_system="standard" if colour else None,
        _environ={},
    )
    for transcript in transcripts:
        for part in _parts(transcript, width):
            console.print(part, highlight=False)
    lines = file.getvalue().splitlines()
    return "".join(f"{line.rstrip()}\n" for line in lines)


def _parts(transcript: Transcript, width: int) -> Iterator[RenderableType]:
    flip = transcript.flip
    change = (flip.delta > 0) - (flip.delta < 0)
    word = {-1: "lost", 0: "unchanged", 1: "gained"}[change]
    head = [flip.id, *([flip.stratum] if flip.stratum else []), f"item {flip.item.hex()[:8]}"]
    yield Text.assemble(f"── {' · '.join(map(_shown, head))} · ", (word, STYLES[change]))
    yield from _under("question", transcript.question)
    yield from _under("target", flip.target)
    sides = [_sections(flip.before, transcript.before), _sections(flip.after, transcript.after)]
    names = [flip.before.checkpoint, flip.after.checkpoint]
    if width >= TWO_COLUMNS:
        yield _columns(names, sides)
    else:
        for name, sections in zip(names, sides, strict=True):
            yield Text(_shown(name), style="bold")
            for heading, text in sections.items():
                yield from _under(heading, text)
    yield ""


def _sections(graded: Graded, answered: Answered) -> dict[str, str]:
    """What there is to read of one side, by heading, in the order of reading."""
    response, said = answered.response, answered.said
    tokens = f", {response.completion_tokens:,} tokens" if response.completion_tokens else ""
    read = "nothing" if graded.answer is None else graded.answer
    judged = zip(("shown first", "shown second"), said, strict=False)
    found = {
        "outcome": f"{graded.outcome}, score {graded.value:g}",
        "read as": read,
        "ended": f"{response.finish_reason}{tokens}",
        "reasoning": response.reasoning,
        "answer": response.text,
        "calls": "\n".join(map(_call, response.tool_calls)),
        "error": response.error,
        **{f"judge, this answer {order}": words for order, words in judged},
        "noted": "" if said else graded.details,
    }
    return {heading: text for heading, text in found.items() if text}


def _call(call: ToolCall) -> str:
    """A call with its arguments laid out, where they are JSON."""
    try:
        laid = json.dumps(json.loads(call.arguments), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        laid = call.arguments
    return f"{call.name}({laid})"


def _columns(names: Sequence[str], sides: Sequence[dict[str, str]]) -> Table:
    table = Table(box=box.MINIMAL, expand=True, pad_edge=False, header_style="bold")
    for name in names:
        table.add_column(Text(_shown(name)), ratio=1, overflow="fold")
    for heading in dict.fromkeys(heading for side in sides for heading in side):
        table.add_row(*(_block(heading, side.get(heading, "")) for side in sides))
    return table


def _block(heading: str, text: str) -> Text:
    return Text.assemble((f"{heading}: ", "dim"), _shown(text)) if text else Text("")


def _under(heading: str, text: str) -> Iterator[RenderableType]:
    if text:
        yield Padding(_block(heading, text), (0, 0, 0, INDENT))


def _shown(text: str) -> str:
    """Text that cannot drive a terminal, as much of it as can be read there."""
    more = len(text) - LONGEST
    cut = f"{text[:LONGEST]}\n… and {more:,} characters more: without --against all are shown"
    return printable(cut if more > 0 else text)
