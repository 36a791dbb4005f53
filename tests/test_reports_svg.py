"""The table as a picture."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from reports.svg import picture
from tests.sample_report import hostile_report, sample_report


def test_it_is_an_svg_of_the_table() -> None:
    root = ElementTree.fromstring(picture(sample_report()))
    text = "".join(root.itertext()).replace("\xa0", " ")
    assert root.tag.endswith("svg")
    assert "REGRESSED" in text
    assert "[−6.4, −4.9]" in text


def test_it_fetches_nothing() -> None:
    drawn = picture(sample_report()).replace('xmlns="http://www.w3.org/2000/svg"', "")
    assert not [word for word in ("url(http", "href", "@import", "src:") if word in drawn]


@pytest.mark.parametrize("name", ["<script>", "\x1b[31m\x00", "</svg>", "&", "\ud800"])
def test_any_name_gives_a_picture_that_parses(name: str) -> None:
    ElementTree.fromstring(picture(hostile_report(name)))
