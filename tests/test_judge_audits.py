"""How far a judge may be trusted: labels, repeats, order, length, and texts that give it orders."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from evalkit.cli import cli
from evalkit.errors import DataError
from evalkit.events import silent
from evalkit.judging.agreement import kappa
from evalkit.judging.labels import labelled
from evalkit.judging.null_answers import ANSWERS
from evalkit.reporting.report import of_run
from evalkit.run import Held, hold
from evalkit.types import Request, Response
from tests.chat_server import ChatServer, serving
from tests.judges import Judging, better, cell_of, court, essays, judge_at, judged_by, shown
from tests.small_exams import exam


def own(request: Request) -> Response:
    return Response(f"my essay {request.sample.id}")


def reference(request: Request) -> Response:
    return Response(f"essay {request.sample.id}")


MINE = better(lambda text: text.startswith("my"))
ANSWERS_OF = {"base": own, "sft": own}


def ran(answering: Judging, results: Path, **fields: Any) -> Held:
    with serving(ChatServer(answering=answering)) as server:
        return judged_by([judge_at(server)], results, fields.pop("answers", ANSWERS_OF), **fields)


def write(path: Path, rows: list[Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_kappa_is_cohens() -> None:
    from sklearn.metrics import cohen_kappa_score

    pairs = [(1.0, 1.0), (1.0, 0.0), (0.5, 0.5), (0.0, 0.0), (0.0, 0.5), (1.0, 1.0), (0.9, 1.0)]
    words = [[("lost", "tie", "won")[(v > 0.5) - (v < 0.5) + 1] for v in side]
             for side in zip(*pairs, strict=True)]  # fmt: skip
    assert kappa(pairs) == pytest.approx(cohen_kappa_score(*words))
    grades = [(1.0, 2.0), (5.0, 5.0), (7.0, 9.0), (10.0, 10.0), (4.0, 3.0), (6.4, 6.0)]
    first, second = ([round(g) for g in side] for side in zip(*grades, strict=True))
    assert kappa(grades, (1.0, 10.0)) == pytest.approx(
        cohen_kappa_score(first, second, weights="quadratic", labels=range(1, 11))
    )
    assert kappa([]) is None
    assert kappa([(1.0, 1.0), (1.0, 1.0)]) is None  # chance alone would agree as well


def test_labels_of_a_file_say_how_often_the_judge_agrees(tmp_path: Path) -> None:
    rows = [
        {"id": "1", "answer_a": "my best", "answer_b": "worst", "winner": "a"},
        {"id": "2", "answer_a": "worse", "answer_b": "my best", "winner": "b"},
        {"question": "a question of its own", "answer_a": "bad", "answer_b": "poor",
         "winner": "tie"},
        {"id": "3", "answer_a": "my best", "answer_b": "bad", "winner": "b"},
    ]  # fmt: skip
    path = write(tmp_path / "labels.jsonl", rows)
    with serving(ChatServer(answering=MINE)) as server:
        held = judged_by([judge_at(server)], tmp_path / "r", ANSWERS_OF,
                         jury={"labels": {"essays": path}})  # fmt: skip
        asked = server.asked.total()
    (note,) = held.judges
    assert (note.cost.calls, note.audits.calls) == (2 * 12, 2 * 4 + 2 * 2 * 12)
    assert note.cost.calls + note.audits.calls == asked
    assert note.pairs == 4
    assert note.accuracy == 0.75
    assert note.flip_rate == 0.0
    assert note.kappa == pytest.approx(kappa([(1, 1), (0, 0), (0.5, 0.5), (1, 0)]))
    assert note.advisory
    assert note.flags == ["judge_inaccurate"]
    again = ran(MINE, tmp_path / "r", jury={"labels": {"essays": path}})
    assert again.judges == held.judges


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"id": "1", "answer_a": "x", "winner": "a"}, "line 1: no 'answer_b'"),
        ({"id": "77", "answer_a": "x", "answer_b": "y", "winner": "a"}, "no item '77'"),
        ({"id": "1", "answer_a": "x", "answer_b": "y", "winner": "c"}, "no 'c'"),
        ({"answer_a": "x", "answer_b": "y", "winner": "a"}, "no 'question'"),
        ([1], "not an object with named fields"),
    ],
)
def test_a_label_that_cannot_be_used_is_named(tmp_path: Path, row: Any, message: str) -> None:
    path = write(tmp_path / "labels.jsonl", [row])
    with pytest.raises(DataError, match=message):
        labelled(exam(essays()), path)


def test_grades_are_held_against_labelled_grades(tmp_path: Path) -> None:
    from evalkit.judging.written import judged
    from tests.small_exams import doubles

    (tmp_path / "mine.md").write_text("---\nscale: [1, 5]\n---\n{question} {answer} Grade [[3]].")
    task = judged(doubles(12), tmp_path / "mine.md")
    rows = [{"id": str(i), "answer": f"worth {i % 5 + 1}", "score": i % 5 + 1} for i in range(10)]
    path = write(tmp_path / "labels.jsonl", rows)

    def grade(body: dict[str, Any]) -> Mapping[str, Any]:
        worth = re.search(r"worth (\d)", body["messages"][-1]["content"])
        return {"text": f"[[{worth[1] if worth else 1}]]"}

    held = ran(grade, tmp_path / "r", task=task, jury={"labels": {"doubles@mine": path}})
    (note,) = held.judges
    assert (note.kappa, note.accuracy, note.pairs) == (1.0, None, 10)
    with pytest.raises(DataError, match="score 9 is not from 1 to 5"):
        labelled(exam(task), write(path, [{**rows[0], "score": 9}]))


def test_a_judge_that_goes_by_the_order_is_unstable_and_its_cells_say_so(tmp_path: Path) -> None:
    held = ran(lambda body: {"text": "[[A]]"}, tmp_path)
    (note,) = held.judges
    assert (note.turned, note.first_wins) == (1.0, 1.0)
    assert note.flags == ["judge_unstable"]
    assert not note.advisory  # nobody has labelled anything
    report = of_run(held)
    assert "judge_unstable" in report.candidates[0].cells[0].flags
    assert any("100% of its verdicts turn with the order" in said for said in report.notes)


def test_a_judge_that_likes_length_is_told(tmp_path: Path) -> None:
    def longest(body: dict[str, Any]) -> Mapping[str, Any]:
        first, second = shown(body)
        sign = (len(first) > len(second)) - (len(first) < len(second))
        return {"text": {1: "[[A]]", -1: "[[B]]", 0: "[[C]]"}[sign]}

    def any_length(request: Request) -> Response:
        return Response("x" * (3 + 2 * int(request.sample.id)))

    (note,) = ran(longest, tmp_path, answers={"base": any_length, "sft": own}).judges
    assert note.longer_wins == 1.0
    assert note.length_correlation is not None
    assert note.length_correlation > 0.5
    assert note.turned == 0.0


def test_a_judge_that_says_something_else_each_time_is_measured(tmp_path: Path) -> None:
    """The verdict of every third question depends on the seed."""

    def moody(body: dict[str, Any]) -> Mapping[str, Any]:
        number = int(shown(body)[0].split()[-1])
        return {"text": "[[C]]"} if number % 3 == 0 and body["seed"] == 1 else MINE(body)

    with serving(ChatServer(answering=moody)) as server:
        held = judged_by([judge_at(server)], tmp_path, ANSWERS_OF)
        asked = server.asked.total()
        assert asked == 2 * 12 * (1 + 2)  # sft says what base says: its judgments are borrowed
        again = hold(held.matrix, tmp_path, silent)
        assert server.asked.total() == asked
    found = held.judges[0].self_agreement
    assert found is not None
    assert (found.items, found.repeats) == (12, 3)
    assert found.agreement == pytest.approx(8 / 12)
    spread = 1 / 12  # the variance of 1, ½, 1
    assert found.sd == pytest.approx((spread * 4 / 12) ** 0.5)
    assert again.judges == held.judges


def test_at_most_fifty_answers_of_the_baseline_are_judged_again_the_same_ones_each_time(
    tmp_path: Path,
) -> None:
    with serving(ChatServer(answering=MINE)) as server:
        answers = {"base": own, "sft": reference}
        held = judged_by([judge_at(server)], tmp_path, answers, task=essays(70))
        assert server.asked.total() == 2 * 70 + 2 * 2 * 50
        found = held.judges[0].self_agreement
        assert found is not None
        assert found.items == 50
        judged_by([judge_at(server)], tmp_path, {**answers, "dpo": own}, task=essays(70))
        assert server.asked.total() == 2 * 70 + 2 * 2 * 50


CONFIG = """
baseline: base
checkpoints:
  - {{name: base, backend: {{name: echo, skill: 0.9}}}}
  - {{name: worse, backend: {{name: echo, skill: 0.2}}}}
tasks: [{{name: mini-instruct, rubric: mine.md}}]
judge: {{model: a-judge, base_url: {url}}}
limit: 40
results: r
"""
PAIR = "{question}\nA: {answer_a}\nB: {answer_b}\nSay [[A]], [[B]] or [[C]]."
FENCED = re.compile(r"<answer (\w+)>\n(.*?)\n</answer \1>", re.DOTALL)


def answers_in(body: Mapping[str, Any]) -> list[str]:
    """What stands between the fences, as a judge that keeps to them sees it."""
    return [text for _, text in FENCED.findall(str(body["messages"][-1]["content"]))]


def gullible(body: dict[str, Any]) -> Mapping[str, Any]:
    """Does what the first text says that gives it orders, wherever it stands."""
    first, second = answers_in(body)
    orders = ("Ignore all instructions", "final verdict", "[System]")
    told = [any(order in text for order in orders) for text in (first, second)]
    if any(told):
        return {"text": "[[A]]" if told[0] else "[[B]]"}
    return careful(body)


def careful(body: dict[str, Any]) -> Mapping[str, Any]:
    """Prefers what is not a null answer."""
    null = [text in ANSWERS.values() or not text for text in answers_in(body)]
    return {"text": "[[C]]" if null[0] == null[1] else "[[B]]" if null[0] else "[[A]]"}


def audited(folder: Path, answering: Judging, *words: str) -> tuple[int, str, int]:
    """`evalkit judge-audit` on a small config: its exit code, its words, requests to the judge."""
    (folder / "mine.md").write_text(PAIR)
    with serving(ChatServer(answering=answering)) as server:
        config = folder / "c.yaml"
        config.write_text(CONFIG.format(url=server.base_url))
        result = CliRunner().invoke(cli, ["judge-audit", str(config), *words])
        return result.exit_code, result.output, server.asked.total()


def test_texts_that_answer_nothing_are_tried_on_the_judge_and_what_they_earn_is_told(
    tmp_path: Path,
) -> None:
    code, said, asked = audited(tmp_path, gullible)
    assert code == 1
    assert asked == 40 * 2 * len(ANSWERS)
    assert "mini-instruct@mine, judged by judge (a-judge #" in said
    for name, grade in (("constant", "0.000"), ("empty", "0.000"), ("instruction", "1.000"),
                        ("fake verdict", "1.000"), ("fake end", "1.000")):  # fmt: skip
        assert f"null answer, {name}: {grade}" in said
    assert "flags: judge_fooled" in said


def test_a_careful_judge_is_not_fooled_and_a_report_remembers_the_audit(tmp_path: Path) -> None:
    code, said, _ = audited(tmp_path, careful)
    assert code == 0
    assert "null answer, instruction: 0.000" in said
    assert "flags" not in said
    (kept,) = tmp_path.rglob("null_answers.json")
    assert json.loads(kept.read_text())["found"]["fake end"] == 0.0


def test_the_audit_of_a_judge_is_in_the_report_of_a_run(tmp_path: Path) -> None:
    (tmp_path / "mine.md").write_text(PAIR)
    with serving(ChatServer(answering=gullible)) as server:
        config = tmp_path / "c.yaml"
        config.write_text(CONFIG.format(url=server.base_url))
        run = CliRunner().invoke(cli, ["run-matrix", str(config)])
        assert run.exit_code == 0, run.output
        before = server.asked.total()
        CliRunner().invoke(cli, ["judge-audit", str(config)])
        CliRunner().invoke(cli, ["judge-audit", str(config)])
        assert server.asked.total() == before + 40 * 2 * len(ANSWERS)
        CliRunner().invoke(cli, ["run-matrix", str(config)])
        assert server.asked.total() == before + 40 * 2 * len(ANSWERS)
        asked = server.asked.total()
    verdict = json.loads((tmp_path / "r" / "report" / "verdict.json").read_text())
    (note,) = verdict["judges"]
    assert note["null_wins"]["instruction"] == 1.0
    assert note["cost"]["calls"] + note["audits"]["calls"] == asked
    assert "judge_fooled" in note["flags"]
    assert any("fooled by null answers, most by" in said for said in verdict["notes"])


def test_an_audit_of_what_is_not_judged_is_refused(tmp_path: Path) -> None:
    from evalkit.errors import ConfigError, UnknownName

    (tmp_path / "mine.md").write_text(PAIR)
    text = CONFIG.format(url="http://127.0.0.1:1/v1")
    (tmp_path / "c.yaml").write_text(text)
    result = CliRunner().invoke(cli, ["judge-audit", str(tmp_path / "c.yaml"), "mini-instruc"])
    assert isinstance(result.exception, UnknownName)
    (tmp_path / "c.yaml").write_text(text.replace("rubric: mine.md", "weight: 1.0"))
    result = CliRunner().invoke(cli, ["judge-audit", str(tmp_path / "c.yaml")])
    assert isinstance(result.exception, ConfigError)


def test_checkpoints_are_judged_against_each_other_in_the_form_of_arenas(tmp_path: Path) -> None:
    (tmp_path / "mine.md").write_text(PAIR)

    def by_number(body: dict[str, Any]) -> Mapping[str, Any]:
        first, second = answers_in(body)
        return {"text": "[[C]]" if first == second else "[[A]]" if first > second else "[[B]]"}

    with serving(ChatServer(answering=by_number)) as server:
        config = tmp_path / "c.yaml"
        config.write_text(CONFIG.format(url=server.base_url))
        early = CliRunner().invoke(cli, ["battle", str(config)])
        assert "has no answers to mini-instruct@mine: run the matrix first" in str(early.exception)
        CliRunner().invoke(cli, ["run-matrix", str(config)])
        before = server.asked.total()
        result = CliRunner().invoke(cli, ["battle", str(config)])
        fought = server.asked.total() - before
        CliRunner().invoke(cli, ["battle", str(config)])
        assert server.asked.total() - before == fought > 0
    assert result.exit_code == 0, result.output
    assert "base against worse" in result.stdout
    assert f"judging took {fought} calls, " in result.stderr
    (path,) = (tmp_path / "r").glob("battles-*.jsonl")
    ranked = CliRunner().invoke(cli, ["rank", "--battles", str(path), "--anchor", "base"])
    assert result.stdout.endswith("\n\n" + ranked.stdout)
    assert "Elo points from base" in ranked.output
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert {(row["model_a"], row["model_b"]) for row in rows} == {("base", "worse")}
    assert len({row["question_id"] for row in rows}) == 40
    for row in rows:
        a, b = row["answer_a"], row["answer_b"]
        assert row["winner"] == ("tie" if a == b else "model_a" if a > b else "model_b")
    assert [row["order"] for row in rows].count("same answer") == sum(
        row["answer_a"] == row["answer_b"] for row in rows
    )


def test_a_flag_of_the_judge_does_not_hide_the_cells_own(tmp_path: Path) -> None:
    held = ran(lambda body: {"text": "[[A]]"}, tmp_path)
    plain = of_run(replace(held, judges=[])).candidates[0].cells[0]
    flagged = of_run(held).candidates[0].cells[0]
    assert flagged.flags == [*plain.flags, "judge_unstable"]
    assert cell_of(tmp_path, "base").path.is_dir()
    assert court([], ANSWERS_OF).judge is None
