"""A model behind an OpenAI-compatible URL, for tools that do their own asking.

Chat and plain completions, one answer or several, with tools where the chat template shows them.
A field that would change the answer and cannot be honoured is refused, never ignored.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from aiohttp import web

from evalkit.types import Message, Model, Request, Response, Sample, Sampling, Task, ToolCall

TASK = Task("served", "served", 1, lambda rows: ())
LARGEST = 64 * 2**20  # bytes of a request
MAX_TOKENS = 1024  # where a request does not say
REFUSED: Mapping[str, tuple[object, ...]] = {
    "logprobs": (False,),
    "response_format": ({"type": "text"},),
    "echo": (False,),
    "best_of": (1,),
    "logit_bias": ({},),
    "frequency_penalty": (0,),
    "presence_penalty": (0,),
    "tool_choice": ("auto", "none"),
}
"""What is not honoured, and the values under which that makes no difference."""


class Unfit(Exception):
    """A request that cannot be answered as it asks, in a line."""


@dataclass(frozen=True, slots=True)
class Served:
    """A model, and the name that requests call it by."""

    model: Model
    name: str

    def app(self) -> web.Application:
        """The routes."""
        app = web.Application(client_max_size=LARGEST)
        app.router.add_get("/health", self._health)
        app.router.add_get("/v1/models", self._models)
        app.router.add_post("/v1/chat/completions", self._answer)
        app.router.add_post("/v1/completions", self._answer)
        return app

    async def _health(self, request: web.Request) -> web.Response:
        return web.Response()

    async def _models(self, request: web.Request) -> web.Response:
        one = {"id": self.name, "object": "model", "owned_by": "evalkit"}
        return _json({"object": "list", "data": [one]})

    async def _answer(self, request: web.Request) -> web.Response:
        try:
            body = orjson.loads(await request.read())
            asked = self._asked(body, chat="chat" in request.path)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            return _refusal(400, f"not a request: {type(error).__name__}: {error}")
        except Unfit as error:
            return _refusal(400, str(error))
        found = await asyncio.gather(*map(self.model.generate, asked))
        failed = next((each.error for each in found if each.error), "")
        if failed:
            return _refusal(500, failed)
        whole = self._whole(found, body, chat="chat" in request.path)
        return _stream(whole) if body.get("stream") else _json(whole)

    def _asked(self, body: Mapping[str, Any], *, chat: bool) -> list[Request]:
        """A request for each answer that is wanted."""
        if chat and self.model.format != "chat":
            raise Unfit(f"{self.name} has no chat template: ask /v1/completions")
        for name, harmless in REFUSED.items():
            if body.get(name) is not None and not _among(body[name], harmless):
                raise Unfit(
                    f"{name} is not offered here: leave it out, or serve {self.name} by vllm_server"
                )
        prompts = [_messages(body["messages"])] if chat else _prompts(body["prompt"])
        tools = () if body.get("tool_choice") == "none" else tuple(body.get("tools") or ())
        seed = body.get("seed")
        return [
            Request(
                prompt, _sampling(body), TASK, Sample("", prompt, tools=tools),
                seed=None if seed is None else int(seed) + number,
            )
            for prompt in prompts
            for number in range(int(body.get("n") or 1))
        ]  # fmt: skip

    def _whole(
        self, found: list[Response], body: Mapping[str, Any], *, chat: bool
    ) -> dict[str, Any]:
        prompt = sum(each.prompt_tokens for each in found) // int(body.get("n") or 1)
        written = sum(each.completion_tokens for each in found)
        return {
            "id": f"evalkit-{time.time_ns()}",
            "object": "chat.completion" if chat else "text_completion",
            "created": int(time.time()),
            "model": self.name,
            "choices": [_choice(at, each, chat=chat) for at, each in enumerate(found)],
            "usage": {
                "prompt_tokens": prompt,
                "completion_tokens": written,
                "total_tokens": prompt + written,
            },
        }


def _among(wanted: object, values: tuple[object, ...]) -> bool:
    """Whether it is one of them; 0 is not False: `logprobs: 0` wants those of the answer's own."""
    return any(
        wanted == each and isinstance(wanted, bool) == isinstance(each, bool) for each in values
    )


def _messages(given: Any) -> list[Message]:
    turns = given if isinstance(given, list) else []
    if not turns or not all(isinstance(turn, dict) and turn.get("role") for turn in turns):
        raise Unfit('messages is a list of turns: [{"role": "user", "content": "…"}]')
    return turns


def _prompts(given: Any) -> list[str]:
    prompts = given if isinstance(given, list) else [given]
    if not all(isinstance(prompt, str) for prompt in prompts):
        raise Unfit("a prompt is a text, or a list of texts; tokens are not read")
    return prompts


def _sampling(body: Mapping[str, Any]) -> Sampling:
    stop = body.get("stop") or ()
    given = body.get("temperature"), body.get("top_p")
    temperature, top_p = (1.0 if value is None else float(value) for value in given)
    maximum = body.get("max_completion_tokens") or body.get("max_tokens") or MAX_TOKENS
    stops = (stop,) if isinstance(stop, str) else tuple(map(str, stop))
    return Sampling(temperature, top_p, int(maximum), stops)


def _choice(at: int, found: Response, *, chat: bool) -> dict[str, Any]:
    choice: dict[str, Any] = {"index": at, "finish_reason": found.finish_reason, "logprobs": None}
    if not chat:
        return {**choice, "text": found.text}
    message: dict[str, Any] = {"role": "assistant", "content": found.text}
    if found.reasoning:
        message["reasoning_content"] = found.reasoning
    if found.tool_calls:
        message["tool_calls"] = [_call(*each) for each in enumerate(found.tool_calls)]
    return {**choice, "message": message}


def _call(at: int, call: ToolCall) -> dict[str, Any]:
    function = {"name": call.name, "arguments": call.arguments}
    return {"id": f"call-{at}", "type": "function", "function": function}


def _stream(whole: Mapping[str, Any]) -> web.Response:
    """The whole answer as the one piece of a stream."""
    choices = [
        {**{k: v for k, v in each.items() if k != "message"}, "delta": each["message"]}
        if "message" in each
        else each
        for each in whole["choices"]
    ]
    chunk = {**whole, "object": whole["object"].replace("completion", "completion.chunk")}
    body = orjson.dumps({**chunk, "choices": choices})
    content = b"data: " + body + b"\n\ndata: [DONE]\n\n"
    return web.Response(body=content, content_type="text/event-stream")


def _json(value: Mapping[str, Any], status: int = 200) -> web.Response:
    return web.Response(body=orjson.dumps(value), status=status, content_type="application/json")


def _refusal(status: int, words: str) -> web.Response:
    kind = "invalid_request_error" if status == 400 else "server_error"
    return _json({"error": {"message": words, "type": kind}}, status)
