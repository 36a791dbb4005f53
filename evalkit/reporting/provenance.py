"""How a report was made: the command, the configuration and the versions, without any secret.

Where results and reports lie is left out, since it changes nothing.
"""

from __future__ import annotations

import platform
import re
import shlex
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml

from evalkit import __version__
from evalkit.configuration.config import load
from evalkit.verdict import Made

PACKAGES = ("numpy", "scipy", "pyarrow")
"""What the arithmetic of a verdict is done with."""

HIDDEN = "***"
SECRET_KEY = re.compile(r"key|token|secret|passw|authorization|credential|cookie", re.IGNORECASE)
NAMES_A_VARIABLE = re.compile(r"_env$", re.IGNORECASE)
SECRETS = (
    (re.compile(r"(://)[^/\s@]+@"), rf"\1{HIDDEN}@"),
    (
        re.compile(r"([?&][^=&\s]*(?:key|token|sig|secret|auth)[^=&\s]*=)[^&\s]+", re.I),
        rf"\1{HIDDEN}",
    ),
    (re.compile(r"(Bearer|Basic)\s+\S+", re.IGNORECASE), rf"\1 {HIDDEN}"),
    (re.compile(r"\b(?:sk-|hf_|gh[pousr]_|github_pat_|glpat-|xox[abp]-|AKIA)[\w-]{12,}"), HIDDEN),
    (re.compile(r"\beyJ[\w-]{8,}\.[\w-]+\.[\w-]+"), HIDDEN),
)


def made(words: Sequence[str], config: Path) -> Made:
    """How a report on a configuration was made, `words` being the command after `evalkit`."""
    return Made(
        command=shlex.join(["evalkit", *words]),
        config=redacted(load(config).config.model_dump(mode="json", exclude_unset=True)),
        versions={
            "evalkit": __version__,
            "python": platform.python_version(),
            **{name: version(name) for name in PACKAGES},
        },
    )


def redacted(config: Mapping[str, Any]) -> str:
    """A configuration as YAML, with whatever may be a secret hidden."""
    whole = {key: _without_secrets(key, value) for key, value in config.items()}
    return yaml.safe_dump(whole, sort_keys=False, allow_unicode=True, width=100)


def _without_secrets(key: str, value: Any) -> Any:
    if isinstance(value, Mapping):
        found = {str(name): _without_secrets(str(name), each) for name, each in value.items()}
        return found["name"] if set(found) == {"name"} else found
    if isinstance(value, list | tuple):
        return [_without_secrets(key, each) for each in value]
    if not isinstance(value, str):
        return value
    if SECRET_KEY.search(key) and not NAMES_A_VARIABLE.search(key):
        return HIDDEN
    for pattern, instead in SECRETS:
        value = pattern.sub(instead, value)
    return value
