"""Figures: what they show, the same each time, in every light and in fonts that hold Chinese."""

from __future__ import annotations

import re
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner

from evalkit import plugins
from evalkit.cli import cli
from evalkit.errors import ConfigError
from evalkit.verdict import (
    CandidateVerdict,
    ChangeNote,
    CheckpointNote,
    Curve,
    DomainVerdict,
    Pictures,
    Report,
    TrainingNote,
)
from reports._canvas import inline, png, svg
from reports._figures import figures
from reports._fonts import fallbacks, undrawn
from reports._pareto import Trade, front
from reports._track import track
from reports.figures import draw
from tests.hostile import HOSTILE
from tests.sample_report import hostile_report, pair, sample_report

SVG = "{http://www.w3.org/2000/svg}"


def words(drawing: bytes | str) -> str:
    """What a drawing says, in one line."""
    root = ElementTree.fromstring(drawing)
    return " ".join("".join(each.itertext()) for each in root.iter(f"{SVG}text"))


def with_notes(*notes: CheckpointNote, **more: Any) -> Report:
    names = [note.name for note in notes]
    candidates = [
        CandidateVerdict(
            name=name,
            against=names[0],
            verdict="improved",
            domains=[DomainVerdict(**pair("chat", "improved", 3, 30))],
        )
        for name in names[1:]
    ]
    return Report(
        baseline=names[0],
        verdict="improved",
        exit_code=0,
        candidates=candidates,
        checkpoints=list(notes),
        **more,
    )


def line(*steps: tuple[str, str, str, int | None]) -> list[CheckpointNote]:
    return [CheckpointNote(name=n, parent=p, method=m, step=s) for n, p, m, s in steps]


def test_every_figure_says_what_it_is_and_shows_signs_and_numbers() -> None:
    found = {plot.name: svg(plot) for plot in figures(sample_report())}
    assert set(found) == {"heatmap", "forest", "curves", "pareto", "triage"}
    assert "▼ −5.6" in words(found["heatmap"])
    assert "[−6.4, −4.9]" in words(found["forest"])
    assert "1.0*" in words(found["forest"])
    assert "SFT" in words(found["curves"])
    assert "+32.3 instruction-following" in words(found["pareto"])
    assert "unparsed 417" in words(found["triage"])
    for drawing in found.values():
        root = ElementTree.fromstring(drawing)
        title, says = root.find(f"{SVG}title"), root.find(f"{SVG}desc")
        assert title is not None
        assert title.text
        assert says is not None
        assert says.text


def test_a_change_that_is_not_shown_is_a_tilde_here_too() -> None:
    told = words(svg(next(plot for plot in figures(sample_report()) if plot.name == "forest")))
    assert "~ [−8.3, +1.0]" in told
    assert "−3.7 [" not in told


def test_drawn_again_by_other_settings_of_matplotlib_every_file_is_the_same() -> None:
    import matplotlib

    before = dict(draw(sample_report()))
    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "red", "svg.fonttype": "path"}):
        assert dict(draw(sample_report())) == before


def test_a_picture_is_three_times_as_fine_as_the_page() -> None:
    from matplotlib.image import imread

    plot = figures(sample_report())[0]
    pixels = imread(BytesIO(png(plot)))
    assert pixels.shape[:2] == (3 * plot.height, 3 * plot.width)


def test_within_the_page_a_figure_has_no_style_no_own_colour_and_no_ids_but_its_own() -> None:
    for plot in figures(sample_report()):
        text = inline(plot)
        root = ElementTree.fromstring(text)
        assert not [each for each in root.iter() if "style" in each.attrib]
        assert not list(root.iter(f"{SVG}style"))
        assert not re.findall(r"#[0-9a-f]{6}\b", text.replace("url(#", "").replace('href="#', ""))
        ids = [each.attrib["id"] for each in root.iter() if "id" in each.attrib]
        assert all(name.startswith(f"{plot.name}-") for name in ids)
        assert len(ids) == len(set(ids))
        assert root.attrib["role"] == "img"
        assert "font-family" not in text


@pytest.mark.parametrize("text", [text[:500] for text in HOSTILE.values()], ids=list(HOSTILE))
def test_any_name_gives_figures_that_parse_and_run_nothing(text: str) -> None:
    for plot in figures(hostile_report(text)):
        for drawing in (svg(plot).decode(), inline(plot)):
            root = ElementTree.fromstring(drawing)
            assert not list(root.iter(f"{SVG}script"))
            assert not [name for each in root.iter() for name in each.attrib if name[:2] == "on"]
    assert "$" in words(svg(figures(hostile_report("a $x^2$ b"))[0]))  # no formula


def test_chinese_is_drawn_by_a_font_that_has_it_or_the_picture_says_so() -> None:
    report = hostile_report("知识问答")
    plot = figures(report)[0]
    assert "知识问答" in words(svg(plot))
    if undrawn("知识"):
        pytest.skip("no font here has Chinese: apt-get install fonts-droid-fallback")
    assert fallbacks("知识")
    assert png(plot) != png(figures(hostile_report("识知问答"))[0])


def test_what_no_font_has_is_said_in_the_picture_and_not_boxed_silently() -> None:
    nowhere = "\U0001b170"  # Nüshu, which next to no font has
    if not undrawn(nowhere):
        pytest.skip("a font here has Nüshu")
    assert undrawn(f"plain {nowhere}") == [nowhere]
    plain, odd = (figures(hostile_report(f"name {end}"))[0] for end in ("", nowhere))
    assert len(png(odd)) > len(png(plain)) + 1_000  # a sentence more


def test_checkpoints_stand_by_their_steps_within_a_stage() -> None:
    notes = line(
        ("base", "", "", None),
        ("sft-100", "base", "sft", 100),
        ("sft-400", "base", "sft", 400),
        ("dpo", "sft-400", "dpo", None),
    )
    found = track(with_notes(*notes))
    assert found.before == {"sft-100": "base", "sft-400": "sft-100", "dpo": "sft-400"}
    assert found.places == {"base": 0.0, "sft-100": 0.5, "sft-400": 2.0, "dpo": 3.0}
    stages = [(each.start, each.end, each.method) for each in found.stages]
    assert stages == [(0.0, 2.0, "sft"), (2.0, 3.0, "dpo")]


def test_where_lines_branch_each_checkpoint_has_a_place_of_its_own() -> None:
    notes = line(("base", "", "", None), ("a", "base", "sft", None), ("b", "base", "sft", None))
    found = track(with_notes(*notes))
    assert list(found.places.values()) == [0.0, 1.0, 2.0]
    assert found.before == {"a": "base", "b": "base"}
    assert found.stages == []


def test_curves_mark_where_a_decline_began_and_show_what_trainers_logged() -> None:
    notes = line(("base", "", "", None), ("sft", "base", "sft", None), ("dpo", "sft", "dpo", None))
    logged = [
        TrainingNote(
            stage="sft",
            curves=[
                Curve(name=name, steps=[1, 2, 3], values=[2.5, None, 0.25])
                for name in ("grad_norm", "loss")
            ],
        )
    ]
    change = ChangeNote(
        task="t", domain="chat", checkpoint="dpo", before="sft", delta=-0.125, p=0.01
    )
    report = with_notes(*notes, training=logged, changes=[change])
    told = words(svg(next(plot for plot in figures(report) if plot.name == "curves")))
    assert "−12.5 from dpo on" in told
    assert "SFT DPO" in told
    assert told.index("loss") < told.index("grad_norm")  # the known ones first
    assert "0.25" in told


def test_a_long_series_names_no_more_checkpoints_than_fit() -> None:
    steps: Sequence[tuple[str, str, str, int | None]] = [("base", "", "", None)] + [
        (f"step-{i}", "base", "sft", i * 10) for i in range(1, 100)
    ]
    plot = next(p for p in figures(with_notes(*line(*steps))) if p.name == "curves")
    assert 5 <= words(svg(plot)).count("step-") <= 12


def test_the_front_is_of_those_that_no_other_beats_in_both() -> None:
    def trade(name: str, loss: float, gain: float) -> Trade:
        units = [
            DomainVerdict(domain="d", verdict="no_regression", delta=delta)
            for delta in (gain, loss)
        ]
        return Trade(name, "passed", units[0], units[1])

    found = [trade("a", -0.3, 0.5), trade("b", -0.1, 0.4), trade("c", -0.2, 0.3)]
    assert [each.name for each in front(found)] == ["a", "b"]
    assert [each.name for each in front([trade("x", 0, 0), trade("y", 0, 0)])] == ["x", "y"]


def test_nothing_to_draw_draws_nothing() -> None:
    assert figures(Report(baseline="base", verdict="invalid", exit_code=4)) == []


def test_the_command_writes_a_folder_and_says_where(tmp_path: Path) -> None:
    from evalkit.evidence.values import NO_SAMPLES
    from evalkit.reporting.writing import write

    write(sample_report(), tmp_path, [], NO_SAMPLES)
    command = ["report", str(tmp_path / "verdict.json"), "--format", "figures"]
    done = CliRunner().invoke(cli, command)
    assert done.exit_code == 0, done.output
    assert f"wrote {tmp_path / 'figures'}" in done.output
    names = sorted(path.name for path in (tmp_path / "figures").iterdir())
    stems = ("curves", "forest", "heatmap", "pareto", "triage")
    assert names == sorted(f"{stem}.{kind}" for stem in stems for kind in ("png", "svg"))


def test_a_format_whose_package_is_not_there_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    missing = Pictures("figures", "figures", draw, ("no_such_package",))
    monkeypatch.setattr(plugins, "find", lambda kind, name: missing)
    with pytest.raises(ConfigError, match=r"figures needs .* pip install 'posttrain-evalkit\[rep"):
        plugins.report_format("figures")
