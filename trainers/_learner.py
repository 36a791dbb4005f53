"""What learns in `reference.py`: made from the parent, saved whole, and taken up again."""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalkit import Stage

from . import manifest
from ._pairs import device
from ._resume import STATE, last_whole
from ._shapes import Row

if TYPE_CHECKING:
    from torch import Tensor

PACKAGE = "torch"
OPTIMIZER = "optimizer.pt"


@dataclass
class Learner:
    """A policy, a critic on its hidden states, and the parent that it is held against."""

    stage: Stage
    policy: Any
    parent: Any
    critic: Any  # one linear layer
    tokenizer: Any
    optimizer: Any
    max_grad_norm: float
    random: list[Tensor]  # the state of every generator after the last step
    step: int = 0

    def values(self, hidden: Tensor) -> Tensor:
        """What the critic expects from each token on."""
        values: Tensor = self.critic(hidden)[..., 0]
        return values

    def update(self, loss: Tensor) -> float:
        """One step down the gradient; its norm before it was clipped."""
        from torch.nn.utils import clip_grad_norm_

        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        weights = [*self.policy.parameters(), *self.critic.parameters()]
        norm = clip_grad_norm_(weights, self.max_grad_norm)
        self.optimizer.step()
        return float(norm)

    def stepped(self) -> None:
        """A step is done: what comes now may fail and be taken up from here."""
        self.step, self.random = self.step + 1, _generators()

    def save(self, logged: dict[str, float]) -> str:
        """Writes a checkpoint that training can go on from, and registers it."""
        import torch

        folder = Path(self.stage.out) / f"checkpoint-{self.step}"
        self._write(folder)
        state = {
            "critic": self.critic.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "random": self.random,
        }
        torch.save(state, folder / OPTIMIZER)
        (folder / STATE).write_text(json.dumps({"global_step": self.step}))
        manifest.append(self.stage, folder.name, self.step, PACKAGE, logged)
        return str(folder)

    def keep(self, logged: dict[str, float]) -> str:
        """Saves what was learned before something failed; says where, or nothing if nothing was."""
        if not self.step:
            return ""
        known = f"checkpoint-{self.step}" in {e["path"] for e in manifest.read(self.stage.out)}
        folder = last_whole(self.stage.out) if known else self.save(logged)
        return f"; what was learned until then is kept in {folder}"

    def finish(self, logged: dict[str, float]) -> None:
        """Writes `final`, which is there only once it is whole, and registers it."""
        final = Path(self.stage.out) / "final"
        part = final.with_suffix(".part")
        self._write(part)
        shutil.rmtree(final, ignore_errors=True)
        part.rename(final)
        manifest.append(self.stage, "final", self.step, PACKAGE, logged)

    def _write(self, folder: Path) -> None:
        self.policy.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)


def learner(stage: Stage, learning_rate: float, max_grad_norm: float) -> Learner:
    """The parent with an untrained critic, or the last checkpoint if there is one."""
    import torch
    import transformers

    hf: Any = transformers  # its own types leave half of this out
    hf.utils.logging.disable_progress_bar()
    if stage.args.get("use_cpu"):  # sums of several threads differ from machine to machine
        torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    torch.manual_seed(stage.seed)
    place, kept = device(stage), last_whole(stage.out)
    policy, parent = (
        hf.AutoModelForCausalLM.from_pretrained(name, dtype=torch.float32).to(place).eval()
        for name in (kept or stage.parent, stage.parent)
    )
    tokenizer = hf.AutoTokenizer.from_pretrained(stage.parent)
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    critic = torch.nn.Linear(policy.config.get_text_config().hidden_size, 1).to(place)
    torch.nn.init.zeros_(critic.weight)
    weights = [*policy.parameters(), *critic.parameters()]
    optimizer = torch.optim.AdamW(weights, lr=learning_rate, weight_decay=0.0)
    random = _generators()
    made = Learner(stage, policy, parent, critic, tokenizer, optimizer, max_grad_norm, random)
    if kept:
        _take_up(made, Path(kept))
    return made


def _take_up(made: Learner, folder: Path) -> None:
    import torch

    state = torch.load(folder / OPTIMIZER, weights_only=True)
    made.critic.load_state_dict(state["critic"])
    made.optimizer.load_state_dict(state["optimizer"])
    made.random = state["random"]
    torch.set_rng_state(made.random[0])
    torch.cuda.set_rng_state_all(made.random[1:])
    made.step = int(json.loads((folder / STATE).read_text())["global_step"])


def _generators() -> list[Tensor]:
    import torch

    return [torch.get_rng_state(), *torch.cuda.get_rng_state_all()]


def asked(rows: Sequence[Row], count: int, seed: int, step: int) -> list[Row]:
    """The questions of a step: all rows in random order, then all in another, and so on."""
    places = range(step * count, (step + 1) * count)
    return [rows[_order(len(rows), seed, at // len(rows))[at % len(rows)]] for at in places]


@lru_cache(maxsize=2)
def _order(count: int, seed: int, epoch: int) -> tuple[int, ...]:
    return tuple(random.Random(f"{seed} {epoch}").sample(range(count), count))
