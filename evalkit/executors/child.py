"""The child: asks one checkpoint, given on its standard input, and tells its parent line by line.

What it prints otherwise, and what any library prints, goes to its log.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict
from typing import Any

from evalkit.asking import checkpoint as asking
from evalkit.errors import EvalkitError
from evalkit.events import Asked, Event
from evalkit.executors.work import read
from evalkit.grading.graders import Graders
from evalkit.processes.children import end_well, end_with
from evalkit.processes.memory import give_back
from evalkit.storage.journal import dumps


def main() -> None:
    """Asks, and ends with 0 where that could be done."""
    end_with(int(sys.argv[1]))
    end_well()
    give_back()
    parent = os.dup(1)
    os.dup2(2, 1)  # only the parent's lines go to the parent

    def tell(event: Event) -> None:
        if isinstance(event, Asked):
            _write(parent, {"asked": asdict(event)})
        else:
            _write(parent, {"note": event.text})

    try:
        work = read(sys.stdin.buffer.read())
        with ExitStack() as beside, Graders() as graders:
            asking.ask(work.seats, tell, graders, beside)
    except EvalkitError as error:
        _write(parent, {"error": type(error).__name__, "message": str(error)})
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)


def _write(file: int, told: Mapping[str, Any]) -> None:
    os.write(file, dumps(dict(told)) + b"\n")


if __name__ == "__main__":
    main()
