"""Bits per byte: the whole text, each byte once, and what a model says of it."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evalkit import plugins
from evalkit.configuration.sections import TaskSection
from evalkit.errors import ConfigError, DataError
from evalkit.exams.exam import Exam, sit
from evalkit.matrix import Row
from evalkit.storage.store import Store
from evalkit.types import Checkpoint, Graded, Response, Sample
from tasks.bits_per_byte import PIECE, RUN, figures, pieces, score
from tests.small_exams import held
from tests.tiny_models import tiny_model


def exam(path: Path) -> Exam:
    (found,) = sit(TaskSection(name="bits-per-byte:mine"), path, None)
    return found


def texts(path: Path) -> list[str]:
    """The pieces in the order of the text."""
    task = exam(path).task
    from evalkit.exams.data import open_rows

    assert task.source is not None
    return [each.question for each in task.samples(open_rows(task.source, path))]


lines = st.lists(
    st.text(st.sampled_from("ab é漢😀\r\t"), max_size=60).map(lambda s: s * 40 + "\n"), max_size=25
)


@settings(max_examples=60, deadline=None)
@given(lines)
def test_the_pieces_are_the_text_and_of_one_size(document: list[str]) -> None:
    found = list(pieces(document))
    assert "".join(found) == "".join(document)
    sizes = [len(piece.encode()) for piece in found]
    assert all(size <= 1.5 * PIECE for size in sizes)
    if len(sizes) > 1:
        assert all(size >= PIECE / 2 - 1 for size in sizes[-1:])


def test_a_line_of_any_length_is_cut_between_characters() -> None:
    found = list(pieces(["漢" * 10_000, "\n"]))
    assert "".join(found) == "漢" * 10_000 + "\n"
    assert max(len(piece.encode()) for piece in found) <= 1.5 * PIECE


def test_any_file_is_a_text_and_its_line_ends_are_kept(tmp_path: Path) -> None:
    text = "One line\r\nand another\rone\n\nend"
    (tmp_path / "notes.tex").write_bytes(text.encode())
    assert texts(tmp_path / "notes.tex") == [text]
    for name in ("README", "code.py", "plain.txt"):
        (tmp_path / name).write_text(text, newline="")
        assert texts(tmp_path / name) == [text]


def test_a_folder_holds_one_document_a_file_and_a_table_one_a_row(tmp_path: Path) -> None:
    (tmp_path / "b.txt").write_text("second")
    (tmp_path / "a.txt").write_text("first\nof two\n")
    rows = [{"text": "in a row"}, {"text": ""}, {"text": "in another"}]
    (tmp_path / "c.jsonl").write_text("\n".join(map(json.dumps, rows)))
    assert texts(tmp_path) == ["first\nof two\n", "second", "in a row", "in another"]


def test_a_piece_is_known_by_its_content_wherever_it_stands(tmp_path: Path) -> None:
    rows = [{"text": text} for text in ("one", "two", "one")]
    here, there = tmp_path / "here.jsonl", tmp_path / "there.jsonl"
    here.write_text("\n".join(map(json.dumps, rows)))
    there.write_text("\n".join(map(json.dumps, rows[::-1])))
    assert set(exam(here).items) == set(exam(there).items)
    assert len(exam(here).items) == 3


def test_neighbours_are_a_cluster(tmp_path: Path) -> None:
    (tmp_path / "long.txt").write_text("".join(f"{n:4095}\n" for n in range(20)))
    clusters = [each.cluster for each in exam(tmp_path / "long.txt").items.values()]
    assert len(clusters) == 20
    assert sorted(clusters.count(name) for name in set(clusters)) == [20 % RUN, RUN, RUN]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("latin.txt", "Bär".encode("latin-1"), "not UTF-8 text"),
        ("empty.txt", b"", "no rows"),
        ("rows.jsonl", b'{"content": "x"}', "field 'text' is missing"),
    ],
)
def test_what_is_no_text_is_an_error_that_names_the_file(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=rf"{name}.*{message}"):
        texts(tmp_path / name)


def test_a_text_that_is_not_named_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVALKIT_DATA", "/tmp")
    (found,) = sit(TaskSection(name="bits-per-byte:mine"), None, None)
    with pytest.raises(DataError, match=r'`data: \{"bits-per-byte:mine": PATH\}`'):
        len(found.due)


@pytest.mark.parametrize("name", ["", "a/b", "../x", "x y"])
def test_a_name_is_of_letters(name: str) -> None:
    with pytest.raises(ConfigError, match="give the text a name"):
        plugins.tasks(f"bits-per-byte:{name}")


def test_bits_are_of_bytes() -> None:
    piece = Sample("1", "äb", question="äb")
    graded = score(piece, Response(loglikelihoods=(-3 * math.log(2),), prompt_tokens=2))
    assert graded.value == pytest.approx(1.0)
    assert graded.outcome == "measured"
    assert figures([Graded(piece, (graded, None))]) == {
        "bits per byte": pytest.approx(1.0),
        "nats per token": pytest.approx(1.5 * math.log(2)),
        "bytes per token": 1.5,
    }


@pytest.mark.parametrize("total", [-math.inf, -1e9, math.nan])
def test_what_a_model_rules_out_costs_what_it_costs_without_one(total: float) -> None:
    piece = Sample("1", "ab", question="ab")
    assert score(piece, Response(loglikelihoods=(total,))).value == 8.0


def test_an_answer_that_is_no_likelihood_is_unparsed() -> None:
    graded = score(Sample("1", "ab", question="ab"), Response("ab"))
    assert (graded.value, graded.answer) == (8.0, None)
    assert figures([Graded(Sample("1", "ab"), (graded,))]) == {}


def test_a_model_is_measured_as_it_predicts(tmp_path: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    text = tmp_path / "text"
    text.write_text('{"text": "a small text"}\n{"text": "an other, longer text: ä"}\n')
    text = text.rename(tmp_path / "text.jsonl")
    folder = tiny_model(tmp_path / "tiny")
    backend = plugins.backend("transformers_local")
    checkpoint = Checkpoint("tiny", str(folder), options={**backend.options, "device": "cpu"})
    row = Row(replace(checkpoint, identity="tiny"), backend)
    run = held([row], [exam(text)], tmp_path / "results")
    assert run.failures == []
    (cell,) = Store(tmp_path / "results").cells()

    model = AutoModelForCausalLM.from_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    bits = size = 0.0
    for line in text.read_text().splitlines():
        piece = json.loads(line)["text"]
        tokens = tokenizer(piece, return_tensors="pt")["input_ids"]
        with torch.no_grad():
            logits = model(tokens).logits[0, :-1].double().log_softmax(-1)
        nats = -logits.gather(1, tokens[0, 1:, None]).sum().item()
        bits += min(nats / math.log(2), 8 * len(piece.encode()))
        size += len(piece.encode())
    assert cell.meta()["metrics"][""]["bits per byte"] == pytest.approx(bits / size, rel=1e-5)
