"""Comments on GitHub and GitLab, and artefacts of theirs, over HTTP."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from evalkit.cli import cli
from evalkit.errors import ConfigError, ForgeError
from evalkit.forge import here
from evalkit.forge.comments import marked, post
from evalkit.forge.wire import Api, Passing, Refused, retried
from reports.markdown import render
from tests.forge_server import ForgeServer, serving
from tests.sample_report import sample_report

Environ = dict[str, str]
MARK = "<!-- evalkit:report -->\n"


@pytest.fixture
def forge() -> Iterator[ForgeServer]:
    with serving(ForgeServer()) as server:
        yield server


def github(forge: ForgeServer, token: str = "bot-token") -> Environ:
    return {
        "GITHUB_API_URL": forge.url,
        "GITHUB_REPOSITORY": "o/r",
        "GITHUB_REF": "refs/pull/5/merge",
        "GITHUB_TOKEN": token,
    }


def gitlab(forge: ForgeServer, token: str = "glpat-token") -> Environ:
    return {
        "GITLAB_CI": "true",
        "CI_API_V4_URL": forge.url,
        "CI_PROJECT_ID": "7",
        "CI_MERGE_REQUEST_IID": "5",
        "GITLAB_TOKEN": token,
    }


ENVIRONS = {"github": github, "gitlab": gitlab}
each_forge = pytest.mark.parametrize("kind", ENVIRONS)


def posted(environ: Environ, body: str) -> str:
    pauses: list[float] = []
    return post(here.thread(environ), body, pauses.append)


@each_forge
def test_the_first_run_creates_a_comment_the_next_updates_it(forge: ForgeServer, kind: str) -> None:
    environ = ENVIRONS[kind](forge)
    for number in range(7):
        forge.comment(f"I think so too, {number}", "ana", "User")
    assert posted(environ, f"{MARK}first") == "created"
    forge.comment("and then", "ana", "User")
    assert posted(environ, f"{MARK}second") == "updated"
    assert posted(environ, f"{MARK}second") == "unchanged"
    assert [body for body in forge.bodies if body.startswith("<!--")] == [f"{MARK}second"]
    assert len(forge.comments) == 9


@each_forge
def test_reports_of_several_keys_have_a_comment_each(forge: ForgeServer, kind: str) -> None:
    environ = ENVIRONS[kind](forge)
    for key in ("nightly", "quick", "nightly"):
        posted(environ, marked(f"{MARK}of {key}", key))
    assert forge.bodies == [
        "<!-- evalkit:nightly -->\nof nightly",
        "<!-- evalkit:quick -->\nof quick",
    ]


@pytest.mark.parametrize(
    ("token", "login", "kind", "taken"),
    [
        ("bot-token", "github-actions[bot]", "Bot", True),
        ("bot-token", "mallory", "User", False),
        ("personal-token", "ana", "User", True),
        ("personal-token", "mallory", "User", False),
        ("personal-token", "github-actions[bot]", "Bot", False),
    ],
)
def test_a_comment_of_somebody_else_is_never_taken_for_ones_own(
    forge: ForgeServer, token: str, login: str, kind: str, taken: bool
) -> None:
    forge.comment(f"{MARK}forged", login, kind)
    posted(github(forge, token), f"{MARK}real")
    assert forge.bodies == ([f"{MARK}real"] if taken else [f"{MARK}forged", f"{MARK}real"])


def test_a_note_of_somebody_else_is_never_taken_on_gitlab(forge: ForgeServer) -> None:
    forge.comment(f"{MARK}forged", "mallory")
    posted(gitlab(forge), f"{MARK}real")
    assert forge.bodies == [f"{MARK}forged", f"{MARK}real"]


@each_forge
def test_passing_failures_are_tried_again_as_late_as_asked(forge: ForgeServer, kind: str) -> None:
    forge.faults = [
        (502, {}),
        (429, {"Retry-After": "7"}),
        (403, {"x-ratelimit-remaining": "0"}),
    ]
    pauses: list[float] = []
    assert post(here.thread(ENVIRONS[kind](forge)), f"{MARK}x", pauses.append) == "created"
    assert pauses == [1.0, 7.0, 4.0]


@each_forge
def test_a_write_whose_answer_was_lost_is_not_done_twice(forge: ForgeServer, kind: str) -> None:
    forge.lose = 1
    assert posted(ENVIRONS[kind](forge), f"{MARK}x") == "unchanged"
    assert forge.bodies == [f"{MARK}x"]


@each_forge
def test_a_server_that_stays_down_is_an_error_of_one_line(forge: ForgeServer, kind: str) -> None:
    forge.faults = [(503, {})] * 9
    with pytest.raises(ForgeError, match=r"GET .*: 503 .*: Try again") as told:
        posted(ENVIRONS[kind](forge), f"{MARK}x")
    assert "token" not in str(told.value)
    assert len(forge.asked) == 5


def test_nobody_listening_is_an_error_of_one_line(forge: ForgeServer) -> None:
    environ = github(forge) | {"GITHUB_API_URL": "http://127.0.0.1:9"}
    with pytest.raises(ForgeError, match=r"GET http://127.0.0.1:9/user: .*refused"):
        posted(environ, f"{MARK}x")


def test_refusals_say_what_the_job_needs(forge: ForgeServer) -> None:
    forge.read_only = True
    with pytest.raises(ForgeError, match=r"needs `permissions: pull-requests: write`.*fork"):
        posted(github(forge), f"{MARK}x")
    with pytest.raises(ForgeError, match="GITLAB_TOKEN needs the scope `api`"):
        posted(gitlab(forge), f"{MARK}x")
    with pytest.raises(ForgeError, match="GITHUB_TOKEN was refused"):
        posted(github(forge, "old-token"), f"{MARK}x")
    with pytest.raises(ForgeError, match="GITLAB_TOKEN was refused"):
        posted(gitlab(forge, "old-token"), f"{MARK}x")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"GITHUB_TOKEN": ""}, "no GITHUB_TOKEN in the environment"),
        ({"GITHUB_REPOSITORY": "r"}, "no GITHUB_REPOSITORY"),
        ({"GITHUB_REF": "refs/heads/main"}, "runs for no pull or merge request"),
        ({"GITLAB_CI": "true"}, "runs for no pull or merge request"),
        ({"GITLAB_CI": "true", "CI_MERGE_REQUEST_IID": "5"}, "no GITLAB_TOKEN"),
    ],
)
def test_what_the_environment_lacks_is_told(forge: ForgeServer, change: Environ, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        here.thread(github(forge) | change)


def test_the_pull_request_is_that_of_the_event(forge: ForgeServer, tmp_path: Path) -> None:
    event = {"pull_request": {"number": 31, "head": {"sha": "f" * 40}}}
    (tmp_path / "event.json").write_text(json.dumps(event))
    environ = github(forge) | {
        "GITHUB_EVENT_PATH": str(tmp_path / "event.json"),
        "GITHUB_REF": "refs/heads/main",
        "GITHUB_SERVER_URL": "https://github.example",
        "GITHUB_RUN_ID": "12",
        "GITHUB_SHA": "0" * 40,
    }
    posted(environ, f"{MARK}x")
    assert "POST /repos/o/r/issues/31/comments" in forge.asked
    assert here.footer(environ) == (
        "\n<sub>Commit ffffffffffff, [run](https://github.example/o/r/actions/runs/12).</sub>\n"
    )
    assert here.footer({}) == ""


def command(environ: Environ, *args: str) -> Result:
    return CliRunner().invoke(cli, ["comment", *args], env=environ)


def test_the_command_posts_a_report_with_its_commit(forge: ForgeServer, tmp_path: Path) -> None:
    path = tmp_path / "report.md"
    path.write_text(render(sample_report()))
    environ = gitlab(forge) | {"CI_COMMIT_SHORT_SHA": "abc12345", "CI_JOB_URL": "https://l/j/1"}
    assert command(environ, str(path)).output == "created\n"
    assert command(environ, str(path)).output == "unchanged\n"
    assert command(environ, str(path), "--key", "other").output == "created\n"
    first, second = forge.bodies
    assert first.startswith(path.read_text())
    assert first.endswith("\n<sub>Commit abc12345, [job](https://l/j/1).</sub>\n")
    assert second.startswith("<!-- evalkit:other -->\n## ▼ evalkit: regressed\n")


def test_the_command_posts_nothing_that_is_no_report(forge: ForgeServer, tmp_path: Path) -> None:
    path = tmp_path / "report.md"
    for content, said in ((b"# Hello", "no report.md of evalkit"), (b"\xff\xfe", "not UTF-8")):
        path.write_bytes(content)
        assert said in str(command(github(forge), str(path)).exception)
    path.write_text(MARK)
    assert "60 letters, digits" in str(command(github(forge), str(path), "--key", "-->").exception)
    assert "No such file" in str(command(github(forge), str(tmp_path / "none.md")).exception)
    assert forge.bodies == []


def test_a_page_that_leads_to_another_host_is_not_followed(forge: ForgeServer) -> None:
    with pytest.raises(ForgeError, match="which is not of its own: not asked"):
        Api(forge.url, {"Authorization": "Bearer bot-token"}).call("GET", "http://127.0.0.2/user")
    with pytest.raises(ForgeError, match="not of its own"):
        Api(forge.url, {}).call("GET", f"{forge.url}.evil.example/user")


def test_neither_a_message_nor_a_repr_holds_the_token(forge: ForgeServer) -> None:
    api = Api(forge.url, {"Authorization": "Bearer secret-token"})
    assert "secret" not in repr(api)
    with pytest.raises(Refused, match="401") as told:
        api.call("GET", "/user")
    assert "secret" not in str(told.value)


def test_only_what_may_pass_is_tried_again() -> None:
    tried: list[int] = []

    def refused() -> None:
        tried.append(1)
        raise Refused("no", 422)

    with pytest.raises(Refused):
        retried(refused, lambda _: None)
    assert len(tried) == 1

    def passing() -> int:
        tried.append(1)
        if len(tried) < 5:
            raise Passing("busy")
        return len(tried)

    assert retried(passing, lambda _: None) == 5
