"""The openai_api backend asks a real server, which behaves well in some tests and badly in most."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import urlopen

import pytest

from evalkit.backends._retry import LONGEST_BACKOFF, retry_after, wait
from evalkit.backends._wire import cut
from evalkit.backends.openai_api import Server, environment, identify, open_
from evalkit.errors import ConfigError, ModelError
from evalkit.types import Checkpoint, Request, Response, Sample, Sampling, Task, ToolCall
from tests.chat_server import FAULTS, ChatServer, serving, sha256

TASK = Task("chat", "chat", 1, lambda rows: [])
FAST = {"model": "tiny", "backoff": 0.002, "timeout": 5.0}


def checkpoint(server: ChatServer, **options: Any) -> Checkpoint:
    given = {**FAST, "base_url": server.base_url, **options}
    return Checkpoint("served", backend="openai_api", options=given)


def request(prompt: str, format: str = "chat", **sampling: Any) -> Request:
    asked: Any = prompt if format == "completion" else [{"role": "user", "content": prompt}]
    return Request(asked, Sampling(**sampling), TASK, Sample(prompt, asked))


def answers(of: Checkpoint, requests: Sequence[Request]) -> list[Response]:
    """Every request asked by as many workers as the model wants."""

    async def ask() -> list[Response]:
        model = open_(of)
        queue = iter(enumerate(requests))
        found: dict[int, Response] = {}

        async def work() -> None:
            for at, asked in queue:
                found[at] = await model.generate(asked)

        try:
            await asyncio.gather(*(work() for _ in range(model.concurrency)))
        finally:
            await model.close()
        return [found[at] for at in range(len(requests))]

    return asyncio.run(ask())


def test_a_chat_is_answered_with_everything_the_server_said() -> None:
    call = {"id": "1", "type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}}
    row = {"text": None, "tool_calls": [call], "reasoning_content": "so", "usage":
           {"prompt_tokens": 9, "completion_tokens": 4}, "finish_reason": "tool_calls"}  # fmt: skip
    with serving(ChatServer({sha256("1+1"): row})) as server:
        assert answers(checkpoint(server), [request("1+1")]) == [
            Response("", "so", (ToolCall("add", '{"a": 1}'),), "tool_calls", 9, 4)
        ]


def test_a_plain_prompt_goes_to_completions() -> None:
    with serving(ChatServer()) as server:
        of = replace(checkpoint(server), format="completion")
        (response,) = answers(of, [request("one two", "completion")])
        assert response.text == "one two"
        assert server.bodies[0]["prompt"] == "one two"
        assert (response.prompt_tokens, response.completion_tokens) == (3, 3)


def test_only_what_was_asked_for_is_sent() -> None:
    tools = ({"type": "function", "function": {"name": "add"}},)
    plain = request("a")
    rich = request("b", stop=("\n",), top_p=0.9, temperature=0.7, max_tokens=5)
    rich = replace(rich, seed=3, sample=Sample("b", "b", tools=tools))
    with serving(ChatServer()) as server:
        answers(checkpoint(server, concurrency=1), [plain, rich])
        answers(checkpoint(server, extra_body={"max_tokens": None, "min_p": 0.1}), [plain])
    core = {"model": "tiny", "n": 1, "messages": plain.prompt, "temperature": 0.0}
    assert server.bodies[0] == {**core, "max_tokens": 1024}
    assert server.bodies[1] == {
        "model": "tiny", "n": 1, "messages": rich.prompt, "temperature": 0.7, "top_p": 0.9,
        "stop": ["\n"], "seed": 3, "tools": list(tools), "max_tokens": 5,
    }  # fmt: skip
    assert server.bodies[2] == {**core, "min_p": 0.1}


def test_the_text_is_cut_at_the_first_stop_string_and_that_is_a_stop() -> None:
    row = {"text": "4\nQ: next\n\nmore", "finish_reason": "length"}
    with serving(ChatServer({sha256("x"): row})) as server:
        cut, whole = answers(
            checkpoint(server), [request("x", stop=("\n\n", "Q:", "never")), request("x")]
        )
    assert (cut.text, cut.finish_reason) == ("4\n", "stop")
    assert (whole.text, whole.finish_reason) == (row["text"], "length")


THOUGHTFUL = "<think>\nQuestion: is it 4?\n\nYes.</think>\n\nIt is 4.\n\nQuestion: next"


def stopping(text: str, reasoning: str = "") -> Any:
    """A server that stops wherever a stop string stands, as engines do, in thoughts too."""

    def answering(body: dict[str, Any]) -> dict[str, Any]:
        stops = body.get("stop", ())
        thought = min([reasoning, *(reasoning.partition(stop)[0] for stop in stops)], key=len)
        whole = text if thought == reasoning else ""
        said = min([whole, *(whole.partition(stop)[0] for stop in stops)], key=len)
        return {"text": said, **({"reasoning_content": thought} if reasoning else {})}

    return answering


def test_a_stop_string_in_a_thought_stops_nothing() -> None:
    asked = request("x", stop=("\n\n", "Question:"))
    with serving(ChatServer(answering=stopping(THOUGHTFUL))) as server:
        (found,) = answers(checkpoint(server, concurrency=1), [asked])
        bodies = [*server.bodies]
    assert found.text == THOUGHTFUL.rpartition("\n\n")[0]
    assert found.finish_reason == "stop"
    assert ["stop" in body for body in bodies] == [True, False]


def test_a_server_that_keeps_thoughts_apart_is_asked_again_too() -> None:
    asked = request("x", stop=("Question:",))
    answering = stopping("It is 4.\nQuestion: next", "Hm. Question: is it 4?")
    with serving(ChatServer(answering=answering)) as server:
        (found,) = answers(checkpoint(server, concurrency=1), [asked])
        assert len(server.bodies) == 2
    assert (found.text, found.reasoning) == ("It is 4.\n", "Hm. Question: is it 4?")


@pytest.mark.parametrize("text", ["It is 4.\n\nQuestion: next", "<think>Hm.</think>4\n\nno", ""])
def test_an_answer_is_asked_for_once_where_no_thought_was_stopped(text: str) -> None:
    with serving(ChatServer(answering=stopping(text))) as server:
        (found,) = answers(checkpoint(server), [request("x", stop=("\n\n",))])
        assert len(server.bodies) == 1
    assert found.text == text.partition("\n\n")[0]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<think>a. b</think>c. d", "<think>a. b</think>c"),
        ("<think>a. b", "<think>a. b"),
        ("a. b</think>\n\nc. d", "a. b</think>\n\nc"),
        ("c. d", "c"),
    ],
)
def test_what_is_cut_is_the_answer(text: str, expected: str) -> None:
    assert cut(text, (".", "\n\n")) == (expected, expected != text)


def test_workers_share_the_server_and_never_exceed_the_concurrency() -> None:
    with serving(ChatServer(latency=0.02)) as server:
        found = answers(checkpoint(server, concurrency=8), [request(str(i)) for i in range(64)])
        assert [response.text for response in found] == [str(i) for i in range(64)]
        assert server.peak == 8


@pytest.mark.parametrize(
    "fault",
    ["408", "409", "429", "500", "502", "503", *(f for f in FAULTS if f not in ("hang", "drip"))],
)
def test_every_prompt_outlives_two_faults_and_is_answered_once(fault: str) -> None:
    with serving(ChatServer(fault=fault, first=2, each_prompt=True)) as server:
        prompts = [f"prompt {i}" for i in range(40)]
        found = answers(checkpoint(server), [request(prompt) for prompt in prompts])
        assert [(r.text, r.error) for r in found] == [(prompt, "") for prompt in prompts]
        assert server.answered == {sha256(prompt): 1 for prompt in prompts}
        assert server.asked == {sha256(prompt): 3 for prompt in prompts}


def test_a_server_that_hangs_is_asked_again_after_the_timeout() -> None:
    with serving(ChatServer(fault="hang", first=1)) as server:
        (found,) = answers(checkpoint(server, timeout=2.0), [request("a")])
        assert (found.text, server.asked.total()) == ("a", 2)


def test_a_try_that_timed_out_counts_for_three() -> None:
    with serving(ChatServer(fault="hang", first=99)) as server:
        (found,) = answers(checkpoint(server, timeout=1.0, retries=5), [request("a")])
        assert found.error.endswith("no answer within 1 s (2 tries)")
        assert server.asked.total() == 2


def test_a_prompt_that_cannot_be_sent_fails_alone() -> None:
    with serving(ChatServer()) as server:
        bad, good = answers(checkpoint(server), [request("\ud800"), request("a")])
        assert "cannot be sent as JSON: str is not valid UTF-8" in bad.error
        assert good.text == "a"


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("429", "HTTP 429: a fault (3 tries)"),
        ("500", "HTTP 500: a fault (3 tries)"),
        ("half", "connection failed: "),
        ("truncated", "JSON that is cut short or broken (3 tries)"),
        ("html", "text/html instead of JSON (3 tries)"),
        ("no_choice", "answered without a choice that can be read (3 tries)"),
        ("abort", "broke the answer off (3 tries)"),
        ("disconnect", "connection failed: Server disconnected (3 tries)"),
    ],
)
def test_when_the_tries_are_used_up_the_error_says_why_in_one_line(fault: str, words: str) -> None:
    with serving(ChatServer(fault=fault, first=99)) as server:
        (found,) = answers(checkpoint(server, retries=2), [request("a")])
        assert words in found.error
        assert found.error.startswith("127.0.0.1:")
        assert "\n" not in found.error
        assert (found.text, found.finish_reason) == ("", "error")
        assert server.asked.total() == 3


@pytest.mark.parametrize("status", ["307", "400", "401", "403", "404", "422"])
def test_what_another_try_would_not_change_is_asked_once(status: str) -> None:
    with serving(ChatServer(fault=status, first=99)) as server:
        (found,) = answers(checkpoint(server), [request("a")])
        assert f"HTTP {status}: a fault" in found.error
        assert server.asked.total() == 1


@pytest.mark.parametrize(("header", "least"), [("0.3", 0.3), ("date", 0.9)])
def test_retry_after_is_honoured(header: str, least: float) -> None:
    with serving(ChatServer(fault="429", first=1, retry_after=header)) as server:
        start = time.monotonic()
        (found,) = answers(checkpoint(server), [request("a")])
        assert found.text == "a"
        assert time.monotonic() - start >= least


def test_a_server_that_asks_for_an_hour_is_not_waited_for() -> None:
    with serving(ChatServer(fault="429", first=1, retry_after="3600")) as server:
        (found,) = answers(checkpoint(server), [request("a")])
        assert "HTTP 429, asks to wait 3600 s" in found.error


def test_retry_after_is_read_as_seconds_or_as_a_date() -> None:
    assert retry_after("1.5") == 1.5
    assert retry_after("Fri, 01 Jan 2100 00:00:00 GMT") > 1e9
    assert retry_after("Fri, 01 Jan 1999 00:00:00 GMT") == 0
    assert retry_after("-3") == retry_after("soon") == retry_after("") == retry_after("nan") == 0


def test_waits_grow_with_jitter_up_to_a_limit() -> None:
    for tried in range(1, 12):
        span = min(0.5 * 2 ** (tried - 1), LONGEST_BACKOFF)
        waits = {wait(tried, 0.5, 2.0) for _ in range(50)}
        assert len(waits) > 1
        assert all(2 + span / 2 <= seconds <= 2 + span for seconds in waits)


def test_a_server_that_is_down_is_an_error_before_anything_is_asked() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
        with pytest.raises(ModelError, match=rf"cannot reach {url}: .*is the server running\?"):
            open_(checkpoint(ChatServer(base_url=url)))


def test_a_server_that_dies_does_not_cost_the_retries_of_every_request() -> None:
    async def ask() -> list[Response]:
        with serving(ChatServer()) as server:
            model = open_(checkpoint(server, retries=3, backoff=0.1))
            assert (await model.generate(request("alive"))).text == "alive"
        found = [await model.generate(request("first"))]
        start = time.monotonic()
        found += [await model.generate(request(str(i))) for i in range(50)]
        assert time.monotonic() - start < 10  # with all their tries, half a minute
        await model.close()
        return found

    found = asyncio.run(ask())
    assert all("connection failed: Cannot connect" in response.error for response in found)
    assert [r.error.endswith("(4 tries)") for r in found] == [True] + [False] * 50


def test_the_key_comes_from_the_environment_and_is_in_no_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MY_KEY", " s3cret\n")
    with serving(ChatServer(key="s3cret")) as server:
        of = checkpoint(server, api_key_env="MY_KEY")
        assert answers(of, [request("a")])[0].text == "a"
        assert "s3cret" not in repr(open_(of))
        server.key = "another"
        (refused,) = answers(of, [request("a")])
        assert "HTTP 401: wrong key: Bearer ***: is api_key_env" in refused.error
        monkeypatch.delenv("MY_KEY")
        with pytest.raises(ConfigError, match=r"environment variable MY_KEY .* is not set"):
            open_(of)


def test_options_that_make_no_sense_are_refused() -> None:
    cases: list[tuple[dict[str, Any], str]] = [
        ({"base_url": ""}, "needs `base_url`"),
        ({"base_url": "http://x", "model": ""}, "needs `model`"),
        ({"base_url": "127.0.0.1:8000"}, "must look like"),
        ({"base_url": "http://me:secret@host/v1"}, "must not hold a user or password"),
        ({"base_url": "http://host:port/v1"}, "base_url"),
        ({"base_url": "http://x", "time_out": 5}, "did you mean 'timeout'"),
    ]
    for options, words in cases:
        with pytest.raises(ConfigError, match=words) as raised:
            open_(checkpoint(ChatServer(), **options))
        assert "secret" not in str(raised.value)


def test_identity_is_what_the_user_states_and_the_environment_names_the_server() -> None:
    of = Checkpoint("a", options={"base_url": "http://h:80/v1"}, backend="openai_api")
    assert identify(of) == ""
    assert identify(replace(of, identity="weights of May")) == "weights of May"
    assert environment(of) == {"engine": "openai_api", "server": "h"}


def likelihoods(model: Server, context: Any, *continuations: str) -> Any:
    async def ask() -> Any:
        try:
            return await model.loglikelihood(context, continuations)
        finally:
            await model.close()

    return asyncio.run(ask())


def test_log_likelihoods_are_read_from_the_echoed_prompt() -> None:
    with serving(ChatServer()) as server:
        model = open_(checkpoint(server))
        for context, lead in (("some words ", ""), ("some words", " ")):
            near, far = likelihoods(model, context, lead + "abc xyz", lead + "abcdef")
            assert (near.total, near.tokens, near.greedy) == (pytest.approx(-0.2), 2, True)
            assert (far.total, far.tokens, far.greedy) == (pytest.approx(-1.6), 1, False)
        (whole,) = likelihoods(model, "", "abc abcdef")
        assert (whole.total, whole.tokens, whole.greedy) == (pytest.approx(-1.7), 2, False)


def test_a_server_without_log_likelihoods_says_so() -> None:
    row = {"text": "no", "usage": {"prompt_tokens": 3, "completion_tokens": 1}}
    with serving(ChatServer(fault="404", first=1)) as server:
        model = open_(checkpoint(server))
        with pytest.raises(ModelError, match="HTTP 404"):
            likelihoods(model, "a", "b")
        with pytest.raises(ModelError, match="set `format: completion`"):
            likelihoods(model, [{"role": "user", "content": "a"}], "b")
        model.extra = {"echo": None}
        with pytest.raises(ModelError, match="gives no log-likelihoods of a prompt"):
            likelihoods(model, "a", " b")
        server.recordings = {sha256("a"): {**row, "usage": None}}
        with pytest.raises(ModelError, match="counts no tokens"):
            likelihoods(model, "a", " b")


def test_a_server_of_its_own_outlives_its_clients_and_logs_every_request(tmp_path: Path) -> None:
    recorded, log = tmp_path / "recorded.jsonl", tmp_path / "log"
    recorded.write_text(json.dumps({"prompt": "q", "text": "a"}) + "\n")
    here = Path(__file__).with_name("chat_server.py")
    command = [sys.executable, str(here), "--port", "0", "--recordings", str(recorded)]
    with subprocess.Popen([*command, "--log", str(log)], stdout=subprocess.PIPE) as child:
        try:
            assert child.stdout is not None
            server = ChatServer(base_url=child.stdout.readline().decode().strip())
            with socket.create_connection(("127.0.0.1", urlsplit(server.base_url).port or 0)):
                pass  # a client that dies at once
            known, unknown = answers(checkpoint(server), [request("q"), request("?")])
            assert known.text == "a"
            assert "HTTP 400: no recording for" in unknown.error
            lines = log.read_text().splitlines()
            assert sorted(lines) == sorted(f"{sha256(p)} /v1/chat/completions" for p in "q?")
            with urlopen(server.base_url.replace("/v1", "/stats")) as reply:
                assert json.load(reply)["asked"] == {sha256("q"): 1, sha256("?"): 1}
        finally:
            child.kill()
