"""MMLU-Pro's recorded answers once more, this time from a real server over the chat API.

The server knows an answer by its whole prompt, so a prompt that differs in one character from
what was recorded for it would be echoed back instead, and be graded wrong.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from evalkit.exams.data import open_rows
from evalkit.verdict import Report
from tasks.mmlu_pro import SOURCE, samples
from tests.chat_server import ChatServer, serving, sha256

HOME = Path(os.environ.get("EVALKIT_DATA") or "absent")
ZIPS = HOME / "model_outputs" / "mmlu_pro"
SCRIPT = Path(__file__).parents[1] / "examples" / "mmlu_pro_recordings.py"
MODELS = ("Mistral-7B-v0.1", "Mistral-7B-Instruct-v0.1")
ITEMS = 12_032

pytestmark = pytest.mark.skipif(
    not ZIPS.is_dir(), reason="EVALKIT_DATA has no model_outputs/mmlu_pro"
)

CONFIG = """\
baseline: {0}
checkpoints:
  - {{name: {0}, model: {0}, identity: {0}, backend: {{name: openai_api, base_url: {2}}}}}
  - {{name: {1}, model: {1}, identity: {1}, backend: {{name: openai_api, base_url: {3}}}}}
data: {{mmlu-pro: data}}
tasks: [{{name: mmlu-pro, preset: two-stage}}]
"""


def recordings(folder: Path) -> list[dict[str, dict[str, str]]]:
    """What each model answered, by the hash of the prompt; `data` is made beside them."""
    made = folder / "made"
    zips = [str(ZIPS / f"model_outputs_{model}_5shots.zip") for model in MODELS]
    subprocess.run([sys.executable, str(SCRIPT), str(made), *zips], check=True)
    data = folder / "data"
    data.mkdir()
    shutil.copy(made / "questions.jsonl", data / "test.jsonl")
    shutil.copy(HOME / "mmlu_pro" / "mmlu_pro_val_data.json", data / "validation.json")
    prompts = {sample.id: str(sample.rendered()) for sample in samples(open_rows(SOURCE, data))}
    return [by_prompt(made / f"{model}.jsonl", prompts) for model in MODELS]


def by_prompt(replay: Path, prompts: dict[str, str]) -> dict[str, dict[str, str]]:
    """A model's recordings by prompt; the replay file is made to say what the server will.

    Some questions stand twice in the benchmark, word for word.  A server that knows prompts alone
    gives both the same answer, so the replay does too.
    """
    rows = [json.loads(line) for line in replay.read_text().split("\n") if line]
    known = {sha256(prompts[row["id"]]): row for row in rows}
    same = [{**row, "text": known[sha256(prompts[row["id"]])]["text"]} for row in rows]
    assert len(rows) - len(known) < 200
    replay.write_text("".join(json.dumps(row) + "\n" for row in same))
    return known


def test_the_chat_api_gives_the_verdict_of_the_recordings(tmp_path: Path) -> None:
    with ExitStack() as stack:
        servers = [
            stack.enter_context(serving(ChatServer(known))) for known in recordings(tmp_path)
        ]
        config = tmp_path / "matrix.yaml"
        urls = [server.base_url for server in servers]
        config.write_text(CONFIG.format(*MODELS, *urls))
        command = [sys.executable, "-m", "evalkit.cli", "run-matrix", str(config)]
        subprocess.run([*command, "--results", str(tmp_path / "http")], check=True)
        asked = [server.asked.total() for server in servers]

    replayed = tmp_path / "replay.yaml"
    text = config.read_text()
    for model, url in zip(MODELS, urls, strict=True):
        backend = f"{{name: replay, path: made/{model}.jsonl}}"
        text = text.replace(f"{{name: openai_api, base_url: {url}}}", backend)
    replayed.write_text(text)
    command = [sys.executable, "-m", "evalkit.cli", "run-matrix", str(replayed)]
    subprocess.run([*command, "--results", str(tmp_path / "replay")], check=True)

    over_http, from_files = (
        Report.model_validate_json((tmp_path / name / "report" / "verdict.json").read_bytes())
        for name in ("http", "replay")
    )
    assert asked == [ITEMS, ITEMS]
    there, here = over_http.candidates[0], from_files.candidates[0]
    assert there.verdict == here.verdict == "regressed"
    assert there.domains == here.domains
    assert there.cells[0].outcomes == here.cells[0].outcomes
    assert there.cells[0].n == ITEMS
