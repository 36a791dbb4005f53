"""Asks the official checker of BFCL, in its own environment: a case a line, an answer a line.

A program, run by the environment's Python: it imports nothing of evalkit.  What it needs of the
official registry of models, which imports every vendor's package, is whether dots in names were
replaced: a model is called `fc` here, or `prompt`.
"""

from __future__ import annotations

import json
import sys
from contextlib import redirect_stdout
from io import StringIO
from types import ModuleType, SimpleNamespace
from typing import Any


def registry() -> ModuleType:
    """What stands for the official registry."""
    module = ModuleType("bfcl_eval.constants.model_config")
    known = {name: SimpleNamespace(underscore_to_dot=name == "fc") for name in ("fc", "prompt")}
    vars(module)["MODEL_CONFIG_MAPPING"] = known
    return module


sys.modules["bfcl_eval.constants.model_config"] = registry()

from bfcl_eval.constants.enums import Language, ModelStyle, ReturnFormat  # noqa: E402
from bfcl_eval.constants.type_mappings import GORILLA_TO_OPENAPI  # noqa: E402
from bfcl_eval.eval_checker.ast_eval.ast_checker import ast_checker  # noqa: E402
from bfcl_eval.eval_checker.ast_eval.type_convertor.java_type_converter import (  # noqa: E402
    java_type_converter,
)
from bfcl_eval.eval_checker.ast_eval.type_convertor.js_type_converter import (  # noqa: E402
    js_type_converter,
)
from bfcl_eval.model_handler import utils as handler  # noqa: E402
from bfcl_eval.utils import (  # noqa: E402
    is_empty_output,
    is_function_calling_format_output,
    load_dataset_entry,
)


def language(category: str) -> str:
    """The language of a category, as the official runner tells it."""
    return "javascript" if "javascript" in category else "java" if "java" in category else "python"


def decoded(case: dict[str, Any]) -> Any:
    """The calls of an answer; raises whatever the official decoding raises."""
    if "calls" in case:
        return [{name: json.loads(arguments)} for name, arguments in case["calls"]]
    written_in = ReturnFormat(language(case["category"]))
    return handler.default_decode_ast_prompting(case["text"], written_in)


def verdict(case: dict[str, Any]) -> dict[str, Any]:
    """Whether the answer is right, and what the official code said or raised."""
    category = case["category"]
    try:
        calls = decoded(case)
    except (Exception, RecursionError) as error:
        return {"valid": "irrelevance" in category, "said": f"decoder: {error}"[:200]}
    if "relevance" in category:
        called = not is_empty_output(calls)
        return {"valid": called != ("irrelevance" in category), "said": repr(calls)[:200]}
    if not is_function_calling_format_output(calls):
        return {"valid": False, "said": f"format: {calls!r}"[:200]}
    model = "fc" if "calls" in case else "prompt"
    spoken = Language(language(category))
    try:
        found = ast_checker(case["functions"], calls, case["truths"], spoken, category, model)
    except Exception as error:
        return {"valid": False, "said": f"crash: {error!r}"[:200]}
    return {"valid": found["valid"], "said": str(found.get("error"))[:200]}


def read(case: dict[str, Any]) -> dict[str, Any]:
    """What the official decoding makes of a text."""
    try:
        return {"read": repr(decoded(case))}
    except (Exception, RecursionError) as error:
        return {"read": "", "said": f"{error}"[:200]}


def converted(case: dict[str, Any]) -> dict[str, Any]:
    """What the official conversion makes of a literal of Java or JavaScript."""
    convert = java_type_converter if case["language"] == "java" else js_type_converter
    return {"value": repr(convert(case["literal"], case["declared"], case["element"] or None))}


def asked(category: str) -> dict[str, Any]:
    """How every question of a category is asked, by its id."""
    found = {}
    for entry in load_dataset_entry(category):
        tools = handler.convert_to_tool(
            entry["function"], GORILLA_TO_OPENAPI, ModelStyle.OPENAI_COMPLETIONS
        )
        turns = handler.system_prompt_pre_processing_chat_model(
            [dict(turn) for turn in entry["question"][0]], entry["function"], entry["id"]
        )
        found[entry["id"]] = {"turns": turns, "tools": tools}
    return found


def answer(case: dict[str, Any]) -> dict[str, Any]:
    """The answer to one line: what is asked for, read, converted or judged."""
    if "asked" in case:
        return asked(case["asked"])
    if "literal" in case:
        return converted(case)
    return verdict(case) if "truths" in case else read(case)


def main() -> None:
    """Answers the lines that come in."""
    for line in sys.stdin:
        with redirect_stdout(StringIO()):
            found = answer(json.loads(line))
        sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
