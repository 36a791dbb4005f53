"""The error tree, whole:

    EvalkitError            one line that says what happened, where, and what to do
    ├── ConfigError         the user's file is wrong            exit 2
    ├── UnknownName         no such task, trainer, backend …    exit 2
    ├── DataError           a benchmark's rows are not there    exit 4
    ├── StoreError          a results folder cannot be used     exit 4
    ├── ModelError          a checkpoint cannot be asked        exit 4
    │   └── EngineEnded     its engine has ended for good
    ├── ForgeError          GitHub or GitLab does not take it   exit 4
    ├── SandboxError        model code cannot be run here       exit 4
    └── TrainingError       a stage did not end well            exit 4

An `EvalkitError` reaches the user as that line and its exit code.  Anything else is our bug and
shows a traceback.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class EvalkitError(Exception):
    """Something the user can mend."""

    exit_code = 4


class ConfigError(EvalkitError):
    """The user's file, or a command line, is wrong."""

    exit_code = 2


class UnknownName(EvalkitError):
    """A name that nothing goes by; the message offers the nearest ones."""

    exit_code = 2

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        super().__init__(f"unknown {kind} {name!r}{did_you_mean(name, known)}")


class DataError(EvalkitError):
    """A benchmark's rows are missing or are not what they should be."""


class StoreError(EvalkitError):
    """A results folder cannot be read or written."""


class ModelError(EvalkitError):
    """A checkpoint cannot be loaded or asked."""


class EngineEnded(ModelError):
    """The process that answers for a checkpoint has ended, and is not started again."""


class ForgeError(EvalkitError):
    """GitHub or GitLab cannot be reached, or refuses."""


class SandboxError(EvalkitError):
    """The sandbox itself failed: nothing is known of the program that was to be run in it."""


class TrainingError(EvalkitError):
    """A training stage did not end well."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """`; did you mean 'x'?`, or the list of what there is, to end a message with."""
    names = sorted(known)
    near = get_close_matches(name, names, n=1, cutoff=0.6)
    if near:
        return f"; did you mean {near[0]!r}?"
    return f"; there are: {', '.join(names)}" if names else ""
