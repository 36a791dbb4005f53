"""TRL's own losses on real batches, each beside the same from `trainers.losses`.

The policy is moved away from its reference first, so that no ratio is 1 and no KL is 0.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch

from evalkit import Stage
from trainers import losses
from trainers.advantages import centred, grouped, left_out
from trainers.trl_inprocess import rows_of, trainer_of

Pair = tuple[str, float, float]
"""What it is, TRL's number, ours."""

HOW: tuple[losses.Aggregation, ...] = ("grpo", "bnpo", "dapo", "dr_grpo")

Make = Callable[[str, dict[str, Any]], Stage]
"""A stage of a method with some arguments."""


def pairs(make: Make) -> list[Pair]:
    """Every objective once."""
    return [pair for of in (sft, dpo, kto, reward, grpo, rloo) for pair in of(make)]


def trainer(stage: Stage) -> Any:
    """TRL's trainer as a training would have it, its model moved a little."""
    made = trainer_of(stage, rows_of(stage))
    made.model.train()
    made.current_gradient_accumulation_steps = 1
    return made


def moved(model: Any) -> None:
    """Moves every weight by a hundredth or so."""
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for weights in model.parameters():
            weights += 0.03 * torch.randn(weights.shape, generator=generator)


def logps(model: Any, ids: torch.Tensor, attention: torch.Tensor) -> torch.Tensor:
    """Of every token but the first, under those before it, by a plain forward pass."""
    with torch.no_grad():
        logits: torch.Tensor = model(input_ids=ids, attention_mask=attention).logits
    return _of_tokens(logits, ids)


def batch_of(made: Any) -> dict[str, Any]:
    return dict(next(iter(made.get_train_dataloader())))


def sft(make: Make) -> Iterator[Pair]:
    made = trainer(make("sft", {}))
    batch = batch_of(made)
    mask = (batch["labels"][:, 1:] != -100).float()
    found = logps(made.model, batch["input_ids"], batch["attention_mask"])
    for name, loss in (("nll", losses.nll), ("dft", losses.dft)):
        made.args.loss_type = name
        for total in (None, 100):
            count = None if total is None else torch.tensor(total)
            said = made.compute_loss(made.model, dict(batch), num_items_in_batch=count)
            ours = loss(found, mask, total)
            yield f"sft {name} of {total or 'the batch'}", said.item(), ours.item()


def preference(made: Any) -> tuple[dict[str, Any], torch.Tensor, torch.Tensor, torch.Tensor]:
    """A batch, both log-ratios, and the lengths of the answers; chosen first."""
    batch = batch_of(made)
    moved(made.model)
    mask = batch["completion_mask"][:, 1:]
    ratio = logps(made.model, batch["input_ids"], batch["attention_mask"])
    ratio = ratio - logps(made.ref_model, batch["input_ids"], batch["attention_mask"])
    return batch, (ratio * mask).sum(-1), batch["completion_mask"].sum(-1), mask


def dpo(make: Make) -> Iterator[Pair]:
    made = trainer(make("dpo", {"beta": 0.3, "label_smoothing": 0.1}))
    batch, ratio, lengths, _ = preference(made)
    chosen, rejected = ratio.chunk(2)
    first, second = lengths.chunk(2)
    d, beta = chosen - rejected, 0.3
    ours = {
        "sigmoid": losses.dpo(d, beta),  # label smoothing has no effect on it
        "robust": losses.dpo_robust(d, beta, 0.1),
        "hinge": losses.dpo_hinge(d, beta),
        "ipo": losses.ipo(chosen / first - rejected / second, beta),
    }
    for name, loss in ours.items():
        made.loss_types, made.loss_weights = [name], [1.0]
        yield f"dpo {name}", made.compute_loss(made.model, dict(batch)).item(), loss.mean().item()
    metrics = made._metrics["train"]
    yield "dpo reward", metrics["rewards/chosen"][-1], (beta * chosen).mean().item()


def kto(make: Make) -> Iterator[Pair]:
    made = trainer(make("kto", {"beta": 0.3, "desirable_weight": 1.5}))
    batch, ratio, _, _ = preference(made)
    ids, attention = batch["KL_input_ids"], batch["KL_attention_mask"]
    other = logps(made.model, ids, attention) - logps(made.ref_model, ids, attention)
    kl = losses.kto_baseline((other * batch["KL_completion_mask"][:, 1:]).sum(-1))
    label = torch.as_tensor(batch["label"])
    loss = losses.kto(ratio, kl, 0.3, label) * torch.where(label.bool(), 1.5, 1.0)
    yield "kto", made.compute_loss(made.model, dict(batch)).item(), loss.mean().item()


def reward(make: Make) -> Iterator[Pair]:
    made = trainer(make("reward", {"center_rewards_coefficient": 0.01}))
    batch = batch_of(made)
    with torch.no_grad():
        chosen, rejected = made.model(**batch).logits[:, 0].chunk(2)
    ours = losses.reward_model(chosen, rejected, centre=0.01)
    yield "reward", made.compute_loss(made.model, dict(batch)).item(), ours.mean().item()


def rollout(made: Any) -> tuple[dict[str, Any], torch.Tensor, torch.Tensor]:
    """Answers of the model as it was, their mask, and what each earned."""
    given = next(iter(made.get_train_dataloader()))
    earned: list[float] = []
    graded = made.reward_funcs[0]

    def remembered(**kwargs: Any) -> list[float]:
        earned[:] = graded(**kwargs)
        return earned

    remembered.__name__ = graded.__name__
    made.reward_funcs[0] = remembered
    found = made._generate_and_score_completions(given)
    moved(made.model)
    return found, found["completion_mask"].float(), torch.tensor(earned)


def of_answers(model: Any, found: dict[str, Any]) -> torch.Tensor:
    ids = torch.cat([found["prompt_ids"], found["completion_ids"]], 1)
    attention = torch.cat([found["prompt_mask"], found["completion_mask"]], 1)
    positions = (attention.cumsum(-1) - 1).clamp(min=0)
    with torch.no_grad():
        output = model(input_ids=ids, attention_mask=attention, position_ids=positions)
    return _of_tokens(output.logits, ids)[:, -found["completion_ids"].shape[1] :]


def _of_tokens(logits: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
    return logits[:, :-1].log_softmax(-1).gather(-1, ids[:, 1:, None])[..., 0]


def grpo(make: Make) -> Iterator[Pair]:
    group, beta = 4, 0.1
    given = {"num_generations": group, "beta": beta, "max_completion_length": 6}
    made = trainer(make("grpo", {**given, "per_device_train_batch_size": 8}))
    found, mask, earned = rollout(made)
    advantages = grouped(earned.view(-1, group)).view(-1)
    yield "grpo advantage", found["advantages"].abs().sum().item(), advantages.abs().sum().item()
    yield "grpo advantage 0", found["advantages"][0].item(), advantages[0].item()
    old = of_answers(made.ref_model, found)  # the reference is the policy that sampled
    now = of_answers(made.model, found)
    found["old_per_token_logps"] = old
    ratio, reference = now - old, found["ref_per_token_logps"]
    yield "grpo reference", reference[mask.bool()].sum().item(), old[mask.bool()].sum().item()
    kl = losses.k3(now, reference) * ratio.exp()  # TRL corrects it by the ratio
    token = losses.clipped(ratio, advantages[:, None]) + beta * kl
    found["num_items_in_batch"] = mask.sum() * 2  # as if this were half of what is accumulated
    total = mask.sum().item() * 2
    for how in HOW:
        made.loss_type = how
        ours = losses.aggregate(token, mask, how, total=total, max_length=6)
        yield f"grpo {how}", made.compute_loss(made.model, found).item(), ours.item()
    made.beta = 0.0
    made.loss_type = "cispo"
    token = losses.cispo(ratio, now, advantages[:, None], made.epsilon_high)
    ours = losses.aggregate(token, mask, "dapo", total=total)
    yield "cispo", made.compute_loss(made.model, found).item(), ours.item()
    made.loss_type, made.importance_sampling_level = "grpo", "sequence"
    token = losses.clipped(losses.sequence_log_ratio(ratio, mask), advantages[:, None])
    ours = losses.aggregate(token.expand_as(mask), mask, "grpo")
    yield "gspo", made.compute_loss(made.model, found).item(), ours.item()
    made.scale_rewards = "none"
    again, _, earned = rollout(made)
    ours = centred(earned.view(-1, group)).view(-1)
    yield "dr. grpo advantage", again["advantages"].abs().sum().item(), ours.abs().sum().item()


def rloo(make: Make) -> Iterator[Pair]:
    group = 4
    given = {"num_generations": group, "beta": 0.0, "max_completion_length": 6}
    made = trainer(make("rloo", {**given, "per_device_train_batch_size": 8}))
    found, mask, earned = rollout(made)
    advantages = left_out(earned.view(-1, group)).view(-1)
    yield "rloo advantage", found["advantages"].abs().sum().item(), advantages.abs().sum().item()
    ratio = (of_answers(made.model, found) * mask).sum(-1) - found["old_logps"]
    ours = losses.clipped(ratio, advantages).mean()
    yield "rloo", made.compute_loss(made.model, found).item(), ours.item()
