"""Configuration: the user's YAML, read, checked, and turned into a matrix."""
