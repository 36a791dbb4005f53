"""A training on several devices: `accelerate launch` with the user's own configuration.

The stage's process starts a launcher, the launcher one worker a device.  Each ends with the one
that started it, so that no worker goes on in a folder that another run has taken over.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

from evalkit import Stage
from evalkit.errors import ConfigError, EvalkitError
from evalkit.processes.children import ERROR_MARK, end_with
from evalkit.storage.files import write_beside
from evalkit.training.stage import attempt

MODULE = "evalkit.trainers._accelerated"
NAME = "launched.json"


def check(path: str, *, saves: bool) -> None:
    """Raises ConfigError unless the file is one that `accelerate config` could have written.

    With `saves`, checkpoints on the way have to be models.
    """
    import yaml

    try:
        found = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"accelerate: cannot read {path}: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"accelerate: {path} is not YAML: {' '.join(str(error).split())}"
        ) from None
    if isinstance(found, dict) and "SHARDED" in str(found.get("fsdp_config")) and saves:
        raise ConfigError(
            f"evaluate: {path} has checkpoints saved in shards, which are no models: set "
            "fsdp_state_dict_type: FULL_STATE_DICT"
        )
    if not isinstance(found, dict) or "num_processes" not in found:
        raise ConfigError(
            f"accelerate: {path} has no num_processes: write it by `accelerate config`"
        )


def launch(stage: Stage) -> None:
    """Trains the stage in as many processes as its configuration says; ends with their code."""
    spec = Path(stage.out) / NAME
    write_beside(spec, json.dumps(asdict(stage)).encode())
    launcher = [sys.executable, "-m", MODULE, stage.accelerate, str(spec), str(os.getpid())]
    code = subprocess.call(launcher, stdin=subprocess.DEVNULL)
    if code != 0:
        sys.exit(code)  # why is in the log


def launcher(config: str, spec: str, parent: str) -> None:
    """The launcher: starts the workers, and says so if they cannot be started."""
    end_with(int(parent))
    from accelerate.commands.launch import main as accelerate

    sys.argv = ["accelerate launch", "--config_file", config, "-m", MODULE, spec]
    try:
        accelerate()
    except Exception as error:
        # Not marked as ours: if a worker knew why, it has said so.
        first = str(error).strip().partition("\n")[0]
        print(f"accelerate launch: {type(error).__name__}: {first}", flush=True)  # noqa: T201
        sys.exit(1)


def worker(spec: str) -> None:
    """One process of the training."""
    end_with(os.getppid())
    from .trl_inprocess import train

    try:
        attempt(train, Stage(**json.loads(Path(spec).read_text())))
    except EvalkitError as error:
        print(f"{ERROR_MARK}{error}", flush=True)  # noqa: T201 - the log is its stdout
        sys.exit(1)


if __name__ == "__main__":
    if len(sys.argv) > 2:
        launcher(*sys.argv[1:])
    else:
        worker(sys.argv[1])
