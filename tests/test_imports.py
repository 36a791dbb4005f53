"""Who may import whom, and what may never be imported before it is needed."""

from __future__ import annotations

import ast
import resource
import statistics
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LEAVES = ("tasks", "trainers", "reports")
SOURCES = sorted(
    path
    for folder in ("evalkit", *LEAVES)
    for path in (ROOT / folder).rglob("*.py")
    if "__pycache__" not in path.parts
)
HEAVY = (
    *("torch", "transformers", "trl", "datasets", "accelerate", "peft", "vllm", "ray", "openai"),
    *("pandas", "matplotlib", "lm_eval", "scipy.stats"),
)
LATE = (*HEAVY, "pydantic", "yaml", "numpy", "scipy", "pyarrow", "aiohttp", "rich", "jinja2")


def within(module: str, packages: tuple[str, ...]) -> bool:
    return any(module == package or module.startswith(f"{package}.") for package in packages)


def imported(node: ast.AST) -> list[str]:
    """The modules an import statement names; relative ones with their dots."""
    if isinstance(node, ast.Import):
        return [name.name for name in node.names]
    if isinstance(node, ast.ImportFrom):
        base = "." * node.level + (node.module or "")
        return [base, *(f"{base}.{name.name}" for name in node.names)]
    return []


def always(tree: ast.AST) -> Iterator[ast.AST]:
    """The statements that run when a module is imported, type checking left out."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            yield from (inner for other in node.orelse for inner in [other, *always(other)])
            continue
        yield node
        yield from always(node)


def imports(path: Path, *, late: bool) -> set[str]:
    """Every module a file imports, or only those it imports when it is imported."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    nodes = ast.walk(tree) if late else always(tree)
    return {module for node in nodes for module in imported(node)}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_one_way_and_heavy_ones_come_late(path: Path) -> None:
    folder = path.relative_to(ROOT).parts[0]
    every = imports(path, late=True)
    leaves = (*LEAVES, *(f"evalkit.{leaf}" for leaf in LEAVES))
    others = tuple(leaf for leaf in leaves if leaf != folder)
    assert not [module for module in every if within(module, others)]
    if folder == "evalkit":
        assert not [module for module in every if module.startswith("..")]
    assert not [module for module in imports(path, late=False) if within(module, HEAVY)]


def test_the_reader_of_imports_sees_what_it_should() -> None:
    source = (
        "import a\nif TYPE_CHECKING:\n    import b\nelse:\n    import c\n"
        "class X:\n    import d\n    def f(self):\n        import e\n"
        "try:\n    from .g import h\nexcept ImportError:\n    pass\n"
    )
    found = {module for node in always(ast.parse(source)) for module in imported(node)}
    assert found == {"a", "c", "d", ".g", ".g.h"}
    assert len(SOURCES) > 40


def test_the_packages_listed_are_the_folders_there_are() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    folders = {path.parent.relative_to(ROOT) for path in SOURCES if path.name == "__init__.py"}
    names = {
        ".".join(folder.parts if folder.parts[0] == "evalkit" else ("evalkit", *folder.parts))
        for folder in folders
    }
    assert names == set(settings["packages"])
    assert {Path(folder) for folder in settings["package-dir"].values()} <= folders
    assert {path.parent for path in SOURCES} == {ROOT / folder for folder in folders}


def test_every_room_says_what_it_is_for_in_the_architecture() -> None:
    told = (ROOT / "docs/architecture.md").read_text()
    for path in SOURCES:
        if path.name == "__init__.py" and path.parent.parent in (ROOT, ROOT / "evalkit"):
            about = ast.get_docstring(ast.parse(path.read_text())) or ""
            first = " ".join(about.split("\n\n")[0].split()).rstrip(".")
            folder = path.parent.relative_to(ROOT).as_posix()
            assert folder == "evalkit" or f"| `{folder}/` | {first} |" in told, folder


HELP = "import sys; sys.argv = ['evalkit', '--help']; from evalkit.cli import main; main()"


def test_help_imports_nothing_that_it_does_not_show() -> None:
    code = HELP.replace("main()", "")
    code += f"\nloaded = [name for name in {LATE!r} if name in sys.modules]"
    code += "\ntry:\n    main()\nfinally:\n"
    code += f"    sys.exit(str([name for name in {LATE!r} if name in sys.modules]) or 0)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "run-matrix" in done.stdout
    assert done.stderr.strip() == "[]"


def test_help_comes_at_once() -> None:
    def seconds() -> float:  # of CPU: a crowded machine lets everybody wait
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-c", HELP], capture_output=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    assert statistics.median(seconds() for _ in range(3)) < 0.5
