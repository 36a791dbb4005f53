"""Starts a script of NeMo RL with a reward of evalkit's: `python evalkit_nemo.py SCRIPT …`.

NeMo RL takes rewards from environments, which are registered by the script that trains; so this
one registers an environment and a reader of rows, then becomes that script.
"""

from __future__ import annotations

import json
import runpy
import sys
from typing import Any

NAME = "evalkit"
ACTOR = "evalkit_nemo.RewardEnvironment"


def read_row(
    datum_dict: dict[str, Any],
    task_data_spec: Any,
    tokenizer: Any,
    max_seq_length: int,
    idx: int,
) -> dict[str, Any]:
    """A row as NeMo RL generates from it: the conversation, and the row itself for the reward.

    A prompt that is too long is left out of the loss, as NeMo RL does with its own.
    """
    *turns, packed = datum_dict["messages"]
    prompt = tokenizer.apply_chat_template(
        [{"role": turn["role"], "content": turn["content"]} for turn in turns],
        tokenize=False,
        add_generation_prompt=True,
    )
    ids = tokenizer(prompt, return_tensors="pt", add_special_tokens=False)["input_ids"][0]
    fits = len(ids) < max_seq_length
    return {
        "message_log": [{"role": "user", "content": prompt, "token_ids": ids if fits else ids[:4]}],
        "length": len(ids),
        "extra_env_info": {"row": packed["content"]},
        "loss_multiplier": 1.0 if fits else 0.0,
        "idx": idx,
        "task_name": datum_dict["task_name"],
    }


def rewards(message_logs: list[Any], metadata: list[dict[str, Any]]) -> list[float]:
    """The reward of each conversation's answer."""
    from evalkit_reward import score

    found = []
    for log, known in zip(message_logs, metadata, strict=True):
        row = json.loads(known["row"])
        said = [str(turn["content"]) for turn in log if turn["role"] == "assistant"]
        found.append(float(score(row["prompt"], "".join(said), row)))
    return found


def _environment() -> Any:
    import ray
    import torch
    from nemo_rl.environments.interfaces import EnvironmentInterface, EnvironmentReturn

    class RewardEnvironment(EnvironmentInterface):  # type: ignore[misc]
        """One turn: the answer is graded, and the conversation is over."""

        def __init__(self, settings: Any) -> None:
            self.settings = settings

        def step(self, message_log_batch: list[Any], metadata: list[Any]) -> Any:
            values = torch.tensor(rewards(message_log_batch, metadata))
            return EnvironmentReturn(
                observations=[{"role": "environment", "content": ""} for _ in metadata],
                metadata=metadata,
                next_stop_strings=[None for _ in metadata],
                rewards=values,
                terminateds=torch.ones_like(values),
                answers=None,
            )

        def global_post_process_and_metrics(self, batch: Any) -> Any:
            return batch, {}

        def shutdown(self) -> None:
            pass

    return ray.remote(RewardEnvironment)


def __getattr__(name: str) -> Any:
    """`RewardEnvironment`, made when NeMo RL asks for it: ray is not there before."""
    if name != "RewardEnvironment":
        raise AttributeError(name)
    return globals().setdefault(name, _environment())


def main() -> None:
    """Registers, and runs the script as if it had been started itself."""
    from nemo_rl.data.processors import register_processor
    from nemo_rl.distributed.ray_actor_environment_registry import ACTOR_ENVIRONMENT_REGISTRY
    from nemo_rl.distributed.virtual_cluster import PY_EXECUTABLES
    from nemo_rl.environments.utils import register_env

    ACTOR_ENVIRONMENT_REGISTRY[ACTOR] = PY_EXECUTABLES.SYSTEM
    register_env(NAME, ACTOR)
    register_processor(NAME, read_row)
    sys.argv = sys.argv[1:]
    runpy.run_path(sys.argv[0], run_name="__main__")


if __name__ == "__main__":
    main()
