"""Processes of ours beside this one: none outlives the run that started it."""
