"""Asking: what is missing of a checkpoint's cells, through one pool of requests."""
