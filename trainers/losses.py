"""The objectives of post-training, as pure functions of tensors, each with its formula and source.

`l` is the log-probability of a token under the policy, `m` its mask: 1 where the token is part of
the answer, 0 in the prompt and the padding.  Tokens are shaped (sequences, tokens); a value per
sequence is shaped (sequences,).  How rewards become advantages is told in `advantages.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from torch import Tensor

Aggregation = Literal["grpo", "bnpo", "dapo", "dr_grpo", "sequence-sum"]


def nll(logps: Tensor, mask: Tensor, total: float | None = None) -> Tensor:
    """SFT and continual pre-training: `-Σ m l / N`.

    N is the number of answer tokens of the whole accumulated batch, over all devices, and at
    least 1; a mean of means would weigh short sequences more.  Default: those of this batch.
    """
    return -(logps * mask).sum() / _count(mask, total)


def dft(logps: Tensor, mask: Tensor, total: float | None = None) -> Tensor:
    """Dynamic fine-tuning: `-Σ m sg(exp l) l / N` (Wu et al. 2025, arXiv:2508.05629)."""
    return -(logps.detach().exp() * logps * mask).sum() / _count(mask, total)


def dpo(delta: Tensor, beta: float) -> Tensor:
    """DPO: `-log σ(β d)` (Rafailov et al. 2023, arXiv:2305.18290).

    `d = (log π(y⁺) - log ref(y⁺)) - (log π(y⁻) - log ref(y⁻))`, log-probabilities summed over
    the answer.  Without training d is 0 and the loss log 2.
    """
    return -_log_sigmoid(beta * delta)


def dpo_conservative(delta: Tensor, beta: float, smoothing: float) -> Tensor:
    """cDPO: `-(1-ε) log σ(β d) - ε log σ(-β d)` (Mitchell 2023); labels flip with chance ε.

    TRL's sigmoid loss takes no label smoothing: it is silently without effect there.
    """
    return (1 - smoothing) * dpo(delta, beta) + smoothing * dpo(-delta, beta)


def dpo_robust(delta: Tensor, beta: float, smoothing: float) -> Tensor:
    """Robust DPO: `[-(1-ε) log σ(β d) + ε log σ(-β d)] / (1-2ε)` (Chowdhury et al. 2024,
    arXiv:2403.00409); unbiased under label noise.
    """
    loss = (1 - smoothing) * dpo(delta, beta) - smoothing * dpo(-delta, beta)
    return loss / (1 - 2 * smoothing)


def dpo_hinge(delta: Tensor, beta: float) -> Tensor:
    """SLiC's hinge: `max(0, 1 - β d)` (Zhao et al. 2023, arXiv:2305.10425)."""
    return (1 - beta * delta).clamp(min=0)


def ipo(delta: Tensor, beta: float) -> Tensor:
    """IPO: `(d - 1/(2β))²` (Azar et al. 2023, arXiv:2310.12036, Eq. 17).

    OpenRLHF takes d of summed log-probabilities; TRL divides each answer's log-ratio by its
    length first, so that one β serves answers of every length.
    """
    return (delta - 1 / (2 * beta)) ** 2


def kto(logratio: Tensor, kl: Tensor, beta: float, desirable: Tensor) -> Tensor:
    """KTO: `1 - σ(β (r - z))` of a desirable answer, `1 - σ(β (z - r))` of another
    (Ethayarajh et al. 2024, arXiv:2402.01306, Eq. 7).

    r is the answer's log-ratio to the reference, z the `kto_baseline`.
    """
    sign = 2 * desirable.to(logratio.dtype) - 1
    return 1 - (beta * sign * (logratio - kl)).sigmoid()


def kto_baseline(mismatched: Tensor) -> Tensor:
    """KTO's z: the mean log-ratio of answers under other questions, at least 0, not trained."""
    return mismatched.detach().mean().clamp(min=0)


def reward_model(
    chosen: Tensor, rejected: Tensor, margin: Tensor | float = 0.0, centre: float = 0.0
) -> Tensor:
    """Bradley-Terry: `-log σ(r⁺ - r⁻ - margin) + c (r⁺ + r⁻)²` (Ouyang et al. 2022,
    arXiv:2203.02155; margin: Touvron et al. 2023; centring: Eisenstein et al. 2023).
    """
    return -_log_sigmoid(chosen - rejected - margin) + centre * (chosen + rejected) ** 2


def k1(logps: Tensor, reference: Tensor) -> Tensor:
    """An estimate of KL(π‖ref) per token of π: `l - ref`; unbiased, may be negative."""
    return logps - reference


def k2(logps: Tensor, reference: Tensor) -> Tensor:
    """`(l - ref)² / 2`; biased, of little variance (Schulman 2020, "Approximating KL")."""
    return (logps - reference) ** 2 / 2


def k3(logps: Tensor, reference: Tensor) -> Tensor:
    """`exp(ref - l) - (ref - l) - 1`; unbiased and never negative (Schulman 2020)."""
    return (reference - logps).exp() - (reference - logps) - 1


def reinforce(logps: Tensor, advantage: Tensor) -> Tensor:
    """REINFORCE: `-A l` per token (Williams 1992); the ratio is 1, so there is none."""
    return -advantage * logps


def clipped(
    log_ratio: Tensor,
    advantage: Tensor,
    low: float = 0.2,
    high: float | None = None,
    dual: float | None = None,
) -> Tensor:
    """The clipped surrogate of PPO, GRPO and RLOO: `-min(ρ A, clip(ρ, 1-ε, 1+ε') A)`, ρ the ratio
    to the policy that sampled (Schulman et al. 2017, arXiv:1707.06347, Eq. 7).

    `dual`: where A < 0 the loss is at most `-c A` (Ye et al. 2020, arXiv:1912.09729).
    """
    from torch import maximum, minimum, where

    ratio = log_ratio.exp()
    bounded = ratio.clamp(1 - low, 1 + (low if high is None else high))
    loss = maximum(-ratio * advantage, -bounded * advantage)
    if dual is None:
        return loss
    return where(advantage < 0, minimum(loss, -dual * advantage), loss)


def cispo(log_ratio: Tensor, logps: Tensor, advantage: Tensor, high: float) -> Tensor:
    """CISPO: `-sg(min(ρ, ε')) A l`, so no token loses its gradient (MiniMax 2025,
    arXiv:2506.13585).
    """
    return -log_ratio.exp().clamp(max=high).detach() * advantage * logps


def sequence_log_ratio(log_ratio: Tensor, mask: Tensor) -> Tensor:
    """GSPO's log-ratio: the mean over a sequence's tokens (Zheng et al. 2025, arXiv:2507.18071)."""
    return ((log_ratio * mask).sum(-1) / mask.sum(-1).clamp(min=1))[:, None]


def value_clipped(values: Tensor, old: Tensor, returns: Tensor, clip: float) -> Tensor:
    """PPO's critic: `½ max((v - R)², (v_old + clip(v - v_old, ±c) - R)²)` per token."""
    from torch import maximum

    near = old + (values - old).clamp(-clip, clip)
    return maximum((values - returns) ** 2, (near - returns) ** 2) / 2


def aggregate(
    loss: Tensor,
    mask: Tensor,
    how: Aggregation,
    *,
    total: float | None = None,
    max_length: int | None = None,
) -> Tensor:
    """Losses of tokens to one: what each method of the GRPO family divides by.

    grpo: the mean over sequences of each one's mean (Shao et al. 2024, arXiv:2402.03300).
    bnpo: the mean over the tokens of the local batch.  dapo: the sum over the tokens of the whole
    accumulated batch, `total` (Yu et al. 2025, arXiv:2503.14476).  dr_grpo: the sum over
    sequences × `max_length` (Liu et al. 2025, arXiv:2503.20783).  sequence-sum: the mean over
    sequences of each one's sum.
    """
    kept = loss * mask
    if how == "grpo":
        return (kept.sum(-1) / mask.sum(-1).clamp(min=1)).mean()
    if how == "dr_grpo":
        return kept.sum() / (loss.shape[0] * (max_length or loss.shape[1]))
    if how == "sequence-sum":
        return kept.sum(-1).mean()
    return kept.sum() / _count(mask, total if how == "dapo" else None)


def _count(mask: Tensor, total: float | None) -> Tensor | float:
    """At least 1: a batch without an answer token costs 0 and is no division by 0."""
    return mask.sum().clamp(min=1) if total is None else max(total, 1.0)


def _log_sigmoid(x: Tensor) -> Tensor:
    from torch.nn.functional import logsigmoid

    return logsigmoid(x)
