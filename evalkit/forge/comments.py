"""The one comment on a pull request, found again by its marker and brought up to date."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, Protocol

from evalkit.errors import ConfigError
from evalkit.forge.wire import Refused, retried

MARKER = re.compile(r"<!-- evalkit:([\w.-]{1,60}) -->", re.ASCII)
GONE = (404, 410)

Done = Literal["created", "updated", "unchanged"]


@dataclass(frozen=True, slots=True)
class Comment:
    """One comment that is there."""

    id: int
    body: str
    mine: bool  # written by whom the token is of


class Thread(Protocol):
    """The comments of one pull or merge request."""

    def comments(self) -> Iterator[Comment]:
        """All that are there, the oldest first."""
        ...

    def create(self, body: str) -> None:
        """Writes a new one."""
        ...

    def update(self, id: int, body: str) -> None:
        """Replaces one."""
        ...


def marked(report: str, key: str = "") -> str:
    """A report that begins with the marker of that key; raises ConfigError if it is none."""
    found = MARKER.match(report)
    if not found:
        raise ConfigError("no report.md of evalkit: its first line is not a marker")
    if key and not MARKER.fullmatch(f"<!-- evalkit:{key} -->"):
        raise ConfigError(f"--key {key!r}: at most 60 letters, digits and ._-")
    return report if not key else f"<!-- evalkit:{key} -->{report[found.end() :]}"


def post(thread: Thread, body: str, pause: Callable[[float], None] = time.sleep) -> Done:
    """Creates the comment, or updates the one that begins with the body's marker.

    Only a comment of one's own is updated: another's could be edited by them afterwards.  After a
    failure it is looked for again, so that one that was created all the same is not created twice.
    """
    found = MARKER.match(body)
    assert found
    return retried(lambda: _post_once(thread, body, found.group()), pause)


def _post_once(thread: Thread, body: str, marker: str) -> Done:
    there = (each for each in thread.comments() if each.mine and each.body.startswith(marker))
    comment = next(there, None)
    if comment and comment.body.replace("\r\n", "\n").rstrip() == body.rstrip():
        return "unchanged"
    if comment:
        try:
            thread.update(comment.id, body)
        except Refused as error:
            if error.status not in GONE:  # somebody deleted it meanwhile
                raise
        else:
            return "updated"
    thread.create(body)
    return "created"
