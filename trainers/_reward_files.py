"""The files by which a framework calls the user's one reward."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from evalkit import Stage
from evalkit.identity.weights import parsed
from evalkit.types import REWARD_MODEL

from . import data


def files(stage: Stage, shim: str, name: str) -> dict[str, str]:
    """The file that a framework calls, and what that file draws on; nothing without a reward."""
    if not stage.reward:
        return {}
    here = Path(__file__).parent
    file, _, function = stage.reward.rpartition(":")
    own = stage.reward.startswith((data.TASK, REWARD_MODEL))
    spec = json.dumps({"name": stage.reward, "paths": dict(stage.paths)})
    ask = [sys.executable, "-m", "evalkit.trainers._reward_child", spec]
    settings = {
        "name": stage.reward,
        "command": ask if own else [],
        "file": "" if own else file,
        "function": "" if own else function,
        "specials": specials(Path(stage.parent)),
    }
    return {
        "reward.json": json.dumps(settings, indent=1),
        "evalkit_reward.py": (here / "_shim_reward.py").read_text(encoding="utf-8"),
        name: (here / shim).read_text(encoding="utf-8"),
    }


def specials(model: Path) -> list[str]:
    """The tokens of a model's tokenizer that decoding leaves out of an answer."""
    added = parsed(model / "tokenizer.json").get("added_tokens")
    tokens = added if isinstance(added, list) else []
    return [str(token["content"]) for token in tokens if token.get("special")]
