"""`junit.xml`: one test case per domain and per task, red exactly where the exit code says so.

| unit                      | case    |                                                        |
|---------------------------|---------|--------------------------------------------------------|
| regressed                 | failure | of a gate or of a detector: either fails a candidate   |
| invalid, gating           | error   | so is everything where nothing could be measured       |
| invalid, detecting        | skipped | it was not measured, and holds nothing up              |
| inconclusive, gating      | failure | passes where the exit code was set to tolerate it      |
| advisory                  | passes  | its judge is too weak to decide anything               |
| a checkpoint on the way   | passes  | all of it: its stage was trained on after it           |
| anything else             | passes  | the numbers are in system-out                          |
| the whole                 | error   | only where no unit accounts for the exit code          |

There are no times: equal reports give equal bytes.
"""

from __future__ import annotations

from xml.etree.ElementTree import Element, SubElement, indent, tostring

from evalkit.verdict import CandidateVerdict, Renderer, Report, Unit

from ._details import details
from ._needed import needed
from ._rows import Row, claim, in_reading_order, is_advisory, tally, word
from ._text import clean, count, interval, p_value, percent, points

COUNTED = {"failure": "failures", "error": "errors", "skipped": "skipped"}


def render(report: Report) -> str:
    """The report as JUnit XML: a suite per candidate."""
    root = Element("testsuites", name="evalkit")
    for candidate in in_reading_order(report):
        _suite(root, candidate, report.ci_level)
    if not report.candidates:
        _verdict(SubElement(root, "testsuite", name=clean(report.baseline)), report)
    _total(root)
    indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + tostring(root, encoding="unicode") + "\n"


def _suite(root: Element, candidate: CandidateVerdict, level: float) -> None:
    name = f"{clean(candidate.name)} against {clean(candidate.against)}"
    suite = SubElement(root, "testsuite", name=name)
    units = [Row("domain", unit) for unit in candidate.domains]
    units += [Row("cell", cell, cell) for cell in candidate.cells]
    for row in units:
        case = SubElement(suite, "testcase", classname=name, name=_name(row))
        _judge(case, row, level, _tag(row.unit, candidate))
    if not _is_red(suite) and not candidate.on_the_way:
        _verdict(suite, candidate)
    _total(suite)
    SubElement(suite, "system-out").text = f"{claim(candidate)}: {tally(candidate)}"


def _is_red(suite: Element) -> bool:
    return any(True for tag in ("failure", "error") for _ in suite.iter(tag))


def _verdict(suite: Element, judged: CandidateVerdict | Report) -> None:
    """A case for the whole, where no unit accounts for its exit code."""
    if judged.exit_code:
        case = SubElement(suite, "testcase", classname=suite.get("name", ""), name="verdict")
        tag = "error" if judged.exit_code == 4 else "failure"
        message = f"{claim(judged)}, exit code {judged.exit_code}"
        SubElement(case, tag, type=judged.verdict, message=message)
    _total(suite)


def _name(row: Row) -> str:
    domain = clean(row.unit.domain)
    return f"{domain} / {clean(row.cell.task)}" if row.cell else domain


def _judge(case: Element, row: Row, level: float, tag: str) -> None:
    numbers = _numbers(row.unit, level)
    text = "\n".join([numbers, *_counts(row), *details(row), *_wants(row)])
    if not tag:
        SubElement(case, "system-out").text = f"{word(row.unit.verdict)}: {text}"
        return
    message = f"{word(row.unit.verdict)}: {clean(row.unit.reason, 400) or numbers}"
    SubElement(case, tag, type=row.unit.verdict, message=message).text = text


def _tag(unit: Unit, candidate: CandidateVerdict) -> str:
    exit_code = candidate.exit_code
    if is_advisory(unit) or candidate.on_the_way:
        return "skipped" if unit.verdict == "invalid" else ""
    if unit.verdict == "regressed":
        return "failure"
    if unit.verdict == "invalid":
        return "error" if unit.gates or exit_code == 4 else "skipped"
    tolerated = exit_code == 0 or not unit.gates
    return "failure" if unit.verdict == "inconclusive" and not tolerated else ""


def _numbers(unit: Unit, level: float) -> str:
    if unit.delta is None:
        return "no estimate"
    return (
        f"{points(unit.delta)} points, {100 * level:.0f} % interval {interval(unit.ci)}, "
        f"p(regressed) {p_value(unit.p_regressed_adjusted)}, "
        f"p(improved) {p_value(unit.p_improved_adjusted)}, adjusted"
    )


def _counts(row: Row) -> list[str]:
    cell = row.cell
    if cell is None or cell.baseline_score is None:
        return []
    return [
        f"{percent(cell.baseline_score)} % → {percent(cell.candidate_score)} %, n {count(cell.n)}"
    ]


def _wants(row: Row) -> list[str]:
    return [needed(row)] if row.unit.verdict == "inconclusive" else []


def _total(element: Element) -> None:
    element.set("tests", str(sum(1 for _ in element.iter("testcase"))))
    for tag, attribute in COUNTED.items():
        element.set(attribute, str(sum(1 for _ in element.iter(tag))))


RENDERERS = (Renderer("junit", "junit.xml", render),)
