"""Samples that ask more than once: every turn is kept, none is asked twice."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from evalkit.storage.store import Cell, Store
from evalkit.types import Asker, Request, Response, Sample, Sampling, Score, Task
from tests.small_exams import doubles, echo, exam, held, sit


async def ask_back(sample: Sample, asker: Asker) -> Response:
    """Asks, then asks whether that was so."""
    first = await asker.generate(sample.rendered())
    said = [{"role": "user", "content": f"{sample.id}: {first.text}?"}]
    second = await asker.generate(said, sampling=Sampling(max_tokens=7))  # type: ignore[arg-type]
    return Response(second.text, turns=(first.text, second.text))


def two_turns(count: int) -> Task:
    def score(sample: Sample, response: Response) -> Score:
        return Score(float(len(response.turns) == 2), response.text)

    return doubles(count, solve=ask_back, score=score)


def talking(request: Request) -> Response:
    tokens = 3 if request.sampling.max_tokens == 7 else 2
    return Response(f"<{str(request.prompt)[-12:]}>", prompt_tokens=10, completion_tokens=tokens)


def only_cell(results: Path) -> Cell:
    (cell,) = Store(results).cells()
    return cell


def test_every_turn_is_asked_and_the_answer_holds_them_all(tmp_path: Path) -> None:
    _, log = sit(tmp_path, two_turns(4), talking)
    assert len(log.asked) == 8
    for answer in only_cell(tmp_path).answers().values():
        first, second = answer.response.turns
        assert first == f"<twice {answer.id}?>"
        assert second == answer.response.text
        assert answer.response.completion_tokens == 5
        assert answer.response.prompt_tokens == 20
    assert not only_cell(tmp_path).turns_path.exists()


def test_a_second_run_asks_nothing(tmp_path: Path) -> None:
    sit(tmp_path, two_turns(4), talking)
    _, log = sit(tmp_path, two_turns(4), talking)
    assert log.asked == []


def test_a_turn_that_fails_leaves_its_sample_missing_and_only_that_turn_is_asked_again(
    tmp_path: Path,
) -> None:
    def failing(request: Request) -> Response:
        if request.sampling.max_tokens == 7 and request.sample.id in ("1", "3"):
            return Response(error="it broke")
        return talking(request)

    sit(tmp_path, two_turns(4), failing)
    errors = {a.id: a.response.error for a in only_cell(tmp_path).answers().values()}
    assert errors == {"0": "", "1": "it broke", "2": "", "3": "it broke"}
    _, log = sit(tmp_path, two_turns(4), talking)
    assert sorted(log.asked) == [("1", 0), ("3", 0)]
    assert not any(a.response.error for a in only_cell(tmp_path).answers().values())
    assert not only_cell(tmp_path).turns_path.exists()


def test_likelihoods_are_turns_too(tmp_path: Path) -> None:
    async def weigh(sample: Sample, asker: Asker) -> Response:
        found = await asker.loglikelihood("a", ["b", "c"])
        text = await asker.rolling("abc")
        totals = (*(each.total for each in found), text.total)
        return Response("x", loglikelihoods=totals, greedy=tuple(each.greedy for each in found))

    sit(tmp_path, doubles(2, solve=weigh))
    for answer in only_cell(tmp_path).answers().values():
        assert answer.response.loglikelihoods == (-1.0, -2.0, -3.0)
        assert answer.response.greedy == (True, False)


def test_a_model_of_known_skill_is_not_asked_in_turns(tmp_path: Path) -> None:
    task = doubles(10, solve=ask_back, solution=lambda sample: str(sample.target))
    run = held([echo("base", 1.0)], [exam(task)], tmp_path)
    assert run.failures == []
    assert {a.response.text for a in only_cell(tmp_path).answers().values()} == {
        str(2 * i) for i in range(10)
    }


def test_an_epoch_may_ask_another_form_of_the_sample(tmp_path: Path) -> None:
    def turned(sample: Sample, epoch: int) -> Sample:
        sign = "-" if epoch % 2 else ""
        return replace(sample, prompt=f"{sign}{sample.prompt}", target=f"{sign}{sample.target}")

    task = doubles(5, epochs=2, vary=turned)
    _, log = sit(tmp_path, task)
    assert set(map(str, log.prompts)) == {f"{s}twice {i}?" for i in range(5) for s in ("", "-")}
    assert len(only_cell(tmp_path).answers()) == 10
    assert only_cell(tmp_path).meta()["outcomes"] == {"": {"correct": 10}}
