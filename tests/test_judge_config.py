"""The `judge:` of a config: one judge or a panel, and what is wrong with it told by its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from evalkit.configuration.config import load
from evalkit.configuration.resolve import resolve
from evalkit.errors import ConfigError
from evalkit.judging.panel import Judge, Panel, majority
from evalkit.matrix import Matrix, Price
from evalkit.planning.effort import views_of
from evalkit.types import Checkpoint
from tests.judges import essays
from tests.small_exams import backend, exam

BASE = """\
baseline: base
checkpoints: [{name: base, backend: {name: echo, skill: 0.9}}]
tasks: [mini-chat]
"""


def resolved(folder: Path, text: str) -> Matrix:
    path = folder / "c.yaml"
    path.write_text(BASE + text)
    return resolve(load(path))


def test_a_panel_is_its_judges_and_how_they_are_asked(tmp_path: Path) -> None:
    (tmp_path / "labels.jsonl").write_text("")
    matrix = resolved(
        tmp_path,
        "judge:\n"
        "  panel:\n"
        '    - {model: gpt-4.1, base_url: "http://127.0.0.1:1/v1"}\n'
        "    - {name: own, checkpoint: base}\n"
        '    - {name: third, model: m, base_url: "http://127.0.0.1:2/v1", identity: m of May}\n'
        "  rule: majority\n  repeats: 2\n  retries: 3\n  logprobs: false\n"
        "  sampling: {temperature: 0.5}\n"
        "  labels: {mini-chat: labels.jsonl}\n"
        "prices: {gpt-4.1: {input: 2.0, output: 8.0}}\n",
    )
    panel = Panel.of(matrix)
    assert panel is not None
    assert [judge.name for judge in panel.judges] == ["judge-1", "base", "third"]
    assert [judge.model for judge in panel.judges] == ["gpt-4.1", "base", "m"]
    assert (panel.rule, panel.repeats, panel.retries, panel.logprobs) == ("majority", 2, 3, False)
    assert matrix.jury.labels == {"mini-chat": tmp_path / "labels.jsonl"}
    assert matrix.prices == {"gpt-4.1": Price(2.0, 8.0)}
    rubric = matrix.exams[0].task.rubric
    assert rubric is not None
    assert panel.described(rubric)["sampling"]["temperature"] == 0.5
    assert panel.described(rubric)["sampling"]["max_tokens"] == 4  # the rubric's own


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("judge: {panel: [{model: a, base_url: x}, {name: b}], model: c}",
         "c.yaml:4: judge.model: a panel's judges stand under `panel:`; drop one"),
        ("judge: {panel: [{name: a, model: m}, {name: a, model: n}]}",
         "c.yaml:4: judge.panel[1]: two judges are called 'a'; rename one"),
        ("judge: {panel: [{checkpoint: bas}]}", "judge.panel[0].checkpoint: no checkpoint 'bas'"),
        ("judge: {rule: max}", "judge.rule: input should be 'mean', 'median' or 'majority'"),
        ("judge: {repeats: 0}", "judge.repeats: input should be greater than 0"),
        ("judge: {panel: [{modle: x}]}", "judge.panel[0].modle: unknown key; did you mean 'model'"),
        ("judge: {model: m, labels: {mini-chit: l.jsonl}}",
         "judge.labels.mini-chit: no judged task 'mini-chit'; did you mean 'mini-chat'"),
        ("judge: {model: m, labels: {mini-chat: absent.jsonl}}", "judge.labels.mini-chat: no file"),
        ("prices: {x: {input: -1, output: 1}}", "prices.x.input: input should be greater than or"),
        ("prices: {x: {inptu: 1, output: 1}}", "prices.x.inptu: unknown key; did you mean 'input'"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_judge_is_told_by_its_line(
    tmp_path: Path, text: str, message: str
) -> None:
    with pytest.raises(ConfigError) as error:
        resolved(tmp_path, text + "\n")
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("grades", "scale", "most"),
    [
        ((0.9, 0.6, 0.1), (0.0, 1.0), 1.0),
        ((0.9, 0.1), (0.0, 1.0), 0.5),
        ((0.5, 0.5, 0.9), (0.0, 1.0), 0.5),
        ((7.0, 7.2, 3.0), (1.0, 10.0), 7.0),
        ((7.0, 5.0, 3.0), (1.0, 10.0), 5.0),
    ],
)
def test_a_majority_is_a_side_or_a_whole_grade_and_else_the_middle(
    grades: tuple[float, ...], scale: tuple[float, float], most: float
) -> None:
    assert majority(grades, scale) == most


def test_a_judge_in_a_folder_goes_by_its_own_name_and_never_by_the_path(tmp_path: Path) -> None:
    judge = Judge(Checkpoint("judge", model=str(tmp_path)), backend()[0])
    assert judge.model == "judge"


def test_a_plan_counts_the_questions_to_every_judge() -> None:
    assert views_of(exam(essays())) == 2
