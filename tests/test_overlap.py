"""Whether a stage learns what it will be asked."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from evalkit.configuration.sections import TaskSection
from evalkit.contamination.learned import NAME, words
from evalkit.contamination.learned import overlaps as learned
from evalkit.errors import ConfigError
from evalkit.exams.exam import Exam, sit
from evalkit.types import Stage


def asked(name: str = "mini-arithmetic") -> tuple[Exam, ...]:
    return sit(TaskSection(name=name), None, None)


def overlaps(stage: Stage, exams: Sequence[Exam], runs: Path, *, look: bool = True) -> list[str]:
    return words(stage.name, learned(stage, exams, runs, look=look))


def stage(folder: Path, prompts: list[object]) -> Stage:
    path = folder / "rows.jsonl"
    path.write_text("\n".join(json.dumps({"prompt": p, "completion": "x"}) for p in prompts))
    return Stage("sft", "sft", "", "base", {str(path): 1.0})


def test_a_task_does_not_overlap_with_its_own_training_split(tmp_path: Path) -> None:
    found = Stage("sft", "sft", "", "base", {"task:mini-arithmetic": 1.0})
    assert overlaps(found, asked(), tmp_path) == []


def test_rows_that_are_asked_are_counted_and_one_is_named(tmp_path: Path) -> None:
    exams = asked()
    items = list(exams[0].every())
    taken = [item.rendered() for item in items[:7]]
    own = stage(tmp_path, [*taken, [{"role": "user", "content": "What is love?"}]])
    (said,) = overlaps(own, exams, tmp_path)
    assert f"sft learns 7 of the {len(items)} questions of mini-arithmetic, such as" in said
    assert any(repr(item.id) in said for item in items[:7])


@pytest.mark.parametrize("change", [str.upper, lambda text: f"  {text.replace(' ', '  ')}\n"])
def test_case_and_spacing_hide_nothing(tmp_path: Path, change: object) -> None:
    assert callable(change)
    exams = asked()
    (item, *_) = exams[0].every()
    prompt = item.rendered()
    assert not isinstance(prompt, str)
    own = stage(tmp_path, [change(prompt[-1]["content"])])
    assert len(overlaps(own, exams, tmp_path)) == 1


def test_the_same_data_and_exam_are_compared_once(tmp_path: Path) -> None:
    exams = asked()
    (item, *_) = exams[0].every()
    own = stage(tmp_path, [item.rendered()])
    first = overlaps(own, exams, tmp_path)
    before = (tmp_path / NAME).stat().st_mtime_ns
    fresh = asked()
    assert overlaps(own, fresh, tmp_path) == first
    assert (tmp_path / NAME).stat().st_mtime_ns == before
    assert "_drawn" not in vars(fresh[0])  # no question was read
    again = overlaps(own, [*fresh, *asked("mini-copy")], tmp_path)
    assert again == first
    assert (tmp_path / NAME).stat().st_mtime_ns != before


def test_where_nothing_is_trained_nothing_is_read_and_what_is_known_is_told(
    tmp_path: Path,
) -> None:
    exams = asked()
    (item, *_) = exams[0].every()
    own = stage(tmp_path, [item.rendered()])
    assert overlaps(own, exams, tmp_path, look=False) == []
    assert not (tmp_path / NAME).exists()
    told = overlaps(own, exams, tmp_path)
    assert overlaps(own, exams, tmp_path, look=False) == told


def test_looking_over_the_data_finds_the_bad_row_before_the_training(tmp_path: Path) -> None:
    own = stage(tmp_path, ["a", "b"])
    (path,) = own.data
    with Path(path).open("a") as file:
        file.write('\n{"prompt": "c"}\n')
    with pytest.raises(ConfigError, match=r"rows\.jsonl: line 3: the row has no 'completion'"):
        overlaps(own, asked(), tmp_path)


def test_a_benchmark_exported_to_train_on_is_found_out(tmp_path: Path) -> None:
    if not os.environ.get("EVALKIT_DATA"):
        pytest.skip("needs EVALKIT_DATA")
    exams = asked("mmlu-pro")
    items = list(exams[0].every())[:50]
    (said,) = overlaps(stage(tmp_path, [item.rendered() for item in items]), exams, tmp_path)
    assert "sft learns 50 " in said
    assert "of the 12032 questions of mmlu-pro" in said
