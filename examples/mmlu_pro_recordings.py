"""Makes evalkit input of published MMLU-Pro outputs, so that they can be compared offline.

    python examples/mmlu_pro_recordings.py examples/recordings/mistral \\
        model_outputs_Mistral-7B-v0.1_5shots.zip model_outputs_Mistral-7B-Instruct-v0.1_5shots.zip

The zips are in `eval_results/` of github.com/TIGER-AI-Lab/MMLU-Pro.  Written are `questions.jsonl`,
for `data: {mmlu-pro: …}`, and for each zip a replay file named after its model.  Zips given
together must hold the same questions, options and answers: upstream has corrected some over time.
The letters that upstream read out of the outputs (`pred`) are left alone.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zipfile import ZipFile

from evalkit.exams.data import parse_list

QUESTION_FIELDS = ("question_id", "question", "options", "answer", "answer_index", "category")


def main(out: Path, zips: list[Path]) -> None:
    """Converts the outputs of one family of models."""
    out.mkdir(parents=True, exist_ok=True)
    first: dict[str, dict[str, Any]] = {}
    for path in zips:
        rows = {str(row["question_id"]): row for row in recorded(path)}
        questions = {identity: question(row) for identity, row in rows.items()}
        first = first or questions
        if questions != first:
            raise SystemExit(
                f"{path.name}: not the questions of {zips[0].name}{unlike(first, questions)}"
            )
        answers = (
            {"task": "mmlu-pro", "id": identity, "epoch": 0, "text": text(row, path)}
            for identity, row in rows.items()
        )
        write(out / f"{model_name(path)}.jsonl", answers)
    write(out / "questions.jsonl", first.values())


def recorded(path: Path) -> Iterator[dict[str, Any]]:
    """The rows of a zip, each question once."""
    seen: set[str] = set()
    with ZipFile(path) as zipped:
        for name in sorted(zipped.namelist()):
            if not name.endswith(".json") or name.startswith("__MACOSX"):
                continue
            for row in json.loads(zipped.read(name)):
                if str(row["question_id"]) in seen:
                    raise SystemExit(f"{path.name}: question {row['question_id']} comes twice")
                seen.add(str(row["question_id"]))
                yield row


def question(row: dict[str, Any]) -> dict[str, Any]:
    """What is asked, in the form of the published data set."""
    return {
        **{name: row[name] for name in QUESTION_FIELDS},
        "question_id": int(row["question_id"]),
        "options": parse_list(row["options"]),
        "answer_index": int(row["answer_index"]),
    }


def text(row: dict[str, Any], path: Path) -> str:
    """What the model wrote."""
    written = row.get("generated_text", row.get("model_outputs"))
    if not isinstance(written, str):
        raise SystemExit(f"{path.name}: question {row['question_id']} has no text")
    return written


def model_name(path: Path) -> str:
    """`Mistral-7B-v0.1` of `model_outputs_Mistral-7B-v0.1_5shots.zip`."""
    plain = path.name.removesuffix(".zip").removesuffix(".json")
    return plain.removeprefix("model_outputs_").removesuffix("_5shots")


def unlike(first: dict[str, dict[str, Any]], other: dict[str, dict[str, Any]]) -> str:
    """The ids of the questions that are not the same, to end a message with."""
    ids = sorted(i for i in first.keys() | other.keys() if first.get(i) != other.get(i))
    return f": {len(ids)} differ, such as {', '.join(ids[:5])}"


def write(path: Path, rows: Any) -> None:
    """One JSON object a line."""
    with path.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)


if __name__ == "__main__":
    if len(sys.argv) < 3:
        raise SystemExit(__doc__)
    main(Path(sys.argv[1]), [Path(name) for name in sys.argv[2:]])
