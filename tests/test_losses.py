"""Every objective and every estimator against numbers worked out by hand."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch

from trainers import losses
from trainers.advantages import (
    centred,
    gae,
    grouped,
    left_out,
    left_out_scaled,
    returns_to_go,
    token_rewards,
    whitened,
)

CLOSE = 2e-6
BETA = 0.1
D = torch.tensor([2.0])  # pi+ -10, pi- -12, both references -11


def near(*values: float) -> Any:
    return pytest.approx(list(values), abs=CLOSE)


def t(*values: Any) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float32)


def slope(loss: Callable[[torch.Tensor], torch.Tensor], at: torch.Tensor) -> torch.Tensor:
    """The gradient of a loss."""
    (found,) = torch.autograd.grad(loss(at.requires_grad_()), at)
    return found


def ragged(*rows: list[float]) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows padded to one length with a value that must not count, and their mask."""
    width = max(map(len, rows))
    mask = torch.tensor([[1.0] * len(row) + [0.0] * (width - len(row)) for row in rows])
    return torch.tensor([row + [99.0] * (width - len(row)) for row in rows]), mask


def test_nll_is_a_mean_over_tokens_and_not_over_sequences() -> None:
    logps, mask = ragged([-0.1, -0.2, -0.3, -0.4], [-1.0])
    assert losses.nll(logps, mask).item() == pytest.approx(0.4)
    assert losses.nll(logps, mask, total=10).item() == pytest.approx(0.2)


def test_a_batch_without_an_answer_costs_nothing() -> None:
    logps, mask = t([-1.0, -2.0]), torch.zeros(1, 2)
    assert losses.nll(logps, mask).item() == 0
    assert losses.nll(logps, mask, total=0).item() == 0
    for how in ("grpo", "bnpo", "dapo", "dr_grpo", "sequence-sum"):
        assert losses.aggregate(-logps, mask, how).item() == 0


def test_dft_weighs_a_token_by_its_own_probability() -> None:
    logps = t([-1.0, -2.0])
    loss = losses.dft(logps, torch.ones(1, 2))
    assert loss.item() == pytest.approx((math.exp(-1) + 2 * math.exp(-2)) / 2)
    found = slope(lambda x: losses.dft(x, torch.ones(1, 2)), logps)
    assert found[0].tolist() == near(-math.exp(-1) / 2, -math.exp(-2) / 2)


def test_the_losses_of_dpo() -> None:
    assert losses.dpo(D, BETA).tolist() == near(0.598139)
    assert losses.dpo_conservative(D, BETA, 0.1).tolist() == near(0.618139)
    assert losses.dpo_robust(D, BETA, 0.1).tolist() == near(0.573139)
    assert losses.dpo_hinge(D, BETA).tolist() == near(0.8)
    assert losses.ipo(D, BETA).tolist() == near(9.0)
    by_length = t(1.0 / 5) - t(-1.0 / 4)
    assert losses.ipo(by_length, BETA).tolist() == near(20.7025)


def test_the_losses_of_dpo_before_anything_was_learned() -> None:
    nothing = torch.zeros(1)
    assert losses.dpo(nothing, BETA).tolist() == near(0.693147)
    assert losses.ipo(nothing, BETA).tolist() == near(25.0)


def test_kto() -> None:
    kl = losses.kto_baseline(t(0.5))
    found = losses.kto(t(1.0, -1.0), kl, BETA, torch.tensor([True, False]))
    assert found.tolist() == near(0.487503, 0.462570)
    assert losses.kto_baseline(t(-3.0, 1.0)).item() == 0  # a KL below 0 is noise
    one_class = losses.kto(t(1.0, 2.0), kl, BETA, torch.tensor([True, True]))
    assert one_class.isfinite().all()


def test_the_reward_model() -> None:
    assert losses.reward_model(t(2.0), t(0.0)).tolist() == near(math.log1p(math.exp(-2)))
    assert losses.reward_model(t(2.0), t(0.0), margin=2.0).tolist() == near(math.log(2))
    centred_loss = losses.reward_model(t(2.0), t(1.0), centre=0.01)
    assert centred_loss.tolist() == near(math.log1p(math.exp(-1)) + 0.09)


@pytest.mark.parametrize(
    ("eps", "expected"), [(1e-4, 0.865875), (1e-6, 0.866024), (1e-9, 0.866025)]
)
def test_group_advantages_of_trl_verl_and_openrlhf(eps: float, expected: float) -> None:
    found = grouped(t([1, 0, 0, 1]), eps)
    assert found[0].tolist() == near(expected, -expected, -expected, expected)


def test_advantages_of_the_other_methods() -> None:
    rewards = t([1, 0, 0, 1])
    assert centred(rewards)[0].tolist() == near(0.5, -0.5, -0.5, 0.5)
    two = 2 / 3
    assert left_out(rewards)[0].tolist() == near(two, -two, -two, two)
    nemo = 1.154699
    assert left_out_scaled(rewards)[0].tolist() == near(nemo, -nemo, -nemo, nemo)


def test_one_right_answer_in_four() -> None:
    rewards = t([1, 0, 0, 0])
    trl = grouped(rewards)[0].tolist()
    assert trl == pytest.approx([1.4997, *[-0.4999] * 3], abs=1e-4)
    assert left_out_scaled(rewards)[0].tolist() == near(1.0, *[-0.577349] * 3)


@pytest.mark.parametrize(("reward", "size"), [(0.1, 8), (0.3, 7), (1 / 3, 5), (-0.7, 16)])
@pytest.mark.parametrize("eps", [1e-4, 1e-6, 1e-9])
def test_equal_rewards_have_no_advantage_in_single_precision(
    reward: float, size: int, eps: float
) -> None:
    rewards = torch.full((1, size), reward)
    for found in (grouped(rewards, eps), centred(rewards), left_out(rewards)):
        assert found.abs().max().item() == 0
    assert left_out_scaled(rewards, eps).abs().max().item() == 0


def test_the_trap_is_there_for_whoever_divides_without_looking() -> None:
    rewards = torch.full((1, 8), 0.1)
    naive = (rewards - rewards.mean()) / (rewards.std() + 1e-9)
    assert naive.abs().max().item() > 0.5


@pytest.mark.parametrize("advantage", [grouped, left_out, left_out_scaled])
def test_an_answer_alone_has_no_advantage(advantage: Any) -> None:
    assert advantage(t([0.7])).tolist() == [[0.0]]


@pytest.mark.parametrize(
    ("ratio", "advantage", "dual", "expected"),
    [
        (1.5, 1, None, -1.2),
        (0.5, 1, None, -0.5),
        (1.5, -1, None, 1.5),
        (0.5, -1, None, 0.8),
        (5.0, -1, None, 5.0),
        (5.0, -1, 3.0, 3.0),
        (5.0, 1, 3.0, -1.2),
    ],
)
def test_the_clipped_surrogate(
    ratio: float, advantage: float, dual: float | None, expected: float
) -> None:
    found = losses.clipped(t(ratio).log(), t(advantage), dual=dual)
    assert found.item() == pytest.approx(expected, abs=1e-5)


def test_the_upper_bound_may_be_wider() -> None:
    found = losses.clipped(t(1.5).log(), t(1.0), low=0.2, high=0.28)
    assert found.item() == pytest.approx(-1.28)


def test_clipping_takes_the_gradient_where_cispo_leaves_it() -> None:
    beyond, one = t(math.log(1.5)), t(1.0)
    assert slope(lambda x: losses.clipped(x, one), beyond).item() == 0
    assert slope(lambda x: losses.cispo(x, x, one, 1.2), beyond).item() != 0


def test_the_ratio_of_a_sequence_is_a_mean_over_its_tokens() -> None:
    log_ratio, mask = ragged([0.1, 0.3], [0.5])
    assert losses.sequence_log_ratio(log_ratio, mask)[:, 0].tolist() == near(0.2, 0.5)


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ("grpo", 1.5),
        ("bnpo", 10 / 6),
        ("dapo", 10 / 6),
        ("dr_grpo", 1.25),
        ("sequence-sum", 5.0),
    ],
)
def test_what_each_method_divides_by(how: Any, expected: float) -> None:
    loss, mask = ragged([1.0, 1.0], [2.0, 2.0, 2.0, 2.0])
    assert losses.aggregate(loss, mask, how, max_length=4).item() == pytest.approx(expected)


def test_dapo_divides_by_the_tokens_of_the_whole_accumulated_batch() -> None:
    loss, mask = ragged([1.0, 1.0], [2.0, 2.0, 2.0, 2.0])
    assert losses.aggregate(loss, mask, "dapo", total=20).item() == pytest.approx(0.5)
    assert losses.aggregate(loss, mask, "bnpo", total=20).item() == pytest.approx(10 / 6)


def test_three_estimates_of_kl() -> None:
    logps, reference = t(-1.0), t(-1.5)
    assert losses.k1(logps, reference).tolist() == near(0.5)
    assert losses.k2(logps, reference).tolist() == near(0.125)
    assert losses.k3(logps, reference).tolist() == near(0.106531)


def test_gae() -> None:
    advantages, returns = gae(t([0, 0, 1]), t([0.5, 0.6, 0.7]), torch.ones(1, 3))
    assert advantages[0].tolist() == near(0.46575, 0.385, 0.3)
    assert returns[0].tolist() == near(0.96575, 0.985, 1.0)


def test_gae_of_a_padded_sequence_is_that_of_the_sequence() -> None:
    padded = gae(t([0, 0, 1, 7]), t([0.5, 0.6, 0.7, 9]), t([1, 1, 1, 0]))
    for found, expected in zip(
        padded, gae(t([0, 0, 1]), t([0.5, 0.6, 0.7]), torch.ones(1, 3)), strict=True
    ):
        assert found[0, :3].tolist() == expected[0].tolist()
        assert found[0, 3].item() == 0


def test_the_score_is_the_reward_of_the_last_token() -> None:
    mask = t([1, 1, 0], [1, 1, 1], [0, 0, 0])
    found = token_rewards(t(1, 2, 5), torch.full((3, 3), 0.5), mask, 0.1)
    assert found[0].tolist() == near(-0.05, 0.95, 0)
    assert found[1].tolist() == near(-0.05, -0.05, 1.95)
    assert found[2].tolist() == near(0, 0, 0)
    assert returns_to_go(found, mask)[1].tolist() == near(1.85, 1.9, 1.95)
    assert returns_to_go(found, mask, gamma=0.5)[0].tolist() == near(0.425, 0.95, 0)


def test_the_critic_is_held_near_its_old_values() -> None:
    found = losses.value_clipped(t(2.0, 1.1), t(1.0, 1.0), t(3.0, 3.0), 0.2)
    assert found.tolist() == near((1.2 - 3) ** 2 / 2, (1.1 - 3) ** 2 / 2)


def test_whitening_takes_mean_and_spread_and_survives_one_value() -> None:
    mask = t([1, 1, 0])
    found = whitened(t([1.0, 3.0, 50.0]), mask)
    assert found[0].tolist() == near(-1, 1, 0)
    assert whitened(t([4.0, 3.0]), t([1, 0])).tolist() == [[0.0, 0.0]]
    assert whitened(torch.full((1, 9), 0.1), torch.ones(1, 9)).abs().max().item() == 0


def test_on_policy_the_surrogate_has_the_gradient_of_reinforce() -> None:
    logps, advantage = t(-1.0, -2.0), t(0.5, -0.5)
    plain = slope(lambda x: losses.reinforce(x, advantage).sum(), logps)
    surrogate = slope(lambda x: losses.clipped(x - x.detach(), advantage).sum(), logps)
    assert plain.tolist() == surrogate.tolist() == near(-0.5, 0.5)
