"""REINFORCE with a baseline and PPO with a critic, in plain PyTorch, one process.

Written to be read, on the formulas of `losses.py` and `advantages.py`: for CPUs, one GPU, and to
see what a method does.  It shards nothing and serves nothing: whoever trains on a cluster should
launch OpenRLHF, veRL or NeMo RL, which have both methods.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from evalkit import Prompt, Stage, Trainer
from evalkit.errors import ConfigError
from evalkit.training import curves

from . import data, losses, rewards
from ._learner import Learner, asked, learner
from ._resume import clear
from ._rollout import Rollout, draw, likelihoods
from ._settings import parse
from ._shapes import QUESTION, Row
from ._stage_checks import check_parent
from .advantages import centred, gae, token_rewards, whitened

if TYPE_CHECKING:
    from torch import Tensor

SHAPES = (QUESTION,)


@dataclass(frozen=True)
class Reinforce:
    """What a stage of REINFORCE may set under `args`."""

    steps: int = 100
    prompts: int = 8  # questions a step
    num_generations: int = 8  # answers to each; their mean reward is the baseline
    max_completion_length: int = 256  # tokens
    temperature: float = 1.0
    learning_rate: float = 1e-6
    max_grad_norm: float = 1.0
    beta: float = 0.0  # of the KL to the parent, taken off the reward
    save_steps: int = 0  # 0: only the end is saved
    use_cpu: bool = False


@dataclass(frozen=True)
class PPO(Reinforce):
    """What a stage of PPO may set under `args`."""

    num_generations: int = 1
    beta: float = 0.05
    epochs: int = 2  # passes over the answers of a step
    minibatches: int = 1  # updates in a pass
    epsilon: float = 0.2  # the ratio is clipped to 1 ± this
    value_epsilon: float = 0.2  # a value moves this far at most
    value_coef: float = 0.1
    gamma: float = 1.0
    lam: float = 0.95


def reinforce(made: Learner, args: Reinforce, drawn: Rollout, earned: Tensor) -> dict[str, float]:
    """One step up the expected reward, each answer held against the others to its question."""
    logps, entropy, _ = likelihoods(made.policy, drawn, args.temperature)
    kl = losses.k1(logps.detach(), _reference(made, drawn, args))
    net = earned - args.beta * (kl * drawn.mask).sum(-1)
    advantage = centred(net.view(-1, args.num_generations)).view(-1, 1)
    loss = losses.aggregate(losses.reinforce(logps, advantage), drawn.mask, "bnpo")
    norm = made.update(loss)
    return {"loss": loss.item(), "grad_norm": norm} | _means(drawn, {"kl": kl, "entropy": entropy})


def ppo(made: Learner, args: PPO, drawn: Rollout, earned: Tensor) -> dict[str, float]:
    """Some steps, each within a clipped region of the policy that answered and of its values."""
    import torch

    with torch.no_grad():
        old, _, hidden = likelihoods(made.policy, drawn, args.temperature)
        values = made.values(hidden)
        kl = losses.k1(old, _reference(made, drawn, args))
    each = token_rewards(earned, kl, drawn.mask, args.beta)
    advantages, returns = gae(each, values, drawn.mask, args.gamma, args.lam)
    advantages = whitened(advantages, drawn.mask)
    logged: dict[str, float] = {}
    for _ in range(args.epochs):
        for chosen in torch.randperm(len(old)).chunk(args.minibatches):
            part = drawn.rows(chosen)
            logps, entropy, hidden = likelihoods(made.policy, part, args.temperature)
            ratio = logps - old[chosen]
            policy = losses.clipped(ratio, advantages[chosen], args.epsilon)
            critic = losses.value_clipped(
                made.values(hidden), values[chosen], returns[chosen], args.value_epsilon
            )
            token = policy + args.value_coef * critic
            loss = losses.aggregate(token, part.mask, "bnpo")
            outside = ((ratio.exp() - 1).abs() > args.epsilon).float()
            logged = {"loss": loss.item(), "grad_norm": made.update(loss)}
            told = {"entropy": entropy, "value_loss": critic, "clip_ratio/region_mean": outside}
            logged |= _means(part, told)
    return logged | _means(drawn, {"kl": kl})


def _reference(made: Learner, drawn: Rollout, args: Reinforce) -> Tensor:
    import torch

    with torch.no_grad():
        return likelihoods(made.parent, drawn, args.temperature)[0]


def _means(drawn: Rollout, values: Mapping[str, Tensor]) -> dict[str, float]:
    """The mean over the answers' tokens of each."""
    return {
        name: losses.aggregate(each.detach(), drawn.mask, "bnpo").item()
        for name, each in values.items()
    }


ARGS: Mapping[str, type[Reinforce]] = {"reinforce": Reinforce, "ppo": PPO}


def check(stage: Stage) -> None:
    """Raises ConfigError for a stage that cannot be run."""
    args = parse(ARGS[stage.method], stage.args, stage.method)
    if stage.method == "reinforce" and args.num_generations < 2:
        raise ConfigError("args: reinforce has its baseline from num_generations of 2 or more")
    if not stage.parent:
        raise ConfigError(f"parent: {stage.method} starts from a checkpoint: name one")
    if stage.evaluate == "every_save" and not args.save_steps:
        raise ConfigError("evaluate: nothing is saved on the way: set save_steps in args")
    data.check(stage.data, SHAPES, stage.paths)
    rewards.check(stage)


def prompts(stage: Stage) -> Iterator[Prompt]:
    """What the stage would learn to answer."""
    return data.prompts(stage, SHAPES)


def run(stage: Stage) -> None:
    """Trains, and registers every checkpoint and last of all `final`."""
    check(stage)
    check_parent(stage)
    clear(stage.out)
    args = parse(ARGS[stage.method], stage.args, stage.method)
    reward = rewards.load(stage.reward, stage.paths)
    rows = data.mixed(stage, SHAPES)
    made = learner(stage, args.learning_rate, args.max_grad_norm)
    logged: dict[str, float] = {}
    while made.step < args.steps:
        try:
            logged = _step(made, args, asked(rows, args.prompts, stage.seed, made.step), reward)
        except rewards.RewardError as error:
            raise rewards.RewardError(f"{error}{made.keep(logged)}") from error
        curves.append(stage.out, made.step, logged)
        if _due(stage, args, made.step):
            made.save(logged)
    made.finish(logged)


def _step(
    made: Learner, args: Reinforce, questions: list[Row], reward: rewards.Reward
) -> dict[str, float]:
    """Answers, grades, learns."""
    import torch

    rows = [row for row in questions for _ in range(args.num_generations)]
    length, temperature = args.max_completion_length, args.temperature
    drawn = draw(made.policy, made.tokenizer, rows, length=length, temperature=temperature)
    earned = torch.tensor(
        [
            rewards.graded(reward, made.stage.reward, row["prompt"], text, row)
            for row, text in zip(rows, drawn.texts, strict=True)
        ],
        device=drawn.mask.device,
    )
    if isinstance(args, PPO):
        logged = ppo(made, args, drawn, earned)
    else:
        logged = reinforce(made, args, drawn, earned)
    made.stepped()
    groups = earned.view(-1, args.num_generations)
    same = (groups.amax(-1) == groups.amin(-1)).float().mean().item()
    return {
        **logged,
        **({"frac_reward_zero_std": same} if args.num_generations > 1 else {}),
        "reward": earned.mean().item(),
        "reward_std": earned.std(correction=0).item(),
        "completions/clipped_ratio": drawn.clipped,
        "completions/mean_length": drawn.mask.sum(-1).mean().item(),
    }


def _due(stage: Stage, args: Reinforce, step: int) -> bool:
    wanted = () if isinstance(stage.evaluate, str) else stage.evaluate
    return step in wanted or bool(args.save_steps and step % args.save_steps == 0)


TRAINERS = (
    Trainer(
        "reference",
        methods=tuple(ARGS),
        run=run,
        check=check,
        packages=("torch", "transformers"),
        resumes=True,
        prompts=prompts,
    ),
)
