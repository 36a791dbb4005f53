"""Answers drawn from a model, their rewards, and how likely their tokens are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ._shapes import Row

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Rollout:
    """Questions with an answer each; all but `ids` and `attention` concern the answers' tokens."""

    ids: Tensor  # (n, prompt + answer)
    attention: Tensor  # (n, prompt + answer)
    mask: Tensor  # (n, answer): 1 up to the end that the model set, itself included
    texts: list[str]
    clipped: float  # share of the answers that found no end

    def rows(self, chosen: Tensor) -> Rollout:
        """The same for some of the answers."""
        return Rollout(
            self.ids[chosen], self.attention[chosen], self.mask[chosen], self.texts, self.clipped
        )


def draw(
    model: Any, tokenizer: Any, rows: Sequence[Row], *, length: int, temperature: float
) -> Rollout:
    """One sampled answer to each row's prompt, of at most so many tokens."""
    import torch

    texts = [_text(tokenizer, row["prompt"]) for row in rows]
    plain = isinstance(rows[0]["prompt"], str)  # a chat template adds the special tokens itself
    given = tokenizer(
        texts, return_tensors="pt", padding=True, padding_side="left", add_special_tokens=plain
    ).to(model.device)
    prompt, attention = given["input_ids"], given["attention_mask"]
    with torch.no_grad():
        ids = model.generate(
            input_ids=prompt,
            attention_mask=attention,
            max_new_tokens=length,
            do_sample=True,
            temperature=temperature,
            top_k=0,
            top_p=1.0,
            pad_token_id=tokenizer.pad_token_id,
        )
    answers = ids[:, prompt.shape[1] :]
    ended = answers == tokenizer.eos_token_id
    mask = ((ended.cumsum(-1) - ended.long()) == 0).to(attention.dtype)  # nothing after the first
    texts = tokenizer.batch_decode(answers * mask + tokenizer.pad_token_id * (1 - mask),
                                   skip_special_tokens=True)  # fmt: skip
    return Rollout(
        ids,
        torch.cat([attention, mask], -1),
        mask.to(torch.float32),
        [str(text) for text in texts],
        float((~ended.any(-1)).float().mean()),
    )


def _text(tokenizer: Any, prompt: Any) -> str:
    if isinstance(prompt, str):
        return prompt
    return str(tokenizer.apply_chat_template(prompt, tokenize=False, add_generation_prompt=True))


def likelihoods(model: Any, drawn: Rollout, temperature: float) -> tuple[Tensor, Tensor, Tensor]:
    """Of each token of the answers: its log-probability, the entropy there, and the hidden state
    that it was drawn from.
    """
    positions = (drawn.attention.cumsum(-1) - 1).clamp(min=0)
    output = model(
        input_ids=drawn.ids,
        attention_mask=drawn.attention,
        position_ids=positions,
        output_hidden_states=True,
        use_cache=False,
    )
    length = drawn.mask.shape[1]
    logits = (output.logits[:, -length - 1 : -1].float() / temperature).log_softmax(-1)
    tokens = drawn.ids[:, -length:, None]
    entropy = -(logits.exp() * logits).sum(-1)
    return logits.gather(-1, tokens)[..., 0], entropy, output.hidden_states[-1][:, -length - 1 : -1]
