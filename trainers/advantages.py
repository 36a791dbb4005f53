"""Rewards to advantages: baselines of groups, returns, GAE and whitening, as pure functions.

Groups are the answers to one question: rewards are shaped (groups, answers).  Tokens are shaped
(sequences, tokens), with a mask that is 1 on the answer's own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def centred(rewards: Tensor) -> Tensor:
    """Dr. GRPO and REINFORCE with a baseline: `r - mean` of the group (Liu et al. 2025)."""
    return (rewards - rewards.mean(-1, keepdim=True)).where(~_equal(rewards), 0.0)


def grouped(rewards: Tensor, eps: float = 1e-4) -> Tensor:
    """GRPO: `(r - mean) / (std + ε)` of the group, std with n-1 (Shao et al. 2024).

    A group of equal rewards has advantage 0 whatever ε is: in fp32 the mean of eight rewards of
    0.1 is not 0.1, and dividing that rounding by a small ε makes an advantage of it.
    """
    if rewards.shape[-1] < 2:
        return rewards * 0
    return centred(rewards) / (rewards.std(-1, keepdim=True) + eps)


def left_out(rewards: Tensor) -> Tensor:
    """RLOO: `r - mean of the others = n/(n-1) (r - mean)` (Kool et al. 2019; Ahmadian et al. 2024,
    arXiv:2402.14740); 0 in a group of one, which has no others.
    """
    n = rewards.shape[-1]
    return centred(rewards) * (n / (n - 1)) if n > 1 else rewards * 0


def left_out_scaled(rewards: Tensor, eps: float = 1e-6) -> Tensor:
    """NeMo RL's default: the others' mean as baseline and the others' std as scale.

    Where the others are all equal there is no scaling, so the odd one out of 1, 0, 0, 0 gets 1.0
    and the others -0.58 each.
    """
    from torch import cat, stack

    n = rewards.shape[-1]
    if n < 3:
        return left_out(rewards)
    others = stack([cat([rewards[:, :i], rewards[:, i + 1 :]], -1) for i in range(n)], 1)
    std = others.std(-1).where(~_equal(others)[..., 0], 0.0)
    advantage = left_out(rewards)
    return advantage / (std + eps).where(std > 0, 1.0)


def token_rewards(scores: Tensor, kl: Tensor, mask: Tensor, coefficient: float) -> Tensor:
    """Of each token `-β kl`, and of each sequence's last token its score besides (Ouyang 2022)."""
    from torch import arange

    rewards = -coefficient * kl * mask
    last = (mask * arange(1, mask.shape[1] + 1, device=mask.device)).argmax(-1, keepdim=True)
    held = (mask.sum(-1, keepdim=True) > 0).to(rewards.dtype)
    return rewards.scatter_add(1, last, scores[:, None].to(rewards.dtype) * held)


def returns_to_go(rewards: Tensor, mask: Tensor, gamma: float = 1.0) -> Tensor:
    """Of each token the discounted sum of the rewards from there on (REINFORCE++, Hu 2025,
    arXiv:2501.03262, before it is whitened over the batch).
    """
    from torch import stack

    total, out = rewards[:, 0] * 0, []
    for t in reversed(range(rewards.shape[1])):
        total = (rewards[:, t] + gamma * total) * mask[:, t]
        out.append(total)
    return stack(out[::-1], 1)


def gae(
    rewards: Tensor, values: Tensor, mask: Tensor, gamma: float = 1.0, lam: float = 0.95
) -> tuple[Tensor, Tensor]:
    """Advantages and returns: `δ_t = r_t + γ V_{t+1} - V_t`, `A_t = δ_t + γ λ A_{t+1}`, `R = A + V`
    (Schulman et al. 2015, arXiv:1506.02438); nothing follows a sequence's last token.
    """
    from torch import stack

    following, carried, out = values[:, 0] * 0, values[:, 0] * 0, []
    for t in reversed(range(rewards.shape[1])):
        delta = rewards[:, t] + gamma * following - values[:, t]
        carried = (delta + gamma * lam * carried) * mask[:, t]
        following = values[:, t] * mask[:, t]
        out.append(carried)
    advantages = stack(out[::-1], 1)
    return advantages, (advantages + values) * mask


def whitened(values: Tensor, mask: Tensor, eps: float = 1e-8) -> Tensor:
    """The values with mean 0 and variance 1 over the mask; equal values, or one alone, give 0.

    The variance is the population's, as in OpenRLHF and verl.
    """
    count = mask.sum().clamp(min=1)
    away = (values - (values * mask).sum() / count) * mask
    variance = (away**2).sum() / count
    spread = values[mask.bool()]
    if spread.numel() < 2 or bool(spread.max() == spread.min()):
        return values * 0
    return away * variance.clamp(min=eps).rsqrt()


def _equal(rewards: Tensor) -> Tensor:
    """Whether all rewards of a group are the same, told without rounding."""
    return rewards.amax(-1, keepdim=True) == rewards.amin(-1, keepdim=True)
