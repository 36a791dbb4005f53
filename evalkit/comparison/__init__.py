"""Two checkpoints held against each other: paired, measured, decided, gated."""
