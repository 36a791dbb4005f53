"""Transcripts of two checkpoints for a terminal: in two columns, or one below the other."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from rich import box
from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from evalkit.evidence.values import Answered, Flip, Graded, Transcript
from evalkit.reporting.reading import printable
from evalkit.terminal.console import text
from evalkit.types import ToolCall

TWO_COLUMNS = 80  # columns of a terminal below which there is no room for two
LONGEST = 20_000  # characters of a text; beyond that nobody reads side by side
INDENT = 2


def side_by_side(transcripts: Sequence[Transcript], width: int, colour: bool) -> str:
    """The transcripts, one after the other."""

    def parts(width: int) -> Iterator[RenderableType]:
        for transcript in transcripts:
            yield from _parts(transcript, width)

    return text(parts, width, colour=colour)


def _parts(transcript: Transcript, width: int) -> Iterator[RenderableType]:
    flip = transcript.flip
    head = [flip.id, *([flip.stratum] if flip.stratum else []), f"item {flip.item.hex()[:8]}"]
    names = " · ".join(" ".join(_shown(part).split()) for part in head)
    yield Text.assemble(f"── {names} · ", _moved(flip))
    yield from _under("question", transcript.question)
    yield from _under("target", flip.target)
    sides = [_sections(flip.before, transcript.before), _sections(flip.after, transcript.after)]
    whose = [flip.before.checkpoint, flip.after.checkpoint]
    if width >= TWO_COLUMNS:
        yield _columns(whose, sides)
    else:
        for name, sections in zip(whose, sides, strict=True):
            yield Text(_shown(name), style="bold")
            for heading, words in sections.items():
                yield from _under(heading, words)
    yield ""


def _moved(flip: Flip) -> tuple[str, str]:
    """What became of the sample, and the style that says so."""
    if flip.delta < 0:
        return "lost", "bold red"
    if flip.delta > 0:
        return "gained", "green"
    return ("unchanged" if flip.delta == 0 else "missing in one of both"), ""


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
    return {heading: said for heading, said in found.items() if said}


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


def _block(heading: str, said: str) -> Text:
    return Text.assemble((f"{heading}: ", "dim"), _shown(said)) if said else Text("")


def _under(heading: str, said: str) -> Iterator[RenderableType]:
    if said:
        yield Padding(_block(heading, said), (0, 0, 0, INDENT))


def _shown(said: str) -> str:
    """Text that cannot drive a terminal, as much of it as can be read there."""
    more = len(said) - LONGEST
    cut = f"{said[:LONGEST]}\n… and {more:,} characters more: without --against all are shown"
    return printable(cut if more > 0 else said)
