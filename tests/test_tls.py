"""The openai_api backend over TLS: real certificates, real handshakes, most of them bad."""

from __future__ import annotations

import asyncio
import json
import ssl
from contextlib import ExitStack
from pathlib import Path

import pytest
from cryptography import x509

from evalkit.backends._http import Http
from evalkit.backends.openai_api import Server, open_
from evalkit.errors import ConfigError, ModelError
from evalkit.types import Response
from tests.bad_lines import spoiled
from tests.certificates import Authority
from tests.chat_server import ChatServer, serving, sha256
from tests.servers import evalkit
from tests.test_backend_openai_api import answers, checkpoint, request

ELSEWHERE = x509.DNSName("models.example.org")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.new(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def trusted(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> Authority:
    """An authority that the user has named."""
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.path))
    return authority


def bad(authority: Authority, folder: Path) -> dict[str, tuple[ssl.SSLContext, str]]:
    """Certificates that no other try makes better, and what is said of each."""
    stranger = Authority.new(folder / "stranger")
    return {
        "self-signed": (authority.server(signed=False), "self-signed certificate: if you trust it"),
        "unknown": (stranger.server(), "unable to get local issuer certificate: if you trust it"),
        "expired": (authority.server(days=-1), "certificate has expired: have the server's"),
        "elsewhere": (
            authority.server(ELSEWHERE),
            "certificate is not valid for '127.0.0.1': write base_url with a name that",
        ),
    }


def one(url: str, **patience: float) -> Response:
    """One request, of a server that was not looked at beforehand."""

    async def ask() -> Response:
        http = Http(url, backoff=0.002, timeout=patience.get("timeout", 30.0), retries=4)
        model = Server(http, "tiny")
        try:
            return await model.generate(request("a"))
        finally:
            await model.close()

    return asyncio.run(ask())


def test_an_authority_of_ones_own_is_trusted_once_it_is_named(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(ChatServer(tls=authority.server())) as server:
        with pytest.raises(ModelError, match="name the file of its authority by SSL_CERT_FILE"):
            open_(checkpoint(server))
        monkeypatch.setenv("SSL_CERT_FILE", str(authority.path))
        assert answers(checkpoint(server), [request("a")])[0].text == "a"
        monkeypatch.setenv("SSL_CERT_FILE", "/nowhere/ca.pem")
        with pytest.raises(ConfigError, match="SSL_CERT_FILE: there is no file /nowhere/"):
            open_(checkpoint(server))


def test_connections_over_tls_are_used_again(trusted: Authority) -> None:
    prompts = [f"p{number}" for number in range(60)]
    with serving(ChatServer(tls=trusted.server())) as server:
        found = answers(checkpoint(server, concurrency=4, timeout=60.0), [*map(request, prompts)])
        assert [each.text for each in found] == prompts
        assert 1 <= len(server.clients) <= 4


def test_a_bad_certificate_is_told_before_anything_is_asked_and_never_tried_twice(
    trusted: Authority, tmp_path: Path
) -> None:
    for context, words in bad(trusted, tmp_path).values():
        with serving(ChatServer(tls=context)) as server:
            with pytest.raises(ModelError) as raised:
                open_(checkpoint(server))
            assert str(raised.value).startswith(f"cannot ask {server.base_url}: TLS: ")
            for said in (str(raised.value), one(server.base_url).error):
                assert words in said
                assert "\n" not in said
                assert "tries)" not in said
            assert server.asked.total() == 0


def test_https_with_a_server_of_plain_http_says_so_at_once() -> None:
    with serving(ChatServer()) as server:
        url = server.base_url.replace("http:", "https:")
        words = "does not speak TLS: does base_url begin with http://"
        with pytest.raises(ModelError, match=f"cannot ask {url}: {words}"):
            open_(checkpoint(server, base_url=url))
        assert words in one(url).error
        assert "tries)" not in one(url).error


def test_plain_http_with_a_server_of_tls_says_so_at_once(authority: Authority) -> None:
    with serving(ChatServer(tls=authority.server())) as server:
        url = server.base_url.replace("https:", "http:")
        found = answers(checkpoint(server, base_url=url), [request(str(i)) for i in range(20)])
        host = url.removeprefix("http://").removesuffix("/v1")
        assert {each.error for each in found} == {
            f"{host}: speaks TLS: base_url has to begin with https://"
        }


def test_a_handshake_that_is_cut_is_tried_again(trusted: Authority) -> None:
    with ExitStack() as stack:
        server = stack.enter_context(serving(ChatServer(tls=trusted.server())))
        url = stack.enter_context(spoiled(server.base_url, first=3))
        (found,) = answers(checkpoint(server, base_url=url, timeout=60.0), [request("a")])
        assert (found.text, found.error) == ("a", "")
        assert server.answered == {sha256("a"): 1}


def test_handshakes_that_are_always_cut_end_when_the_tries_are_used_up() -> None:
    with spoiled() as url:
        assert one(url).error.endswith(": the TLS handshake was cut off (5 tries)")


def test_a_handshake_that_hangs_is_waited_for_no_longer_than_a_try() -> None:
    with spoiled(silent=True) as url:
        with pytest.raises(ModelError, match=f"cannot ask {url}: no TLS handshake in time: does"):
            open_(checkpoint(ChatServer(base_url=url), timeout=0.3))
        assert "(2 tries)" in one(url, timeout=0.3).error


def test_of_two_servers_the_one_with_a_good_certificate_answers(trusted: Authority) -> None:
    prompts = [f"p{number}" for number in range(40)]
    with (
        serving(ChatServer(tls=trusted.server())) as good,
        serving(ChatServer(tls=trusted.server(days=-1))) as expired,
    ):
        of = checkpoint(expired, base_urls=[good.base_url], concurrency=4, timeout=60.0)
        found = answers(of, [*map(request, prompts)])
        assert [(each.text, each.error) for each in found] == [(prompt, "") for prompt in prompts]
        assert good.answered == {sha256(prompt): 1 for prompt in prompts}


CHECKPOINT = """\
  - name: {name}
    identity: {name}
    backend: {{name: openai_api, model: x, base_url: "{url}", retries: 2, backoff: 0.01,
               timeout: {patience}}}
"""


def test_a_run_over_bad_servers_says_one_line_of_each_and_ends_with_4(
    authority: Authority, tmp_path: Path
) -> None:
    worse = bad(authority, tmp_path)
    said = {name: words for name, (_, words) in worse.items()}
    said |= {"plain": "does not speak TLS", "tls": "speaks TLS: base_url has to begin with https"}
    said |= {"cut": "the TLS handshake was cut off", "hangs": "no TLS handshake in time"}
    with ExitStack() as stack:

        def address(context: ssl.SSLContext | None) -> str:
            return stack.enter_context(serving(ChatServer(tls=context))).base_url

        urls = {name: address(context) for name, (context, _) in worse.items()}
        urls |= {"plain": address(None).replace("http:", "https:")}
        urls |= {"good": address(authority.server())}
        urls |= {"tls": urls["good"].replace("https:", "http:")}
        urls |= {"cut": stack.enter_context(spoiled())}
        urls |= {"hangs": stack.enter_context(spoiled(silent=True))}
        patience = {**dict.fromkeys(urls, 60.0), "hangs": 0.5}
        rows = "".join(
            CHECKPOINT.format(name=name, url=url, patience=patience[name])
            for name, url in urls.items()
        )
        config = tmp_path / "c.yaml"
        config.write_text(f"baseline: good\ncheckpoints:\n{rows}tasks: [mini-copy]\nlimit: 60\n")
        command = evalkit(
            *("run-matrix", config, "--results", tmp_path / "r"),
            variables={"SSL_CERT_FILE": str(authority.path)},
        )
        _, errors = command.communicate(timeout=120)
    assert command.returncode == 4, errors
    assert "Traceback" not in errors
    lines = [line for line in errors.splitlines() if line.startswith("error: ")]
    assert len(lines) == len(said), errors
    for words in said.values():
        assert len([line for line in lines if words in line]) == 1, (words, errors)
    report = json.loads((tmp_path / "r" / "report" / "verdict.json").read_text())
    measured = {cell["checkpoint"] for cell in report["scores"] if cell["score"] is not None}
    assert measured == {"good"}
