"""REINFORCE and PPO on a tiny model: what they draw, that they learn, and that they go on."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from evalkit import Stage
from evalkit.errors import ConfigError
from evalkit.training import curves
from tests.tiny_models import tiny_model
from trainers._learner import asked
from trainers._rollout import draw, likelihoods
from trainers.manifest import read
from trainers.reference import check, run
from trainers.rewards import RewardError

REWARD = """
from pathlib import Path

def capitals(prompt, completion, row):
    return sum(map(str.isupper, completion)) / 8

def picky(prompt, completion, row):
    if not (Path(__file__).parent / "mended").exists() and row["prompt"] == "the letters 9":
        raise OSError("the server is away")
    return capitals(prompt, completion, row)
"""
ARGS: dict[str, Any] = {
    "use_cpu": True,
    "steps": 25,
    "prompts": 4,
    "num_generations": 8,
    "max_completion_length": 8,
    "learning_rate": 3e-3,
}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny model, questions and a reward."""
    folder = tmp_path_factory.mktemp("reference")
    tiny_model(folder / "base")
    rows = [json.dumps({"prompt": f"the letters {i}"}) for i in range(12)]
    (folder / "rows.jsonl").write_text("\n".join(rows))
    (folder / "reward.py").write_text(REWARD)
    return folder


def stage(home: Path, method: str, out: str, **args: Any) -> Stage:
    data = {str(home / "rows.jsonl"): 1.0}
    (home / out).mkdir(exist_ok=True)
    reward = f"{home}/reward.py:capitals"
    return Stage(
        method, method, str(home / out), str(home / "base"), data, reward, {**ARGS, **args}, 3
    )


def loaded(home: Path) -> tuple[Any, Any]:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(home / "base")
    tokenizer.pad_token = tokenizer.eos_token
    return AutoModelForCausalLM.from_pretrained(home / "base").eval(), tokenizer


def weights(home: Path, out: str) -> bytes:
    return (home / out / "final" / "model.safetensors").read_bytes()


@pytest.mark.parametrize(
    ("method", "args"),
    [("reinforce", {}), ("ppo", {"num_generations": 1, "prompts": 32, "beta": 0.01})],
)
def test_the_reward_rises(home: Path, method: str, args: dict[str, Any]) -> None:
    run(stage(home, method, method, **args))
    found = curves.read(home / method)
    reward = [value for _, value in found["reward"]]
    assert len(reward) == 25
    assert sum(reward[-5:]) / 5 > sum(reward[:5]) / 5 + 0.1
    assert {"loss", "kl", "entropy", "grad_norm", "completions/clipped_ratio"} <= set(found)
    assert found["kl"][-1][1] > found["kl"][0][1] == pytest.approx(0, abs=1e-6)
    assert ("value_loss" in found) == (method == "ppo")
    files = {path.name for path in (home / method / "final").iterdir()}
    assert {"model.safetensors", "config.json", "tokenizer.json"} <= files
    (entry,) = read(home / method)
    assert (entry["path"], entry["step"], entry["method"]) == ("final", 25, method)


@pytest.mark.parametrize("method", ["reinforce", "ppo"])
def test_a_training_that_stopped_ends_with_the_weights_of_one_that_did_not(
    home: Path, method: str
) -> None:
    args = {"steps": 8, "save_steps": 2, "prompts": 2}
    run(stage(home, method, f"{method}-whole", **args))
    halted = stage(home, method, f"{method}-halted", **args)
    picky = replace(halted, reward=f"{home}/reward.py:picky")
    (home / "mended").unlink(missing_ok=True)
    with pytest.raises(RewardError, match=r"rows\.jsonl: line 10: OSError: the server is away"):
        run(picky)
    kept = [entry["step"] for entry in read(home / f"{method}-halted")]
    assert 0 < len(kept) < 8
    (home / "mended").touch()
    run(picky)
    assert weights(home, f"{method}-whole") == weights(home, f"{method}-halted")
    steps = [step for step, _ in curves.read(home / f"{method}-halted")["loss"]]
    assert steps == list(range(1, 9))


def test_the_likelihood_of_an_answer_is_that_of_a_plain_forward_pass(home: Path) -> None:
    model, tokenizer = loaded(home)
    torch.manual_seed(0)
    rows = [{"prompt": text} for text in ("a", "a longer one", "the letters")]
    drawn = draw(model, tokenizer, rows, length=6, temperature=1.0)
    with torch.no_grad():
        found, entropy, _ = likelihoods(model, drawn, 1.0)
        for i in range(len(rows)):
            kept = drawn.attention[i].bool()
            ids = drawn.ids[i][kept][None]
            plain = model(ids).logits[0, :-1].log_softmax(-1)
            count = int(drawn.mask[i].sum())
            alone = plain.gather(-1, ids[0, 1:, None])[-count:, 0]
            assert torch.allclose(found[i, :count], alone, atol=1e-5)
            assert torch.allclose(
                entropy[i, :count], -(plain.exp() * plain).sum(-1)[-count:], atol=1e-4
            )


def test_nothing_after_the_end_of_an_answer_counts(home: Path) -> None:
    model, tokenizer = loaded(home)
    end = tokenizer.eos_token_id
    with torch.no_grad():
        model.lm_head.weight[end] *= 3  # so that many answers end early
    torch.manual_seed(1)
    drawn = draw(model, tokenizer, [{"prompt": "x"}] * 64, length=12, temperature=1.5)
    answers = drawn.ids[:, -12:]
    for i in range(64):
        ends = (answers[i] == end).nonzero()
        length = int(ends[0]) + 1 if len(ends) else 12
        assert drawn.mask[i].tolist() == [1.0] * length + [0.0] * (12 - length)
        assert drawn.texts[i] == tokenizer.decode(answers[i][:length], skip_special_tokens=True)
    assert 0 < drawn.clipped < 1


def test_every_row_is_asked_once_before_any_is_asked_again() -> None:
    rows = [{"n": n} for n in range(7)]
    found = [row["n"] for step in range(7) for row in asked(rows, 3, 5, step)]
    assert all(sorted(found[i : i + 7]) == list(range(7)) for i in (0, 7, 14))
    assert found[:7] != found[7:14]
    assert [row["n"] for row in asked(rows, 3, 5, 4)] == found[12:15]
    assert [row["n"] for row in asked(rows, 20, 5, 0)] == found[:20]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"args": {"step": 5}}, "reinforce has no 'step'; did you mean 'steps'"),
        ({"args": {"lam": 0.9}}, "reinforce has no 'lam'"),
        ({"args": {"steps": 0.5}}, "steps has to be int"),
        ({"args": {"use_cpu": 1}}, "use_cpu has to be bool"),
        ({"args": {"num_generations": 1}}, "num_generations of 2 or more"),
        ({"parent": ""}, "starts from a checkpoint"),
        ({"evaluate": "every_save"}, "set save_steps in args"),
        ({"reward": ""}, "reward: give"),
        ({"data": {}}, "data: give a JSONL file"),
    ],
)
def test_a_stage_that_cannot_run_is_refused_at_once(
    home: Path, change: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        check(replace(stage(home, "reinforce", "refused"), **change))
