"""How a report was made: enough to make it again, and no secret."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from evalkit.configuration.sections import Config
from evalkit.reporting.provenance import made, redacted

CONFIG = """\
baseline: base
checkpoints:
  - {name: base, backend: {name: echo, skill: 0.6}}
  - name: served
    model: sft
    backend:
      name: openai_api
      base_url: "https://me:hunter2@example.org/v1?api_key=abc123&x=1"
      api_key_env: MY_KEY
      extra_body: {token: swordfish, max_tokens: 7, headers: {Authorization: Bearer abcdef}}
tasks: [mini-arithmetic, {name: mini-choice, sampling: {temperature: 0.5}}]
"""


def test_a_report_tells_its_command_its_config_and_its_versions(tmp_path: Path) -> None:
    path = tmp_path / "my matrix.yaml"
    path.write_text(CONFIG)
    found = made(["run-matrix", path.name, "--limit", "5"], path)
    assert found.command == "evalkit run-matrix 'my matrix.yaml' --limit 5"
    assert str(tmp_path) not in found.model_dump_json()
    assert {"evalkit", "python", "numpy"} <= set(found.versions)
    told = yaml.safe_load(found.config)
    assert told["tasks"][0] == "mini-arithmetic"
    assert told["checkpoints"][0]["backend"]["skill"] == 0.6
    Config.model_validate(told)


def test_no_secret_is_told(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(CONFIG)
    text = made(["gate", "c.yaml"], path).config
    for secret in ("hunter2", "abc123", "swordfish", "abcdef"):
        assert secret not in text
    assert "api_key_env: MY_KEY" in text
    assert "max_tokens: 7" in text
    assert "https://***@example.org/v1?api_key=***&x=1" in text


@pytest.mark.parametrize(
    "secret",
    [
        "sk-proj-abcdefghijklmnop",
        "hf_abcdefghijklmnopqrst",
        "ghp_abcdefghijklmnopqrstuvwxyz0123456789",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
        "Basic dXNlcjpwYXNz",
    ],
)
def test_what_looks_like_a_credential_is_hidden_wherever_it_stands(secret: str) -> None:
    text = redacted({"checkpoints": [{"name": "a", "system_prompt": f"say {secret} please"}]})
    assert secret not in text
    assert "please" in text
