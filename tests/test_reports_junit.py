"""JUnit: what a CI system makes of a verdict."""

from __future__ import annotations

import importlib
import re
import shutil
import subprocess
import sys
import tarfile
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from evalkit.evidence.stored import StoredEvidence
from evalkit.evidence.values import Evidence
from evalkit.reporting.report import of_run
from evalkit.stats.decision import overall
from evalkit.types import Request, Response, Rows, Sample
from evalkit.verdict import CandidateVerdict, CellVerdict, DomainVerdict, Outcome, Report
from reports.junit import render
from tests.sample_report import hostile_report, pair, sample_report
from tests.small_exams import doubles, exam, held, right, row

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


def ran(results: Path) -> tuple[Report, Evidence]:
    """A real run whose candidate is wrong below thirty, and cut off on every third of these."""

    def careless(request: Request) -> Response:
        number = int(request.sample.id)
        if number >= 30:
            return right(request)
        return Response(f"{number} it is", finish_reason="length" if number % 3 == 0 else "stop")

    task = exam(doubles(90, domain="arithmetic"))
    report = of_run(held([row("base", right), row("sft", careless)], [task], results))
    return report, StoredEvidence(results, report)


def test_a_failure_tells_delta_interval_margin_causes_and_the_samples_lost(tmp_path: Path) -> None:
    report, evidence = ran(tmp_path)
    root = ElementTree.fromstring(render(report, evidence))
    for name in ("arithmetic", "arithmetic / doubles"):
        failure = next(case for case in root.iter("testcase") if case.get("name") == name)[0]
        lines = (failure.text or "").splitlines()
        assert lines[0].startswith("−33.3 points, 90 % interval [")
        assert "lost in doubles, 30 in all:" in lines
        told = [line for line in lines if re.fullmatch(r"  (\d+): target (\d+); .*", line)]
        assert len(told) == 3
        for line in told:
            number = int(line.split(":")[0])
            assert f"target {2 * number}; base read {2 * number}, correct" in line
            assert (
                f"; sft read {number} it is, {'truncated' if number % 3 == 0 else 'wrong'}" in line
            )
        assert {"truncated" in line for line in told} == {True, False}
        assert lines[-1] == "evalkit show doubles/sft --against base --lost 3"
    assert "lost to: wrong 20, truncated 10" in lines


def test_what_passes_shows_no_samples(tmp_path: Path) -> None:
    report, evidence = ran(tmp_path)
    (candidate,) = report.candidates
    units = {
        name: [unit.model_copy(update={"verdict": "no_regression"}) for unit in units]
        for name, units in (("domains", candidate.domains), ("cells", candidate.cells))
    }
    passed = candidate.model_copy(update={"exit_code": 0, "verdict": "passed", **units})
    page = render(report.model_copy(update={"candidates": [passed]}), evidence)
    assert "lost in doubles" not in page


def test_samples_that_are_gone_leave_the_numbers(tmp_path: Path) -> None:
    report, evidence = ran(tmp_path)
    shutil.rmtree(tmp_path / "doubles")
    page = render(report, evidence)
    assert "−33.3 points" in page
    assert "lost in" not in page


HOSTILE = "\x1b[2J\0]]>\x07<failure/>\u202e&#0;&bull;\ufffe\ud800" + "x" * 100_000


def hostile_run(results: Path) -> tuple[Report, Evidence]:
    """Answers, reasons, ids and targets that would break what is not escaped."""

    def samples(_: Rows) -> Iterable[Sample]:
        for number in range(60):
            yield Sample(f"{number}{HOSTILE[:50]}", f"{number}?", f"{number}{HOSTILE}")

    task = exam(doubles(60, samples=samples))
    rows = [row("base", right), row("sft", lambda request: Response(f"no{HOSTILE}"))]
    report = of_run(held(rows, [task], results))
    return report, StoredEvidence(results, report)


ATTRIBUTES = {
    "testsuites": ({"name", "time", "tests", "failures", "errors"}, set()),
    "testsuite": (
        {"name", "tests", "failures", "errors", "skipped", "time", "timestamp", "hostname", "id"},
        {"name", "tests", "failures", "errors"},
    ),
    "testcase": ({"name", "classname", "time", "group"}, {"name", "classname"}),
    "failure": ({"type", "message"}, {"type"}),
    "error": ({"type", "message"}, {"type"}),
    "skipped": ({"type", "message"}, set()),
    "system-out": (set(), set()),
}
"""What the schemas of Jenkins and of Ant both allow, and what Ant's demands; GitLab reads less."""

CHILDREN = {
    "testsuites": {"testsuite"},
    "testsuite": {"testcase", "system-out"},
    "testcase": {"failure", "error", "skipped", "system-out"},
}
ALLOWED = re.compile("[\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]*")
"""The characters of XML 1.0."""


def broken_rules(text: str) -> list[str]:
    """How a page differs from what Jenkins, Ant and GitLab read."""
    root = ElementTree.fromstring(text)
    found = [] if ALLOWED.fullmatch(text) else ["a character that XML 1.0 does not have"]
    found += [] if root.tag == "testsuites" else [root.tag]
    for element in root.iter():
        allowed, needed = ATTRIBUTES.get(element.tag, (set(), set()))
        found += [f"{element.tag} has {key}" for key in element.attrib.keys() - allowed]
        found += [f"{element.tag} lacks {key}" for key in needed - element.attrib.keys()]
        inside = {child.tag for child in element}
        found += [f"{tag} in {element.tag}" for tag in inside - CHILDREN.get(element.tag, set())]
    cases = Counter((case.get("classname"), case.get("name")) for case in root.iter("testcase"))
    found += [f"{name} is there {times} times" for name, times in cases.items() if times > 1]
    for suite in root.iter("testsuite"):
        counts = {tag: sum(1 for _ in suite.iter(tag)) for tag in ("failure", "error", "testcase")}
        if [counts["failure"], counts["error"], counts["testcase"]] != [
            int(suite.get(key, "")) for key in ("failures", "errors", "tests")
        ]:
            found.append(f"{suite.get('name')} counts wrongly")
    return found


def pages(folder: Path) -> list[str]:
    """Pages of every kind of report."""
    empty = Report(baseline="base", verdict="invalid", exit_code=4)
    reports = [sample_report(), empty, hostile_report(HOSTILE), hostile_report("")]
    shown = [render(report) for report in reports]
    for name, run in (("good", ran), ("hostile", hostile_run)):
        shown.append(render(*run(folder / name)))
    return shown


def test_the_pages_keep_the_rules_of_jenkins_ant_and_gitlab(tmp_path: Path) -> None:
    for page in pages(tmp_path):
        assert broken_rules(page) == []
        assert len(page) < 200_000


def test_the_rules_are_not_kept_by_everything() -> None:
    wrong = (
        '<testsuites skipped="1"><testsuite name="a" tests="1" failures="1" errors="0">'
        '<testcase name="b"/><failure/></testsuite></testsuites>'
    )
    assert sorted(broken_rules(wrong)) == [
        "failure in testsuite",
        "failure lacks type",
        "testcase lacks classname",
        "testsuites has skipped",
    ]


SCHEMA = "testing/example_scripts/junit-10.xsd"


@pytest.mark.integration
def test_jenkins_own_schema_takes_the_pages(tmp_path: Path) -> None:
    """Against the schema in the published sources of pytest, which are only unpacked."""
    etree: Any = importlib.import_module("lxml.etree")
    fetch = ["download", "--quiet", "--no-deps", "--no-binary", ":all:", "-d", str(tmp_path)]
    subprocess.run([sys.executable, "-m", "pip", *fetch, "pytest==9.0.2"], check=True)
    with tarfile.open(next(tmp_path.glob("*.tar.gz"))) as sources:
        name = next(member for member in sources.getnames() if member.endswith(SCHEMA))
        schema = etree.XMLSchema(etree.parse(sources.extractfile(name)))
    for page in pages(tmp_path):
        schema.assertValid(etree.fromstring(page.encode()))
