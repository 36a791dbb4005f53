"""Grades for a job in another environment: `python -m evalkit.trainers._reward_child SPEC`.

A line of JSON in (`prompt`, `completion`, `row`), a line out (`value` or `error`).
"""

from __future__ import annotations

import json
import sys
from contextlib import redirect_stdout

from . import rewards


def main() -> None:
    """Answers until the other side hangs up."""
    spec = json.loads(sys.argv[1])
    with redirect_stdout(sys.stderr):  # whatever a scorer prints is no answer
        reward = rewards.load(spec["name"], spec["paths"])
    for line in sys.stdin:
        asked = json.loads(line)
        try:
            with redirect_stdout(sys.stderr):
                value = reward(asked["prompt"], asked["completion"], asked["row"])
            answer: dict[str, object] = {"value": value}
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
