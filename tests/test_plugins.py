"""Names to objects: what is built in and what other distributions bring."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent

import pytest

from evalkit import plugins
from evalkit.configuration.sections import TaskSection
from evalkit.errors import ConfigError, EvalkitError, UnknownName
from evalkit.exams.exam import sit

OUTSIDE = """
    import json
    from evalkit import Response, Sample, Score, Task

    def samples(rows):
        for i in range(5):
            yield Sample(str(i), f"say {i}", str(i))

    def score(sample, response):
        return Score(float(response.text == sample.target), response.text)

    TASKS = (Task("outside", domain="d", version=1, samples=samples, score=score),)
"""

Install = Callable[[str, str], Path]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Installs a distribution of one module with one entry point, for the time of a test."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(str(tmp_path))

    def make(name: str, source: str) -> Path:
        module = tmp_path / f"{name}.py"
        module.write_text(dedent(source))
        about = tmp_path / f"{name}-1.0.dist-info"
        about.mkdir(exist_ok=True)
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (about / "entry_points.txt").write_text(f"[evalkit.tasks]\n{name} = {name}\n")
        plugins.forget()
        return module

    yield make
    plugins.forget()
    for name in set(sys.modules) - before:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


def test_a_task_of_another_distribution_is_found_and_can_be_sat(install: Install) -> None:
    module = install("evalkit_outside", OUTSIDE)
    exam = sit(TaskSection(name="outside"), None, None)[0]
    assert len(exam.items) == 5
    assert plugins.source_files("evalkit_outside") == [str(module)]
    assert len(exam.source) == 16


def test_a_changed_source_file_is_another_source(install: Install) -> None:
    module = install("evalkit_outside", OUTSIDE)
    before = sit(TaskSection(name="outside"), None, None)[0].source
    module.write_text(module.read_text() + "# changed\n")
    assert sit(TaskSection(name="outside"), None, None)[0].source != before


def test_two_plugins_of_one_name_are_an_error(install: Install) -> None:
    install("evalkit_outside", OUTSIDE.replace('"outside"', '"mini-choice"'))
    with pytest.raises(ConfigError, match="two tasks go by the name 'mini-choice': rename one"):
        plugins.task("mini-arithmetic")


@pytest.mark.parametrize("source", ["import nothing_of_that_name", "from evalkit import Nothing"])
def test_a_plugin_that_cannot_be_imported_is_named(install: Install, source: str) -> None:
    install("evalkit_broken", source)
    with pytest.raises(EvalkitError, match=r"plugin evalkit_broken cannot be imported .*uninstall"):
        plugins.task("mini-arithmetic")


def test_the_sources_of_a_task_are_its_file_and_the_siblings_it_draws_on() -> None:
    task = plugins.task("mini-judge")
    names = [Path(path).name for path in plugins.source_files(task.samples.__module__)]
    assert {"mini_judge.py", "mini_chat.py", "_mini_chat.py"} <= {*names}
    assert "mini_tools.py" not in names


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (lambda: plugins.task("mini-arithmetik"), "unknown task .*did you mean 'mini-arithmetic'"),
        (
            lambda: plugins.task("mmlu-pro", "x"),
            "unknown preset of mmlu-pro 'x'; there are: lighteval, lm",
        ),
        (lambda: plugins.backend("eco"), "unknown backend 'eco'; did you mean 'echo'"),
        (lambda: plugins.trainer("dop"), "unknown training method 'dop'; did you mean 'dpo'"),
        (lambda: plugins.find("reports", "pdf"), "unknown report 'pdf'; there are: "),
    ],
)
def test_an_unknown_name_offers_the_nearest(ask: Callable[[], object], said: str) -> None:
    with pytest.raises(UnknownName, match=said) as caught:
        ask()
    assert caught.value.exit_code == 2


def test_a_preset_changes_what_it_says_and_no_more() -> None:
    plain, preset = plugins.task("mmlu-pro"), plugins.task("mmlu-pro", "two-stage")
    assert preset.preset == "two-stage"
    assert preset.score is not plain.score
    assert preset.samples is plain.samples


FAMILY = """
    from evalkit import Family, Sample, Score, Task

    def samples(rows):
        yield from (Sample(str(i), f"say {i}", str(i)) for i in range(5))

    def score(sample, response):
        return Score(float(response.text == sample.target), response.text)

    def open_(name):
        return [Task(f"many:{name}-{part}", "d", 1, samples, score) for part in name.split("+")]

    FAMILIES = (Family("many", "tasks for tests", open_),)
"""


def test_a_family_makes_its_tasks_when_they_are_named(install: Install) -> None:
    install("evalkit_family", FAMILY)
    exams = sit(TaskSection(name="many:a+b"), None, None)
    assert [exam.label for exam in exams] == ["many:a+b-a", "many:a+b-b"]
    assert len(exams[0].items) == 5
    assert plugins.task("many:x").name == "many:x-x"
    with pytest.raises(ConfigError, match="stands for 2 tasks"):
        plugins.task("many:a+b")
    with pytest.raises(UnknownName, match="did you mean 'many'"):
        plugins.task("mny:a")


def test_a_plugin_that_goes_by_its_module_is_found_without_the_others() -> None:
    asked = "plugins.find('reports', 'json'), plugins.find('backends', 'echo')"
    code = f"import sys; from evalkit import plugins; {asked}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {*done.stdout.split()}
    assert {"evalkit.reports.json", "evalkit.backends.echo"} <= loaded
    assert not {"evalkit.reports.markdown", "evalkit.backends.openai_api"} & loaded


def test_a_checkout_that_is_not_installed_says_so_in_one_line() -> None:
    code = """
        import sys
        sys.meta_path = [each for each in sys.meta_path if "editable" not in str(each)]
        from evalkit import plugins
        plugins.find("tasks", "ifeval")
    """
    root = Path(__file__).parents[1]
    words = [sys.executable, "-c", dedent(code)]
    done = subprocess.run(words, capture_output=True, text=True, cwd=root, check=False)
    assert "EvalkitError: evalkit is not installed, only checked out" in done.stderr


@pytest.mark.parametrize("kind", ["reports", "backends"])
def test_every_renderer_and_backend_goes_by_its_module(kind: str) -> None:
    for name, plugin in plugins.all_plugins(kind).items():
        assert plugins._in_own_module(kind, name) is plugin
