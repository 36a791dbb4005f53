"""The example that turns published outputs into evalkit input."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any
from zipfile import ZipFile

SCRIPT = Path(__file__).parents[1] / "examples" / "mmlu_pro_recordings.py"


def published(path: Path, **changed: object) -> Path:
    row = {
        "question_id": "70",
        "question": "Which?",
        "options": "['one', \"it's two\"]",
        "answer": "B",
        "answer_index": "1",
        "category": "math",
        "cot_content": "",
        "src": "",
        "pred": "A",
        "model_outputs": "The answer is (B).",
        **changed,
    }
    with ZipFile(path, "w") as zipped:
        zipped.writestr("outputs.json", json.dumps([row]))
    return path


def run(*arguments: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_questions_and_replays_are_written_and_recorded_letters_are_not(tmp_path: Path) -> None:
    base = published(tmp_path / "model_outputs_tiny-7B_5shots.zip")
    tuned = published(tmp_path / "model_outputs_tiny-7B-it_5shots.json.zip", model_outputs="(A)")
    done = run(tmp_path / "out", base, tuned)
    assert done.returncode == 0, done.stderr
    assert rows(tmp_path / "out" / "questions.jsonl") == [
        {
            "question_id": 70,
            "question": "Which?",
            "options": ["one", "it's two"],
            "answer": "B",
            "answer_index": 1,
            "category": "math",
        }
    ]
    expected = {"task": "mmlu-pro", "id": "70", "epoch": 0, "text": "The answer is (B)."}
    assert rows(tmp_path / "out" / "tiny-7B.jsonl") == [expected]
    assert rows(tmp_path / "out" / "tiny-7B-it.jsonl") == [{**expected, "text": "(A)"}]


def test_families_with_other_questions_are_not_mixed(tmp_path: Path) -> None:
    base = published(tmp_path / "model_outputs_a_5shots.zip")
    other = published(tmp_path / "model_outputs_b_5shots.zip", answer="A")
    done = run(tmp_path / "out", base, other)
    assert done.returncode == 1
    assert "model_outputs_b_5shots.zip: not the questions of" in done.stderr
    assert "1 differ, such as 70" in done.stderr


def test_an_output_without_text_is_named(tmp_path: Path) -> None:
    done = run(tmp_path / "out", published(tmp_path / "a.zip", model_outputs=None))
    assert done.returncode == 1
    assert "a.zip: question 70 has no text" in done.stderr
