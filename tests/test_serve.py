"""`evalkit serve`: a checkpoint as a URL, asked by a client and by evalkit itself."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from click.testing import CliRunner

from evalkit.cli import cli
from evalkit.errors import ConfigError, UnknownName
from evalkit.storage.store import Store
from tests.engine_stub import stub
from tests.servers import evalkit
from tests.tiny_models import tiny_model

CONFIG = """\
baseline: chat
backend: {name: transformers_local, device: cpu}
checkpoints:
  - {name: chat, model: chat}
  - {name: plain, model: plain}
  - {name: away, model: m, backend: {name: openai_api, base_url: "http://127.0.0.1:1/v1"}}
  - {name: known, backend: echo}
pipeline:
  - {name: later, method: sft, parent: chat, data: task:mini-instruct}
tasks: [mini-instruct]
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("served")
    tiny_model(folder / "chat", template=True)
    tiny_model(folder / "plain")
    (folder / "c.yaml").write_text(CONFIG)
    return folder


@contextmanager
def served(config: Path, name: str) -> Iterator[str]:
    """The URL of a checkpoint that a process of its own serves until the block ends."""
    words = ("serve", config, name, "--port", "0", "--results", config.parent / "results")
    with evalkit(*words) as process:
        assert process.stdout
        try:
            yield process.stdout.readline().strip()
        finally:
            process.send_signal(signal.SIGINT)
            _, told = process.communicate()
            assert process.returncode in (0, 130), told
            assert "Traceback" not in told


@pytest.fixture(scope="module")
def chat(place: Path) -> Iterator[str]:
    with served(place / "c.yaml", "chat") as url:
        yield url


@pytest.fixture(scope="module")
def plain(place: Path) -> Iterator[str]:
    with served(place / "c.yaml", "plain") as url:
        yield url


def post(url: str, path: str, **body: Any) -> dict[str, Any]:
    headers = {"Content-Type": "application/json"}
    asked = Request(f"{url}/{path}", json.dumps(body).encode(), headers)
    with urlopen(asked) as reply:
        found: dict[str, Any] = json.load(reply)
        return found


def refused(url: str, path: str, **body: Any) -> tuple[int, str]:
    with pytest.raises(HTTPError) as raised:
        post(url, path, **body)
    words: str = json.load(raised.value)["error"]["message"]
    return raised.value.code, words


def test_a_checkpoint_answers_chats_and_completions_by_url(chat: str) -> None:
    url = chat
    turns = [{"role": "user", "content": "abc"}]
    with urlopen(f"{url}/models") as reply:
        assert [each["id"] for each in json.load(reply)["data"]] == ["chat"]
    said = post(url, "chat/completions", model="chat", messages=turns, max_tokens=8,
                temperature=0)  # fmt: skip
    (choice,) = said["choices"]
    assert choice["message"]["role"] == "assistant"
    assert choice["message"]["content"]
    assert said["usage"]["completion_tokens"] == 8
    plain = {"prompt": ["abc", "def"], "max_tokens": 4}
    greedy = post(url, "completions", temperature=0, **plain)
    assert [each["index"] for each in greedy["choices"]] == [0, 1]
    warm = {**plain, "temperature": 1.5, "n": 3, "seed": 5}
    drawn = [post(url, "completions", **warm)["choices"] for _ in range(2)]
    assert drawn[0] == drawn[1]
    assert len({each["text"] for each in drawn[0][:3]}) > 1
    stop = greedy["choices"][0]["text"][1]
    cut = post(url, "completions", prompt="abc", max_tokens=4, temperature=0, stop=stop)
    assert cut["choices"][0]["text"] == greedy["choices"][0]["text"].partition(stop)[0]
    asked = Request(
        f"{url}/chat/completions",
        json.dumps({"messages": turns, "max_tokens": 8, "temperature": 0, "stream": True}).encode(),
    )
    with urlopen(asked) as reply:
        first, last, _ = reply.read().decode().split("\n\n")
    assert last == "data: [DONE]"
    delta = json.loads(first.removeprefix("data: "))["choices"][0]["delta"]
    assert delta == choice["message"]


def test_what_cannot_be_honoured_is_refused(plain: str) -> None:
    url = plain
    assert refused(url, "chat/completions", messages=[]) == (
        400, "plain has no chat template: ask /v1/completions"
    )  # fmt: skip
    assert refused(url, "completions", prompt="a", echo=True) == (
        400, "echo is not offered here: leave it out, or serve plain by vllm_server"
    )  # fmt: skip
    for each in (0, 1, True):
        code, words = refused(url, "completions", prompt="a", logprobs=each)
        assert code == 400
        assert words.startswith("logprobs is not offered here")
    form = {"type": "json_schema", "json_schema": {"name": "a", "schema": {}}}
    assert (
        "response_format is not" in refused(url, "completions", prompt="a", response_format=form)[1]
    )
    harmless = {"logprobs": False, "echo": False, "frequency_penalty": 0.0,
                "response_format": {"type": "text"}}  # fmt: skip
    assert post(url, "completions", prompt="a", max_tokens=2, **harmless)["choices"]
    assert "tokens are not read" in refused(url, "completions", prompt=[[1, 2]])[1]
    assert "not a request: KeyError" in refused(url, "completions")[1]
    code, words = refused(url, "completions", prompt="a" * 500)
    assert (code, words) == (500, "the prompt has 501 tokens, the model reads 160")


@pytest.mark.parametrize("given", ["a", [], ["a"], [{"content": "a"}], {"role": "user"}])
def test_a_conversation_that_is_none_is_refused(chat: str, given: Any) -> None:
    code, words = refused(chat, "chat/completions", model="chat", messages=given)
    assert code == 400
    assert words.startswith("messages is a list of turns")


def test_evalkit_itself_says_the_same_by_url_as_without(
    place: Path, tmp_path: Path, chat: str
) -> None:
    runner = CliRunner()
    words = ["run-matrix", "--limit", "12", "--results"]
    local = tmp_path / "local.yaml"
    whole = (place / "c.yaml").read_text().partition("  - {name: plain")[0]
    local.write_text(
        whole.replace("model: chat", f"model: {place / 'chat'}") + "tasks: [mini-tools]"
    )
    assert runner.invoke(cli, [*words, str(tmp_path / "l"), str(local)]).exit_code == 0
    remote = tmp_path / "remote.yaml"
    remote.write_text(
        f"baseline: chat\ncheckpoints: [{{name: chat, identity: x, model: chat, backend: "
        f'{{name: openai_api, base_url: "{chat}"}}}}]\ntasks: [mini-tools]\n'
    )
    assert runner.invoke(cli, [*words, str(tmp_path / "r"), str(remote)]).exit_code == 0
    found = [
        {key: answer.response.text for key, answer in cell.answers().items()}
        for name in "lr"
        for cell in Store(tmp_path / name).cells()
    ]
    assert len(found) == 2
    assert found[0] == found[1]


def test_vllm_is_served_by_its_own_server(place: Path, tmp_path: Path) -> None:
    python, pids = stub(tmp_path / "site"), tmp_path / "pids"
    config = tmp_path / "c.yaml"
    config.write_text(
        f"baseline: chat\ntasks: [mini-choice]\ncheckpoints:\n  - {{name: chat, model: "
        f"{place / 'chat'}, backend: {{name: vllm_server, python: {python}, extra_args: "
        f"[--pids, {pids}, --asked, {tmp_path / 'asked'}]}}}}\n"
    )
    with served(config, "chat") as url:
        found = post(url, "chat/completions", model="chat", messages=[
            {"role": "user", "content": "hello"}])  # fmt: skip
        assert found["choices"][0]["message"]["content"] == "hello"
    assert (tmp_path / "results" / "logs" / "chat.engine.log").exists()
    with subprocess.Popen(["kill", "-0", pids.read_text().split()[0]], stderr=-3) as probe:
        assert probe.wait() != 0


def test_what_cannot_be_served_says_so(place: Path, plain: str) -> None:
    def said(name: str, *more: str) -> BaseException | None:
        words = ["serve", str(place / "c.yaml"), name, "--results", str(place / "r"), *more]
        return CliRunner().invoke(cli, words).exception

    assert isinstance(said("chta"), UnknownName)
    away, known = said("away"), said("known")
    assert isinstance(away, ConfigError)
    assert "is behind a server already: http://127.0.0.1:1/v1" in str(away)
    assert "echo answers by the sample's id" in str(known)
    assert "later" in str(said("later"))
    port = plain.rpartition(":")[2].partition("/")[0]
    assert f"cannot serve on port {port}" in str(said("plain", "--port", port))
