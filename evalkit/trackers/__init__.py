"""Reports in experiment trackers: scores, deltas and verdicts over training steps."""
