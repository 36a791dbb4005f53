"""Benchmarks; each module declares `TASKS`."""
