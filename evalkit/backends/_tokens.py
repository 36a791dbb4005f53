"""Prompts to tokens, with no beginning mark too many and no boundary in the wrong place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from evalkit.backends._loading import Loaded
from evalkit.types import Prompt

Tools = Sequence[Mapping[str, Any]]


def encode(loaded: Loaded, prompt: Prompt, tools: Tools = ()) -> list[int]:
    """The tokens that the model reads before it answers."""
    return _ids(loaded, render(loaded, prompt, tools), special=isinstance(prompt, str))


def render(loaded: Loaded, prompt: Prompt, tools: Tools = ()) -> str:
    """The text of a prompt; a conversation goes through the chat template."""
    if isinstance(prompt, str):
        return prompt
    text: str = loaded.tokenizer.apply_chat_template(
        list(prompt), tools=list(tools) or None, tokenize=False, add_generation_prompt=True
    )
    return text


def split(
    loaded: Loaded, context: Prompt, continuations: Sequence[str]
) -> tuple[list[int], list[list[int]]]:
    """The context's tokens, and those that each continuation adds to them.

    As in lm-eval, context and continuation are encoded together, and spaces that end a plain
    context count as the continuation's, since most tokenizers join them to the word that follows.
    A chat template's end stays as it is: generation begins there too.
    """
    special = isinstance(context, str)
    text = render(loaded, context)
    head = text.rstrip() if special else text
    ids = _ids(loaded, head, special=special)
    added = []
    for continuation in continuations:
        whole = _ids(loaded, text + continuation, special=special)
        own = whole[len(ids) :]
        # Where the two melt into one token, the continuation is what it is by itself.
        added.append(own or _ids(loaded, continuation, special=False))
    return ids or [_beginning(loaded)], added


def whole(loaded: Loaded, text: str) -> list[int]:
    """The tokens of a text by itself, after what stands before a text."""
    return [_beginning(loaded), *_ids(loaded, text, special=False)]


def _ids(loaded: Loaded, text: str, *, special: bool) -> list[int]:
    """Tokens of a text; a template has written its own marks, and so have some plain prompts."""
    tokenizer = loaded.tokenizer
    begun = bool(tokenizer.bos_token) and text.startswith(tokenizer.bos_token)
    ids = tokenizer(text, add_special_tokens=special and not begun)["input_ids"]
    return list(ids)


def _beginning(loaded: Loaded) -> int:
    """What stands before a text that has nothing before it."""
    tokenizer = loaded.tokenizer
    found = tokenizer.bos_token_id if tokenizer.bos_token_id is not None else min(loaded.ends)
    return int(found)
