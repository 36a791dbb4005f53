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

from collections import Counter
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from evalkit.evidence.values import NO_SAMPLES, Evidence
from evalkit.verdict import CandidateVerdict, Renderer, Report, Unit

from ._details import details
from ._flips import lost
from ._needed import needed
from ._rows import Row, claim, in_reading_order, is_advisory, tally, word
from ._text import clean, count, interval, p_value, percent, points

COUNTED = {"failure": "failures", "error": "errors", "skipped": "skipped"}
# Jenkins' schema has no count of skipped cases for the whole.
PLACES = dict.fromkeys(COUNTED, ("testsuites", "testsuite")) | {"skipped": ("testsuite",)}


def render(report: Report, evidence: Evidence = NO_SAMPLES) -> str:
    """The report as JUnit XML: a suite per candidate, failures with samples that were lost."""
    root = Element("testsuites", name="evalkit")
    for candidate in in_reading_order(report):
        _suite(root, candidate, report.ci_level, evidence)
    if not report.candidates:
        _verdict(SubElement(root, "testsuite", name=clean(report.baseline)), report)
    _tell_apart(root)
    _total(root)
    indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + tostring(root, encoding="unicode") + "\n"


def _suite(root: Element, candidate: CandidateVerdict, level: float, evidence: Evidence) -> None:
    name = f"{clean(candidate.name)} against {clean(candidate.against)}"
    suite = SubElement(root, "testsuite", name=name)
    units = [Row("domain", unit) for unit in candidate.domains]
    units += [Row("cell", cell, cell) for cell in candidate.cells]
    for row in units:
        case = SubElement(suite, "testcase", classname=name, name=_name(row))
        tag = _tag(row.unit, candidate)
        samples = lost(candidate, row, evidence) if tag == "failure" else []
        _judge(case, row, tag, _text(row, level, samples))
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


def _text(row: Row, level: float, samples: list[str]) -> str:
    """The numbers first, for a message is the first line; then why, and samples."""
    said = [_numbers(row.unit, level), *_margin(row.unit), *_counts(row)]
    return "\n".join([*said, *details(row), *_wants(row), *samples])


def _judge(case: Element, row: Row, tag: str, text: str) -> None:
    if not tag:
        SubElement(case, "system-out").text = f"{word(row.unit.verdict)}: {text}"
        return
    numbers = text.partition("\n")[0]
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


def _margin(unit: Unit) -> list[str]:
    if unit.margin is None:
        return []
    role = "gates" if unit.gates else "only detects"
    return [f"margin {percent(unit.margin)} points, {role}"]


def _counts(row: Row) -> list[str]:
    """The scores, and what became of the samples that were lost."""
    cell = row.cell
    if cell is None or cell.baseline_score is None:
        return []
    scores = f"{percent(cell.baseline_score)} % → {percent(cell.candidate_score)} %"
    ends = sorted(cell.lost_to.items(), key=lambda end: (-end[1], end[0]))
    lost_to = ", ".join(f"{clean(name, 60)} {count(number)}" for name, number in ends)
    return [f"{scores}, n {count(cell.n)}", *([f"lost to: {lost_to}"] if lost_to else [])]


def _wants(row: Row) -> list[str]:
    return [needed(row)] if row.unit.verdict == "inconclusive" else []


def _total(element: Element) -> None:
    element.set("tests", str(sum(1 for _ in element.iter("testcase"))))
    for tag, attribute in COUNTED.items():
        if element.tag in PLACES[tag]:
            element.set(attribute, str(sum(1 for _ in element.iter(tag))))


def _tell_apart(root: Element) -> None:
    """Numbers cases that go by one name: of equal ones, GitLab shows the first alone."""
    seen: Counter[tuple[str, str]] = Counter()
    for case in root.iter("testcase"):
        key = case.get("classname", ""), case.get("name", "")
        seen[key] += 1
        if seen[key] > 1:
            case.set("name", f"{key[1]} ({seen[key]})")


RENDERERS = (Renderer("junit", "junit.xml", render),)
