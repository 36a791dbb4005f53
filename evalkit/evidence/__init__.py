"""The samples behind a verdict: which of them changed sides, and what was answered."""
