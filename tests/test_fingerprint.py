"""A checkpoint is what its files hold, never where they are or what they are called by."""

from __future__ import annotations

import json
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from evalkit.errors import ModelError
from evalkit.identity.fingerprint import fingerprint
from evalkit.identity.hashes import COARSEST_SECONDS


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of hashes that belongs to one test."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "evalkit" / "fingerprints.json"


def saved(folder: Path) -> Path:
    """A checkpoint of two real tensors."""
    from safetensors.numpy import save_file

    folder.mkdir()
    tensors = {"a": np.arange(600, dtype=np.float32), "b": np.ones(100, dtype=np.float32)}
    save_file(tensors, str(folder / "model.safetensors"))
    (folder / "config.json").write_text('{"hidden_size": 8}')
    (folder / "tokenizer.json").write_text("{}")
    return folder


def long_ago(folder: Path) -> None:
    """Waits until the files' ctime, which nobody can put back, is old enough to be trusted."""
    newest = max(path.stat().st_ctime for path in folder.iterdir())
    time.sleep(max(0.0, newest + COARSEST_SECONDS - time.time()) + 0.05)


def test_one_byte_changed_under_the_old_time_stamp_is_another_checkpoint(
    tmp_path: Path, cache: Path
) -> None:
    folder = saved(tmp_path / "model")
    weights = folder / "model.safetensors"
    long_ago(folder)
    before, stat = fingerprint(folder), weights.stat()
    assert len(json.loads(cache.read_text())) == 3
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    os.utime(weights, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert weights.stat().st_mtime_ns == stat.st_mtime_ns
    assert fingerprint(folder) != before


def test_a_file_changed_again_at_once_is_not_taken_from_the_cache(tmp_path: Path) -> None:
    folder = saved(tmp_path / "model")
    weights = folder / "model.safetensors"
    content, seen = bytearray(weights.read_bytes()), set()
    for value in range(40):
        content[-1] = value
        weights.write_bytes(content)
        os.utime(weights, ns=(0, 0))
        seen.add(fingerprint(folder))
    assert len(seen) == 40


def test_a_second_look_reads_no_weights(tmp_path: Path, cache: Path) -> None:
    folder = saved(tmp_path / "model")
    long_ago(folder)
    fingerprint(folder)
    known = {stamp: "0" * 64 for stamp in json.loads(cache.read_text())}
    cache.write_text(json.dumps(known))
    changed = fingerprint(folder)
    cache.unlink()
    assert changed != fingerprint(folder)


@pytest.mark.parametrize("text", ["", "{", "[1]", "7", '"text"', "\0"])
def test_a_damaged_cache_only_costs_time(tmp_path: Path, cache: Path, text: str) -> None:
    folder = saved(tmp_path / "model")
    expected = fingerprint(folder)
    cache.parent.mkdir(parents=True, exist_ok=True)
    cache.write_text(text)
    assert fingerprint(folder) == expected


def test_without_a_home_there_is_no_cache_and_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = saved(tmp_path / "model")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "~")
    monkeypatch.chdir(tmp_path)
    assert fingerprint(folder)
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_renamed_or_copied_folder_is_the_same_checkpoint(tmp_path: Path) -> None:
    folder = saved(tmp_path / "model")
    before = fingerprint(folder)
    assert fingerprint(folder.rename(tmp_path / "other")) == before
    assert fingerprint(saved(tmp_path / "copy")) == before


@pytest.mark.parametrize(
    "name", ["optimizer.pt", "optimizer.bin", "scheduler.pt", "rng_state.pth", "training_args.bin"]
)
def test_what_is_not_the_model_does_not_count(tmp_path: Path, name: str) -> None:
    folder = saved(tmp_path / "model")
    before = fingerprint(folder)
    (folder / name).write_bytes(b"momentum")
    (folder / "README.md").write_text("hello")
    (folder / "checkpoint-1").mkdir()
    assert fingerprint(folder) == before


@pytest.mark.parametrize(
    "name",
    [
        "tokenizer.json",
        "config.json",
        "chat_template.jinja",
        "adapter_model.safetensors",
        "adapter_config.json",
        "generation_config.json",
        "merges.txt",
        "model.safetensors.index.json",
        "model-00002-of-00002.safetensors",
    ],
)
def test_whatever_changes_the_answers_counts(tmp_path: Path, name: str) -> None:
    folder = saved(tmp_path / "model")
    before = fingerprint(folder)
    (folder / name).write_text('{"changed": true}')
    assert fingerprint(folder) != before


def test_two_files_that_swap_their_contents_are_another_checkpoint(tmp_path: Path) -> None:
    folder = saved(tmp_path / "model")
    (folder / "config.json").write_text("one")
    (folder / "tokenizer.json").write_text("other")
    before = fingerprint(folder)
    (folder / "config.json").write_text("other")
    (folder / "tokenizer.json").write_text("one")
    assert fingerprint(folder) != before


def test_a_missing_folder_and_one_without_weights_say_so(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no checkpoint at .*absent: the folder does not exist"):
        fingerprint(tmp_path / "absent")
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "config.json").write_text("{}")
    with pytest.raises(ModelError, match=r"no weights in .*empty: expected \*\.safetensors"):
        fingerprint(tmp_path / "empty")


def test_a_link_to_weights_that_are_gone_is_an_error(tmp_path: Path) -> None:
    folder = saved(tmp_path / "model")
    (folder / "model-2.safetensors").symlink_to(tmp_path / "gone")
    with pytest.raises(ModelError, match=r"cannot read .*model-2\.safetensors"):
        fingerprint(folder)


def test_a_blob_of_the_hub_cache_goes_by_its_own_hash(tmp_path: Path) -> None:
    folder = saved(tmp_path / "model")
    blob = tmp_path / ("ab" * 32)
    (folder / "model.safetensors").rename(blob)
    (folder / "model.safetensors").symlink_to(blob)
    before = fingerprint(folder)
    other = blob.rename(tmp_path / ("cd" * 32))
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors").symlink_to(other)
    assert fingerprint(folder) != before


def adapter(folder: Path, base: Path | str) -> Path:
    """An adapter of one real tensor, for a base."""
    from safetensors.numpy import save_file

    folder.mkdir()
    save_file({"lora_A": np.ones(8, dtype=np.float32)}, str(folder / "adapter_model.safetensors"))
    named = {"base_model_name_or_path": str(base), "r": 4}
    (folder / "adapter_config.json").write_text(json.dumps(named))
    return folder


def test_an_adapter_is_its_base_too_wherever_that_lies(tmp_path: Path) -> None:
    base = saved(tmp_path / "base")
    over = adapter(tmp_path / "adapter", base)
    before = fingerprint(over)
    moved = base.rename(tmp_path / "moved")
    assert fingerprint(adapter(tmp_path / "again", moved)) == before
    assert fingerprint(over, moved) == before  # it still names the old folder
    (moved / "config.json").write_text("{}")
    assert fingerprint(over, moved) != before
    assert fingerprint(tmp_path / "again") != before


def test_an_adapter_for_a_base_of_the_hub_goes_by_its_name(tmp_path: Path) -> None:
    one = fingerprint(adapter(tmp_path / "one", "org/base"))
    assert one == fingerprint(adapter(tmp_path / "two", "org/base"))
    assert one != fingerprint(adapter(tmp_path / "other", "org/other"))


def test_hashes_found_side_by_side_are_all_kept(tmp_path: Path, cache: Path) -> None:
    folders = [saved(tmp_path / f"model-{number}") for number in range(8)]
    long_ago(folders[-1])
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(fingerprint, folders))
    assert len(set(found)) == 1
    assert len(json.loads(cache.read_text())) == 8 * 3
