"""JUnit: what a CI system makes of a verdict."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from evalkit.stats.decision import overall
from evalkit.verdict import CandidateVerdict, CellVerdict, DomainVerdict, Outcome, Report
from reports.junit import render
from tests.sample_report import hostile_report, pair, sample_report

OUTCOMES: tuple[Outcome, ...] = (
    "improved",
    "no_regression",
    "regressed",
    "inconclusive",
    "invalid",
)


def report_on(gate: Outcome, detector: Outcome, *, tolerant: bool = False) -> Report:
    """A report on a gating domain and a detecting cell, judged by the decision table itself."""
    verdict, exit_code = overall([gate], [detector], warn_on_inconclusive=tolerant)
    domain = DomainVerdict(**pair("chat", gate, 30, 10))
    cell = CellVerdict(**pair("chat", detector, 30, 10, gates=False), task="mini-chat")
    candidate = CandidateVerdict(
        name="sft",
        against="base",
        verdict=verdict,
        exit_code=exit_code,
        domains=[domain],
        cells=[cell],
    )
    return Report(baseline="base", verdict=verdict, exit_code=exit_code, candidates=[candidate])


def parsed(report: Report) -> ElementTree.Element:
    return ElementTree.fromstring(render(report))


def case(report: Report, name: str) -> ElementTree.Element:
    return next(case for case in parsed(report).iter("testcase") if case.get("name") == name)


@pytest.mark.parametrize("tolerant", [False, True])
@pytest.mark.parametrize("detector", OUTCOMES)
@pytest.mark.parametrize("gate", OUTCOMES)
def test_it_is_red_exactly_where_the_exit_code_is_not_zero(
    gate: Outcome, detector: Outcome, tolerant: bool
) -> None:
    report = report_on(gate, detector, tolerant=tolerant)
    root = parsed(report)
    red = int(root.get("failures", "")) + int(root.get("errors", ""))
    assert (red > 0) == (report.exit_code != 0)


@pytest.mark.parametrize(
    ("gate", "tag"),
    [("regressed", "failure"), ("inconclusive", "failure"), ("invalid", "error")],
)
def test_a_gate_that_does_not_pass_is_red_and_says_why(gate: Outcome, tag: str) -> None:
    found = case(report_on(gate, "no_regression"), "chat").find(tag)
    assert found is not None
    assert found.get("type") == gate
    assert "−6.7 points, 90 % interval" in (found.text or "")


def test_a_detector_that_regressed_is_red() -> None:
    regressed = report_on("no_regression", "regressed")
    assert case(regressed, "chat / mini-chat").find("failure") is not None


def test_a_detector_that_is_undecided_passes_with_a_note() -> None:
    found = case(report_on("improved", "inconclusive"), "chat / mini-chat")
    assert [child.tag for child in found] == ["system-out"]
    assert "inconclusive" in (found[0].text or "")


def test_an_advisory_unit_is_never_red() -> None:
    unit = pair("chat", "regressed", 90, 10, gates=False, flags=["advisory"])
    candidate = CandidateVerdict(
        name="sft",
        against="base",
        verdict="passed",
        exit_code=0,
        domains=[DomainVerdict(**unit)],
        cells=[CellVerdict(**unit, task="mini-chat")],
    )
    report = Report(baseline="base", verdict="passed", exit_code=0, candidates=[candidate])
    assert parsed(report).get("failures") == "0"
    assert "advisory" in (case(report, "chat")[0].text or "")


def test_a_detector_that_was_not_measured_is_skipped() -> None:
    found = case(report_on("improved", "invalid"), "chat / mini-chat")
    assert [child.tag for child in found] == ["skipped"]


def test_there_is_a_case_for_every_domain_and_every_cell() -> None:
    root = parsed(sample_report())
    units = [
        len(candidate.domains) + len(candidate.cells) for candidate in sample_report().candidates
    ]
    assert sorted(int(suite.get("tests", "")) for suite in root) == sorted(units)
    assert int(root.get("tests", "")) == sum(units) == len(list(root.iter("testcase")))


def test_a_run_that_measured_nothing_is_red() -> None:
    empty = Report(baseline="base", verdict="invalid", exit_code=4)
    bare = CandidateVerdict(name="sft", against="base", verdict="invalid", exit_code=4)
    for report in (empty, empty.model_copy(update={"candidates": [bare]})):
        assert parsed(report).get("errors") == "1"


def test_there_are_no_times() -> None:
    assert not {"time", "timestamp"} & {
        key for element in parsed(sample_report()).iter() for key in element.attrib
    }


@pytest.mark.parametrize("name", ["\x00\x0b\x1b[31m", "\ufffe\uffff", "]]>", '"<&>', "\ud800"])
def test_any_name_gives_xml_that_parses(name: str) -> None:
    assert parsed(hostile_report(name)).tag == "testsuites"
