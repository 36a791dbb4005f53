"""AlpacaEval beside its authors' own package, in an environment of its own.

What is compared is made up; the package does the arithmetic of its own release.
"""

from __future__ import annotations

import json
import subprocess
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evalkit.configuration.sections import TaskSection
from evalkit.events import silent
from evalkit.exams.exam import sit
from evalkit.types import Graded, Response, Score
from tasks._alpaca_control import metrics
from tasks.alpaca_eval import single_order
from tests.alpaca_data import PROMPT, small
from tests.judges import told

pytestmark = [pytest.mark.integration, pytest.mark.timeout(1500)]

COUNT = 300
AUTHORS = """
import json, random, sys
import pandas as pd
from alpaca_eval import utils
from alpaca_eval.metrics import glm_winrate

folder = sys.argv[1]
rows = pd.read_json(f"{folder}/rows.json")
glm_winrate.hf_hub_download = lambda **_: f"{folder}/df_gamed.csv"
found = glm_winrate.get_length_controlled_winrate(rows.set_index("index"), save_weights_dir=None)
text = open(f"{folder}/alpaca_eval_clf.txt").read()
prompts = []
for row in rows.to_dict("records"):
    order = random.Random("is_switched_outputs" + row["instruction"] + "0")
    pair = [row["output_1"], row["output_2"]]
    (switched,) = order.choices([False, True], k=1)
    shown = dict(zip(("output_1", "output_2"), pair[::-1] if switched else pair))
    frame = pd.DataFrame([{"instruction": row["instruction"], **shown}])
    (prompt,), _ = utils.make_prompts(frame, text)
    prompts.append([turn["content"] for turn in utils.prompt_to_chatml(prompt)])
figures = {name: float(value) for name, value in found.items()}
print("FOUND " + json.dumps({"figures": figures, "prompts": prompts}))
"""


def authors(folder: Path) -> dict[str, Any]:
    """What the authors' package makes of the same judged answers."""
    try:
        envs = import_module("evalkit.envs")
    except ImportError:
        pytest.skip("there are no environments to make")
    script = folder / "authors.py"
    script.write_text(AUTHORS)
    command = [str(envs.make("alpaca-eval", silent)), "-W", "ignore", str(script), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("FOUND ")]
    return dict(json.loads(line.removeprefix("FOUND ")))


def test_figures_and_prompts_are_those_of_the_authors_package(tmp_path: Path) -> None:
    exam = sit(TaskSection(name="alpaca-eval-2"), small(tmp_path, COUNT, fitted=True), None)[0]
    samples = sorted(exam.items.values(), key=lambda sample: int(sample.id))
    random = np.random.default_rng(5)
    rows, graded = [], []
    for sample in samples:
        answer = "word " * int(random.integers(1, 60))
        value = float(np.clip((random.random() < 0.3) * 0.97 + random.random() * 0.03, 0, 1))
        rows.append({
            "index": int(sample.id), "instruction": sample.question, "output_1": sample.target,
            "output_2": answer, "preference": 1 + value, "generator_1": "reference",
            "generator_2": "model", "annotator": "weighted_alpaca_eval_gpt4_turbo",
        })  # fmt: skip
        known = {name: sample.metadata[name] for name in ("difficulty", "gamed")}
        noted = {"length": [len(answer), len(str(sample.target))], **known}
        graded.append(Graded(sample, (Score(value, None, noted),)))
    (tmp_path / "rows.json").write_text(json.dumps(rows))
    theirs, ours = authors(tmp_path), metrics(graded)
    for name, own in (("win_rate", "win_rate"), ("standard_error", "win_rate_se"),
                      ("length_controlled_winrate", "lc_win_rate"),
                      ("lc_standard_error", "lc_win_rate_se")):  # fmt: skip
        assert 100 * ours[own] == pytest.approx(theirs["figures"][name], abs=1e-9), name
    for sample, row, prompt in zip(samples, rows, theirs["prompts"], strict=True):
        (view,) = single_order(sample, Response(str(row["output_2"])), Response(str(sample.target)))
        assert told(view) == prompt
    assert PROMPT.count("{") == 3
