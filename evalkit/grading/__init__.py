"""Grading: answers turned into scores and outcomes, beside the asking or after it."""
