"""The quickstart under several seeds: what each stage improved and what it broke.

    python benchmarks/quickstart_seeds.py results/seeds 0 1 2 3 4

Runs `evalkit run-matrix` on the quickstart's file with its seed changed, one seed after another,
and prints a Markdown table: scores in per cent, with the report's own verdict against base.
"""

import json
import re
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

CONFIG = Path(__file__).parents[1] / "examples" / "quickstart.yaml"
MARKS = {"improved": " ▲", "regressed": " ▼", "no_regression": " ·", "inconclusive": " ?"}


def run(results: Path, seed: int) -> tuple[dict[str, Any], float]:
    """The verdict of one seed, and the CPU-seconds that it took with all its children."""
    before = cpu_seconds()
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / CONFIG.name
        config.write_text(re.sub(r"^seed: \d+", f"seed: {seed}", CONFIG.read_text(), flags=re.M))
        command = [sys.executable, "-m", "evalkit.cli", "run-matrix", str(config)]
        out = ["--results", str(results / f"seed-{seed}")]
        subprocess.run([*command, *out], check=True, stdout=subprocess.DEVNULL)
    verdict = results / f"seed-{seed}" / "report" / "verdict.json"
    return json.loads(verdict.read_text()), cpu_seconds() - before


def cpu_seconds() -> float:
    """Of all children that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def rows(seed: int, verdict: dict[str, Any]) -> list[str]:
    """A line for each checkpoint."""
    against_base = {
        (found["name"], cell["task"]): MARKS.get(cell["verdict"], " ✕")
        for found in verdict["candidates"]
        if found["against"] == verdict["baseline"]
        for cell in found["cells"]
    }
    scores: dict[str, list[str]] = {}
    for score in verdict["scores"]:
        mark = against_base.get((score["checkpoint"], score["task"]), "")
        scores.setdefault(score["checkpoint"], []).append(f"{100 * score['score']:.1f}{mark}")
    return [f"| {seed} | {name} | {' | '.join(told)} |" for name, told in scores.items()]


def main(results: Path, seeds: list[int]) -> None:
    """Prints the table, seed by seed."""
    for place, seed in enumerate(seeds):
        verdict, seconds = run(results, seed)
        if place == 0:
            tasks = list(dict.fromkeys(score["task"] for score in verdict["scores"]))
            print(f"| seed | checkpoint | {' | '.join(tasks)} |")
            print("|" + "-|" * (len(tasks) + 2))
        judge = verdict["judges"][0]
        for row in rows(seed, verdict):
            print(row)
        print(
            f"| {seed} | judge: accuracy {judge['accuracy']:.3f}, flips {judge['flip_rate']:.3f} "
            f"| {seconds:.0f} CPU-s | | | | |",
            flush=True,
        )


if __name__ == "__main__":
    main(Path(sys.argv[1]), [int(seed) for seed in sys.argv[2:]])
