"""Several servers, rate limits, several answers by one request, batches: openai_api at large."""

from __future__ import annotations

import asyncio
import json
import statistics
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from evalkit.backends.openai_api import open_
from evalkit.errors import ModelError
from evalkit.types import Response
from tests.chat_server import ChatServer, serving, sha256
from tests.servers import evalkit, server
from tests.test_backend_openai_api import answers, checkpoint, likelihoods, request


def texts(found: list[Response]) -> list[str]:
    assert not [each.error for each in found if each.error]
    return [each.text for each in found]


def test_requests_go_to_the_server_with_the_least_to_do() -> None:
    prompts = [f"p{number}" for number in range(60)]
    with serving(ChatServer(latency=0.01)) as quick, serving(ChatServer(latency=0.05)) as slow:
        of = checkpoint(quick, base_urls=[slow.base_url], concurrency=6)
        assert texts(answers(of, [*map(request, prompts)])) == prompts
        assert quick.asked.total() + slow.asked.total() == 60
        assert quick.asked.total() > 2 * slow.asked.total() > 0
        assert max(quick.peak, slow.peak) <= 5


def test_what_one_server_does_not_answer_another_does() -> None:
    prompts = [f"p{number}" for number in range(40)]
    with serving(ChatServer()) as good, serving(ChatServer(fault="disconnect", first=999)) as bad:
        of = checkpoint(bad, base_urls=[good.base_url], concurrency=4)
        assert texts(answers(of, [*map(request, prompts)])) == prompts
        assert good.answered == {sha256(prompt): 1 for prompt in prompts}
        assert bad.asked.total() <= 4  # it is left alone then
        gone = replace(of, options={**of.options, "base_url": "http://127.0.0.1:1/v1"})
        assert texts(answers(gone, [request("a")])) == ["a"]
        with pytest.raises(ModelError, match=r"cannot reach http://127\.0\.0\.1:1/v1"):
            open_(checkpoint(bad, base_url="http://127.0.0.1:1/v1"))


@pytest.mark.parametrize("fault", ["401", "403", "404", "429", "502", "html", "truncated"])
def test_a_server_that_refuses_at_once_does_not_draw_the_requests(fault: str) -> None:
    prompts = [f"p{number}" for number in range(60)]
    good, bad = ChatServer(latency=0.01), ChatServer(fault=fault, first=999)
    with serving(good), serving(bad):
        of = checkpoint(bad, base_urls=[good.base_url], concurrency=4, retries=3)
        assert texts(answers(of, [*map(request, prompts)])) == prompts
        assert good.answered == {sha256(prompt): 1 for prompt in prompts}
        assert bad.asked.total() <= 12


def test_what_every_server_refuses_is_refused_by_each_of_them_once() -> None:
    with serving(ChatServer(key="k")) as one, serving(ChatServer(key="k")) as other:
        of = checkpoint(one, base_urls=[other.base_url], concurrency=1)
        (found,) = answers(of, [request("a")])
        assert "HTTP 401" in found.error
        assert one.asked.total() + other.asked.total() == 2


def test_a_request_that_is_wrong_itself_is_put_to_one_server_alone() -> None:
    with serving(ChatServer(fault="400", first=999)) as one, serving(ChatServer()) as other:
        of = checkpoint(one, base_urls=[other.base_url], concurrency=1)
        found = answers(of, [request(str(number)) for number in range(8)])
        assert [bool(each.error) for each in found] == [True] * 8
        assert (one.asked.total(), other.asked.total()) == (8, 0)


def test_requests_keep_to_the_rate_that_is_given() -> None:
    with serving(ChatServer()) as slow:
        answers(checkpoint(slow, requests_per_minute=1200), [request(str(i)) for i in range(21)])
        gaps = [after - before for before, after in zip(slow.times, slow.times[1:], strict=False)]
        assert sum(gaps) >= 0.9 * 20 * 0.05
        assert statistics.median(gaps) > 0.02


def test_tokens_are_taken_as_expected_and_corrected_as_counted() -> None:
    prompts = [request(f"p{number}", max_tokens=1000) for number in range(11)]
    with serving(ChatServer()) as slow:
        start = time.monotonic()
        of = checkpoint(slow, tokens_per_minute=600_000, concurrency=1)
        answers(of, prompts)
        alone = time.monotonic() - start
        start = time.monotonic()
        answers(replace(of, options={**of.options, "concurrency": 11}), prompts)
        together = time.monotonic() - start
    assert together > 0.9  # some 1,030 tokens each are expected, 10,000 a second allowed
    assert alone > 0.9  # its usage has no total, so that nothing is given back


def test_the_epochs_of_a_sample_are_asked_for_by_one_request() -> None:
    epochs = [
        replace(request(f"p{sample}", temperature=0.7), epoch=epoch, seed=100 * sample + epoch)
        for sample in range(5)
        for epoch in range(4)
    ]
    with serving(ChatServer()) as many:
        found = answers(checkpoint(many, n=4), epochs)
        assert [body["n"] for body in many.bodies] == [4] * 5
        assert texts(found)[:4] == [f"p0 0.{number}" for number in range(4)]
        assert len({*texts(found)}) == 20
        assert sum(each.completion_tokens for each in found) == 5 * 2
    with serving(ChatServer(choices=3)) as few:
        found = answers(checkpoint(few, n=4), epochs)
        assert len({*texts(found)}) == 20
        assert Counter(body["n"] for body in few.bodies) == {4: 5, 1: 5}
    with serving(ChatServer()) as greedy:
        answers(checkpoint(greedy, n=4), [request("a"), request("b")])
        assert [body["n"] for body in greedy.bodies] == [1, 1]
    with serving(ChatServer(fault="400", first=1)) as faulty:
        found = answers(checkpoint(faulty, n=4), epochs)
        assert [bool(each.error) for each in found] == [True] * 4 + [False] * 16


def test_likelihoods_after_a_conversation_are_told_where_the_server_gives_tokens() -> None:
    turns = [{"role": "user", "content": "a b"}]
    with serving(ChatServer(tokenizes=True)) as tokenizing:
        near, far = likelihoods(open_(checkpoint(tokenizing)), turns, " abc", " abcdef")
        assert tokenizing.bodies[0]["prompt"] == [*map(ord, "<user>a b<assistant> abc")]
        assert len(tokenizing.bodies) == 2
        assert (near.total, near.tokens) == (pytest.approx(4 * -1.6), 4)
        assert (far.total, far.tokens) == (pytest.approx(7 * -1.6), 7)


@pytest.fixture
def notes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "evalkit" / "batches"


BATCH = {"batch": 50, "batch_poll": 0.05}


@pytest.mark.usefixtures("notes")
def test_a_batch_answers_everything_and_what_fails_fails_alone() -> None:
    prompts = [*(f"p{number}" for number in range(70)), "bad one", "p0"]
    with serving(ChatServer()) as batching:
        found = answers(checkpoint(batching, **BATCH), [*map(request, prompts)])
        failed = found.pop(70)
        assert texts(found) == [*prompts[:70], "p0"]
        assert failed.error == "HTTP 400 in a batch: a bad prompt"
        assert len(batching.batches) == 2
        assert batching.asked.total() == 72
        assert not batching.bodies


def test_a_run_that_was_stopped_waits_for_the_batch_that_it_began(notes: Path) -> None:
    prompts = [request(f"p{number}") for number in range(20)]
    with serving(ChatServer(looks=99)) as batching:
        of = replace(checkpoint(batching, **BATCH), identity="known")

        async def stopped() -> None:
            model = open_(of)
            asking = [asyncio.create_task(model.generate(each)) for each in prompts]
            while not list(notes.glob("*/*.json")):
                await asyncio.sleep(0.02)
            for task in asking:
                task.cancel()
            await model.close()

        asyncio.run(stopped())
        batching.looks = 0
        assert texts(answers(of, prompts)) == [f"p{number}" for number in range(20)]
        assert len(batching.batches) == 1
        assert set(batching.asked.values()) == {1}
        assert not list(notes.glob("*/*.json"))
        other = replace(of, identity="another")
        assert len(texts(answers(other, prompts))) == 20
        assert len(batching.batches) == 2


@pytest.mark.usefixtures("notes")
def test_a_batch_that_cannot_be_begun_is_an_error_of_its_samples() -> None:
    with serving(ChatServer(fault="404")) as without:
        without.looks = 0
        of = checkpoint(without, **BATCH, base_url=without.base_url + "/nowhere")
        (found,) = answers(of, [request("a")])
        assert "no batch was begun: 127.0.0.1:" in found.error
        assert "HTTP 404" in found.error


def test_an_answer_that_drips_is_given_up_after_the_timeout() -> None:
    with serving(ChatServer(fault="drip", first=1)) as dripping:
        start = time.monotonic()
        (found,) = answers(checkpoint(dripping, timeout=2.0), [request("a")])
        assert (found.text, dripping.asked.total()) == ("a", 2)
        assert time.monotonic() - start < 10


CONFIG = """\
baseline: a
checkpoints:
  - {name: a, identity: a, backend: {name: openai_api, model: m, base_url: "%s",
     retries: 2, backoff: 0.001, timeout: 0.5}}
tasks: [mini-instruct]
"""


@pytest.mark.parametrize("fault", ["429", "500", "400", "html", "truncated", "disconnect"])
def test_a_server_that_answers_only_errors_ends_with_4_and_no_score(
    fault: str, tmp_path: Path
) -> None:
    options = ("--fault", fault, "--first", "99999")
    with server(tmp_path / "log", *options) as url:
        (tmp_path / "c.yaml").write_text(CONFIG % url)
        words = ("run-matrix", tmp_path / "c.yaml", "--results", tmp_path / "results")
        run = evalkit(*words, "--limit", "60")
        _, told = run.communicate()
    assert run.returncode == 4, told
    assert "requests all failed" in told
    verdict = json.loads((tmp_path / "results" / "report" / "verdict.json").read_text())
    assert all(row["score"] is None for row in verdict["scores"])


def test_a_storm_of_refusals_loses_nothing_and_counts_nothing_twice(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with server(log, "--fault", "429", "--first", "300", "--retry-after", "0.01") as url:
        patient = CONFIG.replace("retries: 2", "retries: 99").replace("timeout: 0.5", "timeout: 60")
        (tmp_path / "c.yaml").write_text(patient % url)
        words = ("run-matrix", tmp_path / "c.yaml", "--results", tmp_path / "results")
        run = evalkit(*words)
        _, told = run.communicate()
    assert run.returncode == 0, told
    (cell,) = tmp_path.glob("results/*/*/cell.json")
    totals: dict[str, Any] = json.loads(cell.read_text())["totals"]
    assert (totals["answers"], totals["errors"]) == (448, 0)
    assert len(log.read_text().splitlines()) == 448 + 300
