"""The page: self-contained, bounded, the same each time, and safe whatever models wrote."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from evalkit.evidence.stored import StoredEvidence
from evalkit.evidence.values import NO_SAMPLES
from evalkit.verdict import JudgeCost, Report
from reports._findings import findings
from reports._html import embedded, multiline
from reports._samples import BUDGET
from reports.html import render
from tests import sample_results
from tests.hostile import HOSTILE
from tests.sample_report import sample_report

VOID = {"meta", "img", "br", "input", "link", "hr"}


class Elements(HTMLParser):
    """Every element of a page, whether they nest, and the texts of its scripts and styles."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {"script": [], "style": []}
        self._open: list[str] = []
        self.feed(page)
        self.close()
        assert not self._open, f"never closed: {self._open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open[-1] == tag, f"</{tag}> closes <{self._open[-1]}>"
        self._open.pop()

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] in self.texts:
            self.texts[self._open[-1]].append(data)

    def attributes(self, name: str) -> list[str]:
        return [str(attrs[name]) for _, attrs in self.found if name in attrs]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Report]:
    return sample_results.folder(tmp_path_factory.mktemp("page"))


@pytest.fixture(scope="module")
def page(results: tuple[Path, Report]) -> str:
    folder, _ = results
    return (folder / "report" / "report.html").read_text("utf-8")


def data_of(page: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert found
    return dict(json.loads(found[1]))


def test_its_elements_nest_and_nothing_is_named_twice(page: str) -> None:
    ids = Elements(page).attributes("id")
    assert len(ids) == len(set(ids)), sorted({i for i in ids if ids.count(i) > 1})


def test_every_reference_of_a_figure_and_a_label_leads_somewhere(page: str) -> None:
    elements = Elements(page)
    ids = set(elements.attributes("id"))
    for named in (*elements.attributes("aria-labelledby"), *elements.attributes("for")):
        assert set(named.split()) <= ids, named
    for place in re.findall(r'url\(#([^)]*)\)|href="#([^"]*)"', page):
        assert "".join(place) in ids, place


def test_it_asks_for_nothing_and_states_so(page: str) -> None:
    elements = Elements(page)
    assert not elements.attributes("src")
    assert all(place.startswith("#") for place in elements.attributes("href"))
    assert "@import" not in page
    assert not re.search(r"url\((?!#)", "".join(elements.texts["style"]))


def test_one_script_and_one_style_run_and_both_are_pinned(page: str) -> None:
    elements = Elements(page)
    (policy,) = [
        str(attrs["content"])
        for tag, attrs in elements.found
        if tag == "meta" and attrs.get("http-equiv") == "Content-Security-Policy"
    ]
    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy
    assert "connect-src" not in policy
    assert len(elements.texts["script"]) == 2
    for kind, text in (
        ("style", elements.texts["style"][0]),
        ("script", elements.texts["script"][1]),
    ):
        pin = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{pin}'" in policy
    assert not elements.attributes("style")
    assert not [name for _, attrs in elements.found for name in attrs if name.startswith("on")]


def test_its_data_hold_the_flips_as_they_were_written(page: str) -> None:
    data = data_of(page)
    pairs = [(pair["candidate"], pair["against"], pair["task"]) for pair in data["pairs"]]
    at = pairs.index(("sft", "base", "doubles"))
    assert data["pairs"][at]["lost"] == sample_results.FALLS["base"] - sample_results.FALLS["sft"]
    mine = [flip for flip in data["flips"] if flip["pair"] == at]
    assert len(mine) == data["pairs"][at]["shown"] == data["pairs"][at]["lost"]
    texts = data["texts"]
    assert {texts[flip["before"]["text"]] for flip in mine} == {
        texts[flip["target"]] for flip in mine
    }
    assert len(texts) == len(set(texts))
    assert data["pairs"][at]["slices"] == [["even", 30, 11, 0], ["odd", 30, 11, 0]]


def test_what_models_wrote_stands_in_the_data_alone(page: str) -> None:
    data = data_of(page)
    said = set(data["texts"])
    for name in ("script", "end of script", "end of style", "handler", "bidi", "nuls", "ansi"):
        assert HOSTILE[name] in said, name
    block = re.search(r'id="data">(.*?)</script>', page, re.DOTALL)
    assert block
    assert block[1].isascii()
    assert not set(block[1]) & set("<>&")
    assert "hacked" in block[1]
    assert "hacked" not in page.replace(block[1], "")


def test_a_megabyte_is_cut_with_its_end_kept(page: str) -> None:
    texts = data_of(page)["texts"]
    assert max(map(len, texts)) < 13_000
    assert any("988,000 characters left out" in text for text in texts)


def test_a_page_stays_within_its_budget_however_much_was_written(
    results: tuple[Path, Report], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, report = results
    monkeypatch.setattr("reports._samples.BUDGET", 60_000)
    page = render(report, StoredEvidence(folder, report))
    block = re.search(r'id="data">(.*?)</script>', page, re.DOTALL)
    assert block
    assert len(block[1]) < 60_000 + 40_000  # what is shown of a comparison ends with a whole sample
    data = data_of(page)
    lost = [pair for pair in data["pairs"] if pair["lost"]]
    assert sum(pair["shown"] > 0 for pair in lost) > 5
    assert any(pair["shown"] < min(200, pair["lost"] + pair["gained"]) for pair in lost)
    assert BUDGET < 5_000_000


def test_the_same_report_and_store_give_the_same_bytes(
    results: tuple[Path, Report], page: str
) -> None:
    folder, report = results
    assert render(report, StoredEvidence(folder, report)) == page


def test_without_samples_it_is_whole_but_for_them() -> None:
    page = render(sample_report(), NO_SAMPLES)
    Elements(page)
    assert "<script" not in page
    assert 'id="browser"' not in page
    assert "None are shown: the samples are not at hand: only the verdict was given." in page
    assert "read the samples" not in page
    for said in ("regressed", "Intervals and margins", "Over training", "Gain against loss"):
        assert said in page


def test_what_judging_a_cell_took_is_shown_where_a_judge_was_asked() -> None:
    report = sample_report()
    assert "<summary>Judgments</summary>" not in render(report, NO_SAMPLES)
    cost = JudgeCost(calls=800, prompt_tokens=480_000, completion_tokens=3200, price=0.9856)
    first = report.scores[0].model_copy(update={"judging": cost})
    page = render(report.model_copy(update={"scores": [first, *report.scores[1:]]}), NO_SAMPLES)
    (row,) = re.findall(r"<tr>.*480,000.*</tr>", page)
    cells = re.findall(r">([^<>]+)</t", row)
    assert cells == ["mmlu-pro", "sft", "800", "480,000", "3,200", "0.99"]


def test_what_did_not_pass_is_told_once_by_its_worst_candidate() -> None:
    found, more = findings(sample_report())
    assert more == 0
    assert [each.says for each in found][:3] == [
        "grpo lost 16.7 points of chat",
        "sft lost 16.3 points of multiple-choice",
        "sft lost 5.6 points of knowledge",
    ]
    knowledge = found[2]
    assert "90 % interval [−6.4, −4.9]" in knowledge.numbers
    assert "margin 1.0" in knowledge.numbers
    assert "lost 1,832, gained 1,156" in knowledge.why
    assert "of the lost, 4 truncated, 417 unparsed, 1,411 wrong" in knowledge.why
    assert "unparsed answers 1,251 → 1,865" in knowledge.why
    assert "complete answers only 33.2 → 28.6" in knowledge.why
    assert "✕ sft invalid" in " ".join(found[0].also)


def test_how_it_was_made_is_shown(page: str) -> None:
    assert "evalkit run-matrix my.yaml" in page
    assert "baseline: base" in page


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_any_text_survives_embedding_and_ends_nothing(text: str) -> None:
    block = str(embedded({"text": text}))
    assert json.loads(block) == {"text": text}
    assert block.isascii()
    assert not set(block) & set("<>&")
    assert "\n" not in block
    assert "<" not in str(multiline(text))
