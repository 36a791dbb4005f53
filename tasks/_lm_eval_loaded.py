"""A task of lm-eval with its documents, prompts and requests, made by lm-eval itself."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Any

from evalkit.errors import DataError, EvalkitError
from evalkit.types import Message, Prompt

from . import _lm_eval_class as class_of
from ._lm_eval_files import OF_A_GROUP, Function
from ._lm_eval_rows import with_rows

SHOT_SEED = 1234  # lm-eval's own seeds, where its command line does not say
SEED, NUMPY_SEED = 0, 1234
STRUCTURE = tuple(key for key in OF_A_GROUP if key not in ("task", "metadata"))


@dataclass(frozen=True, slots=True)
class Recipe:
    """All that a task is made from, as plain values that another process can read."""

    name: str
    fewshot: int
    rows: Path | None  # file or folder of its documents; None: where its file says
    made_of: str  # by content, so that what has changed is made anew
    config: Mapping[str, Any] = field(compare=False, repr=False)
    file: Path = field(compare=False)


class Loaded:
    """A task that lm-eval has made: its documents, and what is asked about each."""

    def __init__(self, task: Any, fewshot: int) -> None:
        self.task, self.fewshot = task, fewshot
        self.docs = task.task_docs
        self._shots: list[Sequence[Any]] | None = None
        self._lock = Lock()

    def question(self, doc: Any) -> str:
        """What is asked, without examples or instructions."""
        if self.task.OUTPUT_TYPE == "loglikelihood_rolling":
            return str(self.task.doc_to_target(doc))
        if self.task.multiple_input:
            return "\n".join(self.choices(doc))
        return str(self.task.doc_to_text(doc))

    def choices(self, doc: Any) -> tuple[str, ...]:
        """The options of a multiple choice, or the one text whose likelihood is asked."""
        if self.task.OUTPUT_TYPE == "multiple_choice":
            return tuple(map(str, self.task.doc_to_choice(doc)))
        return (str(self.task.doc_to_target(doc)),) if self._likely else ()

    @property
    def _likely(self) -> bool:
        return bool(self.task.OUTPUT_TYPE == "loglikelihood")

    def target(self, doc: Any) -> Any:
        """What is due, as JSON takes it."""
        task = self.task
        return plain(task.doc_to_text(doc) if task.multiple_input else task.doc_to_target(doc))

    def prompt(self, number: int) -> Prompt:
        """The prompt in plain text; of a task that varies what comes before, all of them."""
        context = self._context(number, chat=False)
        return context if isinstance(context, str) else "\n\n".join(context)

    def begun(self, number: int) -> str:
        """What the file begins the answer with; mostly nothing."""
        return str(self.task.doc_to_prefix(self.docs[number]) or "")

    def requests(self, number: int, *, chat: bool) -> list[Any]:
        """lm-eval's own requests about a document, in the form the checkpoint is asked in."""
        asked = self.task.construct_requests(
            doc=self.docs[number],
            ctx=self._context(number, chat=chat),
            metadata=(self.task.config.task, number, self.task.config.repeats),
            apply_chat_template=chat,
            chat_template=_as_it_is if chat else None,
        )
        return asked if isinstance(asked, list) else [asked]

    def _context(self, number: int, *, chat: bool) -> Any:
        doc = self.docs[number]
        with self._lock:
            if self.fewshot:
                self._shots = self._shots or self._drawn()
                self.task.sampler = _Shown(self._shots[number])
            return self.task.fewshot_context(
                doc=doc,
                num_fewshot=self.fewshot,
                system_instruction=None,
                apply_chat_template=chat,
                fewshot_as_multiturn=chat,
                chat_template=_as_it_is if chat else None,
                gen_prefix=self.task.doc_to_prefix(doc),
            )

    def _drawn(self) -> list[Sequence[Any]]:
        """The examples of every document as a whole run of lm-eval draws them, one after another.

        Its generator is drawn from in the order of documents, so that what a document gets depends
        on those before it.
        """
        task = self.task
        task.set_fewshot_seed(seed=SHOT_SEED)
        same = task.fewshot_cfg.split == task.config.test_split
        return [
            task.sampler.sample(n=self.fewshot, eval_doc=doc if same else None) for doc in self.docs
        ]


@dataclass(frozen=True, slots=True)
class _Shown:
    """The sampler of one document, whose examples are drawn already."""

    examples: Sequence[Any]

    def sample(self, n: int, eval_doc: Any = None, **_: Any) -> Sequence[Any]:
        return self.examples


def _as_it_is(messages: list[Message], add_generation_prompt: bool = True) -> list[Message]:
    """In the place of a chat template: the conversation itself, which the backend renders."""
    return messages


@cache
def load(recipe: Recipe) -> Loaded:
    """The task; raises DataError where its documents are not to be had, or its file is wrong."""
    try:
        from lm_eval.api.task import ConfigurableTask
    except ImportError as error:
        raise DataError(
            f"lm-eval:{recipe.name}: {error}: pip install 'posttrain-evalkit[benchmarks]'"
        ) from None
    with _quiet(), _seeded():
        try:
            config = _config(recipe)
            as_class = "class" in config
            task = class_of.made(config) if as_class else ConfigurableTask(config=config)
            return Loaded(task, recipe.fewshot)
        except EvalkitError:
            raise
        except Exception as error:  # code of the task's own, and of whatever reads its data
            raise DataError(_told(recipe, error)) from error


def _told(recipe: Recipe, error: Exception) -> str:
    words = " ".join(f"{type(error).__name__}: {error}".split())[:300].rstrip(". ")
    where = recipe.rows or recipe.config.get("dataset_path", recipe.file)
    return (
        f"lm-eval:{recipe.name}: not made from {where} ({words}); documents of your own go under "
        f"`data: {{'lm-eval:{recipe.name}': PATH}}`"
    )


def _config(recipe: Recipe) -> dict[str, Any]:
    """The file's content as lm-eval takes it, its functions imported."""
    kept = {key: value for key, value in recipe.config.items() if key not in STRUCTURE}
    config: dict[str, Any] = _imported(kept)
    config["task"], config["num_fewshot"] = recipe.name, recipe.fewshot
    metadata = config.get("metadata")
    config["metadata"] = {**(metadata if isinstance(metadata, dict) else {}),
                          "config_source": str(recipe.file)}  # fmt: skip
    if recipe.rows:
        examples = recipe.fewshot > 0
        config |= with_rows(recipe.name, recipe.rows, config, examples=examples)
    return config


def _imported(value: Any) -> Any:
    if isinstance(value, Function):
        return value.imported()
    if isinstance(value, dict):
        return {key: _imported(each) for key, each in value.items()}
    return [_imported(each) for each in value] if isinstance(value, list) else value


@contextmanager
def _quiet() -> Iterator[None]:
    """Without lm-eval's warnings about its own files and bars over reading a few rows."""
    import datasets

    logger = logging.getLogger("lm_eval")
    level, barred = logger.level, datasets.is_progress_bar_enabled()
    logger.setLevel(logging.ERROR)
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        logger.setLevel(level)
        if barred:
            datasets.enable_progress_bars()


@contextmanager
def _seeded() -> Iterator[None]:
    """The generators as lm-eval seeds them before it makes tasks; then as they were."""
    import numpy as np

    before, numpy_before = random.getstate(), np.random.get_state()
    random.seed(SEED)
    np.random.seed(NUMPY_SEED)
    try:
        yield
    finally:
        random.setstate(before)
        np.random.set_state(numpy_before)


def plain(value: Any) -> Any:
    """A value of numpy's or a data set's as JSON takes it."""
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    listed: Callable[[], Any] | None = getattr(value, "tolist", None)
    if listed is not None:
        return listed()
    return value if isinstance(value, str | int | float | bool | None) else str(value)
