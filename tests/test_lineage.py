"""What changed between two checkpoints besides the score, told by manifests alone."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from evalkit import Stage
from evalkit.cli import main
from evalkit.errors import UnknownName
from evalkit.training import manifest
from evalkit.training.lineage import ancestors, differences, everything, find, made_by, making
from tests.tiny_models import tiny_model
from trainers.manifest import register

SHA = {name: name * 64 for name in "abcdef"}


def trained(results: Path, folder: str, name: str, parent: tuple[str, str], **given: Any) -> Path:
    """The run of a stage that saved one checkpoint on the way, and its last."""
    run = results / "runs" / folder
    run.mkdir(parents=True)
    sources = given.pop("data", [("rows.jsonl", 1.0, "a")])
    data = [{"source": file, "weight": weight, "sha256": SHA[a]} for file, weight, a in sources]
    args, seed = given.pop("args", {"learning_rate": 1e-5}), given.pop("seed", 0)
    lineage = {
        "parent": {"name": parent[0], "identity": parent[1]}, "data": data, "args": args,
        "seed": seed, "reward": {},
    }  # fmt: skip
    made = Stage(name, given.pop("method", "sft"), str(run), lineage=lineage, **given)
    for path, step in (("checkpoint-10", 10), ("final", 20)):
        (run / path).mkdir()
        register(made, path, step, ("trl", "1.16.0"), {})
    (run / "done.json").write_text(json.dumps({"identity": f"of {folder}"}))
    return run


@pytest.fixture
def results(tmp_path: Path) -> Path:
    trained(tmp_path, "sft-1", "sft", ("base", "of the base"))
    trained(tmp_path, "dpo-1", "dpo", ("sft", "of sft-1"), method="dpo", seed=1)
    trained(tmp_path, "dpo-2", "dpo", ("sft", "of sft-1"), method="dpo", seed=1,
            args={"learning_rate": 1e-6, "beta": 0.1},
            data=[("rows.jsonl", 1.0, "b"), ("more.jsonl", 0.5, "c")])  # fmt: skip
    return tmp_path


def test_two_runs_of_one_stage_differ_in_what_was_changed(results: Path) -> None:
    known = everything(results)
    found = differences(find(known, "dpo-1"), find(known, "dpo-2"))
    assert found == {
        "args.learning_rate": ("1e-05", "1e-06"),
        "data rows.jsonl": (f"{SHA['a']} weight 1", f"{SHA['b']} weight 1"),
        "data more.jsonl": ("", f"{SHA['c']} weight 0.5"),
        "args.beta": ("", "0.1"),
    }


def test_a_stage_and_its_parent_differ_in_method_parent_and_seed(results: Path) -> None:
    known = everything(results)
    found = differences(find(known, "sft"), find(known, "dpo-1"))
    assert set(found) == {"method", "seed", "parent", "parent's identity"}
    assert found["parent"] == ("base", "sft")


def test_a_checkpoint_on_the_way_differs_in_steps_alone(results: Path) -> None:
    known = everything(results)
    assert differences(find(known, "sft@10"), find(known, "sft")) == {"steps": ("10", "20")}
    assert differences(find(known, "sft"), find(known, "sft")) == {}


def test_of_several_runs_of_one_name_the_newest_counts(results: Path) -> None:
    known = everything(results)
    assert find(known, "dpo").folder.name == "dpo-2"
    assert find(known, "dpo-1@10").folder.name == "dpo-1"
    with pytest.raises(UnknownName, match=r"did you mean 'dpo@10'"):
        find(known, "dpo@11")


def test_the_way_back_is_by_content_and_else_by_name(results: Path) -> None:
    trained(results, "sft-2", "sft", ("base", "of the base"), seed=9)  # newer, of the same name
    known = everything(results)
    (parent,) = ancestors(known, find(known, "dpo"))
    assert parent.folder.name == "sft-1"
    trained(results, "ppo-1", "ppo", ("dpo@10", ""), method="ppo")
    known = everything(results)
    assert [each.name for each in ancestors(known, find(known, "ppo"))] == ["dpo@10", "sft"]


def test_a_lineage_that_bites_its_tail_ends(tmp_path: Path) -> None:
    trained(tmp_path, "a-1", "a", ("b", "of b-1"))
    trained(tmp_path, "b-1", "b", ("a", "of a-1"))
    known = everything(tmp_path)
    assert [each.name for each in ancestors(known, find(known, "a"))] == ["b"]


@pytest.mark.parametrize(
    ("name", "value"),
    [("parent", "sft"), ("parent", 3), ("data", "rows"), ("data", [{"weight": "x"}]),
     ("reward", []), ("args", None), ("seed", "x"), ("backend_version", None)],
)  # fmt: skip
def test_what_is_no_such_thing_is_left_out(name: str, value: Any) -> None:
    entry = {"path": "final", "backend": "trl", "args": {"a": float("nan"), "b": [1, {}]}}
    found = making({**entry, name: value})
    assert found.framework.startswith("trl")
    assert found.args == ({} if name == "args" else {"a": "nan", "b": [1, {}]})


def test_a_verdict_says_what_each_trained_checkpoint_came_of(results: Path) -> None:
    run = results / "runs" / "dpo-2"
    made = made_by(run, None)
    assert made
    assert made.framework == "trl 1.16.0"
    assert made.parent_identity == "of sft-1"
    assert [source.weight for source in made.data] == [1.0, 0.5]
    assert made_by(run, 10) == made
    assert made_by(run, 11) is None


# --------------------------------------------------------------------------------- the command


def said(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *words: object
) -> tuple[int, str]:
    monkeypatch.setattr(sys, "argv", ["evalkit", "lineage", *map(str, words)])
    code = 0
    try:
        main()
    except SystemExit as left:
        code = int(left.code or 0)
    return code, "".join(capsys.readouterr())


def test_the_command_shows_the_way_back_to_what_was_not_trained_here(
    results: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    code, text = said(capsys, monkeypatch, "dpo-1", "--results", results)
    assert code == 0
    heads = [line for line in text.splitlines() if line and not line.startswith(" ")]
    assert heads == ["dpo", "sft", "base"]
    assert "  data rows.jsonl   aaaaaaaaaaaa weight 1\n" in text
    code, text = said(capsys, monkeypatch, "dpo-1", "--results", results, "--format", "json")
    assert [each["name"] for each in json.loads(text)] == ["dpo", "sft"]


def test_the_command_shows_two_side_by_side(
    results: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    code, text = said(capsys, monkeypatch, "dpo-1", "dpo-2", "--results", results)
    assert code == 0
    assert "What differs between dpo-1 and dpo-2, besides the score:\n" in text
    assert "  args.learning_rate  1e-05" in text
    code, text = said(capsys, monkeypatch, "dpo-1", "dpo-2", "--results", results,
                      "--format", "json")  # fmt: skip
    assert json.loads(text)["differences"]["args.beta"] == ["", "0.1"]


def test_what_was_added_by_hand_has_a_lineage_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tiny_model(tmp_path / "model")
    capsys.readouterr()
    run = tmp_path / "results" / "runs" / "mine"
    manifest.adding(run, model, 5, {"method": "sft", "parent": {"name": "base"}})
    code, text = said(capsys, monkeypatch, "mine@5", "--results", tmp_path / "results")
    assert code == 0
    assert "  method            sft\n" in text
    assert text.endswith("base\n  not trained here\n")
