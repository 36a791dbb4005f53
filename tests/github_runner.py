"""Runs a composite action's `run:` steps as GitHub's runner does: expressions, files, exit codes.

What it knows of expressions is what the action uses: contexts, literals, `==`, `!=`, `&&`, `||`.
Steps that use another action are left out and named.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

EXPRESSION = re.compile(r"\$\{\{\s*(.*?)\s*\}\}")
TOKEN = re.compile(r"'[^']*'|==|!=|&&|\|\||\(|\)|[A-Za-z_][\w.-]*|\S")
WORDS = {"&&": "and", "||": "or"}


@dataclass
class Ran:
    """What an action did."""

    exit_code: int = 0
    outputs: dict[str, str] = field(default_factory=dict)
    steps: dict[str, int] = field(default_factory=dict)  # ids of the steps that ran -> exit code
    used: list[str] = field(default_factory=list)  # other actions that would have run
    log: str = ""


def run_action(
    folder: Path, inputs: Mapping[str, str], github: Mapping[str, str], environ: Mapping[str, str]
) -> Ran:
    """Runs the action of a folder in the current one; it ends with the first step that fails."""
    action = yaml.safe_load((folder / "action.yml").read_text())
    defaults = {name: spec.get("default", "") for name, spec in action["inputs"].items()}
    contexts: dict[str, Any] = {"github": github, "steps": {}}
    contexts["inputs"] = {
        name: filled(str(value), {**contexts, "inputs": {}})
        for name, value in {**defaults, **inputs}.items()
    }
    ran = Ran()
    for number, step in enumerate(action["runs"]["steps"]):
        if "if" in step and not evaluated(EXPRESSION.sub(r"\1", step["if"]), contexts):
            continue
        if "uses" in step:
            ran.used.append(step["uses"])
            continue
        name = step.get("id", str(number))
        code, outputs, log = _run(step, contexts, environ, name)
        contexts["steps"][name] = {"outputs": outputs}
        ran.steps[name] = code
        ran.log += log
        if code:
            ran.exit_code = code
            break
    ran.outputs = {
        name: filled(spec["value"], contexts) for name, spec in action["outputs"].items()
    }
    return ran


def _run(
    step: Mapping[str, Any], contexts: Mapping[str, Any], environ: Mapping[str, str], name: str
) -> tuple[int, dict[str, str], str]:
    assert step["shell"] == "bash"
    temp = Path(environ["RUNNER_TEMP"])
    script, output = temp / f"{name}.sh", temp / f"{name}.output"
    script.write_text(filled(step["run"], contexts))
    output.write_text("")
    env = {key: filled(value, contexts) for key, value in step.get("env", {}).items()}
    done = subprocess.run(
        ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail", str(script)],
        env={**os.environ, **environ, "GITHUB_OUTPUT": str(output), **env},
        capture_output=True,
        text=True,
    )
    lines = [line.partition("=") for line in output.read_text().splitlines()]
    return done.returncode, {key: value for key, _, value in lines}, done.stdout + done.stderr


def filled(text: str, contexts: Mapping[str, Any]) -> str:
    """The text with every expression in it worked out."""
    return EXPRESSION.sub(lambda found: str(evaluated(found[1], contexts)), text)


def evaluated(expression: str, contexts: Mapping[str, Any]) -> Any:
    """What an expression is worth."""
    tokens = (_token(token, contexts) for token in TOKEN.findall(expression))
    return eval(" ".join(tokens), {"__builtins__": {}})


def _token(token: str, contexts: Mapping[str, Any]) -> str:
    if not re.match(r"[A-Za-z_]", token):
        return WORDS.get(token, token)
    value: Any = contexts
    for part in token.split("."):
        value = value.get(part, "")  # what is not there is an empty text, as on GitHub
    return repr(value)
