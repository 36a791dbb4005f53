"""GitLab: notes on a merge request, and artefacts of earlier jobs.

https://docs.gitlab.com/api/notes/, https://docs.gitlab.com/api/job_artifacts/
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlencode

from evalkit.errors import ConfigError, ForgeError
from evalkit.forge.comments import Comment
from evalkit.forge.wire import Api, Refused

MOST_PAGES = 100


def api(environ: Mapping[str, str], *, reading: bool = False) -> Api:
    """The API as a job knows it; a job's own token may read artefacts, in some tiers, never notes.

    Raises ConfigError where there is no token.
    """
    if token := environ.get("GITLAB_TOKEN"):
        return Api(_base(environ), {"PRIVATE-TOKEN": token})
    if reading and (token := environ.get("CI_JOB_TOKEN")):
        return Api(_base(environ), {"JOB-TOKEN": token})
    raise ConfigError(
        "no GITLAB_TOKEN in the environment: a project access token with the scope `api`, as a "
        "masked variable of the project (a job's own token may not comment)"
    )


def _base(environ: Mapping[str, str]) -> str:
    return environ.get("CI_API_V4_URL", "https://gitlab.com/api/v4").rstrip("/")


def project(environ: Mapping[str, str]) -> str:
    """The project as a part of a path."""
    found = environ.get("CI_PROJECT_ID") or environ.get("CI_PROJECT_PATH")
    if not found:
        raise ConfigError("no CI_PROJECT_ID in the environment")
    return quote(found, safe="")


def merge_request(environ: Mapping[str, str]) -> int | None:
    """The number of the merge request that a job runs for; None where there is none."""
    found = environ.get("CI_MERGE_REQUEST_IID", "")
    return int(found) if found.isdigit() else None


def footer(environ: Mapping[str, str]) -> str:
    """Which commit, and which job."""
    with suppress(KeyError):
        said = "\n<sub>Commit {CI_COMMIT_SHORT_SHA}, [job]({CI_JOB_URL}).</sub>\n"
        return said.format_map(environ)
    return ""


@dataclass(frozen=True, slots=True)
class MergeRequest:
    """The notes of a merge request."""

    api: Api
    project: str
    number: int

    def comments(self) -> Iterator[Comment]:
        """All that are there, the oldest first."""
        me = self._me()
        page = "1"
        for _ in range(MOST_PAGES):
            query = urlencode({"per_page": 100, "page": page, "sort": "asc"})
            reply = self.api.call("GET", f"{self._notes}?{query}")
            for each in reply.json():
                mine = each["author"]["username"] == me and not each.get("system")
                yield Comment(int(each["id"]), each["body"] or "", mine)
            page = reply.headers.get("x-next-page", "")
            if not page:
                return

    def create(self, body: str) -> None:
        """Writes a new one."""
        self._write("POST", self._notes, body)

    def update(self, id: int, body: str) -> None:
        """Replaces one."""
        self._write("PUT", f"{self._notes}/{id}", body)

    @property
    def _notes(self) -> str:
        return f"/projects/{self.project}/merge_requests/{self.number}/notes"

    def _write(self, method: str, path: str, body: str) -> None:
        try:
            self.api.call(method, path, {"body": body})
        except Refused as error:
            if error.status != 403:
                raise
            said = f"{error}: GITLAB_TOKEN needs the scope `api` and the role Reporter"
            raise Refused(said, 403) from None

    def _me(self) -> str:
        try:
            return str(self.api.call("GET", "/user").json()["username"])
        except Refused as error:
            raise ForgeError(f"GITLAB_TOKEN was refused: {error}") from None


def artifact(api: Api, project: str, job: str, branch: str, into: Path) -> None:
    """Downloads what the job of the last successful pipeline of that branch left, a zip."""
    ref, query = quote(branch, safe=""), urlencode({"job": job})
    try:
        api.download(f"/projects/{project}/jobs/artifacts/{ref}/download?{query}", into)
    except Refused as error:
        said = f"{error}: set GITLAB_TOKEN; a job's own token does in Premium and Ultimate alone"
        if error.status == 404:
            where = f"the job {job!r} of a pipeline on {branch!r}"
            said = f"no artefact of {where} yet, or it has expired"
        raise ForgeError(said) from None
