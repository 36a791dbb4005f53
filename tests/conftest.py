"""What holds for every test: the width of whoever's terminal they run in changes nothing."""

from __future__ import annotations

import os

os.environ.pop("COLUMNS", None)  # of several processes of tests, each has it
