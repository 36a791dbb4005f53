"""A question that a benchmark asks twice is one piece of evidence."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest

from evalkit import plugins
from evalkit.comparison.policy import Policy
from evalkit.configuration.sections import TaskSection
from evalkit.exams.duplicates import again, normalised
from evalkit.exams.exam import sit
from evalkit.reporting.report import of_store
from evalkit.storage.store import Store
from evalkit.storage.tables import read_table
from evalkit.types import Rows, Sample
from tests.small_exams import doubles, exam, held, right, right_below, row

DATA = Path(os.environ.get("EVALKIT_DATA") or "absent") / "mmlu_pro"


def groups(*samples: Sample) -> list[int]:
    """The sizes of the clusters of more than one sample."""
    names = [*again(lambda: [(sample.id, sample) for sample in samples]).values()]
    return sorted(names.count(name) for name in set(names))


def asked(number: int, question: str, **fields: object) -> Sample:
    return Sample(str(number), f"Preamble.\n{question}", question=question, **fields)  # type: ignore[arg-type]


def test_case_spacing_and_the_order_of_options_make_no_other_question() -> None:
    one = asked(1, "Which is  Larger?", choices=("Two", "three"), target="B")
    two = asked(2, "which is larger?", choices=("THREE", "two "), target="A")
    assert groups(one, two, asked(3, "Which is smaller?", choices=("Two", "three"))) == [2]
    assert normalised("  Ｅ\tx ") == "e x"


def test_other_options_make_another_question() -> None:
    said = "Which of these is true?"
    assert groups(asked(1, said, choices=("a", "b")), asked(2, said, choices=("a", "c"))) == []


def test_without_options_the_expected_answer_tells_questions_apart() -> None:
    said = "Continue the story."
    assert groups(asked(1, said, target="x"), asked(2, said, target="y")) == []
    assert groups(asked(1, said, target="x"), asked(2, said, target="x")) == [2]
    assert groups(asked(1, said, metadata={"seed": 1}), asked(2, said, metadata={"seed": 2})) == []


def test_other_functions_on_offer_make_another_question() -> None:
    tools = [({"name": name},) for name in ("add", "multiply")]
    said = "What is 2 and 3?"
    assert groups(*(asked(i, said, tools=each) for i, each in enumerate(tools))) == []
    assert groups(asked(1, said, tools=tools[0]), asked(2, said, tools=tools[0])) == [2]


def test_a_task_that_names_its_clusters_has_its_way() -> None:
    said = [asked(i, "Again?", cluster=f"own {i}") for i in range(3)]
    assert again(lambda: [(each.id, each) for each in said]) == {}


def twice(count: int) -> object:
    def samples(_: Rows) -> Iterable[Sample]:
        for i in range(count):
            yield Sample(str(i), "?", str(2 * (i // 2)), question=f"twice {i // 2}, again")

    return samples


def test_duplicates_are_clusters_from_the_cell_to_the_interval(tmp_path: Path) -> None:
    alone, doubled = doubles(200), doubles(200)
    doubled = replace(doubled, samples=twice(200))  # type: ignore[arg-type]
    rows = [row("base", right), row("new", right_below(160))]
    found = []
    for name, task in (("alone", alone), ("doubled", doubled)):
        held(rows, [exam(task)], tmp_path / name)
        store = Store(tmp_path / name)
        found.append(of_store(store, ["base", "new"], Policy()).candidates[0].cells[0])
    assert [cell.method for cell in found] == ["tango", "cluster"]
    assert found[0].delta == found[1].delta == -0.2
    widths = [cell.ci[1] - cell.ci[0] for cell in found if cell.ci]
    assert widths[1] > 1.3 * widths[0]  # half as many questions: √2
    column = read_table(Store(tmp_path / "doubled").cells()[0].scores_path(), ["cluster"])
    names = column.column("cluster").to_pylist()
    assert len(set(names)) == 100
    assert all(names.count(name) == 2 for name in set(names))


def test_a_limit_that_cuts_a_pair_leaves_its_half_alone(tmp_path: Path) -> None:
    task = replace(doubles(200), samples=twice(200))  # type: ignore[arg-type]
    held([row("base"), row("new", right_below(50))], [exam(task, limit=21)], tmp_path)
    (cell,) = of_store(Store(tmp_path), ["base", "new"], Policy()).candidates[0].cells
    assert cell.n == 21
    assert cell.verdict != "invalid"


@pytest.mark.skipif(not DATA.is_dir(), reason="EVALKIT_DATA has no mmlu_pro")
def test_mmlu_pro_asks_158_questions_twice() -> None:
    (whole,) = sit(TaskSection(name="mmlu-pro"), None, None)
    assert (len(whole.again), len(set(whole.again.values()))) == (316, 158)


def test_no_miniature_exam_loses_evidence_to_an_accident() -> None:
    """A generated exam's prompts are all different, but where it says that they belong together."""
    for task in plugins.all_plugins("tasks").values():
        if task.source is None and not task.presets:
            (whole,) = sit(TaskSection(name=task.name), None, None)
            assert whole.again == {}, task.name


def test_questions_too_many_to_hold_are_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    few = exam(replace(doubles(60), samples=twice(60)))  # type: ignore[arg-type]
    monkeypatch.setattr("evalkit.exams.drawn.HELD", 10)
    monkeypatch.setattr("evalkit.storage.records.HELD_BYTES", 80)
    many = exam(replace(doubles(60), samples=twice(60)))  # type: ignore[arg-type]
    assert few.again == many.again
    assert len(many.again) == 60
