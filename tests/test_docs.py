"""The documents say what is so: commands run, YAML loads, links lead somewhere."""

from __future__ import annotations

import ast
import glob
import inspect
import json
import re
import runpy
import shlex
import shutil
from collections.abc import Iterator
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import click
import pytest
from click.testing import CliRunner
from pydantic import BaseModel

from evalkit import plugins
from evalkit.cli import cli
from evalkit.configuration import config, sections
from evalkit.errors import EvalkitError
from tests import chat_server, forge_server
from trainers.pretrain import Args
from trainers.reference import ARGS, PPO

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)

RUN_ELSEWHERE = ("make ", ". .venv/bin/activate", "evalkit view ")
"""What CI runs itself, and what runs until it is stopped; all else in a `sh` block is run here."""

NO_MODEL = """
baseline: base
checkpoints:
  - {name: base, backend: {name: echo, skill: 0.9}}
  - {name: sft, backend: {name: echo, skill: 0.4}, parent: base}
  - {name: grpo, backend: {name: echo, skill: 0.7}, parent: sft}
tasks: [mini-arithmetic, mini-instruct]
"""
"""In place of the quickstart: checkpoints of its names that need no training."""

MMLU_PRO = "\nbackend: echo\ndata: {mmlu-pro: rows.jsonl}\n"
"""Added to the README's own YAML, so that it needs neither weights nor the hub."""

SECTIONS: dict[str, type[BaseModel]] = {
    "The file": sections.Config,
    "checkpoints": sections.CheckpointSection,
    "retrieval": sections.RetrievalSection,
    "pipeline": sections.StageSection,
    "backend": sections.BackendSection,
    "executor": sections.ExecutorSection,
    "judge": sections.JudgeSection,
    "prices": sections.PriceSection,
    "tasks": sections.TaskSection,
    "sampling": sections.SamplingSection,
    "gate": sections.GateSection,
}


NO_WEIGHTS = ("transformers_local", "echo")
"""In place of the page's own backend: the models that are watched here are none."""


def _model(folder: Path, last: int) -> None:
    """Files that are whole by what they say of themselves, and are no model."""
    folder.mkdir(parents=True)
    header = json.dumps({"w": {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]}}).encode()
    content = len(header).to_bytes(8, "little") + header + bytes([last])
    (folder / "model.safetensors").write_bytes(content)
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        (folder / name).write_text('{"model_type": "none"}')


def blocks(name: str, language: str) -> list[str]:
    text = (ROOT / name).read_text()
    return [body for kind, body in FENCE.findall(text) if kind == language]


def commands(name: str) -> Iterator[tuple[str, int]]:
    """The commands of a page's `sh` blocks, each with the exit code it is said to have."""
    for block in blocks(name, "sh"):
        for line in block.splitlines():
            command, _, remark = line.partition("#")
            code = re.search(r"exits (\d)", remark)
            yield command.strip(), int(code[1]) if code else 0


def graded(body: dict[str, Any]) -> dict[str, Any]:
    """A judge that says what the documents' rubrics ask for, and is not easily pleased."""
    return {"text": "[[C]]" if "Reply A:" in body["messages"][-1]["content"] else "[[1]]"}


def write_judged(folder: Path, address: str) -> None:
    """The files of the page on judging, with a judge that is near."""
    for name, rubric in zip(
        ("helpful.md", "better.md"), blocks("docs/judging.md", "markdown"), strict=True
    ):
        (folder / name).write_text(rubric)
    (config,) = blocks("docs/judging.md", "yaml")
    (folder / "judged.yaml").write_text(config.replace("https://api.openai.com/v1", address))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder in which every documented command works, without a model."""
    with (
        chat_server.serving(chat_server.ChatServer(answering=graded)) as judge,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv("OPENAI_API_KEY", "of the tests")
        folder = tmp_path_factory.mktemp("documented")
        write_judged(folder, judge.base_url)
        yield documented(folder)


def write_own(folder: Path) -> None:
    """The files of the page on benchmarks of one's own, and data that were trained on."""
    page = "docs/own-benchmarks.md"
    (folder / "own.yaml").write_text(blocks(page, "yaml")[0])
    (folder / "tickets.jsonl").write_text(blocks(page, "json")[0])
    for name, code in zip(("my_benchmark", "my_contest"), blocks(page, "python"), strict=True):
        (folder / f"{name}.py").write_text(code)
    (folder / "contest.yaml").write_text(blocks(page, "yaml")[-1])
    told = [{"text": "Hello."}, {"prompt": "I was charged twice."}, {"text": "Bye."}]
    (folder / "train.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in told))


def documented(folder: Path) -> Path:
    """The files and results that the documents speak of."""
    (folder / "examples").mkdir()
    gate = next(block for block in blocks("docs/tutorial.md", "yaml") if "margins" in block)
    (folder / "examples/quickstart.yaml").write_text(NO_MODEL + gate)
    chain = next(block for block in blocks("docs/series.md", "yaml") if "step-3" in block)
    (folder / "chain.yaml").write_text(chain)
    (battles,) = blocks("docs/series.md", "json")
    (folder / "battles.jsonl").write_text(battles)
    (folder / "my.yaml").write_text(blocks("README.md", "yaml")[0] + MMLU_PRO)
    shutil.copytree(ROOT / "tests/fixtures/interchange/lm-eval", folder / "logs")
    (folder / "imported.yaml").write_text(blocks("docs/interchange.md", "yaml")[0])
    write_own(folder)
    (folder / "watch.yaml").write_text(blocks("docs/watching.md", "yaml")[0].replace(*NO_WEIGHTS))
    for path, last in (("models/mine", 1), ("runs/grpo/checkpoint-200", 2)):
        _model(folder / path, last)
    (folder / "runs/grpo/checkpoint-200/trainer_state.json").write_text('{"global_step": 200}')
    with (folder / "rows.jsonl").open("w") as rows:
        for number in range(300):
            row = {"question_id": number, "question": f"Which is {number}?", "answer": "B"}
            rest = {"options": [f"{number + 1}", f"{number}"], "answer_index": 1}
            more = {"category": "math", "cot_content": "", "src": ""}
            rows.write(json.dumps(row | rest | more) + "\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        whole = ["run-matrix", "examples/quickstart.yaml", "--results", "results/quickstart"]
        assert CliRunner().invoke(cli, whole).exit_code == 0
    return folder


@pytest.fixture
def job(place: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The environment of a CI job, with a forge of its own; and a quick store for MLflow."""
    with forge_server.serving(forge_server.ForgeServer()) as forge:
        monkeypatch.setenv("GITHUB_API_URL", forge.url)
        monkeypatch.setenv("GITHUB_REPOSITORY", "o/r")
        monkeypatch.setenv("GITHUB_TOKEN", "bot-token")
        monkeypatch.setenv("MLFLOW_TRACKING_URI", (place / "mlruns").as_uri())
        monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
        yield


@pytest.mark.usefixtures("job")
@pytest.mark.parametrize("name", NAMES)
def test_every_command_in_the_documents_runs(
    name: str, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place)
    for command, code in commands(name):
        if command.startswith(RUN_ELSEWHERE):
            continue
        program, *words = shlex.split(command)
        assert program == "evalkit", f"{name}: nothing runs {command!r}"
        arguments = [path for word in words for path in glob.glob(word) or [word]]
        result = CliRunner().invoke(cli, arguments, catch_exceptions=True)
        assert not isinstance(result.exception, EvalkitError), f"{command}: {result.exception}"
        assert result.exit_code == code, f"{command}: exit {result.exit_code}\n{result.output}"


def test_the_commands_of_the_frameworks_are_those_that_are_emitted() -> None:
    """Each is shown word for word, as in the golden files."""
    golden = "".join(path.read_text() for path in (ROOT / "tests/golden/frameworks").iterdir())
    emitted = " ".join(golden.replace("\\\n", "").split())
    shown = blocks("docs/frameworks.md", "text")
    assert len(shown) == 3
    for block in shown:
        assert " ".join(block.split()) in emitted


def test_the_page_of_the_frameworks_has_every_option_and_every_method() -> None:
    table = {cells[0]: cells[1].strip("`") for cells in _cells("docs/frameworks.md", "option")}
    assert table.pop("name") == "required"
    launched = {n: t for n, t in plugins.all_plugins("trainers").items() if t.launched}
    assert table == {n: json.dumps(v) for n, v in launched["verl"].options.items()}
    methods = _cells("docs/frameworks.md", "method")
    for column, trainer in enumerate(("openrlhf", "verl", "nemo-rl"), 1):
        rows = ",".join(cells[0] for cells in methods if cells[column] == "✓")
        assert {name.strip("` ") for name in rows.split(",")} == {*launched[trainer].methods}


def test_every_line_of_the_notebook_runs(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    names: dict[str, Any] = {}
    shown = 0
    for block in blocks("docs/notebook.md", "python"):
        code = ast.parse(block)
        last = code.body.pop()
        exec(compile(code, "docs/notebook.md", "exec"), names)
        if isinstance(last, ast.Expr):
            found = eval(compile(ast.Expression(last.value), "docs/notebook.md", "eval"), names)
            assert len(found) > 0, block
            shown += 1
        else:
            exec(compile(ast.Module([last], []), "docs/notebook.md", "exec"), names)
    assert shown == 5 + 1


def test_the_words_run_elsewhere_are_words_of_the_makefile() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for name in NAMES:
        for said in re.findall(r"(?:^|`)make (?:[A-Z_]+=\S+ )?([a-z-]+)", _text(name), re.M):
            assert f"\n{said}:" in makefile, f"{name}: make {said}"


@pytest.mark.parametrize("name", NAMES)
def test_every_yaml_in_the_documents_is_a_configuration(name: str, tmp_path: Path) -> None:
    for number, block in enumerate(blocks(name, "yaml")):
        given = {line.partition(":")[0] for line in block.splitlines()}
        filled = {
            "baseline": "baseline: base\n",
            "checkpoints": "checkpoints: [{name: base, backend: echo}]\n",
            "tasks": "tasks: [mini-arithmetic, mini-instruct]\n",
        }
        path = tmp_path / f"{number}.yaml"
        path.write_text(block + "".join(line for key, line in filled.items() if key not in given))
        loaded = config.load(path)
        assert set(loaded.config.model_fields_set) >= given & set(sections.Config.model_fields)


def test_the_readmes_own_yaml_has_eight_lines_and_every_name_in_it_exists(place: Path) -> None:
    from evalkit.configuration.resolve import resolve

    (yaml,) = blocks("README.md", "yaml")
    assert len(yaml.splitlines()) == 8
    matrix = resolve(config.load(place / "my.yaml"))
    assert [row.checkpoint.name for row in matrix.rows] == ["base", "sft", "dpo"]


@pytest.mark.parametrize("name", NAMES)
def test_every_link_leads_to_a_file_and_a_heading(name: str) -> None:
    page = ROOT / name
    text = re.sub(FENCE, "", page.read_text())
    for target in re.findall(r"\]\(([^)\s]+)\)|src=\"([^\"]+)\"", text):
        path, _, anchor = "".join(target).partition("#")
        if path.startswith("http"):
            continue
        found = (page.parent / path).resolve() if path else page
        assert found.exists(), f"{name} links {path}"
        assert not anchor or anchor in _anchors(found), f"{name} links {path}#{anchor}"


@pytest.mark.parametrize("name", NAMES)
def test_no_document_speaks_of_a_file_that_is_not_there(name: str) -> None:
    mentioned = re.findall(r"`((?:[\w.-]+/)+[\w.-]+\.(?:py|md|ya?ml|json|svg|toml))`", _text(name))
    mine = ("evalkit", "tasks", "trainers", "reports", "tests", "docs", "examples", "benchmarks")
    for path in mentioned:
        if path.partition("/")[0] in mine:
            assert (ROOT / path).exists(), f"{name} speaks of {path}"


def test_the_picture_in_the_readme_is_a_whole_report() -> None:
    (source,) = re.findall(r'<img src="([^"]+)"', _text("README.md"))
    root = ElementTree.parse(ROOT / source).getroot()
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    words = "".join(root.itertext()).replace("\xa0", " ")
    for said in ("sft against base", "regressed", "improved", "mini-arithmetic"):
        assert said in words


def test_the_report_read_in_the_tutorial_is_the_one_in_the_picture() -> None:
    root = ElementTree.parse(ROOT / "docs/report.svg").getroot()
    drawn = "".join("".join(root.itertext()).split())
    lines = blocks("docs/tutorial.md", "text")[0].splitlines()
    assert len(lines) > 5
    for line in lines:
        assert "".join(line.split()) in drawn, line


def test_the_reference_of_the_commands_is_what_they_say() -> None:
    page = runpy.run_path(str(ROOT / "docs/generate_cli.py"))["reference"]()
    assert _text("docs/cli.md") == page, "run `make docs`"
    for name in cli.list_commands(click.Context(cli)):
        assert f"\n## evalkit {name}\n\n```text\nUsage: evalkit {name} " in page


@pytest.mark.parametrize("heading", SECTIONS)
def test_the_configuration_page_has_every_key_with_its_default(heading: str) -> None:
    table = {cells[0]: cells[2] for cells in _table(heading)}
    fields = SECTIONS[heading].model_fields
    assert list(table) == list(fields)
    for key, field in fields.items():
        if field.is_required() or table[key] == "required":
            assert field.is_required(), f"{heading}.{key}"
            assert table[key] == "required", f"{heading}.{key}"
        elif _is_plain(field.default):
            assert table[key].strip("`") == json.dumps(field.default), f"{heading}.{key}"


@pytest.mark.parametrize("backend", sorted(plugins.all_plugins("backends")))
def test_the_configuration_page_has_every_option_of_a_backend(backend: str) -> None:
    options = plugins.backend(backend).options
    assert f"\n### {backend}\n" in _text("docs/configuration.md")
    table = {cells[0]: cells[1].strip("`") for cells in _table(backend)} if options else {}
    assert table == {name: json.dumps(default) for name, default in options.items()}


def test_the_configuration_page_has_every_argument_of_pretraining() -> None:
    table = {cells[0]: cells[1].strip("`") for cells in _table("pipeline", "argument")}
    assert table == {name: json.dumps(default) for name, default in asdict(Args()).items()}


def test_the_pages_name_every_method_and_renderer() -> None:
    methods = [m for trainer in plugins.all_plugins("trainers").values() for m in trainer.methods]
    renderers = [name for name in plugins.all_plugins("reports") if name != "json"]
    for page, names in (("training", methods), ("configuration", renderers)):
        text = _text(f"docs/{page}.md")
        for name in names:
            assert f"`{name}`" in text or f"[{name}]" in text, name


@pytest.mark.parametrize(("column", "method"), [(1, "reinforce"), (2, "ppo")])
def test_the_training_page_has_every_argument_of_the_reference_methods(
    column: int, method: str
) -> None:
    rows = re.findall(r"^\| `(\w+)` \|(.*?)\|(.*?)\|", _text("docs/training.md"), re.M)
    known = {name: json.dumps(value) for name, value in asdict(ARGS[method]()).items()}
    told = {row[0]: row[column].strip().strip("`") for row in rows if row[0] in asdict(PPO())}
    assert {name: value for name, value in told.items() if value} == known


def test_the_page_on_ones_own_benchmarks_has_every_scorer_with_its_options() -> None:
    text = _text("docs/own-benchmarks.md")
    for name, scorer in plugins.all_plugins("scorers").items():
        (row,) = re.findall(rf"^\| `{name}` .*$", text, re.M)
        shared = ("ignore_case", "ignore_punctuation") if name == "regex" else ()
        for option in inspect.signature(scorer.make).parameters:
            assert f"`{option}`" in row or option in shared, f"{name}: {option}"


def test_every_task_is_described_with_its_domain() -> None:
    text = _text("docs/benchmarks.md")
    for name, task in plugins.all_plugins("tasks").items():
        assert f"`{name}`" in text or name in text.lower(), name
        assert f"`{task.domain}`" in text, name


def test_the_statistics_page_names_functions_that_exist() -> None:
    named = set(re.findall(r"`([a-z]+)\.([a-z_0-9]+)`", _text("docs/statistics.md")))
    named -= {("evalkit", "stats")}
    assert len(named) > 15
    for module, function in named:
        assert callable(getattr(import_module(f"evalkit.stats.{module}"), function))


def _text(name: str) -> str:
    return (ROOT / name).read_text()


def _is_plain(default: object) -> bool:
    """Whether a default is written as such, and not in words."""
    return default not in (None, "") and isinstance(default, str | int | float | bool)


def _table(heading: str, first: str = "") -> list[list[str]]:
    """The rows of a section's table, the first one or that whose first column is called so."""
    text = _text("docs/configuration.md")
    section = re.split(rf"^##+ {re.escape(heading)}$", text, flags=re.M)[1]
    section = re.split(r"^##", section, flags=re.M)[0]
    tables = re.findall(r"(?:^\|.*\n)+", section, re.M)
    rows = next(table for table in tables if table.startswith(f"| {first}")).splitlines()[2:]
    split = [[cell.strip() for cell in row.strip("|").split(" | ")] for row in rows]
    return [[cells[0].strip("` "), *cells[1:]] for cells in split]


def _cells(name: str, first: str) -> list[list[str]]:
    """The rows of a page's table, that whose first column begins so; marks of code are left out."""
    tables = re.findall(r"(?:^\|.*\n)+", _text(name), re.M)
    rows = next(table for table in tables if table.startswith(f"| {first}")).splitlines()[2:]
    return [[cell.strip("` ") for cell in row[1:-1].split("|")] for row in rows]


def _anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
