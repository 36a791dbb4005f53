"""What a server's JSON says, read into the nouns; Failure where it says nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from evalkit.backends._retry import Failure
from evalkit.backends._wire import cut, tool_calls, usage
from evalkit.types import LogLikelihood, Response

FINISH = {"length": "length", "max_tokens": "length", "tool_calls": "tool_calls",
          "function_call": "tool_calls", "content_filter": "content_filter"}  # fmt: skip
BROKEN_OFF = ("abort", "error")  # the server gave up on the answer
UNREADABLE = (AttributeError, KeyError, IndexError, TypeError, ValueError)


def response(answer: Mapping[str, Any], stop: tuple[str, ...]) -> Response:
    """The first choice, by chat or by completion, cut at the first stop string."""
    return responses(answer, stop)[0]


def responses(answer: Mapping[str, Any], stop: tuple[str, ...]) -> list[Response]:
    """Every choice; the tokens of all are shared among them, since servers count no other way."""
    try:
        prompt_tokens, completion_tokens = usage(answer.get("usage"))
        choices = answer["choices"]
        share, rest = divmod(completion_tokens, len(choices) or 1)
        found = [
            _response(choice, stop, prompt_tokens, share + (at < rest))
            for at, choice in enumerate(choices)
        ]
        found[0]  # at least one
    except UNREADABLE:
        raise Failure("answered without a choice that can be read") from None
    return found


def _response(
    choice: Mapping[str, Any], stop: tuple[str, ...], prompt_tokens: int, completion_tokens: int
) -> Response:
    finish: Any = choice.get("finish_reason")
    if finish in BROKEN_OFF:
        raise Failure("broke the answer off")
    message = choice["message"] if "message" in choice else {"content": choice["text"]}
    text, stopped = cut(_plain(message.get("content")), stop)
    reasoning = message.get("reasoning_content") or message.get("reasoning")
    return Response(
        text=text,
        reasoning=reasoning if isinstance(reasoning, str) else "",
        tool_calls=tool_calls(message.get("tool_calls")),
        finish_reason="stop" if stopped else FINISH.get(finish, "stop"),
        prompt_tokens=prompt_tokens,
        completion_tokens=completion_tokens,
        logprobs=_logprobs(choice.get("logprobs")),
    )


def _logprobs(found: Any) -> tuple[dict[str, float], ...]:
    """The likeliest tokens of each place, in the form of chat or of completions; mostly none."""
    if not found:
        return ()
    if "content" in found:
        return tuple(
            {str(top["token"]): float(top["logprob"]) for top in place["top_logprobs"]}
            for place in found["content"] or ()
        )
    return tuple(
        {str(token): float(value) for token, value in (place or {}).items()}
        for place in found["top_logprobs"] or ()
    )


def prompt_tokens(answer: Mapping[str, Any]) -> int:
    """How many tokens the server made of a prompt."""
    try:
        return int(answer["usage"]["prompt_tokens"])
    except UNREADABLE:
        raise Failure("counts no tokens (`usage`)", again=False) from None


def likelihood(answer: Mapping[str, Any], start: int) -> LogLikelihood:
    """The echoed prompt's log-likelihood from token `start` on."""
    end = prompt_tokens(answer)
    try:
        found = answer["choices"][0]["logprobs"]
        rows = list(zip(found["token_logprobs"], found["top_logprobs"], strict=True))
        # The first token of all has no log-likelihood: nothing comes before it.
        scored = [(own, max(top.values())) for own, top in rows[start:end] if own is not None]
        if not scored:
            raise ValueError
    except UNREADABLE:
        raise Failure(
            "gives no log-likelihoods of a prompt (`echo` with `logprobs` on /completions): "
            "use a server that does, as vLLM, or transformers_local",
            again=False,
        ) from None
    total = sum(own for own, _ in scored)
    return LogLikelihood(total, len(scored), all(own >= best for own, best in scored))


def _plain(content: Any) -> str:
    """A message's text, which some servers send in parts."""
    if isinstance(content, list):
        return "".join(part.get("text", "") for part in content)
    if content is not None and not isinstance(content, str):
        raise TypeError("a message's content is a text")
    return content or ""
