"""Measures what a page and the viewer cost on large cells: time and memory of fresh processes.

    python -m benchmarks.report FOLDER [--tasks 5] [--checkpoints 5] [--samples 12032]

Makes a results folder by the store's own writer, once (it is kept for the next time): answers of
some hundred words to questions with options, graded.  Then one process judges it and writes
`report.html`, twice; and another serves it to clicks as a browser makes them.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import urlopen

SEED = 20_261_127
WORDS = 400_000  # of the text that questions and answers are cut from
ANSWER, QUESTION = 900, 420  # characters, about
SLICES = 14
LETTERS = "ABCDEFGHIJ"
CLICKS = 120


def make(folder: Path, tasks: int, checkpoints: int, samples: int) -> Path:
    """A results folder of that size; made once."""
    results = folder / f"{tasks}x{checkpoints}x{samples}"
    if (results / "made").exists():
        return results
    draw = random.Random(SEED)
    soup = " ".join("".join(draw.choices("etaoinshrdlu", k=draw.randint(2, 9)))
                    for _ in range(WORDS))  # fmt: skip
    for task in range(tasks):
        items = sorted(hashlib.sha256(f"{task}/{i}".encode()).digest()[:16] for i in range(samples))
        for step in range(checkpoints):
            _cell(results, f"task{task}", name(step), items, soup, random.Random(f"{task} {step}"))
    (results / "made").touch()
    return results


def name(step: int) -> str:
    """What the checkpoint of that step is called."""
    return f"step-{step}"


def _cell(
    results: Path, task: str, checkpoint: str, items: list[bytes], soup: str, draw: random.Random
) -> None:
    from benchmarks.cells import described
    from evalkit.storage.store import Store
    from evalkit.storage.tables import ANSWER_COLUMNS, SCORE_COLUMNS, write_table

    cell = Store(results).cell(
        task, checkpoint, hashlib.sha256(checkpoint.encode()).hexdigest()[:8]
    )
    cell.path.mkdir(parents=True, exist_ok=True)
    skill = 0.62 - 0.02 * int(checkpoint.split("-")[1]) * (1 if task in ("task0", "task1") else -1)
    answers, grades = [], []
    for number, item in enumerate(items):
        answer, grade = _sample(number, item, skill, soup, draw)
        answers.append({**dict.fromkeys(ANSWER_COLUMNS, ""), **answer})
        grades.append({**dict.fromkeys(SCORE_COLUMNS, ""), **grade})
    write_table(cell.answers_path, answers, ANSWER_COLUMNS)
    write_table(cell.scores_path(), grades, SCORE_COLUMNS)
    totals = {"answers": len(items), "prompt_tokens": 9 * len(items), "errors": 0}
    totals["completion_tokens"] = 200 * len(items)
    cell.write_meta(**described(task, f"domain {task}", checkpoint), bounds=(0.0, 1.0),
                    totals=totals, pace={"answers": len(items), "seconds": 60.0})  # fmt: skip


def _sample(
    number: int, item: bytes, skill: float, soup: str, draw: random.Random
) -> tuple[dict[str, Any], dict[str, Any]]:
    """One answer and its grade: texts that share their beginning with the other checkpoints'."""
    hard = random.Random(item).random()
    right = draw.random() < (skill + (0.3 if hard < 0.5 else -0.3))
    target = LETTERS[number % len(LETTERS)]
    given = target if right else draw.choice(LETTERS)
    at, mine = random.Random(item).randrange(len(soup) - 4_000), draw.randrange(len(soup) - 4_000)
    common = draw.randint(0, ANSWER)
    text = f"{soup[at : at + common]}{soup[mine : mine + ANSWER - common]} The answer is ({given})."
    ended = "correct" if right else "truncated" if number % 50 == 0 else "wrong"
    about = {"item": item, "id": f"question-{number}", "epoch": 0}
    answer = about | {
        "request": item,
        "question": soup[at + 2_000 : at + 2_000 + QUESTION],
        "text": text,
        "finish_reason": "stop",
        "prompt_tokens": 9,
        "completion_tokens": 200,
        "loglikelihoods": [],
        "greedy": [],
        "turns": [],
    }
    grade = about | {
        "value": float(given == target),
        "answer": given,
        "target": target,
        "outcome": ended,
        "stratum": f"subject {number % SLICES}",
    }
    return answer, grade


def write(results: Path, checkpoints: int) -> None:
    """Judges everything, writes the report in this process, and prints what it took as JSON."""
    import resource

    from evalkit.comparison.policy import Policy
    from evalkit.evidence.stored import StoredEvidence
    from evalkit.reporting.report import of_store
    from evalkit.reporting.writing import write
    from evalkit.storage.store import Store

    names = [name(step) for step in range(checkpoints)]
    started = time.process_time()
    report = of_store(Store(results), names, Policy())
    judged = time.process_time()
    evidence = StoredEvidence(results, report)
    write(report, results / "report", ["html"], evidence)
    ended = time.process_time()
    page = (results / "report" / "report.html").read_bytes()
    used = resource.getrusage(resource.RUSAGE_SELF)
    told = {
        "cpu": used.ru_utime + used.ru_stime,
        "judged": judged - started,
        "page": ended - judged,
        "mib": used.ru_maxrss / 1024,
        "bytes": len(page),
        "sha": hashlib.sha256(page).hexdigest(),
    }
    print(json.dumps(told))


def written(results: Path, checkpoints: int) -> dict[str, Any]:
    """What a fresh process took to judge and to write."""
    command = [sys.executable, "-m", "benchmarks.report", str(results), "--write"]
    command += ["--checkpoints", str(checkpoints)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    started = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    return {**json.loads(done.stdout), "wall": time.perf_counter() - started}


def viewed(results: Path) -> dict[str, float]:
    """What clicks on a served report take, and the most memory that the server had."""
    command = [sys.executable, "-m", "evalkit.cli", "view", str(results)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            url = server.stdout.readline().strip()
            ask(url, "", {})
            taken = []
            for click in clicks(url):
                before = _cpu(server.pid)
                taken.append((ask(url, *click), _cpu(server.pid) - before))
            peak = _peak(server.pid)
        finally:
            server.terminate()
    wall, cpu = (sorted(times) for times in zip(*taken, strict=True))
    return {"mib": peak, **_told("wall", wall), **_told("cpu", cpu)}


def _told(kind: str, in_order: list[float]) -> dict[str, float]:
    return {
        f"{kind} median": statistics.median(in_order),
        f"{kind} p95": in_order[int(0.95 * len(in_order))],
        f"{kind} worst": in_order[-1],
    }


def clicks(url: str) -> list[tuple[str, dict[str, Any]]]:
    """What a reader does: chooses comparisons, filters, searches, opens samples."""
    draw = random.Random(SEED)
    found: list[tuple[str, dict[str, Any]]] = []
    for number in range(CLICKS // 6):
        pair = {"pair": draw.randrange(20)}
        with urlopen(f"{url}samples?{urlencode(pair)}") as answer:
            rows = json.load(answer)["rows"]
        found += [
            ("facets", pair),
            ("samples", pair),
            ("samples", {**pair, "slice": f"subject {number % SLICES}", "direction": "lost"}),
            ("samples", {**pair, "search": draw.choice(["answer is (C)", "the", "sih", "zzz"])}),
            ("sample", {**pair, "at": draw.choice(rows)["at"]}),
            ("sample", {**pair, "at": draw.choice(rows)["at"]}),
        ]
    return found


def ask(url: str, what: str, query: dict[str, Any]) -> float:
    """Seconds of one question."""
    started = time.perf_counter()
    with urlopen(f"{url}{what}?{urlencode(query)}" if what else url) as answer:
        answer.read()
    return time.perf_counter() - started


def _cpu(pid: int) -> float:
    """CPU-seconds of a process so far, in hundredths."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _peak(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def main() -> None:
    """Prints what was measured, as Markdown tables."""
    parser = argparse.ArgumentParser(description="What a page and the viewer cost.")
    parser.add_argument("folder", type=Path, help="where the results are made and kept")
    parser.add_argument("--tasks", type=int, default=5)
    parser.add_argument("--checkpoints", type=int, default=5)
    parser.add_argument("--samples", type=int, default=12_032)
    parser.add_argument("--write", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.write:
        write(given.folder, given.checkpoints)
        return
    results = make(given.folder, given.tasks, given.checkpoints, given.samples)
    first, second = (written(results, given.checkpoints) for _ in range(2))
    print("| wall s | CPU s | of it judging | the page | peak MiB | page MB | the same twice |")
    print("|---|---|---|---|---|---|---|")
    print(
        f"| {first['wall']:.1f} | {first['cpu']:.1f} | {first['judged']:.1f} | {first['page']:.1f} "
        f"| {first['mib']:.0f} | {first['bytes'] / 1e6:.2f} "
        f"| {'yes' if first['sha'] == second['sha'] else 'NO'} |\n"
    )
    clicked = viewed(results)
    print("| a click, ms | median | 95 % | worst | peak MiB |")
    print("|---|---|---|---|---|")
    for kind in ("wall", "cpu"):
        times = (f"{1000 * clicked[f'{kind} {each}']:.0f}" for each in ("median", "p95", "worst"))
        print(f"| {kind} | {' | '.join(times)} | {clicked['mib']:.0f} |", flush=True)


if __name__ == "__main__":
    main()
