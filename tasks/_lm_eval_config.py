"""What a task file of lm-eval says, in our words: sampling, metrics and filters.

All of it is told from the file alone, so that a run is planned, or refused, before lm-eval is
imported or data are read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from evalkit.errors import ConfigError
from evalkit.types import Sampling

from ._lm_eval_files import Function

IN_THE_SANDBOX = ("humaneval", "mbpp")
KINDS = ("generate_until", "loglikelihood", "multiple_choice", "loglikelihood_rolling")
MAX_TOKENS = 256  # where a file does not say
LIMITS = ("max_gen_toks", "max_new_tokens", "max_tokens", "max_completion_tokens")
OF_SAMPLING = ("top_p", "top_k", "min_p", "typical_p")
NEUTRAL = {"num_beams": 1, "top_k": 0, "repetition_penalty": 1.0}

DEFAULT_METRICS = {
    "generate_until": ("exact_match",),
    "loglikelihood": ("perplexity", "acc"),
    "multiple_choice": ("acc", "acc_norm"),
    "loglikelihood_rolling": ("word_perplexity", "byte_perplexity", "bits_per_byte"),
}
DEFAULT_AGGREGATION = {
    "perplexity": "perplexity",
    "word_perplexity": "weighted_perplexity",
    "byte_perplexity": "weighted_perplexity",
    "bits_per_byte": "bits_per_byte",
    "f1": "f1",
    "mcc": "matthews_corrcoef",
    "brier_score": "brier_score",
    "bleu": "bleu",
    "chrf": "chrf",
    "ter": "ter",
}
LOWER = ("perplexity", "word_perplexity", "byte_perplexity", "bits_per_byte", "brier_score", "ter")
LIKELIHOODS = ("perplexity", "weighted_perplexity", "bits_per_byte")
"""Aggregations of log-likelihoods: a sample is scored in bits, which have a scale."""
CLASSES = ("f1", "matthews_corrcoef")
"""Aggregations of what was due and what was chosen: a sample is right or wrong."""
OF_A_HUNDRED = ("bleu", "chrf", "ter")
BITS, BITS_OF_A_WORD = 8.0, 64.0
"""Bits that a byte, and a word, are counted as at most."""


@dataclass(frozen=True, slots=True)
class Metric:
    """One number of a task: how samples make it, and on which scale they lie."""

    name: str
    aggregation: str  # "" where a function of the task's own
    higher: bool
    bounds: tuple[float, float]

    @property
    def worst(self) -> float:
        """The score that is none."""
        return self.bounds[0] if self.higher else self.bounds[1]

    @property
    def in_bits(self) -> bool:
        """Whether samples are scored by how many bits a text takes."""
        return self.aggregation in LIKELIHOODS

    @property
    def measured(self) -> bool:
        """Whether a sample is measured, and neither right nor wrong."""
        return self.in_bits or self.aggregation in ("brier_score", *OF_A_HUNDRED)


def check(name: str, config: Mapping[str, Any]) -> None:
    """Raises ConfigError saying why, where a task cannot be asked."""
    reason = next(_refusals(name, config), "")
    if reason:
        raise ConfigError(f"lm-eval:{name} {reason}")


def _refusals(name: str, config: Mapping[str, Any]) -> Iterator[str]:
    if config.get("unsafe_code"):
        yield (
            "runs what the model wrote in its own process; model code runs in the sandbox only: "
            + _instead(name)
        )
    if config.get("doc_to_image") or config.get("doc_to_audio"):
        yield "asks about images or sounds, which no backend takes"
    if kind(config) not in KINDS:
        yield f"has the output_type {kind(config)!r}; it takes one of {', '.join(KINDS)}"
    if not config.get("dataset_path") and not config.get("custom_dataset"):
        yield "names no data: its file has no dataset_path"


def _instead(name: str) -> str:
    """What is asked in the place of a task that runs model code."""
    own = next((own for own in IN_THE_SANDBOX if name.startswith(own)), "")
    if own and "infilling" not in name:
        return f"ask `{own}` instead"
    return "no task here takes its place; `humaneval`, `mbpp` and `livecodebench-…` run code there"


def kind(config: Mapping[str, Any]) -> str:
    """What is asked of a model: text, likelihoods of a text, of choices, or of whole documents."""
    return str(config.get("output_type") or "generate_until")


def fewshot(name: str, config: Mapping[str, Any], wanted: int | None) -> int:
    """How many worked examples are shown; raises ConfigError where the file forbids others."""
    own = config.get("num_fewshot")
    if wanted is None or wanted == (own or 0):
        return int(own or 0)
    if own == 0:
        raise ConfigError(f"lm-eval:{name}: its file forbids worked examples: drop `{wanted}-shot`")
    return wanted


def sampling(name: str, config: Mapping[str, Any]) -> Sampling:
    """How answers are drawn; raises ConfigError where its file says what no backend does."""
    if kind(config) != "generate_until":
        return Sampling()
    said = dict(config.get("generation_kwargs") or {})
    delimiter = config.get("fewshot_delimiter", "\n\n")
    until = said.pop("until", [delimiter])
    limits = [said.pop(key, None) for key in LIMITS]
    wanted = float(said.pop("temperature", 0.0))
    draws = said.pop("do_sample", None)
    temperature = 0.0 if draws is False else wanted
    top_p = float(said.pop("top_p", 1.0)) if temperature else 1.0
    left = {
        key: value
        for key, value in said.items()
        if value is not None
        and value != NEUTRAL.get(key)
        and (temperature or key not in OF_SAMPLING)
    }
    if left:
        told = ", ".join(f"{key}: {value}" for key, value in sorted(left.items()))
        raise ConfigError(f"lm-eval:{name} is generated with {told}, which the backends do not do")
    return Sampling(
        temperature,
        top_p,
        int(next((limit for limit in limits if limit is not None), MAX_TOKENS)),
        tuple(map(str, until if isinstance(until, list) else [until])) if until else (),
    )


def metrics(name: str, config: Mapping[str, Any]) -> tuple[Metric, ...]:
    """The numbers that a task has, its first one first; raises ConfigError where it has none."""
    listed = config.get("metric_list")
    entries = (
        listed if listed is not None else [{"metric": m} for m in DEFAULT_METRICS[kind(config)]]
    )
    found = tuple(_metric(config, entry) for entry in entries if entry.get("metric") != "bypass")
    if not found:
        raise ConfigError(f"lm-eval:{name} has no metric to grade by")
    return found


def _metric(config: Mapping[str, Any], entry: Mapping[str, Any]) -> Metric:
    given = entry.get("metric")
    name = given.spec.rpartition(".")[2] if isinstance(given, Function) else str(given)
    aggregation = entry.get("aggregation") or DEFAULT_AGGREGATION.get(name, "mean")
    known = "" if isinstance(aggregation, Function) else str(aggregation)
    metadata = config.get("metadata")
    stated = metadata.get("bounds") if isinstance(metadata, Mapping) else None
    higher = bool(entry.get("higher_is_better", name not in LOWER))
    if known in LIKELIHOODS:
        return Metric(name, known, False, (0.0, BITS_OF_A_WORD if "word" in name else BITS))
    if known == "brier_score":
        return Metric(name, known, False, (0.0, 2.0))
    if isinstance(stated, list) and len(stated) == 2:
        return Metric(name, known, higher, (float(stated[0]), float(stated[1])))
    return Metric(name, known, higher, (0.0, 100.0 if known in OF_A_HUNDRED else 1.0))


def filters(config: Mapping[str, Any]) -> tuple[str, ...]:
    """The ways in which answers are read, by name."""
    listed = config.get("filter_list")
    return tuple(str(each["name"]) for each in listed) if listed else ("none",)


def unread(config: Mapping[str, Any]) -> frozenset[str]:
    """What its filters put where they find nothing in an answer."""
    steps = [step for each in config.get("filter_list") or () for step in each["filter"]]
    return frozenset(
        {"[invalid]", *(str(step["fallback"]) for step in steps if "fallback" in step)}
    )


def code(config: Mapping[str, Any]) -> bool:
    """Whether answers are graded by Python functions, which may take long or a main thread."""
    graded = [config.get("process_results"), *(config.get("metric_list") or ())]
    metric = (entry.get("metric") if isinstance(entry, Mapping) else entry for entry in graded)
    return any(isinstance(each, Function) for each in metric)
