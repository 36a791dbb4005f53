"""A training as its checkpoints show it: `python -m tests.writers SPEC`, a process that writes.

SPEC is JSON: `layout` (a name in tests.layouts), `model` and `run` (folders), `steps` (a list),
`pause` (seconds between two looks at a file), `keep` (checkpoints that rotation leaves; 0: all),
`die` (a step in the middle of whose weights it is killed).
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import Any

from tests.layouts import LAYOUTS, Operation, apply


def main() -> None:
    """Writes every step."""
    spec: dict[str, Any] = {"pause": 0.0, "keep": 0, "die": 0, **json.loads(sys.argv[1])}
    layout = next(each for each in LAYOUTS if each.name == spec["layout"])
    run = Path(spec["run"])
    run.mkdir(parents=True, exist_ok=True)
    for at, step in enumerate(spec["steps"]):
        for operation in layout.writes(Path(spec["model"])):
            write(run, of_step(operation, step), spec, step)
        older = spec["steps"][: max(0, at + 1 - spec["keep"])] if spec["keep"] else []
        for each in older:
            shutil.rmtree(run / numbered(layout.rotates, each), ignore_errors=True)
    sys.stdout.write("done\n")


def write(run: Path, operation: Operation, spec: dict[str, Any], step: int) -> None:
    """Carries an operation out slowly, or dies in the middle of it."""
    for _ in apply(run, operation):
        time.sleep(spec["pause"])
        if spec["die"] == step and operation[0].endswith(".safetensors"):
            os.kill(os.getpid(), signal.SIGKILL)


def of_step(operation: Operation, step: int) -> Operation:
    """The same operation for another step, with other weights."""
    first, second = operation
    if isinstance(second, str):
        return numbered(first, step), numbered(second, step)
    if first.endswith(".safetensors"):
        second = second[:-1] + bytes([step])
    if first.startswith("latest_checkpointed"):
        second = str(step).encode()
    return numbered(first, step), second


def numbered(path: str, step: int) -> str:
    """A path of step 5 as that of another step."""
    return re.sub(r"(checkpoint-|step_?|epoch_)5(?!\d)", rf"\g<1>{step}", path)


if __name__ == "__main__":
    main()
