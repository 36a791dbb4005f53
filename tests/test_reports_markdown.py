"""The comment on a pull request, read by a Markdown parser."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from evalkit.verdict import (
    CandidateVerdict,
    CellVerdict,
    CheckpointNote,
    CheckpointScore,
    DomainVerdict,
    Outcome,
    Report,
)
from reports._markdown import code, prose
from reports.markdown import render
from tests.sample_report import hostile_report, pair, sample_report

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
    assert lines[:2] == ["<!-- evalkit:report -->", "## ▼ evalkit: regressed"]
    assert [line[:14] for line in lines[3:8]] == [
        "- ▼ **`sft`** ",
        "- ? **`dpo`** ",
        "- ▼ **`grpo`**",
        "- ? **`dpo`** ",
        "- ▼ **`grpo`**",
    ]


def test_before_anything_is_unfolded_there_is_what_changed_the_worst_first() -> None:
    shown = render(sample_report()).partition("<details")[0]
    marks = [line[2] for line in shown.splitlines() if line.startswith("| ") and line[2] in "▼✕?▲"]
    assert "".join(marks) == "▼▼▼▼✕??▲▲▲"
    assert "against `sft`" not in shown.partition("| --")[2]  # told against the baseline already
    assert "\n… and 2 rows more that changed or hold up, none of them worse.\n" in shown


def test_the_page_says_how_to_see_the_samples_of_the_worst_row() -> None:
    command = "`evalkit show mini-chat/grpo --against base --lost 3`"
    assert f"\nWhat both answered: {command}\n" in render(sample_report())
    report = sample_report()
    seeds = [
        CheckpointScore(
            checkpoint="grpo", task="mini-chat", domain="chat", n=9, cells=["a/b", "a/c"]
        )
    ]
    page = render(report.model_copy(update={"scores": seeds}))
    assert "What both answered: `evalkit show mini-choice/sft --against base --lost 3`" in page


def test_every_table_is_folded_and_those_against_parents_come_last() -> None:
    lines = render(sample_report()).splitlines()
    folds = [line for line in lines if " against " in line and line.startswith("<details>")]
    assert [" against its parent " in fold for fold in folds] == [False, False, False, True, True]


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
    assert "| `grpo` | `dpo` | grpo |  |" in page
    assert "not comparable: judge: small and large" in page


def test_a_report_of_nothing_says_so() -> None:
    page = render(Report(baseline="base", verdict="invalid", exit_code=4))
    assert "Nothing was measured." in page


def large(candidates: int, tasks: int, text: str = "") -> Report:
    """A matrix whose last task of the last domain is the one that regressed by most."""
    verdicts: tuple[Outcome, ...] = ("improved", "no_regression", "inconclusive")
    found = []
    for number in range(candidates):
        units = [
            pair(f"{text}domain-{i // 4}", verdicts[i % 3], 20, 20 + i) for i in range(tasks - 1)
        ]
        units.append(pair(f"{text}domain-{(tasks - 1) // 4}", "regressed", 200, number % 50))
        cells = [
            CellVerdict(**unit, task=f"{text}task-{i}", n=300, flags=[text] * 9)
            for i, unit in enumerate(units)
        ]
        found.append(
            CandidateVerdict(
                name=f"sft@{number}{text}",
                against="base",
                verdict="regressed" if number == candidates - 1 else "inconclusive",
                exit_code=1,
                domains=[DomainVerdict(**unit) for unit in units[::4]],
                cells=cells,
            )
        )
    notes = [CheckpointNote(name=each.name, identity="0f" * 32) for each in found]
    return Report(
        baseline="base",
        verdict="regressed",
        exit_code=1,
        candidates=found,
        checkpoints=notes,
        notes=[text] * 30,
    )


@pytest.mark.parametrize("text", ["", "|<&#" * 300, "名前" * 300], ids=["plain", "escaped", "wide"])
@pytest.mark.parametrize(("candidates", "tasks"), [(1, 4), (5, 20), (30, 40), (200, 30)])
def test_a_page_is_never_longer_than_github_takes(candidates: int, tasks: int, text: str) -> None:
    page = render(large(candidates, tasks, text))
    assert len(page.encode("utf-16-le")) // 2 + 500 < 65_536
    assert page.count("<details") == page.count("</details>") > 1
    assert "sft@" in page


def test_what_is_left_out_for_length_is_counted_and_the_worst_is_kept() -> None:
    page = render(large(200, 30))
    assert f"- ▼ **`sft@{199}`** against" in page  # the only one that regressed, the last of all
    tables = page.split("<details><summary>")[1:]
    shown = sum(" against " in fold.partition("</summary>")[0] for fold in tables)
    assert f"… and {200 - shown} tables more, left out for length." in page
    table = next(fold for fold in tables if fold.startswith("▼"))
    kept = sum(line.startswith("| ") for line in table.splitlines()) - 1
    assert "▼ regressed" in table
    assert f"… and {8 + 30 - kept} rows more, none of them worse, left out for length." in table
    assert "Left out for length: how the answers ended" in page


def test_a_page_that_fits_leaves_nothing_out() -> None:
    page = render(large(3, 8))
    assert "left out" not in page.lower()
    assert "Lineage of the checkpoints" in page


def test_a_large_matrix_is_cut_down_without_rendering_it_whole_first() -> None:
    report = large(200, 30)
    before = time.process_time()
    render(report)
    assert time.process_time() - before < 5
