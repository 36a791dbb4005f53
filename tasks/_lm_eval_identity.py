"""What a task of lm-eval is, by content: how it asks, and what grades it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from evalkit.identity.identity import digest

from ._lm_eval_files import Function
from ._lm_eval_index import own_folder

GRADED = ("metric_list", "filter_list", "process_results")
"""Keys that say how answers are read and graded; what else there is may change what is asked."""
UNTOLD = ("tag", "task_alias", "group", "group_alias", "task_list", "aggregate_metric_list",
          "should_decontaminate", "doc_to_decontamination_query", "num_fewshot")  # fmt: skip
"""Keys that change neither; and the number of examples, which the exam states itself."""


def definition(config: Mapping[str, Any]) -> str:
    """What is asked and how, by content; lm-eval's and the task's own version among it."""
    asked = {k: v for k, v in config.items() if k not in GRADED and k not in UNTOLD}
    return f"lm-eval {version('lm_eval')}, version {task_version(config)}, {_hash(asked)}"


def scorer(config: Mapping[str, Any], metric: str, chosen: str) -> str:
    """What grades the answers, by content."""
    graded = {key: config.get(key) for key in GRADED}
    return f"lm-eval {version('lm_eval')}, {metric},{chosen}, {_hash(graded)}"


def _hash(value: Any) -> str:
    return digest(_plain(value)).hex()[:16]


def _plain(value: Any) -> Any:
    """The value as JSON takes it; a function is what it is written in, wherever that lies."""
    if isinstance(value, Function):
        return [value.spec, *(_written(file) for file in _files(value.file))]
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [_plain(each) for each in value]
    return value if isinstance(value, str | int | float | bool | None) else repr(value)


def _files(module: Path) -> list[Path]:
    """A function's file; of a user's also those beside it, which it may draw on."""
    if not module.is_file():
        return []
    own = own_folder() in module.resolve().parents
    return [module] if own else sorted(module.parent.glob("*.py"))


def _written(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def task_version(config: Mapping[str, Any]) -> str:
    """The version that the file states; "none" where it states none."""
    metadata = config.get("metadata")
    return str(metadata.get("version", "none")) if isinstance(metadata, Mapping) else "none"
