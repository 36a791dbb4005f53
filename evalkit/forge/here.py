"""Which forge a job runs on, told by the environment that GitHub and GitLab give it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from evalkit.errors import ConfigError
from evalkit.forge import github_api, gitlab_api
from evalkit.forge.comments import Thread
from evalkit.forge.wire import retried

BRANCHES = (
    "GITHUB_BASE_REF",
    "CI_MERGE_REQUEST_TARGET_BRANCH_NAME",
    "GITHUB_REF_NAME",
    "CI_COMMIT_BRANCH",
)


def thread(environ: Mapping[str, str], number: int | None = None) -> Thread:
    """The comments of the pull or merge request that a job runs for, or of that number.

    Raises ConfigError where it runs for none.
    """
    gitlab = _is_gitlab(environ)
    found = number or (gitlab_api.merge_request if gitlab else github_api.pull_request)(environ)
    if found is None:
        raise ConfigError("this job runs for no pull or merge request: name one with --pull")
    if gitlab:
        return gitlab_api.MergeRequest(gitlab_api.api(environ), gitlab_api.project(environ), found)
    return github_api.PullRequest(github_api.api(environ), github_api.repository(environ), found)


def footer(environ: Mapping[str, str]) -> str:
    """Which commit a comment is on, and where it was made; nothing outside of a job."""
    return (gitlab_api.footer if _is_gitlab(environ) else github_api.footer)(environ)


def target_branch(environ: Mapping[str, str]) -> str:
    """The branch that a request is to be merged into; outside of one, the branch itself."""
    return next((found for name in BRANCHES if (found := environ.get(name))), "main")


def artifact(environ: Mapping[str, str], name: str, branch: str, into: Path) -> None:
    """Downloads the newest artefact of that name (on GitLab: of that job) from that branch.

    Raises ForgeError where there is none.
    """

    def download() -> None:
        if _is_gitlab(environ):
            api = gitlab_api.api(environ, reading=True)
            gitlab_api.artifact(api, gitlab_api.project(environ), name, branch, into)
        else:
            whose = github_api.repository(environ)
            github_api.artifact(github_api.api(environ), whose, name, branch, into)

    retried(download)


def _is_gitlab(environ: Mapping[str, str]) -> bool:
    return bool(environ.get("GITLAB_CI"))
