"""The arithmetic of verdicts: pure functions on arrays, specified in docs/statistics.md."""
