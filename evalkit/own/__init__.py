"""Benchmarks of a user's own: a file of rows and what the YAML says of it."""
