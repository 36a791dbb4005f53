"""A benchmark's rows: where they are looked for, and what is refused."""

import gzip
import hashlib
import json
from dataclasses import replace
from pathlib import Path
from zipfile import ZipFile

import pytest

from evalkit.errors import DataError
from evalkit.exams import data
from evalkit.exams.data import digest, locate, open_rows, parse_list
from evalkit.exams.large_fields import Stored
from evalkit.types import Source

SOURCE = Source(
    hub="somebody/quiz",
    revision="0123456789abcdef0123456789abcdef01234567",
    folder="quiz",
    splits={"test": "quiz_test", "validation": "quiz_dev"},
    counts={"test": 2, "validation": 1},
    fields=("id", "question"),
)
ROWS = [{"id": 1, "question": "one"}, {"id": 2, "question": "two"}]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that EVALKIT_DATA names, with the benchmark's own folder in it."""
    monkeypatch.setenv("EVALKIT_DATA", str(tmp_path / "home"))
    folder = tmp_path / "home" / "quiz"
    folder.mkdir(parents=True)
    return folder


def lines(path: Path, rows: list[dict[str, object]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_the_users_path_comes_before_the_variable_and_that_before_the_hub(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = lines(tmp_path / "mine.jsonl", ROWS)
    assert locate(SOURCE, given) == given
    assert locate(SOURCE, None) == home
    home.rmdir()
    assert locate(SOURCE, None) is None
    monkeypatch.delenv("EVALKIT_DATA")
    assert locate(SOURCE, None) is None


def test_a_path_or_a_variable_that_names_nothing_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(DataError, match=r"absent\.jsonl: no such file or folder"):
        locate(SOURCE, tmp_path / "absent.jsonl")
    monkeypatch.setenv("EVALKIT_DATA", str(tmp_path / "absent"))
    with pytest.raises(DataError, match=r"EVALKIT_DATA=.*absent: no such folder"):
        locate(SOURCE, None)


def test_a_single_file_is_the_test_split(tmp_path: Path) -> None:
    rows = open_rows(SOURCE, lines(tmp_path / "mine.jsonl", ROWS))
    assert list(rows("test")) == ROWS
    with pytest.raises(DataError, match="give a folder with it and quiz_dev or validation"):
        list(rows("validation"))


@pytest.mark.parametrize(
    "name", ["quiz_test.jsonl", "test.jsonl", "data/test-00000-of-00001.jsonl"]
)
def test_a_folder_has_upstream_names_or_those_of_the_hub(home: Path, name: str) -> None:
    lines(home / name, ROWS)
    assert list(open_rows(SOURCE, None)("test")) == ROWS


def test_the_shards_of_a_split_are_read_in_order(home: Path) -> None:
    lines(home / "data" / "test-00001-of-00002.jsonl", ROWS[1:])
    lines(home / "data" / "test-00000-of-00002.jsonl", ROWS[:1])
    assert list(open_rows(SOURCE, None)("test")) == ROWS


@pytest.mark.parametrize(
    "names",
    [
        ["quiz_test.jsonl", "quiz_test.json"],
        ["test.jsonl", "other/test.jsonl"],
        ["main/test-00000-of-00001.jsonl", "other/test-00000-of-00001.jsonl"],
        ["test-00000-of-00001.jsonl", "test-00000-of-00001.json"],
        ["test-00000-of-00003.jsonl", "test-00002-of-00003.jsonl"],
    ],
)
def test_files_that_are_not_just_one_split_are_not_chosen_among(
    home: Path, names: list[str]
) -> None:
    for name in names:
        lines(home / name, ROWS)
    with pytest.raises(DataError, match=r"(which is the|not one whole) test split: .*, "):
        list(open_rows(SOURCE, None)("test"))


def test_a_split_is_missed_only_when_it_is_asked_for(home: Path) -> None:
    lines(home / "quiz_test.jsonl", ROWS)
    rows = open_rows(SOURCE, None)
    assert len(list(rows("test"))) == 2
    with pytest.raises(DataError, match=r"has no quiz_dev or validation\.\{jsonl,"):
        list(rows("validation"))


def test_official_data_must_have_the_official_number_of_rows(home: Path) -> None:
    lines(home / "quiz_test.jsonl", ROWS[:1])
    with pytest.raises(DataError, match=r"quiz_test\.jsonl: 1 rows, but the test split .* has 2"):
        list(open_rows(SOURCE, None)("test"))


def test_a_users_own_file_may_hold_any_number_of_rows_but_none(tmp_path: Path) -> None:
    given = lines(tmp_path / "mine.jsonl", ROWS[:1])
    assert list(open_rows(SOURCE, given)("test")) == ROWS[:1]
    lines(given, [])
    with pytest.raises(DataError, match="no rows"):
        list(open_rows(SOURCE, given)("test"))


@pytest.mark.parametrize("row", [{"id": 2}, {"id": 2, "question": None}])
def test_a_missing_field_is_named_with_its_file_and_row(
    tmp_path: Path, row: dict[str, object]
) -> None:
    given = lines(tmp_path / "mine.jsonl", [{"id": 1, "question": "one"}, row])
    with pytest.raises(DataError, match=r"mine\.jsonl: line 2: field 'question' is missing"):
        list(open_rows(SOURCE, given)("test"))


def test_a_row_that_is_no_object_is_refused(tmp_path: Path) -> None:
    given = tmp_path / "mine.json"
    given.write_text('[{"id": 1, "question": "one"}, ["two"]]')
    with pytest.raises(DataError, match=r"mine\.json: row 2: not an object"):
        list(open_rows(SOURCE, given)("test"))


def test_the_digest_is_of_the_bytes_and_not_of_the_place(home: Path, tmp_path: Path) -> None:
    lines(home / "quiz_test.jsonl", ROWS)
    given = lines(tmp_path / "elsewhere" / "mine.jsonl", ROWS)
    first = digest(SOURCE, given)
    assert first == digest(SOURCE, None)
    lines(given, [*ROWS, {"id": 3, "question": "three"}])
    assert digest(SOURCE, given) != first
    lines(home / "quiz_dev.jsonl", ROWS[:1])
    assert digest(SOURCE, None) != first


def test_a_file_that_has_not_changed_is_hashed_once(tmp_path: Path) -> None:
    given = lines(tmp_path / "mine.jsonl", ROWS)
    digest(SOURCE, given)
    before = data._sha256.cache_info()
    digest(SOURCE, given)
    after = data._sha256.cache_info()
    assert (after.hits - before.hits, after.misses - before.misses) == (1, 0)


def test_the_digest_of_the_hub_is_its_revision(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EVALKIT_DATA", raising=False)
    assert digest(SOURCE, None) == f"somebody/quiz@{SOURCE.revision}"


def test_lists_may_come_as_text() -> None:
    expected = ["it's", "two"]
    for value in (expected, tuple(expected), '["it\'s", "two"]', """["it's", 'two']"""):
        assert parse_list(value) == expected
    for bad in ("one, two", "[1, 2", "[" * 100_000, "{'a': 1}", 3, None):
        with pytest.raises(DataError, match="not a list"):
            parse_list(bad)


def test_one_file_may_hold_every_split(home: Path) -> None:
    source = replace(
        SOURCE,
        splits={"test": "whole", "validation": "whole"},
        split_of=lambda row: "validation" if row["id"] > 2 else "test",
    )
    lines(home / "whole.jsonl", [*ROWS, {"id": 3, "question": "three"}])
    rows = open_rows(source, None)
    assert list(rows("test")) == ROWS
    assert [row["id"] for row in rows("validation")] == [3]


def test_the_hub_may_keep_a_split_in_a_folder_of_its_own(home: Path) -> None:
    source = replace(SOURCE, on_hub={"test": "full/test", "validation": "other/test"})
    lines(home / "full" / "test-00000-of-00001.jsonl", ROWS)
    lines(home / "other" / "test-00000-of-00001.jsonl", ROWS[:1])
    rows = open_rows(source, None)
    assert list(rows("test")) == ROWS
    assert list(rows("validation")) == ROWS[:1]


def test_parts_of_one_set_may_be_in_one_file(tmp_path: Path) -> None:
    source = replace(SOURCE, collected=True)
    rows = open_rows(source, lines(tmp_path / "mine.jsonl", ROWS))
    assert list(rows("test")) == ROWS
    assert list(rows("validation")) == []


@pytest.mark.parametrize("suffix", [".jsonl", ".json", ".jsonl.gz"])
def test_a_large_field_stays_where_it_is_until_it_is_read(tmp_path: Path, suffix: str) -> None:
    text = "".join(json.dumps(row) + "\n" for row in ROWS)
    given = tmp_path / f"mine{suffix}"
    given.write_bytes(gzip.compress(text.encode()) if suffix.endswith("gz") else text.encode())
    rows = list(open_rows(replace(SOURCE, large=("question",)), given)("test"))
    stored = [row["question"] for row in rows]
    assert all(isinstance(each, Stored) for each in stored)
    assert [each.read() for each in stored] == ["one", "two"]
    assert stored[0].sha256 == hashlib.sha256(b"one").hexdigest()
    assert (stored[1].held is None) == (suffix == ".jsonl")


def test_a_large_field_that_has_changed_is_an_error(tmp_path: Path) -> None:
    given = lines(tmp_path / "mine.jsonl", ROWS)
    (first, _) = open_rows(replace(SOURCE, large=("question",)), given)("test")
    lines(given, [{"id": 1, "question": "uno"}])
    with pytest.raises(DataError, match=r"mine\.jsonl has changed"):
        first["question"].read()
    given.unlink()
    with pytest.raises(DataError, match=r"mine\.jsonl: cannot be read again"):
        first["question"].read()


ZIPPED = replace(SOURCE, archive="all_of_it")


def zipped(path: Path, **files: str) -> Path:
    with ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(f"inside/{name}.jsonl", content)
    return path


def test_a_zip_file_may_hold_the_splits(home: Path, tmp_path: Path) -> None:
    test = "".join(json.dumps(row) + "\n" for row in ROWS)
    archive = zipped(
        home / "all_of_it.zip", quiz_test=test, quiz_dev=json.dumps(ROWS[0]), other="x"
    )
    assert list(open_rows(ZIPPED, None)("test")) == ROWS
    assert list(open_rows(ZIPPED, None)("validation")) == ROWS[:1]
    assert list(open_rows(ZIPPED, archive)("test")) == ROWS  # given as a file
    lines(home / "quiz_test.jsonl", [ROWS[1], ROWS[0]])
    assert next(open_rows(ZIPPED, None)("test")) == ROWS[1]  # a plain file comes before


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"other": "x"}, "has no file by the name of quiz_test or test"),
        ({"quiz_test": "x", "test": "y"}, "holds 2 files"),
        ({"quiz_test": "no rows"}, "line 1: not JSON"),
    ],
)
def test_a_zip_file_without_a_readable_split_is_an_error(
    home: Path, files: dict[str, str], message: str
) -> None:
    zipped(home / "all_of_it.zip", **files)
    with pytest.raises(DataError, match=rf"all_of_it\.zip: .*{message}"):
        list(open_rows(ZIPPED, None)("test"))


def test_a_damaged_zip_file_is_said_to_be_one(home: Path) -> None:
    (home / "all_of_it.zip").write_bytes(b"PK and nothing else")
    with pytest.raises(DataError, match=r"all_of_it\.zip: damaged zip file"):
        list(open_rows(ZIPPED, None)("test"))


def test_a_missing_split_says_that_a_zip_file_would_do(home: Path) -> None:
    with pytest.raises(DataError, match=r"has no quiz_test or test\.\{.*\} or all_of_it\.zip, the"):
        list(open_rows(ZIPPED, None)("test"))
