"""The `gate:` of a config to a policy: every task and domain it names checked."""

from __future__ import annotations

from collections.abc import Iterator

from evalkit.comparison.judged import Judged, check_parts, judged_of, place_of
from evalkit.comparison.policy import EVERYWHERE, Policy
from evalkit.configuration.config import Loaded, Location
from evalkit.configuration.sections import BoundsSection, MarginSection
from evalkit.errors import did_you_mean
from evalkit.exams.exam import Exam
from evalkit.exams.wholes import Joints, joints


def policy_of(loaded: Loaded, exams: tuple[Exam, ...]) -> Policy:
    """What was fixed before the run; raises ConfigError pointing at the line that is wrong."""
    gate = loaded.config.gate
    bounds = {rate: dict(getattr(gate.bounds, rate)) for rate in BoundsSection.model_fields}
    known = joints({exam.label: exam.task.part_of for exam in exams})
    check_parts(loaded, exams, known)
    judged = judged_of(exams, known)
    off = _off(loaded, exams, judged)
    policy = Policy(
        margins={
            name: _fraction(loaded, name, margin, exams, known)
            for name, margin in gate.margins.items()
        },
        gating_cells=frozenset(each.label for each in judged if each.section.gate),
        weights={each.label: each.section.weight for each in judged},
        any_decline=gate.fail_on == "any-decline",
        inconclusive_passes=gate.on_inconclusive == "warn",
        suspect_fails=gate.suspect == "fail",
        whole_run=gate.family == "run",
        fixed=frozenset(_fixed(exams, judged)),
        off=off,
        forced=frozenset(name for name, margin in gate.margins.items() if margin.gate),
        bounds={
            rate: {name: points / 100 for name, points in limits.items()}
            for rate, limits in bounds.items()
            if limits
        },
    ).with_parts(known)
    _check_names(loaded, exams, judged, policy, bounds)
    return policy


def _fixed(exams: tuple[Exam, ...], judged: list[Judged]) -> Iterator[str]:
    yield from (exam.label for exam in exams if exam.section.items == "fixed")
    yield from (each.label for each in judged if each.section.items == "fixed")


def _names(exam: Exam, known: Joints) -> tuple[str, ...]:
    """By what margins and bounds may be about a task."""
    joint = known.of(exam.label)
    return (exam.label, exam.task.domain, *([joint.label] if joint else []))


def _fraction(
    loaded: Loaded, name: str, margin: MarginSection, exams: tuple[Exam, ...], known: Joints
) -> float:
    """A margin as a fraction of the scale, which is the same for all tasks that it is about."""
    if margin.native is None:
        return (margin.points or 0.0) / 100
    scales = {exam.task.bounds for exam in exams if name in _names(exam, known)}
    (low, high), *others = scales
    if others or margin.native > high - low:
        told = ", ".join(f"{low:g} to {high:g}" for low, high in sorted(scales))
        reason = f"no `native` margin fits the scale {told}; give `points`, hundredths of it"
        raise loaded.error(("gate", "margins", name, "native"), reason)
    return margin.native / (high - low)


def check_fixed(loaded: Loaded, exams: tuple[Exam, ...], *, seeds: bool) -> None:
    """Raises ConfigError at the first task whose items cannot be taken as fixed."""
    for exam in exams:
        task, where = exam.task, place_of(loaded, exam, "items")
        if exam.section.items == "sample":
            continue
        if seeds:
            raise loaded.error(where, "`seeds:` are judged over items as a sample; drop `fixed`")
        if task.refit:
            raise loaded.error(where, f"{exam.label} has a fitted headline, no mean; drop `fixed`")
        if task.epochs < 2 or not task.sampling.temperature:
            raise loaded.error(
                where,
                "`fixed` takes two `epochs` or more, drawn at a temperature above 0 (here "
                f"{task.epochs} at {task.sampling.temperature:g}): all else would be certain",
            )


def _off(loaded: Loaded, exams: tuple[Exam, ...], judged: list[Judged]) -> frozenset[str]:
    """The tasks that are displayed only; they cannot gate, nor can two forms of one task."""
    off = frozenset(exam.label for exam in exams if exam.section.role == "off")
    for exam in exams:
        if exam.label in off and exam.section.gate:
            raise loaded.error(place_of(loaded, exam, "gate"), "`role: off` never gates; drop one")
    gating: set[str] = set()
    for exam in exams:
        if exam.section.gate and exam.task.name in gating:
            message = (
                f"another form of {exam.task.name} gates already, with the same items; drop one"
            )
            raise loaded.error(place_of(loaded, exam, "gate"), message)
        gating |= {exam.task.name} if exam.section.gate else set()
    if len(off) == len(exams):
        raise loaded.error(("tasks",), "every task is `role: off`: nothing could be judged")
    return off | {each.label for each in judged if each.section.role == "off"}


def _check_names(
    loaded: Loaded,
    exams: tuple[Exam, ...],
    judged: list[Judged],
    policy: Policy,
    bounds: dict[str, dict[str, float]],
) -> None:
    """Every margin and bound names a task or a domain, and one that is judged."""
    named: list[Location] = [("gate", "margins", name) for name in loaded.config.gate.margins]
    named += [
        ("gate", "bounds", rate, name)
        for rate, limits in bounds.items()
        for name in limits
        if name != EVERYWHERE
    ]
    counted = [each for each in judged if each.label not in policy.off]
    counting = {name for each in counted for name in (each.domain, each.label)}
    known = {name for each in judged for name in (each.domain, each.label)}
    known |= {name for exam in exams for name in (exam.task.domain, exam.label)}
    for where in named:
        name = str(where[-1])
        if name not in known:
            raise loaded.error(where, _unknown(name, exams, policy, known))
        if name not in counting:
            raise loaded.error(where, _uncounted(name, exams, policy))


def _unknown(name: str, exams: tuple[Exam, ...], policy: Policy, known: set[str]) -> str:
    """Why there is no such domain or task: an exam of which a part is lacking is none either."""
    for exam in exams:
        whole = exam.task.part_of
        if whole and whole.name == name.partition("@")[0] and exam.label in policy.shown:
            return f"{exam.label} alone is {policy.shown[exam.label]}"
    return f"no such domain or task{did_you_mean(name, known)}"


def _uncounted(name: str, exams: tuple[Exam, ...], policy: Policy) -> str:
    """Why nothing of a domain or task is judged."""
    if name in policy.shown:
        return f"is {policy.shown[name]}"
    own = [exam.label for exam in exams if exam.task.domain == name and exam.label in policy.shown]
    if own:
        told = "; ".join(f"{part}: {policy.shown[part]}" for part in own)
        return f"nothing of it is judged ({told})"
    return "is displayed only (`role: off`); drop the role, or this"
