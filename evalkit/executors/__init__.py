"""Where a checkpoint is asked: in this process, in a child, or in children beside each other.

An executor is a function of works (a checkpoint and its seats each): it has every work done that
is not done yet, and returns in words which checkpoints could not be asked.  All drive the same
engine and write the same cells.
"""

from evalkit.executors.places import execute
from evalkit.executors.work import Work, works

__all__ = ["Work", "execute", "works"]
