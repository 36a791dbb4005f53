"""GitHub: comments on a pull request, and artefacts of earlier runs.

https://docs.github.com/en/rest/issues/comments, https://docs.github.com/en/rest/actions/artifacts
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from evalkit.errors import ConfigError, ForgeError
from evalkit.forge.comments import Comment
from evalkit.forge.wire import Api, Refused

NEXT = re.compile(r'<([^>]+)>;\s*rel="next"')
MOST_PAGES = 100


def api(environ: Mapping[str, str]) -> Api:
    """The API as a job knows it; raises ConfigError where there is no token."""
    token = environ.get("GITHUB_TOKEN") or environ.get("GH_TOKEN")
    if not token:
        raise ConfigError("no GITHUB_TOKEN in the environment: pass `github.token` to the step")
    headers = {
        "Authorization": f"Bearer {token}",
        "Accept": "application/vnd.github+json",
        "X-GitHub-Api-Version": "2022-11-28",
    }
    return Api(environ.get("GITHUB_API_URL", "https://api.github.com").rstrip("/"), headers)


def repository(environ: Mapping[str, str]) -> str:
    """owner/name."""
    found = environ.get("GITHUB_REPOSITORY", "")
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", found):
        raise ConfigError("no GITHUB_REPOSITORY (owner/name) in the environment")
    return found


def pull_request(environ: Mapping[str, str]) -> int | None:
    """The number of the pull request that a job runs for; None where there is none."""
    event: Any = {}
    with suppress(OSError, ValueError, KeyError):
        event = json.loads(Path(environ["GITHUB_EVENT_PATH"]).read_bytes())
    with suppress(KeyError, TypeError):
        return int(event["pull_request"]["number"])
    found = re.fullmatch(r"refs/pull/(\d+)/\w+", environ.get("GITHUB_REF", ""))
    return int(found[1]) if found else None


def footer(environ: Mapping[str, str]) -> str:
    """Which commit, and which run."""
    run = "{GITHUB_SERVER_URL}/{GITHUB_REPOSITORY}/actions/runs/{GITHUB_RUN_ID}"
    with suppress(KeyError):
        link = run.format_map(environ)
        return f"\n<sub>Commit {_head(environ)[:12]}, [run]({link}).</sub>\n"
    return ""


def _head(environ: Mapping[str, str]) -> str:
    """The pull request's own commit: GITHUB_SHA is that of a merge that nobody knows."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        event = json.loads(Path(environ["GITHUB_EVENT_PATH"]).read_bytes())
        return str(event["pull_request"]["head"]["sha"])
    return environ["GITHUB_SHA"]


@dataclass(frozen=True, slots=True)
class PullRequest:
    """The comments of a pull request."""

    api: Api
    repository: str
    number: int

    def comments(self) -> Iterator[Comment]:
        """All that are there, the oldest first."""
        me = self._me()
        page: str | None = f"{self._issues}/{self.number}/comments?per_page=100"
        for _ in range(MOST_PAGES):
            if page is None:
                return
            reply = self.api.call("GET", page)
            for each in reply.json():
                yield Comment(int(each["id"]), each["body"] or "", _is_of(each.get("user"), me))
            found = NEXT.search(reply.headers.get("link", ""))
            page = found[1] if found else None

    def create(self, body: str) -> None:
        """Writes a new one."""
        self._write("POST", f"{self._issues}/{self.number}/comments", body)

    def update(self, id: int, body: str) -> None:
        """Replaces one."""
        self._write("PATCH", f"{self._issues}/comments/{id}", body)

    @property
    def _issues(self) -> str:
        return f"/repos/{self.repository}/issues"

    def _write(self, method: str, path: str, body: str) -> None:
        try:
            self.api.call(method, path, {"body": body})
        except Refused as error:
            if error.status != 403:
                raise
            raise Refused(
                f"{error}: the job needs `permissions: pull-requests: write`, which a pull request "
                "from a fork never has",
                403,
            ) from None

    def _me(self) -> str | None:
        """Whose token it is; None for a job's own, which may not ask and is a bot's."""
        try:
            return str(self.api.call("GET", "/user").json()["login"])
        except Refused as error:
            if error.status == 401:
                raise ForgeError(
                    "GITHUB_TOKEN was refused (401): it is wrong or has expired"
                ) from None
            return None


def _is_of(user: Mapping[str, Any] | None, me: str | None) -> bool:
    if user is None:  # a deleted account's
        return False
    return user.get("login") == me if me else user.get("type") == "Bot"


def artifact(api: Api, repository: str, name: str, branch: str, into: Path) -> None:
    """Downloads the newest artefact of that name that a run on that branch left, a zip.

    A branch of a fork may be called the same: what its runs leave is never taken.
    """
    listing = f"/repos/{repository}/actions/artifacts?name={quote(name, safe='')}&per_page=100"
    found = [
        each
        for each in api.call("GET", listing).json()["artifacts"]
        if each["name"] == name and not each["expired"] and _is_from(each["workflow_run"], branch)
    ]
    if not found:
        raise ForgeError(f"no artefact {name!r} of a run on {branch!r} yet, or it has expired")
    newest = max(found, key=lambda each: str(each["created_at"]))
    api.download(f"/repos/{repository}/actions/artifacts/{int(newest['id'])}/zip", into)


def _is_from(run: Mapping[str, Any] | None, branch: str) -> bool:
    if not run or run.get("head_branch") != branch:
        return False
    return run.get("head_repository_id") == run.get("repository_id") is not None
