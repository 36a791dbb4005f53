"""Wheel, sdist and editable install: each works from another directory, and brings one name."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[1]
CONFIG = """\
baseline: strong
checkpoints:
  - {name: strong, backend: {name: echo, skill: 0.9}}
  - {name: weak, backend: {name: echo, skill: 0.5}}
tasks: [mini-arithmetic]
reports: [markdown, junit, svg]
"""


def call(*command: str | Path, cwd: Path) -> str:
    """What a command printed; a failure shows all of it."""
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What git has of the project, in a folder of its own."""
    folder = tmp_path_factory.mktemp("checkout")
    names = call("git", "ls-files", "-co", "--exclude-standard", cwd=ROOT).splitlines()
    for name in names:
        source = ROOT / name
        if source.is_file():
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(source.read_bytes())
    return folder


@pytest.fixture(scope="module")
def built(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel and the sdist."""
    out = tmp_path_factory.mktemp("dist")
    build = (sys.executable, "-m", "build", "--no-isolation", "--outdir", out, checkout)
    call(*build, cwd=out)
    return out


@pytest.fixture(params=["wheel", "sdist", "editable"])
def python(request: pytest.FixtureRequest, checkout: Path, built: Path, tmp_path: Path) -> Path:
    """The interpreter of an environment with evalkit installed in one of the three ways."""
    venv = tmp_path / "venv"
    call(sys.executable, "-m", "venv", "--without-pip", venv, cwd=tmp_path)
    python = venv / "bin" / "python"
    # The dependencies are those of this environment; evalkit itself is not visible through it.
    site = next((venv / "lib").glob("python*/site-packages"))
    there = [path for path in sys.path if path.endswith("site-packages")]
    (site / "dependencies.pth").write_text("\n".join(there) + "\n")
    ways: dict[str, list[str | Path]] = {
        "wheel": [next(built.glob("*.whl"))],
        "sdist": [next(built.glob("*.tar.gz"))],
        "editable": ["-e", checkout],
    }
    pip = (python, "-m", "pip", "--disable-pip-version-check", "install", "-q", "--no-deps")
    call(*pip, "--no-build-isolation", *ways[request.param], cwd=tmp_path)
    return python


def test_an_installed_evalkit_works_from_another_directory(python: Path, tmp_path: Path) -> None:
    command = python.parent / "evalkit"
    where = call(python, "-c", "import evalkit; print(evalkit.__file__)", cwd=tmp_path)
    assert str(ROOT) not in where
    assert "mmlu-pro" in call(command, "list", "tasks", cwd=tmp_path)
    config = tmp_path / "matrix.yaml"
    config.write_text(CONFIG)
    shown = call(command, "run-matrix", config, cwd=tmp_path)
    assert "REGRESSED" in shown
    assert (tmp_path / "results" / "report" / "report.md").exists()


def test_the_wheel_brings_one_name_and_its_data(built: Path) -> None:
    with ZipFile(next(built.glob("*.whl"))) as wheel:
        names = wheel.namelist()
    assert {name.split("/")[0].split("-")[0] for name in names} == {"evalkit", "posttrain_evalkit"}
    for needed in ("py.typed", "verdict.schema.json", "reports/templates/report.md"):
        assert f"evalkit/{needed}" in names
    assert not [name for name in names if "test" in name]
