"""The reward as verl calls it: `compute_score`, one answer at a time.

The ground truth is the row of the data as JSON.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

if str(Path(__file__).resolve().parent) not in sys.path:  # verl loads this file by its path
    sys.path.insert(0, str(Path(__file__).resolve().parent))

from evalkit_reward import score


def compute_score(
    data_source: str, solution_str: str, ground_truth: str, extra_info: Any = None, **_: Any
) -> float:
    """The reward of one answer."""
    row = json.loads(ground_truth)
    return float(score(row["prompt"], solution_str, row))
