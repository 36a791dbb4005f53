"""What every renderer promises, over all that are found."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evalkit.plugins import all_plugins
from evalkit.verdict import Renderer, Report
from tests.sample_report import hostile_report, sample_report

GOLDEN = Path(__file__).parent / "golden"
FOUND = all_plugins("reports")
RENDERERS = {name: each for name, each in FOUND.items() if isinstance(each, Renderer)}
BIDI = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c"
CONTROLS = [chr(code) for code in [*range(32), *range(127, 160)] if chr(code) != "\n"]

every_renderer = pytest.mark.parametrize("renderer", RENDERERS.values(), ids=list(RENDERERS))


def test_all_six_are_found_and_each_has_a_file_of_its_own() -> None:
    assert {"html", "json", "junit", "markdown", "svg", "terminal"} <= set(RENDERERS)
    assert len({renderer.filename for renderer in RENDERERS.values()}) == len(RENDERERS)


@pytest.mark.parametrize("name", [name for name in RENDERERS if name != "html"])
def test_the_sample_report_looks_as_it_did(name: str) -> None:
    renderer = RENDERERS[name]  # how the page looks is for a browser to tell
    shown = renderer.render(sample_report())
    golden = GOLDEN / renderer.filename
    if os.environ.get("EVALKIT_UPDATE_GOLDEN"):
        golden.write_text(shown, encoding="utf-8", newline="\n")
    assert shown == golden.read_text(encoding="utf-8")


@every_renderer
def test_equal_reports_give_equal_bytes(renderer: Renderer) -> None:
    again = Report.model_validate(turned_round(sample_report().model_dump()))
    assert renderer.render(again) == renderer.render(sample_report())


@every_renderer
def test_a_report_read_back_from_its_file_looks_the_same(renderer: Renderer) -> None:
    back = Report.model_validate_json(RENDERERS["json"].render(sample_report()))
    assert renderer.render(back) == renderer.render(sample_report())


def turned_round(value: object) -> object:
    """The same value with every mapping written in the opposite order."""
    if isinstance(value, dict):
        return {key: turned_round(value[key]) for key in reversed(value)}
    return [turned_round(item) for item in value] if isinstance(value, list) else value


def test_neither_environment_nor_hash_seed_changes_a_byte(tmp_path: Path) -> None:
    script = tmp_path / "render.py"
    script.write_text(
        "import hashlib\n"
        "from evalkit.plugins import all_plugins\n"
        "from tests.sample_report import sample_report\n"
        "for renderer in all_plugins('reports').values():\n"
        "    draws = hasattr(renderer, 'draw')\n"
        "    files = dict(renderer.draw(sample_report())) if draws else {\n"
        "        renderer.filename: renderer.render(sample_report()).encode()}\n"
        "    for name, content in files.items():\n"
        "        print(name, hashlib.sha256(content).hexdigest())\n"
    )
    root = str(Path(__file__).parent.parent)
    worlds: list[dict[str, str]] = [
        {"PYTHONHASHSEED": "1", "NO_COLOR": "1", "COLUMNS": "40", "TZ": "Asia/Tokyo"},
        {"PYTHONHASHSEED": "2", "FORCE_COLOR": "1", "TERM": "dumb", "LC_ALL": "C"},
    ]
    told = [
        subprocess.run(
            [sys.executable, str(script)],
            env={"PATH": os.environ["PATH"], "PYTHONPATH": root, **world},
            capture_output=True,
            check=True,
        ).stdout
        for world in worlds
    ]
    assert told[0] == told[1]


@every_renderer
def test_every_candidate_and_domain_is_named(renderer: Renderer) -> None:
    shown = renderer.render(sample_report())
    for candidate in sample_report().candidates:
        assert candidate.name in shown
        assert all(domain.domain in shown for domain in candidate.domains)


@every_renderer
def test_a_report_of_nothing_still_renders(renderer: Renderer) -> None:
    assert renderer.render(Report(baseline="base", verdict="invalid", exit_code=4)).endswith("\n")


@every_renderer
@given(text=st.text(st.characters(), max_size=40))
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
def test_no_name_breaks_a_renderer_or_shows_what_cannot_be_seen(
    renderer: Renderer, text: str
) -> None:
    shown = renderer.render(hostile_report(text))
    shown.encode("utf-8")
    assert not set(shown) & {*CONTROLS, *BIDI, "\u2028", "\u2029", "\ufeff"}


@every_renderer
@pytest.mark.parametrize(
    "name",
    [
        "<script>alert(1)</script>",
        "\x1b[31mred\x1b]0;title\x07",
        "\u202egnp.exe",
        "nul\x00nul",
        "lone\ud800surrogate",
        "]]></testcase><failure/>",
        "bell\x07\x9b31m\x85next",
    ],
)
def test_hostile_names_neither_break_nor_inject(renderer: Renderer, name: str) -> None:
    shown = renderer.render(hostile_report(name))
    shown.encode("utf-8")
    assert not set(shown) & {*CONTROLS, *BIDI}
    if renderer.name in ("svg", "junit", "markdown"):
        assert "<script" not in shown
    if renderer.name == "html":
        assert shown.count("<script") <= 2
        assert "<script>alert" not in shown
        assert "]]></testcase>" not in shown


@every_renderer
def test_a_megabyte_of_name_is_cut_but_in_the_json(renderer: Renderer) -> None:
    shown = renderer.render(hostile_report("x" * 1_000_000))
    assert (len(shown) > 1_000_000) == (renderer.name == "json")
