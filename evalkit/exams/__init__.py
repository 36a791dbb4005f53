"""Exams: a task's rows, wherever they lie, as the questions that are asked in a run."""
