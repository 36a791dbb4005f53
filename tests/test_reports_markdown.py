"""The comment on a pull request, read by a Markdown parser."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from evalkit.verdict import Report
from reports._markdown import code, prose
from reports.markdown import render
from tests.sample_report import hostile_report, sample_report

PARSER = MarkdownIt("commonmark").enable("table").enable("strikethrough")
OURS = {"<code>", "</code>"}
HOSTILE = [
    "a|b",
    "a\\|b",
    "a\\",
    "|",
    "`code`",
    "``",
    "**bold** _it_ ~~no~~",
    "<script>alert(1)</script>",
    "<!-- comment",
    "</details>",
    "[text](https://example.org)",
    "![image](x.png)",
    "# heading",
    "- list",
    "1. list",
    "> quote",
    "new\nline\n\n## heading",
    "&lt;b&gt; &#124;",
    "    indented",
    "---",
    "https://example.org",
]


def tokens(text: str) -> list[Token]:
    """All tokens, those inside of lines too."""
    return [inner for token in PARSER.parse(text) for inner in [token, *(token.children or [])]]


def kinds(text: str) -> list[str]:
    """What a reader sees of structure: the parsed tokens without their text."""
    neutral = ("text", "text_special", "code_inline", "html_inline")
    return [token.type for token in tokens(text) if token.type not in neutral]


def shown(text: str) -> str:
    """What a reader sees of one line."""
    seen = ("text", "text_special", "code_inline")
    return "".join(token.content for token in tokens(text) if token.type in seen)


@pytest.mark.parametrize("name", HOSTILE)
def test_no_name_changes_the_structure_of_the_page(name: str) -> None:
    assert kinds(render(hostile_report(name))) == kinds(render(hostile_report("name")))


@given(name=st.text(st.sampled_from("ab1 |\\`*_<>&#[]()!~-+.:\n\"'$@/"), min_size=1, max_size=12))
@settings(max_examples=150, deadline=None)
def test_nothing_made_of_punctuation_does_either(name: str) -> None:
    page = render(hostile_report("x" + name))
    assert kinds(page) == kinds(render(hostile_report("name")))
    assert {t.content for t in tokens(page) if t.type == "html_inline"} <= OURS


@given(name=st.text(st.characters(codec="ascii", categories=["L", "N", "P", "S"]), min_size=1))
@settings(max_examples=150, deadline=None)
def test_a_name_is_read_as_it_was_written(name: str) -> None:
    assert shown(code(name)).replace("\u200b", "") == name
    assert shown(f"| {code(name)} |\n|--|\n").replace("\u200b", "") == name
    assert shown(f"x {prose(name)}").replace("\u200b", "") == f"x {name}"


@pytest.mark.parametrize("text", ["@everyone", "owner/repo#12", "see #7", "GH-7"])
def test_no_text_notifies_anybody(text: str) -> None:
    assert text not in prose(text).replace("\\", "").replace("&#64;", "@")


def test_the_headline_comes_first_then_a_line_for_each_candidate() -> None:
    lines = render(sample_report()).splitlines()
    assert lines[0] == "## ▼ evalkit: regressed"
    assert [line[:14] for line in lines[2:7]] == [
        "- ▼ **`sft`** ",
        "- ? **`dpo`** ",
        "- ▼ **`grpo`**",
        "- ? **`dpo`** ",
        "- ▼ **`grpo`**",
    ]


def test_tables_against_parents_are_folded_and_come_last() -> None:
    lines = render(sample_report()).splitlines()
    parents = [place for place, line in enumerate(lines) if "against its parent" in line]
    heads = [place for place, line in enumerate(lines) if line.startswith("### ")]
    assert len(parents) == 2
    assert all(lines[place].startswith("<details><summary>") for place in parents)
    assert max(heads) < min(parents)


def test_every_fold_is_closed() -> None:
    page = render(sample_report())
    assert page.count("<details") == page.count("</details>") > 5


def test_every_table_row_has_all_its_columns() -> None:
    for token_rows in _tables(render(sample_report())):
        assert len(set(token_rows)) == 1


def _tables(page: str) -> list[list[int]]:
    counts: list[list[int]] = []
    for token in PARSER.parse(page):
        if token.type == "table_open":
            counts.append([])
        elif token.type == "tr_open":
            counts[-1].append(0)
        elif token.type in ("th_open", "td_open"):
            counts[-1][-1] += 1
    assert len(counts) > 6
    return counts


def test_the_page_says_how_the_answers_ended_and_where_checkpoints_come_from() -> None:
    page = render(sample_report())
    assert "| `sft` | `base` | `mmlu-pro` | unparsed | 1,251 | 1,865 | 417 |" in page
    assert "| `grpo` | `dpo` | grpo |" in page
    assert "not comparable: judge: small and large" in page


def test_a_report_of_nothing_says_so() -> None:
    page = render(Report(baseline="base", verdict="invalid", exit_code=4))
    assert "Nothing was measured." in page
