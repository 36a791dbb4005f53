"""The action, and the examples of workflows: run as scripts against a local git repository."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.forge_server import ForgeServer, serving
from tests.github_runner import EXPRESSION, Ran, run_action
from tests.test_carried import artifact
from tests.test_forge import gitlab

ROOT = Path(__file__).parent.parent
ACTION = yaml.safe_load((ROOT / "action.yml").read_text())
EXAMPLES = {path.name: path for path in sorted((ROOT / "examples/ci").glob("*.yml"))}
CONFIG = """\
baseline: base
checkpoints:
  - {name: base, backend: {name: echo, skill: 0.9}}
  - {name: new, backend: {name: echo, skill: SKILL}}
tasks: [mini-arithmetic]
gate: {margins: {mathematics: 20.0}}
reports: [junit]
limit: 120
"""


@pytest.fixture
def forge() -> Iterator[ForgeServer]:
    with serving(ForgeServer()) as server:
        yield server


@dataclass
class Repository:
    """A git repository whose `my.yaml` is gated, as a job checks it out."""

    origin: Path
    work: Path
    forge: ForgeServer

    def commit(self, skill: str) -> None:
        (self.origin / "my.yaml").write_text(CONFIG.replace("SKILL", skill))
        git(self.origin, "add", ".")
        git(self.origin, "commit", "-qm", f"A candidate of skill {skill}")

    def check_out(self, name: str) -> Path:
        folder = self.work / name
        git(self.work, "clone", "-q", str(self.origin), str(folder))
        return folder

    def job(self, folder: Path, event: str = "pull_request", **inputs: str) -> Ran:
        """The action in a checkout, for pull request 5 or a push to main."""
        temp = folder.with_name(f"{folder.name}.temp")
        temp.mkdir(exist_ok=True)
        number = {"number": 5, "head": {"sha": git(folder, "rev-parse", "HEAD")}}
        content = {"pull_request": number} if event == "pull_request" else {}
        (temp / "event.json").write_text(json.dumps(content))
        environ = {
            "RUNNER_TEMP": str(temp),
            "GITHUB_API_URL": self.forge.url,
            "GITHUB_REPOSITORY": "o/r",
            "GITHUB_EVENT_PATH": str(temp / "event.json"),
            "GITHUB_BASE_REF": "main" if event == "pull_request" else "",
            "GITHUB_REF_NAME": "main",
            "GITHUB_STEP_SUMMARY": str(temp / "summary.md"),
            "GITHUB_TOKEN": "",  # only the steps that need it are given one
        }
        given = {"config": "my.yaml", "evalkit": str(command(self.work)), **inputs}
        before = Path.cwd()
        os.chdir(folder)
        try:
            return run_action(ROOT, given, {"event_name": event, "token": "bot-token"}, environ)
        finally:
            os.chdir(before)

    def keep(self, folder: Path, number: int) -> None:
        """What the workflow's upload leaves: the results as an artefact of main."""
        path = shutil.make_archive(str(self.work / str(number)), "zip", folder / "results")
        self.forge.artifacts.append(artifact(number, name="evalkit-results"))
        self.forge.archives[str(number)] = Path(path).read_bytes()


def git(folder: Path, *args: str) -> str:
    who = ["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "init.defaultBranch=main"]
    done = subprocess.run(
        ["git", *who, *args], cwd=folder, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def command(folder: Path) -> Path:
    """A program `evalkit` of this environment."""
    path = folder / "bin" / "evalkit"
    if not path.exists():
        path.parent.mkdir()
        path.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m evalkit.cli "$@"\n')
        path.chmod(0o755)
    return path


@pytest.fixture
def repository(tmp_path: Path, forge: ForgeServer) -> Repository:
    origin = tmp_path / "origin"
    origin.mkdir()
    git(origin, "init", "-q")
    return Repository(origin, tmp_path, forge)


def test_a_pull_request_is_gated_on_the_baseline_of_main_and_commented_on(
    repository: Repository, forge: ForgeServer
) -> None:
    repository.commit("0.9")
    main = repository.check_out("main")
    pushed = repository.job(main, "push", baseline="artifact:evalkit-results")
    assert (pushed.exit_code, pushed.outputs["exit-code"]) == (0, "0")
    assert "no artefact 'evalkit-results'" in pushed.log
    assert "::warning title=evalkit::no answers of an earlier run came" in pushed.log
    assert "comment" not in pushed.steps
    assert "base · mini-arithmetic" in pushed.log
    repository.keep(main, 1)

    repository.commit("0.3")
    worse = repository.check_out("worse")
    failed = repository.job(worse, baseline="artifact:evalkit-results")
    assert failed.exit_code == 1
    assert failed.outputs == {
        "exit-code": "1",
        "verdict": "regressed",
        "report": "results/report/report.md",
    }
    assert "new · mini-arithmetic" in failed.log
    assert "base · mini-arithmetic" not in failed.log  # its answers came from main
    assert "::error title=evalkit::regressed (exit code 1)" in failed.log
    (comment,) = forge.bodies
    assert comment.startswith((worse / "results/report/report.md").read_text())
    summary = (worse.with_name("worse.temp") / "summary.md").read_text()
    assert summary.count("## ▼ evalkit: regressed") == 1

    repository.commit("0.95")
    better = repository.check_out("better")
    passed = repository.job(better, baseline="artifact:evalkit-results")
    assert (passed.exit_code, passed.outputs["verdict"]) == (0, "improved")
    (comment,) = forge.bodies
    assert "regressed" not in comment.partition("<details>")[0]
    assert "bot-token" not in pushed.log + failed.log + passed.log


def test_what_cannot_be_commented_on_keeps_the_gates_exit_code(
    repository: Repository, forge: ForgeServer
) -> None:
    forge.read_only = True
    repository.commit("0.3")
    ran = repository.job(repository.check_out("fork"))
    assert (ran.exit_code, forge.bodies) == (1, [])
    assert "::warning title=evalkit::no comment was written" in ran.log
    assert "pull-requests: write" in ran.log


def test_a_wrong_file_exits_2_and_no_older_report_is_taken_for_its_own(
    repository: Repository, forge: ForgeServer
) -> None:
    repository.commit("much")
    folder = repository.check_out("wrong")
    (folder / "results/report").mkdir(parents=True)
    for name in ("report.md", "verdict.json"):
        (folder / "results/report" / name).write_text("<!-- evalkit:report -->\nof another job\n")
    ran = repository.job(folder)
    assert (ran.exit_code, ran.outputs["exit-code"]) == (2, "2")
    assert (ran.outputs["verdict"], ran.outputs["report"], forge.bodies) == ("", "", [])
    assert "option 'skill' must be of type float" in ran.log
    assert "::error title=evalkit::no verdict (exit code 2)" in ran.log


@pytest.mark.parametrize(
    "names", [("baseline", "branch", "comment-key"), ("config", "options", "results")]
)
def test_no_input_is_run_as_a_command(repository: Repository, names: tuple[str, ...]) -> None:
    repository.commit("0.9")
    folder = repository.check_out("hostile")
    ran = repository.job(folder, **dict.fromkeys(names, "x'\"; touch pwned; $(touch pwned) #"))
    assert not [path for path in folder.rglob("*") if path.name == "pwned"]
    assert ran.exit_code == (0 if "baseline" in names else 2), ran.log


def test_options_are_words_and_a_fast_gate_is_one(repository: Repository) -> None:
    repository.commit("0.3")
    folder = repository.check_out("fast")
    ran = repository.job(folder, fast="true", options="--uncapped\n --limit 90", comment="false")
    assert ran.exit_code == 1
    assert re.search(r"look \d of ", (folder / "results/report/report.md").read_text())
    assert "comment" not in ran.steps


def test_only_what_is_not_there_is_set_up() -> None:
    conditions = {step.get("uses", "").partition("@")[0]: step.get("if") for step in steps()}
    assert conditions["actions/setup-python"] == (
        "${{ inputs.python-version != '' && inputs.evalkit == '' }}"
    )


def steps() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = ACTION["runs"]["steps"]
    return found


def test_no_expression_stands_in_a_script_and_every_action_is_pinned() -> None:
    assert all(not EXPRESSION.search(step.get("run", "")) for step in steps())
    pinned = re.compile(r"uses: (\S+)@[0-9a-f]{40} # v\d+\.\d+\.\d+$")
    for path in (ROOT / "action.yml", *EXAMPLES.values()):
        for line in path.read_text().splitlines():
            if "uses: actions/" in line:
                assert pinned.search(line), f"{path.name}: {line}"


def test_every_input_is_used_and_told_on_the_page() -> None:
    script = (ROOT / "action.yml").read_text().partition("\nruns:")[2]
    page = (ROOT / "docs/ci.md").read_text()
    for name in ACTION["inputs"]:
        assert f"inputs.{name}" in script, name
        assert f"| `{name}` |" in page, name
    for name in ACTION["outputs"]:
        assert f"`{name}`" in page, name


def test_the_example_gives_the_action_what_it_takes_and_rights_it_needs() -> None:
    job = yaml.safe_load(EXAMPLES["github.yml"].read_text())["jobs"]["gate"]
    (step,) = (step for step in job["steps"] if "/evalkit@" in step.get("uses", ""))
    assert set(step["with"]) <= set(ACTION["inputs"])
    assert {name for name, spec in ACTION["inputs"].items() if spec.get("required")} <= set(
        step["with"]
    )
    assert job["permissions"] == {"actions": "read", "contents": "read", "pull-requests": "write"}
    uploads = [step["with"] for step in job["steps"] if "upload" in step.get("uses", "")]
    assert [each["name"] for each in uploads] == [step["with"]["baseline"].partition(":")[2]]


def run_gitlab(folder: Path, environ: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """The script of the example in a checkout, as a runner puts it together."""
    job = yaml.safe_load(EXAMPLES["gitlab.yml"].read_text())["evaluate"]
    return subprocess.run(
        ["bash", "-eo", "pipefail", "-c", "\n".join(job["script"])],
        cwd=folder,
        env={**os.environ, **environ, **job["variables"]},
        capture_output=True,
        text=True,
    )


def test_a_merge_request_is_gated_on_the_baseline_and_commented_on(
    repository: Repository, forge: ForgeServer
) -> None:
    path = f"{command(repository.work).parent}:{os.environ['PATH']}"
    environ = gitlab(forge) | {"PATH": path, "CI_MERGE_REQUEST_TARGET_BRANCH_NAME": "main"}
    repository.commit("0.9")
    main = repository.check_out("main")
    branch = environ | {"CI_MERGE_REQUEST_IID": "", "CI_COMMIT_BRANCH": "main"}
    pushed = run_gitlab(main, branch)
    assert (pushed.returncode, forge.bodies) == (0, [])
    assert "The baseline is asked." in pushed.stdout
    packed = shutil.make_archive(str(repository.work / "artifact"), "zip", main, "results")
    forge.archives["evaluate@main"] = Path(packed).read_bytes()

    repository.commit("0.3")
    worse = repository.check_out("worse")
    failed = run_gitlab(worse, environ)
    assert failed.returncode == 1
    assert "base · mini-arithmetic" not in failed.stderr
    assert [body.splitlines()[1] for body in forge.bodies] == ["## ▼ evalkit: regressed"]
    assert (worse / "results/report/junit.xml").exists()


@pytest.mark.integration
def test_the_published_schemas_take_the_action_and_the_examples(tmp_path: Path) -> None:
    """Against the schemas in the published wheel of check-jsonschema, which is only unpacked."""
    import jsonschema

    with download("check-jsonschema==0.39.0", tmp_path) as wheel:
        for path, name in (
            (ROOT / "action.yml", "github-actions"),
            (EXAMPLES["github.yml"], "github-workflows"),
            (EXAMPLES["gitlab.yml"], "gitlab-ci"),
        ):
            schema = json.loads(wheel.read(f"check_jsonschema/builtin_schemas/vendor/{name}.json"))
            # PyYAML reads `on:` as YAML 1.1 does.
            content = {
                "on" if key is True else key: value
                for key, value in yaml.safe_load(path.read_text()).items()
            }
            jsonschema.validate(content, schema)


@pytest.mark.integration
def test_a_linter_of_workflows_finds_nothing(tmp_path: Path) -> None:
    """zizmor, unpacked from its published wheel, without the network."""
    with download("zizmor==1.32.0", tmp_path) as wheel:
        name = next(name for name in wheel.namelist() if name.endswith("/zizmor"))
        wheel.extract(name, tmp_path)
    (tmp_path / name).chmod(0o755)
    config = tmp_path / "zizmor.yml"
    own = {"policies": {"YOUR-ORG/*": "ref-pin", "actions/*": "hash-pin"}}
    config.write_text(yaml.safe_dump({"rules": {"unpinned-uses": {"config": own}}}))
    workflow = tmp_path / ".github/workflows/evaluate.yml"
    workflow.parent.mkdir(parents=True)
    shutil.copy(EXAMPLES["github.yml"], workflow)
    done = subprocess.run(
        [tmp_path / name, "--offline", "--config", config, ROOT / "action.yml", workflow],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def download(requirement: str, folder: Path) -> zipfile.ZipFile:
    """A published wheel."""
    fetch = ["download", "--quiet", "--no-deps", "--only-binary", ":all:", "-d", str(folder)]
    subprocess.run([sys.executable, "-m", "pip", *fetch, requirement], check=True)
    return zipfile.ZipFile(next(folder.glob("*.whl")))


@pytest.mark.integration
def test_the_action_installs_itself(repository: Repository) -> None:
    repository.commit("0.9")
    folder = repository.check_out("install")
    os.environ["GITHUB_ACTION_PATH"] = str(ROOT)
    try:
        ran = repository.job(folder, evalkit="", comment="false")
    finally:
        del os.environ["GITHUB_ACTION_PATH"]
    assert ran.exit_code == 0, ran.log
    assert (folder.with_name("install.temp") / "evalkit/bin/evalkit").exists()
