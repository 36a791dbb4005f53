"""IFEval: 541 prompts with instructions that a program can check, such as "in at least 300 words".

Zhou et al., Instruction-Following Evaluation for Large Language Models, 2023, arXiv:2311.07911.
The checkers are the authors', as lm-eval ships them.  An answer earns its point where it follows
every instruction of its prompt (prompt-level, strict); the other three of the authors' figures
stand beside it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from evalkit.errors import DataError
from evalkit.types import Graded, Response, Rows, Sample, Sampling, Score, Source, Task

from ._ifeval_checkers import followed, loosened, require

SOURCE = Source(
    hub="google/IFEval",
    revision="966cd89545d6b6acfd7638bc708b98261ca58e84",
    folder="ifeval",
    splits={"test": "input_data"},
    counts={"test": 541},
    fields=("key", "prompt", "instruction_id_list", "kwargs"),
    licence="Apache-2.0",
    on_hub={"test": "ifeval_input_data"},
)


def samples(rows: Rows) -> Iterator[Sample]:
    """The prompts in file order; raises DataError first if the checkers could not be run."""
    require()
    seen: set[str] = set()
    for row in rows("test"):
        identity, names, arguments = str(row["key"]), row["instruction_id_list"], row["kwargs"]
        if identity in seen:
            raise DataError(f"ifeval: key {identity} comes twice")
        if not names or len(names) != len(arguments):
            raise DataError(
                f"ifeval: key {identity}: {len(names)} instructions and not as many kwargs"
            )
        seen.add(identity)
        known = [_known(each) for each in arguments]
        yield Sample(
            id=identity,
            prompt=str(row["prompt"]),
            target=[{"id": name, **each} for name, each in zip(names, known, strict=True)],
        )


def _known(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """An instruction's arguments without those that a table had to fill in."""
    return {name: value for name, value in arguments.items() if value is not None}


def score(sample: Sample, response: Response) -> Score:
    """Full marks where every instruction is followed to the letter."""
    return _score(sample, response, "strict")


def score_loose(sample: Sample, response: Response) -> Score:
    """The same of the answer without its first line, its last, or its asterisks, if that helps."""
    return _score(sample, response, "loose")


def _score(sample: Sample, response: Response, how: str) -> Score:
    if not sample.target:  # a row of training data; whatever is answered would follow nothing
        example = '[{"id": "punctuation:no_comma"}]'
        raise DataError(f"ifeval: `target` names no instruction; give such as {example}")
    text = response.text
    if not text.strip():
        return Score(0.0, None, _details(response, {}))
    found = followed(sample.target, str(sample.prompt), [text, *loosened(text)])
    if found is None:
        return Score(0.0, None, _details(response, {}), "timed_out")
    verdicts = {"strict": [each[0] for each in found], "loose": [any(each) for each in found]}
    kept = verdicts[how]
    return Score(float(all(kept)), f"{sum(kept)} of {len(kept)}", _details(response, verdicts))


def _details(response: Response, verdicts: Mapping[str, Sequence[bool]]) -> dict[str, Any]:
    return {**verdicts, "capped": response.finish_reason == "length"}


def figures(graded: Sequence[Graded]) -> Mapping[str, float]:
    """The authors' four figures, and the share of answers that ran into the token cap."""
    answers = [(each, score) for each in graded for score in each.scores if score is not None]
    if not answers:
        return {}
    found: dict[str, float] = {}
    for how in ("strict", "loose"):
        kept = [_kept(each, score, how) for each, score in answers]
        followed = [verdict for verdicts in kept for verdict in verdicts]
        found[f"prompt-level {how}"] = sum(map(all, kept)) / len(kept)
        found[f"instruction-level {how}"] = sum(followed) / len(followed)
    found["at the token cap"] = sum(bool(score.details["capped"]) for _, score in answers) / len(
        answers
    )
    return found


def _kept(each: Graded, score: Score, how: str) -> Sequence[bool]:
    """Whether each instruction was followed; an answer that was none followed none of them."""
    verdicts: Sequence[bool] = score.details.get(how) or [False] * len(each.sample.target)
    return verdicts


TASKS = (
    Task(
        name="ifeval",
        domain="instruction-following",
        version=1,
        samples=samples,
        score=score,
        sampling=Sampling(max_tokens=8192),
        costly=True,
        metrics=figures,
        source=SOURCE,
        presets={
            "loose": {"score": score_loose},
            "lm-eval": {"sampling": Sampling(max_tokens=1280)},
        },
    ),
)
