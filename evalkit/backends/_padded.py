"""Several prompts in one batch: padded on the left, with the cache that their forward pass left.

Padding is masked and positions count real tokens only, so each row is computed as it would be
alone.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

PADDING = 0  # any token: it is masked


class Padded:
    """A batch on its device after its prompts have been read."""

    def __init__(self, model: Any, prompts: Sequence[Sequence[int]]) -> None:
        import torch
        from transformers import DynamicCache

        self.model = model
        self.takes = frozenset(inspect.signature(model.forward).parameters)
        width = max(map(len, prompts))
        ids = [[PADDING] * (width - len(prompt)) + list(prompt) for prompt in prompts]
        mask = [[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts]
        self.mask: Tensor = torch.tensor(mask, device=model.device)
        self.padded = min(map(len, prompts)) < width  # without, no mask: attention is faster
        self.cache = DynamicCache(config=model.config)
        self.length: Tensor = self.mask.sum(1)  # real tokens read, row by row
        positions = (self.mask.cumsum(1) - 1).clamp(min=0)
        read = self._forward(torch.tensor(ids, device=model.device), positions, last=True)
        self.logits: Tensor = read[:, -1].float()  # for the token that comes next

    def keep(self, places: Sequence[int]) -> None:
        """Drops every row but these, which may also repeat."""
        import torch

        index = torch.tensor(places, device=self.mask.device)
        self.cache.batch_select_indices(index)
        self.mask, self.length = self.mask[index], self.length[index]
        self.logits = self.logits[index]

    def fork(self, places: Sequence[int]) -> Padded:
        """Another batch of these rows; this one stays as it is."""
        other = copy.copy(self)
        other.cache = copy.copy(self.cache)
        # Selecting rows makes new tensors, so that the layers need not be copied first.
        other.cache.layers = [copy.copy(layer) for layer in self.cache.layers]
        other.keep(places)
        return other

    def feed(self, tokens: Sequence[int]) -> None:
        """Reads one more token in every row."""
        self.logits = self.extend([[token] for token in tokens])[:, -1].float()

    def extend(self, rows: Sequence[Sequence[int]]) -> Tensor:
        """Reads several more tokens in every row; the logits after each of them."""
        import torch

        width = max(map(len, rows))
        self.padded = self.padded or min(map(len, rows)) < width
        ids = [[*row, *[PADDING] * (width - len(row))] for row in rows]
        real = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows])
        real = real.to(self.mask)
        positions = self.length[:, None] + torch.arange(width, device=real.device)
        self.mask = torch.cat([self.mask, real], 1)
        self.length = self.length + real.sum(1)
        return self._forward(torch.tensor(ids, device=real.device), positions, last=False)

    def _forward(self, ids: Tensor, positions: Tensor, *, last: bool) -> Tensor:
        optional = {"position_ids": positions, **({"logits_to_keep": 1} if last else {})}
        output = self.model(
            input_ids=ids,
            attention_mask=self.mask if self.padded else None,
            past_key_values=self.cache,
            use_cache=True,
            **{name: value for name, value in optional.items() if name in self.takes},
        )
        logits: Tensor = output.logits
        return logits
