"""What the sandbox says of itself: to the cell whose answers were graded in it, and to people."""

from __future__ import annotations

import platform
from collections.abc import Sequence

from evalkit.errors import SandboxError
from evalkit.sandbox import host


def environment() -> dict[str, str]:
    """What grades may depend on besides the answers: the walls, and the interpreter."""
    return {"sandbox": str(host.current().walls), "sandbox python": platform.python_version()}


def within_reach() -> list[str]:
    """What model code could get at here that it should not."""
    return host.current().walls.within_reach


def warning(reach: Sequence[str]) -> str:
    """Those things as one line for people; empty where there are none."""
    if not reach:
        return ""
    listed = f"{', '.join(reach[:-1])} and {reach[-1]}" if len(reach) > 1 else reach[0]
    return f"model code could reach {listed}: run it where namespaces or bubblewrap are to be had"


def note() -> str:
    """What a user has to know before model code is run; empty if there is nothing."""
    try:
        reach = within_reach()
    except SandboxError as error:
        return f"error: {error}; answers with code are left ungraded"
    return f"warning: {warning(reach)}" if reach else ""
