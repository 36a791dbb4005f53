"""The verdict of a run, as it is written to `verdict.json`.

These classes are the file's schema: `verdict.schema.json` is generated from them, and every number
that is rendered stands in them; only samples are read elsewhere (`evalkit/evidence`).  Scores,
deltas, intervals and margins are fractions of the oriented scale: 0.01 is one point.
`python -m evalkit.verdict` prints the schema.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from evalkit.evidence.values import NO_SAMPLES, Evidence

Outcome = Literal["improved", "no_regression", "regressed", "inconclusive", "invalid"]
Overall = Literal["improved", "passed", "regressed", "inconclusive", "invalid"]
Interval = tuple[float, float]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Unit(_Model):
    """What a cell and a domain have in common: an estimate and what may be said of it."""

    domain: str = Field(description="the skill that the task measures")
    verdict: Outcome = Field(
        description="the first row of the decision table that holds; regressed if a bound is broken"
    )
    reason: str = Field(default="", description="why it is invalid or inconclusive, in words")
    delta: float | None = Field(
        default=None, description="candidate - against, oriented; null if invalid"
    )
    ci: Interval | None = Field(default=None, description="90 % two-sided: each limit a 5 % bound")
    margin: float | None = Field(
        default=None, description="the loss tolerated; null: none was configured"
    )
    gates: bool = Field(default=False, description="whether it can hold a candidate up")
    p_regressed: float | None = Field(default=None, description="one-sided, of this unit alone")
    p_regressed_adjusted: float | None = Field(default=None, description="over the whole family")
    p_improved: float | None = Field(default=None, description="one-sided, of this unit alone")
    p_improved_adjusted: float | None = Field(default=None, description="over the whole family")
    flags: list[str] = Field(default=[], description="beyond_margin, small_decline, suspect, ...")
    df: float | None = Field(
        default=None, description="degrees of freedom, where training seeds were averaged"
    )


class Outcomes(_Model):
    """How the samples of both sides ended: outcome class -> count of samples."""

    baseline: dict[str, int] = Field(default={}, description="of the checkpoint compared against")
    candidate: dict[str, int] = Field(default={}, description="of the candidate")


class CleanNote(_Model):
    """One task without the items that stand in training data of either side."""

    touched: int = Field(description="items left out: something of them was trained on")
    n: int = Field(default=0, description="items that are left and that both sides answered")
    scores: Interval | None = Field(default=None, description="both scores on what is left")
    delta: float | None = Field(default=None, description="candidate - against on what is left")
    ci: Interval | None = Field(default=None, description="90 % two-sided, of what is left")
    reason: str = Field(default="", description="why there is no delta, in words")


class CellVerdict(Unit):
    """One task: the candidate against another checkpoint, on the same items."""

    task: str = Field(description="the benchmark, by name")
    n: int = Field(default=0, description="items that both sides answered")
    epochs: tuple[int, int] = Field(
        default=(1, 1), description="answers asked per item, of each side"
    )
    baseline_score: float | None = Field(
        default=None, description="of the checkpoint compared against"
    )
    candidate_score: float | None = Field(
        default=None, description="of the candidate, on the same items"
    )
    lost: float = Field(
        default=0, description="sum of the falls in item score; a count where k = 1"
    )
    gained: float = Field(default=0, description="sum of the rises in item score")
    mde80: float | None = Field(
        default=None, description="smallest decline called regressed 80 % of times"
    )
    method: str = Field(default="", description="the interval: tango | quasi_tango | cluster | ...")
    comparable: bool = Field(default=True, description="false: two different exams, hence invalid")
    differences: list[str] = Field(default=[], description="what differs besides the weights")
    outcomes: Outcomes = Field(default=Outcomes(), description="how the samples of both ended")
    lost_to: dict[str, int] = Field(default={}, description="lost samples by what became of them")
    completed: tuple[float, float] | None = Field(
        default=None, description="both scores on the items that both sides answered in full"
    )
    p_truncation: float | None = Field(
        default=None, description="one-sided, of more answers cut off; null: none was"
    )
    native: tuple[float, float] | None = Field(
        default=None,
        description="both scores in the task's own unit, where that is not the fraction",
    )
    parts: list[str] = Field(
        default=[],
        description="the tasks whose items it has: it is judged in their place, and they are "
        "displayed only; empty: it is a task itself",
    )
    clean: CleanNote | None = Field(
        default=None,
        description="without the items in training data; null: none is known to be in any",
    )


class DomainVerdict(Unit):
    """The weighted mean of a domain's cells."""


class DomainLooks(_Model):
    """How far a fast gate went into one domain, and what its last look was held against."""

    domain: str = Field(description="the skill that the tasks measure")
    looks: int = Field(description="looks taken")
    planned: int = Field(description="looks planned")
    asked: int = Field(description="items that the candidate was asked")
    cap: int = Field(description="items that it would have been asked at most")
    items: int = Field(description="items there are")
    strata: int = Field(default=1, description="strata that the estimate is weighted by")
    history: int = Field(default=0, description="earlier checkpoints that the strata are made from")
    information: float | None = Field(
        default=None, description="share of the planned information that was in"
    )
    pass_statistic: float | None = Field(default=None, description="T(-m) = (delta + margin) / SE")
    pass_bound: float | None = Field(
        default=None, description="to pass, T(-m) must reach it; null: nothing could pass yet"
    )
    fail_statistic: float | None = Field(default=None, description="-T(0) = -delta / SE")
    fail_bound: float | None = Field(
        default=None, description="to regress, -T(0) must reach it; null: nothing could yet"
    )


class CandidateVerdict(_Model):
    """One checkpoint against another."""

    name: str = Field(description="the checkpoint that is judged")
    against: str = Field(description="the checkpoint it is compared with")
    verdict: Overall = Field(description="the worst that holds of its units")
    # A candidate that nobody gave a code could not be measured; it must never count as passed.
    exit_code: int = Field(
        default=4, description="0 passed, 1 regressed, 3 inconclusive, 4 invalid"
    )
    domains: list[DomainVerdict] = Field(default=[], description="one entry a domain")
    cells: list[CellVerdict] = Field(default=[], description="one entry a task")
    on_the_way: bool = Field(
        default=False,
        description="its stage was trained on after it: it is shown, and decides nothing",
    )
    sequential: list[DomainLooks] = Field(
        default=[], description="of a fast gate, one entry a domain; its intervals hold at any look"
    )


class SourceNote(_Model):
    """Data that a checkpoint was trained on."""

    source: str = Field(description="a file, or a task")
    weight: float = Field(default=1.0, description="its share of the mixture")
    sha256: str = Field(default="", description="what it was, by content")


class MakingNote(_Model):
    """What a checkpoint came of, besides its parent: what may have changed between two of them."""

    framework: str = Field(default="", description="what trained it, and its version")
    parent_identity: str = Field(default="", description="the parent, by content")
    data: list[SourceNote] = Field(default=[], description="what it was trained on")
    reward: str = Field(default="", description="what graded its answers")
    reward_sha256: str = Field(default="", description="the reward, by content")
    args: dict[str, JsonValue] = Field(default={}, description="the trainer's arguments")
    seed: int | None = Field(default=None, description="of the training")


class CheckpointNote(_Model):
    """One checkpoint of the matrix: where it comes from and what it is."""

    name: str = Field(description="as in the configuration")
    identity: str = Field(
        default="", description="hash of what answers: weights, tokenizer, template"
    )
    parent: str = Field(default="", description="the checkpoint it was trained from")
    method: str = Field(default="", description="how it was trained")
    backend: str = Field(default="", description="how it was asked")
    stage: str = Field(default="", description="the stage of the pipeline that made it")
    step: int | None = Field(
        default=None, ge=0, description="training steps of its stage after which it was saved"
    )
    made: MakingNote | None = Field(
        default=None, description="what it came of; null: it was not trained under evalkit's eyes"
    )


class Curve(_Model):
    """One quantity over a training, at most 200 points of it."""

    name: str = Field(description="as TRL calls it: loss, kl, entropy, reward, ...")
    steps: list[int] = Field(description="training steps, rising")
    values: list[float | None] = Field(description="one a step; null: it was no number")


class TrainingNote(_Model):
    """What a stage of the pipeline logged while it was trained."""

    stage: str = Field(description="as in the configuration")
    method: str = Field(default="", description="how it was trained")
    curves: list[Curve] = Field(default=[], description="what was logged, by name")
    flags: list[str] = Field(default=[], description="what in it warns of trouble, in words")


class Manner(_Model):
    """How one checkpoint's answers to one task read: drift shows here first; it decides nothing."""

    answers: int = Field(description="written by the model; thoughts are left out of each")
    characters: float = Field(description="mean length of an answer")
    refused: float = Field(description="share of answers that begin as refusals do")
    compared: int = Field(
        description="of 1,000 answers at most, those whose language and whose prompt's can be told"
    )
    other_language: float | None = Field(
        default=None, description="share of those that are in another language than their prompt"
    )
    languages: dict[str, float] = Field(
        default={}, description="ISO 639 code -> share of answers; the five commonest"
    )


class JudgeCost(_Model):
    """What judging took; what was borrowed from another cell with the same answer took nothing."""

    calls: int = Field(default=0, description="requests to judges")
    prompt_tokens: int = Field(default=0, description="of all of them together")
    completion_tokens: int = Field(default=0, description="of all of them together")
    price: float | None = Field(
        default=None, description="in the unit of `prices:`; null: a judge is not in that table"
    )


class CheckpointScore(_Model):
    """How one checkpoint did in one task, by itself."""

    checkpoint: str = Field(description="as in the configuration")
    task: str = Field(description="the benchmark, by name")
    domain: str = Field(description="the skill that the task measures")
    n: int = Field(description="items answered")
    epochs: int = Field(default=1, description="answers asked per item")
    score: float | None = Field(default=None, description="mean over items, oriented to [0, 1]")
    ci: Interval | None = Field(default=None, description="90 %; for display, never for comparing")
    outcomes: dict[str, int] = Field(default={}, description="outcome class -> count of samples")
    judging: JudgeCost | None = Field(
        default=None, description="what judging it took; null where no judge grades"
    )
    metrics: dict[str, float] = Field(
        default={}, description="the task's other figures by name: pass@k, sub-scores, ..."
    )
    manner: Manner | None = Field(
        default=None, description="how its answers read; null: it wrote none, or nobody looked"
    )
    prompt_tokens: int | None = Field(default=None, description="of all its answers together")
    completion_tokens: int | None = Field(default=None, description="of all its answers together")
    cells: list[str] = Field(
        default=[],
        description="folders of the results that hold its samples: one, or one a training seed",
    )
    parts: list[str] = Field(
        default=[],
        description="the tasks whose items it has, where what they took is told; empty: it is a "
        "task itself",
    )


class GroupScore(_Model):
    """What the authors of a group of tasks would print for one checkpoint; it decides nothing."""

    checkpoint: str = Field(description="as in the configuration")
    group: str = Field(description="the tasks together, by the name of their group")
    figure: str = Field(description="as its authors call it: the metric, and the filter")
    value: float = Field(description="on the figure's own scale")
    tasks: int = Field(description="tasks that it is made of")
    n: int = Field(description="items of all of them")
    by_size: bool = Field(description="whether a task weighs as much as it has items")


class ChangeNote(_Model):
    """A checkpoint of a line of training from which on a task's score is lower: a change point."""

    task: str = Field(description="the benchmark, by name")
    domain: str = Field(description="the skill that the task measures")
    checkpoint: str = Field(description="the first after the change")
    before: str = Field(description="the last before it")
    delta: float = Field(description="mean after - mean before, within its segment")
    p: float = Field(description="that so low a z comes up somewhere, had nothing changed")


class ExamNote(_Model):
    """What one task asked: whatever must be equal for two of its cells to be comparable."""

    task: str = Field(description="the benchmark, by name")
    domain: str = Field(description="the skill that the task measures")
    exam: dict[str, str] = Field(
        default={}, description="of the baseline's cell: version, data, few-shot, sampling, ..."
    )


class SelfAgreement(_Model):
    """A judge asked again about the same answers of the baseline."""

    items: int = Field(description="answers that it was asked about each time")
    repeats: int = Field(description="how often")
    agreement: float = Field(description="share of answers that got the same verdict every time")
    sd: float = Field(description="standard deviation of a grade over repeats, oriented scale")


class JudgeNote(_Model):
    """How far the judge of a task may be trusted."""

    task: str = Field(description="whose answers it judges")
    judge: str = Field(description="who judges; of a panel, all of them")
    identity: str = Field(default="", description="model and fingerprint of each")
    prompts: str = Field(default="", description="hash of what they are told, but for the answers")
    accuracy: float | None = Field(
        default=None, description="on held-out labelled pairs, both orders"
    )
    flip_rate: float | None = Field(
        default=None, description="audit pairs whose verdict turns with order"
    )
    kappa: float | None = Field(
        default=None, description="Cohen's, with the labels; of grades, with quadratic weights"
    )
    pairs: int = Field(default=0, description="labelled answers it was audited on")
    answers: int = Field(default=0, description="judged answers of this report")
    turned: float | None = Field(
        default=None, description="share of them whose verdict turns with the order"
    )
    first_wins: float | None = Field(
        default=None, description="share of verdicts, ties apart, won by the answer shown first"
    )
    longer_wins: float | None = Field(
        default=None, description="share of decided answers of unlike length where the longer won"
    )
    length_correlation: float | None = Field(
        default=None, description="of the relative difference in length with the grade"
    )
    self_agreement: SelfAgreement | None = Field(
        default=None, description="on a fixed sample of the baseline's answers"
    )
    null_wins: dict[str, float] = Field(
        default={}, description="null answer -> its mean grade; what `evalkit judge-audit` found"
    )
    forged: int = Field(
        default=0, description="answers that hold a verdict or a mark of the judge's own prompt"
    )
    failures: dict[str, int] = Field(
        default={}, description="judgments that are no grade, by class of failure"
    )
    cost: JudgeCost = Field(default=JudgeCost(), description="of all judged answers of the task")
    audits: JudgeCost = Field(
        default=JudgeCost(), description="of finding all this out: labels, repeats, null answers"
    )
    flags: list[str] = Field(
        default=[], description="judge_unstable, judge_inaccurate, judge_fooled, not_audited"
    )
    advisory: bool = Field(
        default=False, description="too weak to decide anything: its cells never gate"
    )


class NoiseNote(_Model):
    """How much the score of one checkpoint moves when it is asked again: an A/A comparison."""

    task: str = Field(description="the benchmark, by name")
    checkpoint: str = Field(description="who was asked again")
    n: int = Field(default=0, description="items answered every time; 0: it was not measured")
    epochs: int = Field(default=1, description="answers asked per item")
    flip_rate: float | None = Field(
        default=None, description="share of items that score otherwise in a repeat"
    )
    ci: Interval | None = Field(default=None, description="90 % interval of the flip rate")
    sd_delta: float | None = Field(
        default=None, description="standard deviation of the delta between two equal runs"
    )
    greedy: bool = Field(default=False, description="whether answers should be the same each time")
    reworded: float | None = Field(
        default=None, description="share of items whose answers are not the same text"
    )

    @property
    def repeatable(self) -> bool:
        """False where sampling is greedy and answers differ all the same."""
        return not (self.greedy and self.reworded)


class Made(_Model):
    """How the report was made, and so how it is made again; no secret stands here."""

    command: str = Field(description="without where results and reports lie")
    config: str = Field(default="", description="the configuration, as YAML; secrets are hidden")
    versions: dict[str, str] = Field(default={}, description="of what the arithmetic is done with")


class Report(_Model):
    """Everything that one run of the matrix has to say."""

    schema_version: Literal[1] = Field(
        default=1, description="raised when a field changes its meaning"
    )
    baseline: str = Field(description="the checkpoint that all others are held against")
    alpha: float = Field(default=0.05, description="one-sided error rate of each family")
    ci_level: float = Field(default=0.90, description="two-sided level of every interval")
    verdict: Overall = Field(description="the worst of its candidates")
    exit_code: int = Field(description="0 passed, 1 regressed, 3 inconclusive, 4 invalid")
    candidates: list[CandidateVerdict] = Field(
        default=[], description="against the baseline, then against the parent"
    )
    checkpoints: list[CheckpointNote] = Field(
        default=[], description="lineage of every checkpoint in the matrix"
    )
    scores: list[CheckpointScore] = Field(
        default=[], description="how each checkpoint did by itself, in every task"
    )
    groups: list[GroupScore] = Field(
        default=[], description="numbers over groups of tasks, as their authors print them"
    )
    exams: list[ExamNote] = Field(default=[], description="what each task asked")
    changes: list[ChangeNote] = Field(
        default=[], description="declines along a line of training; they decide nothing"
    )
    judges: list[JudgeNote] = Field(default=[], description="how far each judge may be trusted")
    noise: list[NoiseNote] = Field(
        default=[], description="how much scores move when nothing was changed"
    )
    training: list[TrainingNote] = Field(
        default=[], description="what each stage of the pipeline logged"
    )
    notes: list[str] = Field(
        default=[], description="what a reader must know: replayed answers, ..."
    )
    made: Made | None = Field(default=None, description="how; null: nobody said")


@dataclass(frozen=True, slots=True)
class Renderer:
    """A way of showing a report: the plugin that a module of `reports/` declares."""

    name: str
    filename: str  # what it is called in the report folder
    show: Callable[[Report, Evidence], str]
    serve: Callable[[Report, Evidence, dict[str, Any]], str] | None = None
    """The page of `evalkit view`: its script is given the mapping, and asks for samples."""
    packages: tuple[str, ...] = ()  # what it draws with, besides what is always installed
    fit: Callable[[Report, int, bool], str] | None = None
    """The same for a terminal of so many columns, with or without colours."""

    def render(self, report: Report, evidence: Evidence = NO_SAMPLES) -> str:
        """The report as text; with the samples behind it, where the renderer shows any."""
        return self.show(report, evidence)


@dataclass(frozen=True, slots=True)
class Pictures:
    """A way of drawing a report as files of a folder; declared among the renderers."""

    name: str
    filename: str  # the folder within the report folder
    draw: Callable[[Report], Iterator[tuple[str, bytes]]]
    """Each file's name and content."""
    packages: tuple[str, ...] = ()


def schema() -> str:
    """The JSON schema of `verdict.json`, as `evalkit/verdict.schema.json` holds it."""
    return json.dumps(Report.model_json_schema(), indent=1, sort_keys=True) + "\n"


if __name__ == "__main__":
    sys.stdout.write(schema())
