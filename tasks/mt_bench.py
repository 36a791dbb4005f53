"""MT-Bench: eighty questions of two turns each, every turn graded from 1 to 10 by a judge.

Zheng et al., Judging LLM-as-a-Judge with MT-Bench and Chatbot Arena, NeurIPS 2023,
arXiv:2306.05685; prompts, references and temperatures as in lm-sys/FastChat at 0e6d3e4,
`fastchat/llm_judge`.  A question is one item: the mean over its turns, which are not independent.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from statistics import fmean
from typing import Any

from evalkit import Graded, Message, Response, Rows, Rubric, Sample, Sampling, Source, Task, View
from evalkit.errors import DataError
from evalkit.grading.grade import without_thoughts
from evalkit.judging.readers import SIDES, labels, rating
from evalkit.judging.rubrics import beside, filled
from evalkit.types import Asker

from ._judged import details, raw_metrics

SCALE = (1.0, 10.0)
REFERENCED = ("math", "reasoning", "coding")
TEMPERATURES = {"writing": 0.7, "roleplay": 0.7, "stem": 0.1, "humanities": 0.1}  # else 0
SAMPLING = Sampling(temperature=0.7, max_tokens=1024)
"""Its temperature is that of no question: one that the user sets is that of all."""

GITHUB = "github:lm-sys/FastChat@0e6d3e4beaab66f4d3f93db72541a4abab8af28d/fastchat/llm_judge/data"
SOURCE = Source(
    hub="",
    revision="",
    folder="mt_bench",
    splits={
        "test": "/question",
        "prompts": "/judge_prompts",
        "reference": "/reference_answer/gpt-4",
        "corrected": "/reference_answer/gpt-4-1106-preview_simpo",
        "opponent": "/model_answer/gpt-3.5-turbo",
    },
    counts={"test": 80},
    fields=("question_id", "category", "turns"),
    licence="Apache-2.0",
    elsewhere={
        "test": (f"{GITHUB}/mt_bench/question.jsonl",),
        "prompts": (f"{GITHUB}/judge_prompts.jsonl",),
        "reference": (f"{GITHUB}/mt_bench/reference_answer/gpt-4.jsonl",),
        "corrected": (
            "github:princeton-nlp/SimPO@1b3e8f3528a23bce3da514a2dce8ea7490d4bc75"
            "/eval/mt-bench/gpt-4-1106-preview.jsonl",
        ),
    },
)


def samples(rows: Rows) -> Iterator[Sample]:
    """The questions, with what the judge is shown besides the answers."""
    prompts = {str(row["name"]): row for row in rows("prompts")}
    answers = {name: _answers(rows, name) for name in ("reference", "corrected", "opponent")}
    for row in rows("test"):
        number, turns = row["question_id"], [str(turn) for turn in row["turns"]]
        math = row["category"] in REFERENCED
        if len(turns) != 2 or (math and number not in answers["reference"]):
            raise DataError(f"mt-bench: question {number}: needs two turns and, here, a reference")
        yield Sample(
            str(number),
            [{"role": "user", "content": turns[0]}],
            question="\n\n".join(turns),
            stratum=str(row["category"]),
            metadata={
                "turns": turns,
                "prompts": {name: _prompt(prompts, name) for name in _names(math=math)},
                **{name: found[number] for name, found in answers.items() if number in found},
            },
        )


def _names(*, math: bool) -> list[str]:
    kind = "-math-v1" if math else "-v1"
    return [
        f"single{kind}", f"single{kind}-multi-turn",
        "pair-math-v1" if math else "pair-v2",
        "pair-math-v1-multi-turn" if math else "pair-v2-multi-turn",
    ]  # fmt: skip


def _prompt(prompts: Mapping[str, Mapping[str, Any]], name: str) -> dict[str, str]:
    if name not in prompts:
        raise DataError(f"mt-bench: judge_prompts has no {name}")
    return {key: str(prompts[name][key]) for key in ("system_prompt", "prompt_template")}


def _answers(rows: Rows, split: str) -> dict[int, list[str]]:
    """A model's answers by question, both turns; none where the file is not to be had."""
    try:
        return {row["question_id"]: list(map(str, row["choices"][0]["turns"]))
                for row in rows(split)}  # fmt: skip
    except (KeyError, IndexError, TypeError) as error:
        raise DataError(f"mt-bench: {split}: not FastChat's form of answers: {error}") from None
    except DataError:
        if split == "reference":
            raise
        return {}


async def solve(sample: Sample, asker: Asker) -> Response:
    """Both turns, the second with the first answer before it."""
    sampling = asker.sampling
    if sampling.temperature == SAMPLING.temperature:
        sampling = replace(sampling, temperature=TEMPERATURES.get(sample.stratum, 0.0))
    talk: list[Message] = []
    said: list[Response] = []
    for turn in sample.metadata["turns"]:
        talk.append({"role": "user", "content": turn})
        said.append(without_thoughts(await asker.generate(list(talk), sampling=sampling)))
        talk.append({"role": "assistant", "content": said[-1].text})
    cut = next((each for each in said if each.finish_reason == "length"), said[-1])
    return replace(
        said[-1], finish_reason=cut.finish_reason, turns=tuple(each.text for each in said)
    )


def graded_views(sample: Sample, answer: Response, _: Response) -> Sequence[View]:
    """Each turn by itself; the second with the whole talk before it."""
    return _graded(sample, answer, "reference")


def corrected_views(sample: Sample, answer: Response, _: Response) -> Sequence[View]:
    """The same, with references that were corrected later."""
    return _graded(sample, answer, "corrected")


def _graded(sample: Sample, answer: Response, reference: str) -> Sequence[View]:
    math = sample.stratum in REFERENCED
    one, both, *_ = _names(math=math)
    first, second = _two(answer)
    values = {
        **_questions(sample, reference),
        "answer": first,
        "answer_1": first,
        "answer_2": second,
    }
    return [_view(sample, "turn 1", one, values), _view(sample, "turn 2", both, values)]


def paired_views(sample: Sample, answer: Response, other: Response) -> Sequence[View]:
    """Each turn in both orders."""
    if _two(answer) == _two(other):
        return ()
    *_, one, both = _names(math=sample.stratum in REFERENCED)
    views = []
    for place, shown in (("first", (answer, other)), ("second", (other, answer))):
        values = _questions(sample, "reference")
        for letter, response in zip("ab", shown, strict=True):
            first, second = _two(response)
            values |= {f"answer_{letter}": first, f"answer_{letter}_1": first,
                       f"answer_{letter}_2": second}  # fmt: skip
        for turn, name in (("", one), ("turn 2 ", both)):
            found = _view(sample, f"{turn}{place}", name, values)
            views.append(replace(found, turned=place == "second"))
    return views


def _questions(sample: Sample, reference: str) -> dict[str, str]:
    turns = sample.metadata["turns"]
    values = {"question": turns[0], "question_1": turns[0], "question_2": turns[1]}
    if sample.stratum in REFERENCED:
        if reference not in sample.metadata:
            raise DataError(f"mt-bench: no {reference} answers: see docs/benchmarks.md")
        known = sample.metadata[reference]
        values |= {"ref_answer_1": known[0], "ref_answer_2": known[1]}
    return values


def _view(sample: Sample, name: str, prompt: str, values: Mapping[str, str]) -> View:
    found = sample.metadata["prompts"][prompt]
    messages: list[Message] = [
        {"role": "system", "content": found["system_prompt"]},
        {"role": "user", "content": filled(found["prompt_template"], values)},
    ]
    return View(name, messages, f"{found['system_prompt']}\n{found['prompt_template']}")


def _two(response: Response) -> tuple[str, str]:
    first, second, *_ = (*response.turns, response.text, "") if len(response.turns) < 2 else (
        response.turns
    )  # fmt: skip
    return first, second


def opponent(sample: Sample) -> Response:
    """The answers of the model that pairs are judged against."""
    if "opponent" not in sample.metadata:
        raise DataError(
            "mt-bench@pairwise: no answers to compare with: put model_answer/gpt-3.5-turbo.jsonl, "
            "in FastChat's form, into the folder that `data:` or EVALKIT_DATA names"
        )
    turns = tuple(sample.metadata["opponent"])
    return Response(turns[-1], turns=turns)


def note(_: Sample, answer: Response, other: Response) -> Mapping[str, Any]:
    """How the talks differ in length and style."""
    return beside("\n\n".join(_two(answer)), "\n\n".join(_two(other)))


def metrics(graded: Sequence[Graded]) -> dict[str, float]:
    """The mean over all turns that were graded, as FastChat has it; by turn and by category."""
    turns = [(g.sample.stratum, name, value)
             for g in graded for name, value in details(g).get("views", {}).items()]  # fmt: skip
    groups: dict[str, list[float]] = {}
    for category, turn, value in turns:
        for name in ("average", turn.replace(" ", "_"), category):
            groups.setdefault(name, []).append(value)
    found = {name: fmean(values) for name, values in groups.items()}
    return {**found, "judged_turns": float(len(turns)), "unjudged_turns": _due(graded) - len(turns)}


def _due(graded: Iterable[Graded]) -> float:
    return 2.0 * sum(1 for _ in graded)


def solution(sample: Sample) -> str:
    """The reference, where there is one."""
    return str(sample.metadata.get("reference", ["An answer."])[-1])


SINGLE = Rubric(1, graded_views, rating(SCALE), Sampling(max_tokens=2048), scale=SCALE)
PAIRS = Rubric(
    1,
    paired_views,
    labels(SIDES),
    Sampling(max_tokens=2048),
    against=opponent,
    note=note,
)

TASKS = (
    Task(
        "mt-bench",
        domain="chat",
        version=1,
        samples=samples,
        solve=solve,
        rubric=SINGLE,
        sampling=SAMPLING,
        metrics=metrics,
        solution=solution,
        source=SOURCE,
        bounds=SCALE,
        presets={
            "corrected-references": {"rubric": replace(SINGLE, views=corrected_views)},
            "pairwise": {"rubric": PAIRS, "bounds": (0.0, 1.0), "metrics": raw_metrics},
        },
    ),
)
