"""What a config names, looked up among the plugins; errors point into the file."""

from __future__ import annotations

from evalkit import plugins
from evalkit.configuration.config import Loaded, Location
from evalkit.errors import EvalkitError, did_you_mean
from evalkit.types import Backend, Trainer


def named(loaded: Loaded, where: Location, kind: str, name: str) -> object:
    """The plugin of that name; raises ConfigError with the nearest ones."""
    try:
        return plugins.find(kind, name)
    except EvalkitError as error:
        raise loaded.error(where, str(error)) from None


def options_of(
    loaded: Loaded, where: Location, plugin: Backend | Trainer, given: dict[str, object]
) -> dict[str, object]:
    """A plugin's options with those that were given; raises ConfigError on one it has not."""
    for key in given:
        if key not in plugin.options:
            hint = did_you_mean(key, plugin.options) if plugin.options else "; it takes none"
            raise loaded.error((*where, key), f"unknown option of {plugin.name}{hint}")
    return {**plugin.options, **given}
