"""`evalkit rank`: battles out of files, and out of judged cells, to a table."""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from evalkit.cli import cli
from evalkit.errors import DataError, EvalkitError
from evalkit.ranking.files import read
from evalkit.ranking.table import Table, table
from evalkit.stats.battles import Battle, comparable
from tests.small_exams import RUBRIC, doubles, exam, fair, held, right_below, row

TRUE = {"weak": -0.8, "middling": 0.0, "strong": 0.9}


def fought(count: int = 600, *, taste: float = 0.0) -> list[dict[str, Any]]:
    """Rows as an arena publishes them, with a judge that pays `taste` for lists."""
    random = np.random.default_rng(7)
    rows = []
    for number in range(count):
        one, other = random.choice([*TRUE], 2, replace=False).tolist()
        texts = ["- a\n- b\n" if random.random() < 0.5 else "a, and b" for _ in "ab"]
        lists = taste * ((texts[0][0] == "-") - (texts[1][0] == "-"))
        won = random.random() < 1 / (1 + np.exp(TRUE[other] - TRUE[one] - lists))
        winner = "tie" if random.random() < 0.2 else "model_a" if won else "model_b"
        rows.append(
            {
                "question_id": f"q{number // 2}",
                "model_a": one,
                "model_b": other,
                "winner": winner,
                "response_a": texts[0],
                "response_b": texts[1],
            }
        )
    return rows


def written(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    if path.suffix == ".csv":
        with path.open("w", newline="") as file:
            table_ = csv.DictWriter(file, rows[0].keys())
            table_.writeheader()
            table_.writerows(rows)
    elif path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(list(rows)), path)
    elif path.suffix == ".gz":
        path.write_bytes(gzip.compress("\n".join(map(json.dumps, rows)).encode()))
    else:
        lines = path.suffix == ".jsonl"
        path.write_text("\n".join(map(json.dumps, rows)) if lines else json.dumps(rows))
    return path


def told(*arguments: object) -> Table:
    command = ["rank", "--format", "json", *map(str, arguments)]
    result = CliRunner().invoke(cli, command, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return Table.model_validate_json(result.output)


@pytest.mark.parametrize("name", ["b.csv", "b.json", "b.jsonl", "b.jsonl.gz", "b.parquet"])
def test_every_format_gives_the_same_ranking(tmp_path: Path, name: str) -> None:
    found = told("--battles", written(tmp_path / name, fought(200)))
    assert found == table(list(read(written(tmp_path / "other.jsonl", fought(200)))))
    assert [place.player for place in found.places] == ["strong", "middling", "weak"]
    assert (found.battles, found.prompts) == (200, 100)


def test_strengths_lie_in_their_intervals_and_ranks_tell_who_is_surely_stronger(
    tmp_path: Path,
) -> None:
    found = told("--battles", written(tmp_path / "b.csv", fought()), "--anchor", "middling")
    assert [place.rank for place in found.places] == [1, 2, 3]
    for place in found.places:
        # a fifth are ties whoever is the stronger, which brings all strengths nearer to 0
        assert abs(place.strength) <= abs(TRUE[place.player]) + 0.05
        assert place.ci[0] <= place.strength <= place.ci[1]
    middle = found.places[1]
    assert (middle.player, middle.strength, middle.ci, middle.win_rate) == (
        "middling",
        0.0,
        (0.0, 0.0),
        0.5,
    )


def test_style_is_taken_out_where_it_is_asked_for(tmp_path: Path) -> None:
    path = written(tmp_path / "b.jsonl", fought(1_200, taste=2.0))
    plain, styled = told("--battles", path), told("--battles", path, "--style")
    assert plain.style == {}
    assert styled.style["lists"] > 0.5
    assert abs(styled.style["bold"]) == 0.0
    spread = [table_.places[0].strength - table_.places[-1].strength for table_ in (plain, styled)]
    assert spread[1] > spread[0]  # what length and lists earn is noise to who is the stronger


def test_an_arenas_own_counts_tell_style_as_well(tmp_path: Path) -> None:
    rows = fought(60)
    for number, each in enumerate(rows):
        del each["response_a"], each["response_b"]
        each["conv_metadata"] = {
            "sum_assistant_a_tokens": 10 + number,
            "sum_assistant_b_tokens": 20,
            "header_count_a": {"h1": 1, "h2": number % 3},
            "header_count_b": {"h1": 1},
            "list_count_a": {"ordered": 0, "unordered": number % 2},
            "list_count_b": {"ordered": 1, "unordered": 0},
            "bold_count_a": {"**": 0, "__": 0},
            "bold_count_b": {"**": 0, "__": 0},
        }
    battles = list(read(written(tmp_path / "b.jsonl", rows), styled=True))
    assert battles[10].style[0] == 0.0
    assert battles[30].style[0] == pytest.approx(20 / 60)
    as_text = [{**each, "conv_metadata": json.dumps(each["conv_metadata"])} for each in rows]
    assert list(read(written(tmp_path / "b.csv", as_text), styled=True)) == battles


def test_conversations_are_read_for_what_the_assistant_says(tmp_path: Path) -> None:
    def turns(answer: str) -> list[dict[str, str]]:
        return [{"role": "user", "content": "?" * 90}, {"role": "assistant", "content": answer}]

    rows = [
        {"model_a": "x", "model_b": "y", "winner": "tie (bothbad)", "weight": 2.5,
         "conversation_a": turns("three"), "conversation_b": turns("five5")}
    ]  # fmt: skip
    (battle,) = read(written(tmp_path / "b.jsonl", rows), styled=True)
    assert (battle.won, battle.weight, battle.style) == (0.5, 2.5, (0.0, 0.0, 0.0, 0.0))


def test_three_columns_may_tell_who_won(tmp_path: Path) -> None:
    columns = ("winner_model_a", "winner_model_b", "winner_tie")
    rows = [
        {"id": number, "model_a": "x", "model_b": "y", **dict.fromkeys(columns, 0), name: 1}
        for number, name in enumerate(columns)
    ]
    for name in ("b.csv", "b.jsonl"):
        won = [battle.won for battle in read(written(tmp_path / name, rows))]
        assert won == [1.0, 0.0, 0.5]


ROW = {"model_a": "x", "model_b": "y", "winner": "tie"}


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"model_a": "x", "winner": "tie"}, "row 1: `model_b` is missing"),
        ({**ROW, "model_b": "x"}, "'x' against itself"),
        ({**ROW, "winner": "x"}, "`winner` is 'x': give model_a, model_b"),
        ({"model_a": "x", "model_b": "y"}, "no `winner`"),
        ({**ROW, "weight": 0}, "`weight` is '0': give a number above 0"),
        ({**ROW, "weight": "nan"}, "`weight` is 'nan'"),
        ("hello", "not a row with `model_a`"),
    ],
)
def test_a_row_that_is_no_battle_is_named(tmp_path: Path, row: Any, said: str) -> None:
    with pytest.raises(DataError, match=said):
        list(read(written(tmp_path / "b.json", [row])))


def test_style_without_answers_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nothing to tell style from"):
        list(read(written(tmp_path / "b.jsonl", [ROW]), styled=True))


def test_players_without_a_finite_strength_are_left_out_and_named() -> None:
    battles = [Battle(str(i), "a", "b", float(i % 3 > 0)) for i in range(30)]
    battles += [Battle(f"n{i}", "never lost", "a", 1.0) for i in range(5)]
    battles += [Battle(f"m{i}", "elsewhere", "far away", 0.5) for i in range(2)]
    assert comparable(battles) == {"a", "b"}
    found = table(battles)
    assert [place.player for place in found.places] == ["a", "b"]
    assert found.left_out == ["elsewhere", "far away", "never lost"]
    assert found.battles == 30


def test_a_chain_of_wins_makes_all_of_it_comparable() -> None:
    ring = [Battle(str(i), "abc"[i % 3], "abc"[(i + 1) % 3], 1.0) for i in range(3)]
    assert comparable(ring) == {"a", "b", "c"}
    assert len(comparable(ring[:2])) == 1


def test_nobody_to_rank_is_told() -> None:
    won = [Battle(str(i), "a", "b", 1.0) for i in range(9)]
    with pytest.raises(DataError, match="nobody both beat and was beaten"):
        table(won)
    with pytest.raises(DataError, match="no battles"):
        table([])
    drawn = [Battle(str(i), "a", "b", 0.5) for i in range(9)]
    with pytest.raises(EvalkitError, match="did you mean 'a'"):
        table(drawn, "aa")
    with pytest.raises(DataError, match="'c' never lost to"):
        table([*drawn, Battle("x", "c", "a", 1.0)], "c")


def test_checkpoints_are_ranked_by_their_judged_answers(tmp_path: Path) -> None:
    chat = doubles(60, name="chat", score=None, domain="chat", rubric=RUBRIC)
    rows = [row("good", right_below(54)), row("weak", right_below(30))]
    held(rows, [exam(chat), exam(doubles(5))], tmp_path, judge=row("judge", fair))
    found = told("good", "weak", "--results", tmp_path)
    assert [place.player for place in found.places] == ["reference", "good", "weak"]
    assert found.anchor == "reference"
    assert found.places[1].strength == pytest.approx(np.log(27 / 33))
    assert told("good", "weak", "--task", "chat", "--results", tmp_path) == found
    with pytest.raises(DataError, match="not judged in pairs"):
        told("good", "--task", "doubles", "--results", tmp_path)


def test_the_table_says_what_it_is(tmp_path: Path) -> None:
    path = written(tmp_path / "b.jsonl", [*fought(90), {**ROW, "winner": "model_a"}])
    result = CliRunner().invoke(cli, ["rank", "--battles", str(path)], catch_exceptions=False)
    lines = result.output.splitlines()
    assert lines[0].split() == ["player", "rank", "Elo", "90", "%", "interval", "wins", "battles"]
    assert "90 battles on 45 prompts, which were resampled whole" in result.output
    assert "left out, having no finite strength: x, y" in result.output


def test_either_checkpoints_or_files_are_ranked(tmp_path: Path) -> None:
    for arguments in ([], ["a", "--battles", "b.csv"]):
        with pytest.raises(EvalkitError, match="but not both"):
            CliRunner().invoke(cli, ["rank", *arguments], catch_exceptions=False)
    with pytest.raises(EvalkitError, match=r"There are in \S+: none"):
        told("a", "b", "--results", tmp_path)
