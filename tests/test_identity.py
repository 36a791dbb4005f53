"""What counts as the same item, request, exam and cell."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest

from evalkit.identity import identity
from evalkit.types import Checkpoint, Request, Rows, Sample, Sampling
from tests.small_exams import checkpoint, doubles, exact, exam

TASK = doubles(3)
SAMPLE = Sample(
    "7", "Shots…\n\nWhich? A) x B) y", "x", question="Which?", choices=("x", "y"), stratum="s"
)


def request(**changes: Any) -> bytes:
    asked = Request("What?", Sampling(), TASK, SAMPLE)
    return identity.request(replace(asked, **changes))


@pytest.mark.parametrize(
    "same",
    [
        {"prompt": "other shots\n\nWhich? A) x B) y"},
        {"prompt": lambda: "rendered late"},
        {"choices": ("y", "x")},
        {"target": "y"},
        {"stratum": "t", "cluster": "c", "metadata": {"a": 1}},
    ],
)
def test_an_item_is_not_its_fewshot_rows_nor_the_order_of_its_options(same: dict[str, Any]) -> None:
    assert identity.item(TASK, replace(SAMPLE, **same)) == identity.item(TASK, SAMPLE)


@pytest.mark.parametrize("other", [{"id": "8"}, {"question": "Who?"}, {"choices": ("x", "z")}])
def test_another_id_question_or_option_is_another_item(other: dict[str, Any]) -> None:
    assert identity.item(TASK, replace(SAMPLE, **other)) != identity.item(TASK, SAMPLE)


def test_an_item_belongs_to_its_task_but_not_to_the_tasks_settings() -> None:
    found = identity.item(TASK, SAMPLE)
    assert identity.item(replace(TASK, name="other"), SAMPLE) != found
    again = replace(TASK, fewshot=5, preset="p", epochs=4, sampling=Sampling(1.0), version=2)
    assert identity.item(again, SAMPLE) == found


def test_ids_and_questions_do_not_run_into_each_other() -> None:
    one = identity.item(TASK, Sample("1", "", question="2 3"))
    assert one != identity.item(TASK, Sample("1 2", "", question="3"))
    one = identity.item(TASK, Sample("1", "", question="q", choices=("a", "b")))
    assert one != identity.item(TASK, Sample("1", "", question="q", choices=("a,b",)))


@pytest.mark.parametrize(
    "change",
    [
        {"prompt": "Why?"},
        {"prompt": [{"role": "user", "content": "What?"}]},
        {"epoch": 1},
        {"sampling": Sampling(temperature=0.5)},
        {"sampling": Sampling(max_tokens=2)},
        {"sampling": Sampling(stop=("\n",))},
        {"sample": replace(SAMPLE, tools=({"name": "f"},))},
    ],
)
def test_another_prompt_sampling_epoch_or_tool_is_another_request(change: dict[str, Any]) -> None:
    assert request(**change) != request()


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 5},
        {"task": replace(TASK, score=None, epochs=9, version=7)},
        {"sample": replace(SAMPLE, target="other", id="9")},
    ],
)
def test_a_request_is_not_its_target_nor_its_scorer(change: dict[str, Any]) -> None:
    assert request(**change) == request()


def test_what_is_answered_by_id_is_a_request_by_id() -> None:
    assert request(prompt="") != request(prompt="", sample=replace(SAMPLE, id="8"))
    assert request(prompt="") != request(prompt="", task=replace(TASK, name="other"))


def test_options_count_where_they_are_what_is_asked() -> None:
    likelier = replace(TASK, ask="loglikelihood")
    other = replace(SAMPLE, choices=("y", "x"))
    assert request(task=likelier) != request(task=likelier, sample=other)
    assert request(sample=other) == request()


@pytest.mark.parametrize(
    "other",
    [{"identity": "w"}, {"system_prompt": "Be brief."}, {"format": "chat"}],
)
def test_a_cell_belongs_to_weights_and_how_they_are_addressed(other: dict[str, Any]) -> None:
    assert identity.key(TASK, checkpoint(**other)) != identity.key(TASK, checkpoint())


@pytest.mark.parametrize(
    "same", [{"name": "b", "identity": "weights of base"}, {"parent": "p"}, {"method": "sft"}]
)
def test_a_cell_does_not_belong_to_a_name_or_a_lineage(same: dict[str, Any]) -> None:
    assert identity.key(TASK, checkpoint(**same)) == identity.key(TASK, checkpoint())


@pytest.mark.parametrize(
    "other",
    [
        {"version": 2},
        {"sampling": Sampling(temperature=1.0)},
        {"fewshot": 3},
        {"name": "other"},
        {"preset": "p", "presets": {"p": {"samples": TASK.samples}}},
    ],
)
def test_what_can_change_an_answer_is_another_cell(other: dict[str, Any]) -> None:
    assert identity.key(replace(TASK, **other), checkpoint()) != identity.key(TASK, checkpoint())


@pytest.mark.parametrize(
    "same", [{"epochs": 4}, {"preset": "p", "presets": {"p": {"score": exact}}}, {"score": None}]
)
def test_what_only_grades_shares_the_cell(same: dict[str, Any]) -> None:
    assert identity.key(replace(TASK, **same), checkpoint()) == identity.key(TASK, checkpoint())


def test_the_exam_names_its_judge_and_its_scorer() -> None:
    assert identity.exam(TASK, "one") != identity.exam(TASK, "two")
    assert identity.exam(TASK) != identity.exam(replace(TASK, preset="p"))
    assert "epochs" not in identity.exam(TASK)


def test_the_revision_of_the_data_is_their_content_whatever_the_order_and_the_limit() -> None:
    def of(*numbers: int, right: int = 0) -> str:
        def samples(_: Rows) -> Iterable[Sample]:
            for number in numbers:
                yield Sample(str(number), "?", number + right, question=f"{number}?")

        return exam(replace(TASK, samples=samples)).data_digest

    assert of(1, 2, 3) == of(3, 1, 2)
    assert of(1, 2, 3) != of(1, 2, 3, right=1)
    assert of(1, 2, 3) != of(1, 2)
    assert exam(TASK, limit=2).data_digest == exam(TASK).data_digest


def test_hashes_stand_broken_text_and_large_numbers() -> None:
    assert len({identity.digest(value) for value in ("a\ud800", "a", 2**70, {1: 2}, None)}) == 5


def test_a_hash_is_the_same_in_another_process() -> None:
    code = (
        "from tests.test_identity import *; import sys;"
        "print(identity.item(TASK, SAMPLE).hex(), identity.digest({'b': 1, 'a': 'x'}).hex())"
    )
    found = {
        subprocess.check_output(
            [sys.executable, "-c", code], env={**os.environ, "PYTHONHASHSEED": s}
        )
        for s in ("1", "2")
    }
    assert len(found) == 1
    assert found.pop().split()[0].decode() == identity.item(TASK, SAMPLE).hex()


def test_the_seed_of_a_sample_is_a_function_of_item_and_epoch() -> None:
    seeds = {identity.sampling_seed(item, epoch) for item in (b"a", b"b") for epoch in range(50)}
    assert len(seeds) == 100
    assert all(0 <= seed < 2**32 for seed in seeds)


def test_a_system_prompt_comes_first_in_both_forms() -> None:
    assert identity.as_messages("Hi", "Be brief.") == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hi"},
    ]
    assert identity.as_text([{"role": "user", "content": "Hi"}], "Be brief.") == "Be brief.\n\nHi"
    assert identity.as_text("Hi") == "Hi"


def test_a_checkpoint_that_only_differs_by_options_is_one_treatment() -> None:
    one = Checkpoint("a", identity="w", options={"batch_size": 1})
    assert identity.treatment(one) == identity.treatment(replace(one, options={}))
