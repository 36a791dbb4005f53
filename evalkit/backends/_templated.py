"""A conversation in tokens, as a server's own chat template writes it: by vLLM's `/tokenize`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from evalkit.backends._choice import UNREADABLE
from evalkit.backends._http import Http
from evalkit.backends._retry import Failure
from evalkit.types import Message


async def split(
    http: Http, model: str, context: Sequence[Message], continuations: Sequence[str]
) -> tuple[list[int], list[list[int]]]:
    """The context's tokens up to where an answer begins, and those that each continuation adds.

    Context and continuation are encoded together.  Raises Failure where the server has no tokens
    to give.
    """

    async def tokens(**asked: object) -> list[int]:
        return await http.post("/tokenize", {"model": model, **asked}, _tokens)

    head = await tokens(messages=list(context), add_generation_prompt=True)
    text = await http.post("/detokenize", {"model": model, "tokens": head}, _text)
    tails = []
    for words in continuations:
        whole = await tokens(prompt=text + words, add_special_tokens=False)
        # Where the two melt into one token, the continuation is what it is by itself.
        own = whole[len(head) :] or await tokens(prompt=words, add_special_tokens=False)
        tails.append(own)
    return head, tails


def _tokens(answer: Mapping[str, Any]) -> list[int]:
    try:
        return [int(token) for token in answer["tokens"]]
    except UNREADABLE:
        raise Failure("gives no tokens", again=False) from None


def _text(answer: Mapping[str, Any]) -> str:
    return str(answer.get("prompt", ""))
