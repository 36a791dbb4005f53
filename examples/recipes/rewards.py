"""A reward for every trainer: `f(prompt, completion, row) -> float`, of a row of the data."""

import re

NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?")


def exact(prompt, completion, row):
    """1 where the last number of the answer is the row's, else 0."""
    found = NUMBER.findall(completion)
    said = found[-1].replace(",", "") if found else ""
    return float(bool(said) and float(said) == float(row["answer"]))
