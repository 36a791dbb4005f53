"""`docs/verdict-json.md`, written from the model: `python -m evalkit.reports._reference`."""

from __future__ import annotations

import json
import sys
import types
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from evalkit.verdict import Report

HEAD = """\
# verdict.json

One file says everything that a run has to say; every number of every other report stands in it, and
`scores[].cells` names the cells where the samples lie that some of them show.  The JSON schema is
`evalkit/verdict.schema.json` in the package.

* Scores, deltas, intervals and margins are fractions of the oriented scale, on which higher is
  better: 0.01 is one point.
* Equal reports are equal bytes: fields stand in the order below, counts in the order of names,
  floats with every digit that they have (integral ones as integers).  There are no times, and no
  NaN: what is not known is `null`.
* The file is ASCII.  Strings are exact, whatever they contain; a lone surrogate becomes U+FFFD.
* Of an exam in parts, such as AIME's two years, one cell and one score hold the items of all
  parts: their `parts` name them.  It is judged; each part is displayed only, with the flag `off`.
  Whoever sums over cells or scores leaves out what has `parts`, or counts its items twice.
* `schema_version` is raised when a field changes its meaning or goes; new fields may come without.

```python
import json

report = json.load(open("verdict.json"))
fell = [
    cell["task"]
    for candidate in report["candidates"]
    for cell in candidate["cells"]
    if cell["verdict"] == "regressed"
]
```

This page is generated: `python -m evalkit.reports._reference > docs/verdict-json.md`.
"""
TITLES = {"Report": "The file"}


def reference() -> str:
    """The page: a table of fields for each object in the file, outermost first."""
    return "\n".join([HEAD, *(_section(model) for model in _models(Report))])


def _models(model: type[BaseModel]) -> list[type[BaseModel]]:
    """The model and all that its fields hold, each once, in the order of reading."""
    found: list[type[BaseModel]] = [model]
    for outer in found:
        for field in outer.model_fields.values():
            found += [inner for inner in _inside(field.annotation) if inner not in found]
    return found


def _inside(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in _inside(part)]


def _section(model: type[BaseModel]) -> str:
    name = TITLES.get(model.__name__, model.__name__)
    rows = [_row(*pair) for pair in model.model_fields.items()]
    head = f"## {name}\n\n{model.__doc__}\n\n| field | type | default | |\n|:--|:--|:--|:--|\n"
    return head + "\n".join(rows) + "\n"


def _row(name: str, field: FieldInfo) -> str:
    shown = "required" if field.default is PydanticUndefined else f"`{_default(field.default)}`"
    meaning = (field.description or "").replace("|", "\\|")
    return f"| `{name}` | {_type(field.annotation)} | {shown} | {meaning} |"


def _default(value: object) -> str:
    return json.dumps(value.model_dump() if isinstance(value, BaseModel) else value)


def _type(annotation: Any) -> str:
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return ", ".join(f"`{arg}`" for arg in args)
    if origin is types.UnionType:
        return " or ".join(_type(arg) for arg in args)
    if origin is list:
        return f"list of {_type(args[0])}"
    if origin is tuple:
        return f"[{', '.join(_type(arg) for arg in args)}]"
    if origin is dict:
        return f"{_type(args[0])} → {_type(args[1])}"
    if _inside(annotation):
        return f"[{annotation.__name__}](#{annotation.__name__.lower()})"
    return {str: "string", int: "integer", float: "number", bool: "boolean"}.get(annotation, "null")


if __name__ == "__main__":
    sys.stdout.write(reference())
