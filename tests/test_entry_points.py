"""Plugins of another distribution: each kind is found, and all of them make a run."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from evalkit.cli import cli
from tests.outside import distribution

ROOT = Path(__file__).parent.parent
BACKEND = '''
"""Says nothing but 0."""
from evalkit import Backend, Response

class Zero:
    concurrency, format = 4, "completion"
    async def generate(self, request):
        return Response("0")
    async def close(self):
        pass

BACKENDS = (
    Backend("zero", lambda _: Zero(), lambda _: "zero", lambda _: {"engine": "zero"}, {"x": 1}),
)
'''
RENDERER = '''
"""The verdict alone."""
from evalkit.verdict import Renderer

RENDERERS = (Renderer("word", "word.txt", lambda report, evidence: report.verdict + "\\n"),)
'''
TRAINER = '''
"""Writes a file instead of weights."""
from pathlib import Path
from evalkit import Trainer

def run(stage):
    final = Path(stage.out) / "final"
    final.mkdir()
    (final / "model.safetensors").write_text(str(stage.seed))

TRAINERS = (Trainer("scribe", ("scribble",), run, lambda stage: None),)
'''
CONFIG = """
baseline: knowing
checkpoints:
  - {name: knowing, backend: echo}
pipeline:
  - {name: made, method: scribble}
backend: zero
tasks: [doubles]
gate: {margins: {mathematics: 5.0}}
reports: [word]
"""


def example() -> str:
    """The benchmark that CONTRIBUTING shows whole."""
    text = (ROOT / "CONTRIBUTING.md").read_text()
    (source,) = re.findall(r"^```python\n(.*?)^```$", text, re.M | re.S)
    return str(source)


@pytest.fixture
def installed(tmp_path: Path) -> Iterator[Path]:
    """A distribution of one plugin of each kind, installed for the time of a test."""
    sources = {"tasks": example(), "backends": BACKEND, "reports": RENDERER, "trainers": TRAINER}
    with distribution(tmp_path, sources) as folder:
        yield folder


@pytest.mark.parametrize(
    ("kind", "line"),
    [
        ("tasks", "doubles +mathematics +1 .* generated +yes"),
        ("backends", "zero +options: x"),
        ("trainers", "scribe +methods: scribble"),
        ("reports", "word +word.txt"),
    ],
)
def test_a_plugin_of_another_distribution_is_listed(installed: Path, kind: str, line: str) -> None:
    listed = CliRunner().invoke(cli, ["list", kind]).output
    assert re.search(rf"^{line}$", listed, re.M), listed


def test_plugins_of_another_distribution_make_a_whole_run(installed: Path) -> None:
    (installed / "c.yaml").write_text(CONFIG)
    result = CliRunner().invoke(cli, ["run-matrix", "c.yaml", "--gate"])
    assert result.exit_code == 1, result.output
    assert re.search(r"regressed +mathematics +100.0 → 1.0 ", result.output)
    assert (installed / "results/report/word.txt").read_text() == "regressed\n"
