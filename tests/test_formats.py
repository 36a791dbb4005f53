"""Every format is read alike, and whatever is wrong with a file is said with its line."""

import csv
import gzip
import json
from pathlib import Path

import pytest

from evalkit.errors import DataError
from evalkit.exams.formats import read, stem

ROWS = [
    {"id": "1", "text": "plain"},
    {"id": "2", "text": 'commas, "quotes" and\nnew lines \u2028 é'},
    {"id": "3", "text": "x" * 300_000},
]


def write(path: Path, rows: list[dict[str, str]]) -> Path:
    kind = path.name.removesuffix(".gz").rpartition(".")[2]
    if kind == "parquet":
        import pyarrow
        import pyarrow.parquet

        plain = path.with_name("plain.parquet")
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), plain)
        content = plain.read_bytes()
    elif kind == "csv":
        plain = path.with_name("plain.csv")
        with plain.open("w", newline="", encoding="utf-8") as file:
            table = csv.DictWriter(file, list(rows[0]))
            table.writeheader()
            table.writerows(rows)
        content = plain.read_bytes()
    elif kind == "json":
        content = json.dumps(rows, indent=1, ensure_ascii=False).encode()
    else:
        content = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


@pytest.mark.parametrize("zipped", ["", ".gz"])
@pytest.mark.parametrize("kind", ["jsonl", "json", "csv", "parquet"])
def test_every_format_gives_the_same_rows(tmp_path: Path, kind: str, zipped: str) -> None:
    file = write(tmp_path / f"rows.{kind}{zipped}", ROWS)
    assert [row for _, row in read(file)] == ROWS


def test_rows_come_with_the_line_they_stand_on(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text('{"a": 1}\n\n  \n{"a": 2}')
    assert list(read(file)) == [("line 1", {"a": 1}), ("line 4", {"a": 2})]


def test_json_lines_may_be_called_json(tmp_path: Path) -> None:
    file = tmp_path / "rows.json"
    file.write_text('{"a": 1}\n{"a": 2}\n')
    assert [row for _, row in read(file)] == [{"a": 1}, {"a": 2}]


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.json", "rows.csv"])
def test_a_byte_order_mark_is_no_part_of_the_data(tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    text = {"rows.jsonl": '{"a": "1"}\n', "rows.json": '[{"a": "1"}]', "rows.csv": "a\n1\n"}[name]
    file.write_text(text, encoding="utf-8-sig")
    assert [row for _, row in read(file)] == [{"a": "1"}]


@pytest.mark.parametrize("bad", ['{"a": 1', '{"a": NaN}', '{"a": Infinity}', '{"a": "\\ud800"}'])
def test_what_is_not_json_is_named_by_file_and_line(tmp_path: Path, bad: str) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text(f'{{"a": 1}}\n{bad}\n')
    with pytest.raises(DataError, match=r"rows\.jsonl: line 2: not JSON"):
        list(read(file))


def test_a_broken_json_list_is_named_by_file_and_line(tmp_path: Path) -> None:
    file = tmp_path / "rows.json"
    file.write_text('[\n{"a": 1},\n{"a": }\n]')
    with pytest.raises(DataError, match=r"rows\.json: line 3: not JSON"):
        list(read(file))


@pytest.mark.parametrize("text", ["a,b\n1,2\n3,4,5\n", 'a,b\n1,2\n"3,4'])
def test_a_broken_table_is_named_by_file_and_line(tmp_path: Path, text: str) -> None:
    file = tmp_path / "rows.csv"
    file.write_text(text)
    with pytest.raises(DataError, match=r"rows\.csv: line 3: "):
        list(read(file))


@pytest.mark.parametrize("name", ["rows.csv", "rows.jsonl", "rows.json", "rows.parquet"])
def test_bytes_that_are_no_text_are_an_error_of_one_line(tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    file.write_bytes(b"a,b\n\xff\xfe\x00,1\n")
    with pytest.raises(DataError, match=name) as caught:
        list(read(file))
    assert "\n" not in str(caught.value)


def test_a_torn_gzip_file_is_named(tmp_path: Path) -> None:
    file = write(tmp_path / "rows.jsonl.gz", ROWS)
    file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(DataError, match=r"rows\.jsonl\.gz: damaged gzip"):
        list(read(file))
    file.write_bytes(b"not gzip at all")
    with pytest.raises(DataError, match=r"rows\.jsonl\.gz: damaged gzip"):
        list(read(file))


def test_an_unknown_format_and_a_missing_file_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"rows\.xlsx: name it \.\{jsonl,json,csv,parquet\}"):
        list(read(tmp_path / "rows.xlsx"))
    with pytest.raises(DataError, match=r"rows\.csv: No such file"):
        list(read(tmp_path / "rows.csv"))


def test_the_stem_is_the_name_without_its_format() -> None:
    assert stem("test-00000-of-00001.parquet") == "test-00000-of-00001"
    assert stem("mmlu_pro_test_data.json.gz") == "mmlu_pro_test_data"
    assert stem("README.md") == ""
