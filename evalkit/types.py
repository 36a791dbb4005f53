"""The nouns of evalkit: small frozen values that every stage passes to the next.

A checkpoint sits a `Task`; each `Sample` of it becomes a `Request`, is answered by a `Response`
and graded with a `Score`.  Nothing here does anything; nothing here imports more than the
standard library.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import (
    TYPE_CHECKING,
    Any,
    Literal,
    NotRequired,
    Protocol,
    TypeAlias,
    TypedDict,
    runtime_checkable,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from evalkit.events import Notify


class Message(TypedDict):
    """One turn of a conversation, in the OpenAI chat form."""

    role: str
    content: str
    tool_calls: NotRequired[list[dict[str, Any]]]
    tool_call_id: NotRequired[str]


Prompt: TypeAlias = str | Sequence[Message]
"""What a model is given: plain text, or a conversation."""

Rows: TypeAlias = Callable[[str], Iterator[dict[str, Any]]]
"""Reads one split of a benchmark's data: `rows("test")` yields upstream rows."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """How an answer is drawn from a model."""

    temperature: float = 0.0  # 0 is greedy
    top_p: float = 1.0
    max_tokens: int = 1024
    stop: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Sample:
    """One question of a task."""

    id: str  # the benchmark's own id
    prompt: Prompt | Callable[[], Prompt]  # a function, where rendering is costly (few-shot)
    target: Any = None  # whatever the task's scorer compares with; JSON-serialisable
    question: str = ""  # what is asked, without few-shot rows or instructions; "" means the prompt
    choices: tuple[str, ...] = ()  # the options, where the answer is one of several
    tools: tuple[Mapping[str, Any], ...] = ()  # functions on offer, in the OpenAI form
    stratum: str = ""  # the fixed part of the benchmark it belongs to (a subject, a category)
    cluster: str = ""  # samples that share a passage or a template are not independent
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def rendered(self) -> Prompt:
        """The prompt itself, rendered now if it was given as a function."""
        return self.prompt() if callable(self.prompt) else self.prompt


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call of a function by a model; arguments as the model wrote them."""

    name: str
    arguments: str  # JSON text, unparsed: it is model output


@dataclass(frozen=True, slots=True)
class Response:
    """What a model answered to one request, or why there is no answer."""

    text: str = ""
    reasoning: str = ""  # what a server returned apart from the answer
    tool_calls: tuple[ToolCall, ...] = ()
    finish_reason: str = "stop"  # stop | length | tool_calls | content_filter | error
    prompt_tokens: int = 0
    completion_tokens: int = 0
    loglikelihoods: tuple[float, ...] = ()  # one per choice, where the task asked for them
    error: str = ""  # an infrastructure failure; such a sample is asked again by the next run
    greedy: tuple[bool, ...] = ()  # of each choice: whether greedy decoding would have written it
    logprobs: tuple[Mapping[str, float], ...] = ()  # of each token: the likeliest ones there
    turns: tuple[str, ...] = ()  # its answers one by one, where it was asked several times


@dataclass(frozen=True, slots=True)
class LogLikelihood:
    """How likely a continuation is after its context."""

    total: float  # natural log, summed over the continuation's tokens
    tokens: int
    greedy: bool  # whether greedy decoding would have written it


@dataclass(frozen=True, slots=True)
class Score:
    """The grade of one response."""

    value: float  # on the task's own scale, see `Task.bounds`; NaN where it could not be judged
    answer: str | None = None  # what was read out of the response; None is unparsed
    details: Mapping[str, Any] = field(default_factory=dict)  # JSON-serialisable, for people
    outcome: str = ""  # how an answer without full marks ended, where its text cannot tell


@dataclass(frozen=True, slots=True)
class Graded:
    """A sample and the scores of its epochs; None, or a value of NaN, where one is missing."""

    sample: Sample
    scores: tuple[Score | None, ...]


@dataclass(frozen=True, slots=True)
class Source:
    """Where a benchmark's rows come from: local files, or where its authors keep them."""

    hub: str  # dataset id on the hub; "" where it is not there as a whole
    revision: str  # commit there
    folder: str  # name of its folder under EVALKIT_DATA
    splits: Mapping[str, str]  # split -> stem of the upstream file, perhaps with its folder
    counts: Mapping[str, int]  # split -> rows expected; a split without is other material
    fields: tuple[str, ...]  # upstream fields that every row must have, of splits with a count
    licence: str = ""
    on_hub: Mapping[str, str] = field(default_factory=dict)  # split -> path there, less .suffix
    split_of: Callable[[Mapping[str, Any]], str] | None = None  # where one file holds all splits
    collected: bool = False  # its splits are parts of one set, which one file may hold whole
    large: tuple[str, ...] = ()  # fields left where they are, a `Stored` instead
    archive: str = ""  # stem of a zip file that may hold all of it
    password: str = ""  # of that file, as the authors published it
    text: bool = False  # a text of the user's own: a file of any name, or a folder of them
    elsewhere: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    # split -> addresses of its file, tried in order where there is no local one: see `upstream`


@dataclass(frozen=True, slots=True)
class LabelledPair:
    """Two answers to one question and which of them is the better: what a judge is audited on."""

    sample: Sample
    first: str
    second: str
    winner: Literal["first", "second", "tie"]


@dataclass(frozen=True, slots=True)
class View:
    """One question about an answer, as a judge is shown it."""

    name: str  # "first": shown before the other answer; "second": after it; "turn 1"; …
    prompt: Prompt
    template: str = ""  # the prompt without what differs by sample: its hash tells exams apart
    turned: bool = False  # the answer is the second of two: what is read counts the other way round


@dataclass(frozen=True, slots=True)
class Opinion:
    """What was read out of one judgment."""

    value: float | None = None  # on the rubric's scale, of the answer shown first; None: no verdict
    label: str = ""  # the verdict, as the judge gave it
    weight: float = 1.0  # 3 for "significantly better", say
    failure: str = ""  # why there is no value, where the rubric can tell: "contradictory", …


@dataclass(frozen=True, slots=True)
class Rubric:
    """How a judge is asked about an answer, and how its verdict is read.

    The score of an answer is the weighted mean over its views.
    """

    version: int | str  # raised when a prompt or the reading changes
    views: Callable[[Sample, Response, Response], Sequence[View]]  # of an answer, beside another
    read: Callable[[Response], Opinion]
    sampling: Sampling = Sampling()
    against: Callable[[Sample], Response] | None = None  # the other answer; None: graded by itself
    scale: tuple[float, float] = (0.0, 1.0)  # of opinions; a tie is its middle
    top_logprobs: int = 0  # how many of the likeliest tokens are wanted of each place
    schema: Mapping[str, Any] | None = None  # JSON schema of the verdict, for servers that keep it
    note: Callable[[Sample, Response, Response], Mapping[str, Any]] | None = None  # for the details
    audit: Callable[[], Iterable[LabelledPair]] | None = None  # held-out labelled pairs

    @property
    def pairwise(self) -> bool:
        """Whether two answers are held against each other; views are none where they are one."""
        return self.against is not None


class Asker(Protocol):
    """What a task's `solve` asks a checkpoint through; every turn is kept, and asked once.

    A turn that cannot be had ends the sample there: it is missing, and the next run goes on from
    the turns that are kept.
    """

    @property
    def format(self) -> Literal["chat", "completion"]:
        """The form in which the checkpoint is asked: a prompt is brought into it."""
        ...

    @property
    def sampling(self) -> Sampling:
        """The task's own, as it is in force in this run."""
        ...

    async def generate(
        self,
        prompt: Prompt,
        *,
        sampling: Sampling | None = None,
        tools: Sequence[Mapping[str, Any]] = (),
    ) -> Response:
        """One answer; sampling is the task's own unless given."""
        ...

    async def loglikelihood(
        self, context: Prompt, continuations: Sequence[str]
    ) -> list[LogLikelihood]:
        """How likely each continuation is after the context."""
        ...

    async def rolling(self, text: str) -> LogLikelihood:
        """How likely a whole text is, of any length."""
        ...


@dataclass(frozen=True, slots=True)
class Whole:
    """An exam that is judged as one, though it is asked as several tasks: `Task.part_of`."""

    name: str  # what it is called in reports and margins; no task goes by it
    parts: tuple[str, ...]  # the names of all the tasks that it is made of


ScoreRows: TypeAlias = Sequence[Mapping[str, Any]]
"""Rows of a scores table, one a common item: its value, its details, and what else stands there."""

Fitted: TypeAlias = "Callable[[NDArray[np.intp]], float]"
"""A metric's difference between two checkpoints, fitted anew on some of their common items."""


@dataclass(frozen=True, slots=True)
class Pool:
    """A number that the authors of a group of tasks print over it: a weighted mean of figures."""

    group: str
    figure: str  # as they call it: "acc,none"
    metric: str  # which of a task's `metrics` is averaged; a task without it does not count
    tasks: int  # how many tasks it takes
    by_size: bool = True  # a task weighs as much as it has items; False: all weigh alike


@dataclass(frozen=True, slots=True)
class Task:
    """A benchmark: its questions, how they are asked, and how answers are graded.

    Exactly one of `score` and `rubric` is given.  A preset is a named set of other values for
    these fields (`{"two-stage": {"score": ...}}`), so that a published number can be matched.
    """

    name: str
    domain: str
    version: int  # raised when the prompt or the scorer changes
    samples: Callable[[Rows], Iterable[Sample]]
    score: Callable[[Sample, Response], Score] | None = None
    rubric: Rubric | None = None
    sampling: Sampling = Sampling()
    epochs: int = 1  # answers asked per sample
    ask: Literal["generate", "loglikelihood"] = "generate"
    solve: Callable[[Sample, Asker], Awaitable[Response]] | None = None  # more than one request
    vary: Callable[[Sample, int], Sample] | None = None  # the sample as an epoch asks it
    costly: bool = False  # its scorer takes long, or needs a main thread: processes of their own
    runs_code: bool = False  # its scorer runs code of the model, in `evalkit.sandbox`
    metrics: Callable[[Sequence[Graded]], Mapping[str, float]] | None = None  # beside the mean
    weights: Mapping[str, float] = field(default_factory=dict)  # stratum -> weight; {}: by items
    refit: Callable[[ScoreRows, ScoreRows], Fitted] | None = None  # baseline's and candidate's
    solution: Callable[[Sample], str] | None = None  # an answer that earns full marks
    train: Callable[[Rows], Iterable[Sample]] | None = None  # the training split
    source: Source | None = None  # None: the samples are generated by code
    fewshot: int = 0
    bounds: tuple[float, float] = (0.0, 1.0)
    higher_is_better: bool = True
    part_of: Whole | None = None  # displayed only, and judged with all its other parts as one
    presets: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    preset: str = ""  # the preset in force; "" is the default
    size: int = 0  # questions it has, where its source counts them otherwise or there is none
    definition: str = ""  # of one that is defined elsewhere: how it asks, by content
    scorer: str = ""  # and what grades it, by content
    content: str = ""  # hash of the files that it reads besides those of its source
    pools: tuple[Pool, ...] = ()  # numbers over several tasks that this one is part of

    @property
    def items(self) -> int | None:
        """How many questions it has, without reading any; None where that is not known."""
        return self.size or (self.source.counts.get("test") if self.source else None)

    @property
    def slow(self) -> bool:
        """Whether its answers are graded several at a time, and their grades kept for good."""
        return self.costly or self.runs_code

    def at(self, sample: Sample, epoch: int) -> Sample:
        """The sample as it is asked, and graded, in an epoch."""
        return self.vary(sample, epoch) if self.vary else sample


@dataclass(frozen=True, slots=True)
class Family:
    """Tasks by the thousand under one prefix, made when they are named: `<prefix>:<name>`."""

    name: str  # the prefix
    about: str  # one line for `evalkit list tasks`
    open: Callable[[str], Sequence[Task]]  # the tasks a name stands for; raises EvalkitError
    # the same where `data:` names a path for it, if that decides which tasks they are
    open_at: Callable[[str, Path], Sequence[Task]] | None = None


class Scoring(Protocol):
    """How the answers of one benchmark are graded: a scorer with its options."""

    def expected(self, target: Any, choices: tuple[str, ...]) -> Any:
        """A row's target as answers are compared with it; raises ValueError that says what to do.

        None is a row without one.
        """
        ...

    def __call__(self, sample: Sample, response: Response) -> Score:
        """The grade of one answer."""
        ...

    def solution(self, sample: Sample) -> str:
        """An answer that earns full marks, as far as it can be told from the target."""
        ...


@dataclass(frozen=True, slots=True)
class Scorer:
    """A way of grading that a user's file names: `scorer:` of a benchmark of their own."""

    name: str
    make: Callable[..., Scoring]  # a dataclass: its fields are the options
    about: str  # one line for `evalkit list scorers`
    files: tuple[str, ...] = ()  # options that may be the path of a JSON file
    packages: tuple[str, ...] = ()  # what it needs besides evalkit: of the extra `benchmarks`
    runs_code: bool = False
    chooses: bool = False  # among the options of a row


@dataclass(frozen=True, slots=True)
class Request:
    """One question on its way to a model, with who asks: recordings are looked up by it."""

    prompt: Prompt  # "" for a backend that answers without reading (`Backend.reads_prompt`)
    sampling: Sampling
    task: Task
    sample: Sample
    epoch: int = 0
    seed: int | None = None  # a function of the item and the epoch
    top_logprobs: int = 0  # how many of the likeliest tokens are wanted of each place
    schema: Mapping[str, Any] | None = None  # JSON schema of the answer, for servers that keep it


class Model(Protocol):
    """A checkpoint that has been loaded, or a server that has one."""

    concurrency: int  # requests worth having in flight at once
    format: Literal["chat", "completion"]  # the checkpoint's own, or what its template asks for

    async def generate(self, request: Request) -> Response:
        """Answers one request; an infrastructure failure comes back as `Response.error`.

        A backend that answers without reading the prompt is asked here for log-likelihoods too,
        and returns one for each of the sample's choices.
        """
        ...

    async def loglikelihood(
        self, context: Prompt, continuations: Sequence[str]
    ) -> list[LogLikelihood]:
        """How likely each continuation is after the context."""
        ...

    async def rolling(self, text: str) -> LogLikelihood:
        """How likely a whole text is, from its first token on, in windows that do not overlap."""
        ...

    async def close(self) -> None:
        """Gives back whatever the model holds."""
        ...


@runtime_checkable
class Started(Model, Protocol):
    """A model whose engine is a server process of its own."""

    base_url: str  # where the server answers, once it is started

    async def start(self, notify: Notify, log: Path) -> None:
        """Starts the engine, which prints into `log`; raises ModelError where it does not start."""
        ...

    async def ended(self) -> str:
        """Returns once the engine has ended: why, in a line."""
        ...


@dataclass(frozen=True, slots=True)
class Retrieval:
    """Documents whose passages are put before the questions that they fit."""

    folder: str  # where they are, absolute; no part of what they are
    k: int  # passages before a question, at most
    words: int  # of a passage, at most
    template: str  # what is put there, with `{passages}` in it
    documents: str  # sha256 of their names and contents
    engine: str  # the library that finds them, and its version
    files: Mapping[str, str] = field(default_factory=dict, hash=False)  # name -> sha256, its head


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """One row of the matrix: weights, and how they are asked."""

    name: str
    model: str = ""  # a folder or hub id; "" where the backend needs none
    backend: str = "transformers_local"
    options: Mapping[str, Any] = field(default_factory=dict)  # the backend's own
    format: Literal["chat", "completion", ""] = ""  # "": chat if it has a chat template
    system_prompt: str = ""
    identity: str = ""  # what the weights are; "" until it has been worked out
    parent: str = ""  # the checkpoint it was trained from, by name
    method: str = ""  # how it was trained
    stage: str = ""  # the stage that made it
    step: int | None = None  # of that stage's training; None: not known
    by_content: bool = False  # its identity was worked out from its files, not stated
    retrieval: Retrieval | None = None

    @property
    def quantization(self) -> str:
        """How its weights are made smaller while they are loaded, by which they are others."""
        return str(self.options.get("quantization") or "")

    @property
    def on_the_way(self) -> bool:
        """Whether its stage was trained on after it: it is shown, and gates nothing."""
        return bool(self.stage) and self.name != self.stage


@dataclass(frozen=True, slots=True)
class Backend:
    """A way of asking a checkpoint: the plugin that a backend module declares."""

    name: str
    open: Callable[[Checkpoint], Model]  # loads or connects; raises ModelError
    identify: Callable[[Checkpoint], str]  # sha256 of what answers; "" if that cannot be told
    environment: Callable[[Checkpoint], Mapping[str, str]]  # engine and version, dtype, device
    options: Mapping[str, Any] = field(default_factory=dict)  # what it takes, with defaults
    reads_prompt: bool = True  # False: answers by the sample's id, so nothing is rendered
    holds_device: Callable[[Checkpoint], bool] | None = None  # takes a GPU in its own process
    sharing: Callable[[], AbstractContextManager[None]] | None = None
    """In it, checkpoints that are asked one after the other may share what they have in common."""


REWARD_MODEL = "model:"
"""What the name of a reward begins with that a model gives: a stage's, then its folder."""


@dataclass(frozen=True, slots=True)
class Stage:
    """One step of a pipeline, ready to run: everything a trainer needs, as plain values."""

    name: str
    method: str
    out: str  # folder of its own, absolute; checkpoints and the manifest go there
    parent: str = ""  # folder of the checkpoint it starts from; "" starts from nothing
    data: Mapping[str, float] = field(default_factory=dict)  # file or `task:<name>` -> weight
    reward: str = ""  # `task:<name>`, `file.py:function` or `model:<folder>`
    args: Mapping[str, Any] = field(default_factory=dict)  # the trainer's own, verbatim
    seed: int = 0
    trainer: str = ""  # the trainer by name; "" is the one that has the method in this process
    options: Mapping[str, Any] = field(default_factory=dict)  # how that trainer is run
    lineage: Mapping[str, Any] = field(default_factory=dict)  # what it is trained from, by content
    lora: Mapping[str, Any] = field(default_factory=dict)  # PEFT's LoraConfig; {}: all weights
    accelerate: str = ""  # file of `accelerate config`; "": one process
    evaluate: str | Sequence[int] = "final"  # final | every_save | the steps to be saved and asked
    paths: Mapping[str, str] = field(default_factory=dict)  # task -> file or folder of its rows


@dataclass(frozen=True, slots=True)
class Saved:
    """One whole checkpoint in a run's folder, as its trainer left it there."""

    step: int
    path: str  # the folder that the trainer keeps it in, absolute
    format: str  # "hf": the files are a model as they are; anything else has to be exported
    files: Mapping[str, str]  # the name each file has in a copy -> where it is now, absolute
    train: Mapping[str, float] = field(default_factory=dict)  # training metrics kept beside it
    final: bool = False  # the trainer writes nothing after it
    base: str = ""  # folder of the model it was trained from: what the checkpoint itself lacks
    by_hand: str = ""  # how a model is made of it, where that is not done here


@dataclass(frozen=True, slots=True)
class Trainer:
    """A way of making checkpoints: the plugin that a trainer module declares."""

    name: str
    methods: tuple[str, ...]
    run: Callable[[Stage], None]  # trains; called in a child process of its own
    check: Callable[[Stage], None]  # raises ConfigError before any time is spent
    packages: tuple[str, ...] = ()  # distributions whose versions are part of a stage's key
    takes: tuple[str, ...] = ()  # of a stage's keys those that not every trainer knows
    scorers: tuple[str, ...] = ()  # methods whose checkpoint scores answers and gives none
    resumes: bool = False  # goes on from the last whole checkpoint that it finds in the folder
    prompts: Callable[[Stage], Iterable[Prompt]] | None = None  # all of the data, each row checked
    launched: bool = False  # a job of a framework in an environment of its own: chosen by name only
    options: Mapping[str, Any] = field(default_factory=dict)  # what it takes besides, with defaults
    environment: Callable[[Stage], Mapping[str, str]] | None = None  # framework -> its version
    # the whole checkpoints of a folder; what has no last file must have rested so many seconds
    scan: Callable[[Path, float], Sequence[Saved]] | None = None
    export: Callable[[Saved, Path], None] | None = None  # to a folder that transformers loads
    logged: Callable[[Path], Iterable[tuple[int, Mapping[str, float]]]] | None = None  # by step
