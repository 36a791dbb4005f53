"""The summary of a step on GitHub: the report, once, whichever commands of the step wrote it."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

MOST_BYTES = 1 << 20
"""What GitHub takes of one step; beyond it, it shows nothing of it."""


def put(summary: Path, report: str, folder: Path) -> bool:
    """Puts a report into a step's summary, in the place of an earlier one from that folder.

    False where there is no room for it.
    """
    key = hashlib.sha256(str(folder.absolute()).encode("utf-8", "replace")).hexdigest()[:12]
    begin, end = f"<!-- evalkit:summary {key} -->", f"<!-- /evalkit:summary {key} -->"
    there = summary.read_text("utf-8", "replace") if summary.exists() else ""
    section = f"{begin}\n{report}\n{end}\n"
    earlier = re.compile(rf"{begin}\n.*?\n{end}\n", re.DOTALL)
    if earlier.search(there):
        whole = earlier.sub(lambda _: section, there, count=1)
    else:
        whole = f"{there}{'' if not there or there.endswith(chr(10)) else chr(10)}{section}"
    if len(whole.encode()) > MOST_BYTES:
        return False
    summary.write_text(whole, "utf-8")
    return True
