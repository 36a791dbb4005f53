"""The turns of a sample that asks more than once: each is kept at once, and asked once.

    turns.jsonl   in the cell's folder while asking: one line per turn, by sample, epoch, place
                  and request; it goes when the answers are sealed, which hold all that counts

A sample whose third turn was under way when the run died goes on with its third turn.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from evalkit.errors import EngineEnded, ModelError
from evalkit.identity import identity
from evalkit.storage.journal import Journal
from evalkit.types import (
    LogLikelihood,
    Message,
    Model,
    Prompt,
    Request,
    Response,
    Sampling,
    ToolCall,
)


class Interrupted(Exception):
    """A turn that could not be had: its sample is missing."""

    def __init__(self, error: str) -> None:
        super().__init__(error)
        self.error = error


@dataclass
class Turns:
    """What a task's `solve` asks through: one sample's turns, in order."""

    model: Model
    request: Request  # of the sample, as it would be asked once
    item: bytes
    shape: Callable[[Prompt], Prompt]  # a prompt as the checkpoint is asked it
    known: Mapping[str, Any]  # turns of an earlier run, by key
    journal: Journal
    shown_documents: str = ""  # the checkpoint, where passages are put before its prompts
    spent: list[Response] = field(default_factory=list)
    _asked: int = 0
    _draws: Counter[bytes] = field(default_factory=Counter)

    @property
    def format(self) -> Literal["chat", "completion"]:
        """The form in which the checkpoint is asked."""
        return self.model.format

    @property
    def sampling(self) -> Sampling:
        """The task's own, as it is in force in this run."""
        return self.request.sampling

    async def generate(
        self,
        prompt: Prompt,
        *,
        sampling: Sampling | None = None,
        tools: Sequence[Mapping[str, Any]] = (),
    ) -> Response:
        """One answer; sampling is the task's own unless given."""
        asked = replace(
            self.request,
            prompt=self.shape(prompt),
            sampling=sampling or self.request.sampling,
            sample=replace(self.request.sample, tools=tuple(tools)),
        )
        request_id = identity.request(asked)
        asked = replace(asked, seed=self._seed(request_id))
        key = self._key(request_id.hex())
        if key in self.known:
            response = _response(self.known[key])
        else:
            response = await self.model.generate(asked)
            if response.error:
                raise Interrupted(response.error)
            self.journal.append({"key": key, "said": asdict(response)})
        self.spent.append(response)
        return response

    async def loglikelihood(
        self, context: Prompt, continuations: Sequence[str]
    ) -> list[LogLikelihood]:
        """How likely each continuation is after the context."""
        shaped = self.shape(context)
        plain: str | list[Message] = shaped if isinstance(shaped, str) else list(shaped)
        key = self._key([plain, list(continuations)])
        if key not in self.known:
            try:
                found = await self.model.loglikelihood(shaped, continuations)
            except EngineEnded:
                raise
            except ModelError as error:
                raise Interrupted(str(error)) from None
            self.journal.append({"key": key, "said": [asdict(each) for each in found]})
            return found
        return [_likelihood(each) for each in self.known[key]]

    async def rolling(self, text: str) -> LogLikelihood:
        """How likely a whole text is, of any length.

        Raises ModelError where passages of documents are to be put before it.
        """
        if self.shown_documents:
            raise ModelError(
                f"{self.shown_documents}: {self.request.task.name} asks how likely whole texts "
                "are, and nothing can be put before those: take the task, or `retrieval`, out"
            )
        key = self._key(["rolling", text])
        if key not in self.known:
            try:
                found = await self.model.rolling(text)
            except EngineEnded:
                raise
            except ModelError as error:
                raise Interrupted(str(error)) from None
            self.journal.append({"key": key, "said": asdict(found)})
            return found
        return _likelihood(self.known[key])

    def whole(self, response: Response) -> Response:
        """The sample's response with the tokens of all its turns."""
        if response.prompt_tokens or response.completion_tokens:
            return response
        return replace(
            response,
            prompt_tokens=sum(turn.prompt_tokens for turn in self.spent),
            completion_tokens=sum(turn.completion_tokens for turn in self.spent),
        )

    def _seed(self, request_id: bytes) -> int | None:
        """The sample's seed, and another each time that it asks the same again."""
        self._draws[request_id] += 1
        seed, again = self.request.seed, self._draws[request_id] - 1
        return seed if seed is None else (seed + again) % 2**32

    def _key(self, asked: object) -> str:
        self._asked += 1
        whole = [self.item.hex(), self.request.epoch, self._asked, asked]
        return identity.digest(whole).hex()[:32]


def _response(row: Mapping[str, Any]) -> Response:
    calls = tuple(ToolCall(**call) for call in row["tool_calls"])
    lists = ("loglikelihoods", "greedy", "logprobs", "turns")
    return Response(**{**row, "tool_calls": calls, **{name: tuple(row[name]) for name in lists}})


def _likelihood(row: Mapping[str, Any]) -> LogLikelihood:
    total = float("-inf") if row["total"] is None else row["total"]  # JSON has no infinity
    return LogLikelihood(total, row["tokens"], row["greedy"])
