"""Where the documents of a task of lm-eval are: files that are given, or what its file names."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from evalkit.errors import DataError
from evalkit.exams import data
from evalkit.types import Source

from ._lm_eval_files import Found

SPLITS = ("training_split", "validation_split", "test_split", "fewshot_split")


def at_home(found: Found) -> dict[str, Any]:
    """The config with data files that lie beside its file named from there."""
    config = dict(found.config)
    kwargs = config.get("dataset_kwargs")
    if isinstance(kwargs, Mapping):
        named = ("data_files", "data_dir")
        config["dataset_kwargs"] = {
            key: _placed(value, found.file.parent) if key in named else value
            for key, value in kwargs.items()
        }
    return config


def _placed(value: Any, folder: Path) -> Any:
    if isinstance(value, Mapping):
        return {key: _placed(each, folder) for key, each in value.items()}
    if isinstance(value, list):
        return [_placed(each, folder) for each in value]
    return str(folder / value) if isinstance(value, str) and (folder / value).exists() else value


def rows_of(
    name: str, config: Mapping[str, Any], given: Path | None, *, alone: bool
) -> Path | None:
    """Where a task's documents lie as files: below what is given, else below EVALKIT_DATA."""
    if given is not None:
        inside = given / name
        if inside.is_dir():
            return inside
        if alone:
            return given
        raise DataError(f"{given}: has no folder {name} for lm-eval:{name}")
    return data.locate(source_of(name, config), None)


def content_of(name: str, config: Mapping[str, Any], rows: Path | None) -> str:
    """Hash of the documents' files; of those that come from elsewhere, what they are called."""
    if rows is not None:
        return data.digest(source_of(name, config), rows)
    whole = hashlib.sha256()
    for file in sorted(_files(config)):
        whole.update(file.read_bytes())
    kwargs = config.get("dataset_kwargs") or {}
    named = (config.get("dataset_path"), config.get("dataset_name"), kwargs.get("revision"))
    return f"{named} {whole.hexdigest()}"


def _files(config: Mapping[str, Any]) -> Iterator[Path]:
    """The local files that a task file names."""
    kwargs = config.get("dataset_kwargs") or {}
    places = [config.get("dataset_path"), *_texts(kwargs.get("data_files")), kwargs.get("data_dir")]
    for place in places:
        path = Path(place) if isinstance(place, str) else None
        if path and path.is_file():
            yield path
        elif path and os.path.isabs(path) and path.is_dir():
            yield from (each for each in path.rglob("*") if each.is_file())


def _texts(value: Any) -> Iterable[str]:
    if isinstance(value, Mapping):
        return [text for each in value.values() for text in _texts(each)]
    if isinstance(value, list):
        return [text for each in value for text in _texts(each)]
    return [value] if isinstance(value, str) else []


def asked_split(config: Mapping[str, Any]) -> str:
    """The split whose documents are asked about."""
    return str(config.get("test_split") or config.get("validation_split") or "test")


def shown_split(config: Mapping[str, Any]) -> str:
    """The split from which worked examples are taken; "" where the file itself has them."""
    shown = config.get("fewshot_config")
    said = shown if isinstance(shown, Mapping) else {}
    split = said.get("split") or config.get("fewshot_split")
    if not split and said.get("samples"):
        return ""
    return str(split or config.get("training_split") or config.get("validation_split") or "test")


def source_of(name: str, config: Mapping[str, Any]) -> Source:
    """Where the documents are read from, if they are given as files."""
    asked, shown = asked_split(config), shown_split(config)
    splits = {"test": asked} | ({shown: shown} if shown not in ("", asked) else {})
    return Source(str(config.get("dataset_path", "")), "", f"lm-eval/{name}", splits, {}, ())


def with_rows(
    name: str, path: Path, config: Mapping[str, Any], *, examples: bool
) -> dict[str, Any]:
    """What of a config changes for documents given as files: splits that are not read are none."""
    import datasets

    source = source_of(name, config)
    rows = data.open_rows(source, path)
    whole = datasets.DatasetDict(
        {
            upstream: datasets.Dataset.from_list(list(rows(split)))
            for split, upstream in source.splits.items()
            if split == "test" or examples
        }
    )
    lacking: dict[str, Any] = {key: None for key in SPLITS if config.get(key) not in whole}
    shown = config.get("fewshot_config")
    if isinstance(shown, Mapping) and shown.get("split") not in whole:
        lacking["fewshot_config"] = {**shown, "split": None}

    def given(**_: Any) -> Any:
        return whole

    return {**lacking, "custom_dataset": given, "dataset_kwargs": None}
