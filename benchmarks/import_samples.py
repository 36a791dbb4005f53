"""How long an import takes: an lm-eval log of so many samples, imported and compared.

    python benchmarks/import_samples.py [SAMPLES]

The log has the shape that lm-eval 0.4.13 gives a five-shot generation task: a prompt of 6 KB and an
answer of 1.5 KB a line, under two filters.  Whole processes are timed, interpreter start included.
"""

from __future__ import annotations

import hashlib
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

DATE = "2026-01-01T00-00-00.000000"
FILTERS = ("strict-match", "flexible-extract")


def sha(text: str) -> str:
    """The hash that lm-eval gives a text."""
    return hashlib.sha256(text.encode()).hexdigest()


def line(index: int, filter_: str, value: float) -> str:
    """One line of a samples file."""
    question = f"Question {index}: " + "what follows from this? " * 12
    prompt = "An example, worked through. " * 210 + question
    return json.dumps(
        {
            "doc_id": index,
            "doc": {"question": question, "answer": str(index)},
            "target": str(index),
            "arguments": {"gen_args_0": {"arg_0": prompt, "arg_1": {"until": ["\n\n"]}}},
            "resps": [["Step by step, it follows. " * 60 + str(index)]],
            "filtered_resps": [str(index)],
            "filter": filter_,
            "metrics": ["exact_match"],
            "doc_hash": sha(question),
            "prompt_hash": sha(prompt),
            "target_hash": sha(str(index)),
            "exact_match": value,
        }
    )


def make_log(folder: Path, name: str, samples: int, skill: float, seed: int) -> None:
    """Writes a results file and its samples."""
    folder.mkdir()
    random_ = random.Random(seed)
    values = [float(random_.random() < skill) for _ in range(samples)]
    with (folder / f"samples_big_{DATE}.jsonl").open("w") as file:
        for index, value in enumerate(values):
            file.writelines(line(index, each, value) + "\n" for each in FILTERS)
    mean = sum(values) / samples
    document = {
        "results": {"big": {f"exact_match,{each}": mean for each in FILTERS}},
        "configs": {"big": {"task": "big", "output_type": "generate_until"}},
        "versions": {"big": 1},
        "n-shot": {"big": 5},
        "higher_is_better": {"big": {"exact_match": True}},
        "n-samples": {"big": {"original": samples, "effective": samples}},
        "model_name": name,
    }
    (folder / f"results_{DATE}.json").write_text(json.dumps(document))


def timed(*arguments: str) -> float:
    """Seconds that a command takes, as a process of its own."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-m", "evalkit.cli", *arguments], check=True)
    return time.perf_counter() - start


def main(samples: int) -> None:
    """Imports two logs, compares them, and prints what each took."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        for seed, (who, skill) in enumerate({"before": 0.62, "after": 0.60}.items()):
            make_log(root / who, who, samples, skill, seed)
            size = sum(path.stat().st_size for path in (root / who).iterdir())
            took = timed("import", str(root / who), "--results", str(root / "results"))
            print(f"import {who}: {samples} samples, {size / 2**20:.0f} MiB, {took:.1f} s")
        took = timed("compare", "before", "after", "--results", str(root / "results"))
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
        print(f"compare: {took:.1f} s; the largest process took {peak:.0f} MiB")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 12_032)
