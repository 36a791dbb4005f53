"""BFCL asked of a real server over the chat API, with and without tools."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from evalkit.configuration.sections import TaskSection
from evalkit.exams.data import open_rows
from evalkit.exams.exam import sit
from evalkit.identity.identity import as_messages
from evalkit.verdict import Report
from tasks import bfcl
from tests.chat_server import ChatServer, serving

HOME = Path(os.environ.get("EVALKIT_DATA") or "absent")
EACH = 12
"""Questions of a category."""

pytestmark = pytest.mark.skipif(
    not (HOME / "bfcl_v4").is_dir(), reason="EVALKIT_DATA has no folder bfcl_v4"
)

CONFIG = """\
baseline: good
checkpoints:
  - {{name: good, model: good, identity: good, backend: {{name: openai_api, base_url: {0}}}}}
  - {{name: silent, model: silent, identity: silent, backend: {{name: openai_api, base_url: {0}}}}}
data: {{bfcl: data, bfcl-fc: data}}
tasks: [bfcl, bfcl-fc, {{name: bfcl-fc, preset: v3}}]
"""


def key(messages: list[Any], tools: Any) -> str:
    return json.dumps([messages, tools], sort_keys=True)


def cut(folder: Path) -> None:
    """The first questions of every category, and their ground truths."""
    rows = open_rows(bfcl.SOURCE, None)
    for split, stem in bfcl.FILES.items():
        file = folder / f"{stem[1:]}.jsonl"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("".join(f"{json.dumps(row)}\n" for row in islice(rows(split), EACH)))


def known(data: Path) -> dict[str, dict[str, Any]]:
    """What is right, by all that a server is told of a question."""
    found = {}
    for name in ("bfcl", "bfcl-fc"):
        for one in sit(TaskSection(name=name), data, None)[0].items.values():
            asked = key(list(as_messages(one.rendered())), [dict(tool) for tool in one.tools])
            found[asked] = spoken(bfcl.solution(one)) if name == "bfcl" else made(one)
    return found


def spoken(text: str) -> dict[str, Any]:
    return {"text": text or "None of them."}


def made(one: Any) -> dict[str, Any]:
    tagged = bfcl.solution_native(one).split("<tool_call>")[1:]
    calls = [json.loads(each.partition("</tool_call>")[0]) for each in tagged]
    functions = [{**call, "arguments": json.dumps(call["arguments"])} for call in calls]
    called = [
        {"id": str(number), "type": "function", "function": function}
        for number, function in enumerate(functions)
    ]
    return (
        {"text": None, "tool_calls": called, "finish_reason": "tool_calls"}
        if called
        else spoken("")
    )


def test_tools_are_offered_and_calls_of_them_graded(tmp_path: Path) -> None:
    cut(tmp_path / "data")
    right = known(tmp_path / "data")

    def answering(body: Mapping[str, Any]) -> dict[str, Any]:
        if body["model"] == "silent":
            return {"text": "I cannot call functions."}
        return right[key(body["messages"], body.get("tools", []))]

    server = ChatServer(answering=answering)
    config = tmp_path / "matrix.yaml"
    with serving(server):
        config.write_text(CONFIG.format(server.base_url))
        command = [sys.executable, "-m", "evalkit.cli", "run-matrix", str(config)]
        subprocess.run([*command, "--results", str(tmp_path / "results")], check=True)

    found = (tmp_path / "results" / "report" / "verdict.json").read_bytes()
    report = Report.model_validate_json(found)
    scores = {(each.checkpoint, each.task): each for each in report.scores}
    for task in ("bfcl", "bfcl-fc", "bfcl-fc@v3"):
        good, silent = scores["good", task], scores["silent", task]
        assert good.score == pytest.approx(1.0)
        assert silent.score == pytest.approx({"bfcl-fc@v3": 0.1 + 884 / 2251 / 2}.get(task, 1 / 3))
        assert [*good.metrics.values()] == pytest.approx([1.0] * len(good.metrics))
        assert silent.metrics["live AST"] == silent.metrics["relevance detection"] == 0.0
        assert silent.metrics["irrelevance detection"] == 1.0
    assert {cell.verdict for cell in report.candidates[0].cells} == {"regressed"}
    assert server.asked.total() == 2 * 2 * 13 * EACH  # the preset asks nothing anew
