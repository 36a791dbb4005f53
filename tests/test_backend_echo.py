"""The echo backend is exactly as skilled as it says."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import replace

import pytest

from evalkit.backends.echo import BACKENDS, identify, open_
from evalkit.errors import ConfigError, ModelError
from evalkit.types import Checkpoint, Request, Response, Rows, Sample, Sampling, Score, Task


def samples(rows: Rows) -> Iterable[Sample]:
    return (Sample(str(i), f"what is {i}?", target=str(i)) for i in range(2000))


def score(sample: Sample, response: Response) -> Score:
    return Score(float(response.text == sample.target))


def likelier(sample: Sample, response: Response) -> Score:
    likely = max(range(3), key=lambda i: response.loglikelihoods[i])
    return Score(float(sample.choices[likely] == sample.target))


TASK = Task("sums", "arithmetic", 1, samples, score=score, solution=lambda s: str(s.target))
CHOICE = replace(TASK, score=likelier, ask="loglikelihood", solution=None)


def checkpoint(**options: object) -> Checkpoint:
    return Checkpoint("known", backend="echo", options=options)


def rights(task: Task, epoch: int = 0, **options: object) -> set[str]:
    async def ask() -> set[str]:
        model = open_(checkpoint(**options))
        right = set()
        for sample in task.samples(lambda split: iter(())):
            given = replace(sample, choices=("x", str(sample.target), "y"))
            response = await model.generate(Request("", Sampling(), task, given, epoch))
            assert not response.error
            assert task.score is not None
            if task.score(given, response).value:
                right.add(sample.id)
        await model.close()
        return right

    return asyncio.run(ask())


@pytest.mark.parametrize("task", [TASK, CHOICE])
@pytest.mark.parametrize("skill", [0.0, 0.3, 1.0])
def test_its_accuracy_is_its_skill(task: Task, skill: float) -> None:
    assert len(rights(task, skill=skill)) / 2000 == pytest.approx(skill, abs=0.04)


def test_the_same_seed_answers_the_same_items_and_more_skill_answers_more() -> None:
    low, high = rights(TASK, skill=0.3), rights(TASK, skill=0.6)
    assert low == rights(TASK, skill=0.3)
    assert low < high


def test_another_seed_or_epoch_answers_other_items() -> None:
    first = rights(TASK, skill=0.5)
    assert len(first & rights(TASK, skill=0.5, seed=1)) == pytest.approx(500, abs=80)
    assert len(first & rights(TASK, epoch=1, skill=0.5)) == pytest.approx(500, abs=80)


def test_where_lower_is_better_skill_lowers_the_score() -> None:
    task = replace(CHOICE, higher_is_better=False)
    assert len(rights(task, skill=1.0)) == 0


def test_a_task_without_a_solution_is_an_error_of_that_sample() -> None:
    request = Request("", Sampling(), replace(TASK, solution=None), Sample("1", "?"))
    response = asyncio.run(open_(checkpoint()).generate(request))
    assert "'sums' declares no solution" in response.error


def test_its_identity_is_its_options() -> None:
    assert identify(checkpoint()) == identify(checkpoint(skill=1, seed=0))
    assert len({identify(checkpoint(skill=s, seed=t)) for s in (0.1, 0.2) for t in (1, 2)}) == 4


def test_options_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ConfigError, match="from 0 to 1"):
        open_(checkpoint(skill=70.0))
    with pytest.raises(ConfigError, match="unknown option 'skil'; did you mean 'skill'"):
        open_(checkpoint(skil=0.7))
    with pytest.raises(ConfigError, match="'seed' must be of type int, not 'x'"):
        open_(checkpoint(seed="x"))


def test_it_says_that_it_reads_no_prompt() -> None:
    assert not BACKENDS[0].reads_prompt
    with pytest.raises(ModelError, match="knows no text"):
        asyncio.run(open_(checkpoint()).loglikelihood("2+2=", ["4"]))
