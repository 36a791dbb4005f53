"""Pretraining: its arguments, its batches, its tokenizer."""

from __future__ import annotations

from typing import Any

import pytest

from evalkit import Stage, plugins
from evalkit.errors import ConfigError
from tasks._mini import text_of
from trainers._tokenizer import word_tokenizer
from trainers.pretrain import Args, _batches, _rate, check, parse

BASE: dict[str, Any] = {
    "name": "base",
    "method": "pretrain",
    "out": "out",
    "data": {"task:mini-copy": 1.0},
}


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"args": {"step": 3}}, "'step'; did you mean 'steps'"),
        ({"args": {"steps": "many"}}, "steps has to be int"),
        ({"args": {"heads": 5}}, "multiple of twice heads"),
        ({"parent": "somewhere"}, "starts from nothing"),
        ({"reward": "task:mini-copy"}, "pretrain takes none"),
        ({"data": {"task:mini-cpoy": 1.0}}, "did you mean 'mini-copy'"),
        ({"data": {"task:mini-copy": 0.0}}, "has to be above 0"),
    ],
)
def test_a_stage_that_cannot_run_is_refused_at_once(spec: dict[str, Any], message: str) -> None:
    with pytest.raises(Exception, match=message):
        check(Stage(**{**BASE, **spec}))


def test_what_is_left_out_has_a_default() -> None:
    assert parse({"steps": 3, "learning_rate": 1}) == Args(steps=3, learning_rate=1)
    with pytest.raises(ConfigError):
        parse({"steps": True})


def test_the_rate_rises_and_falls_to_nothing() -> None:
    args = Args(steps=100, warmup=10)
    rates = [_rate(step, args) for step in range(101)]
    assert rates[:10] == sorted(rates[:10])
    assert max(rates) == 1.0
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[100] == 0.0


def test_an_epoch_holds_every_sequence_once_and_batches_are_of_a_length() -> None:
    sequences = [([number] * (1 + number % 7), 0) for number in range(1024)]
    batches = _batches(sequences, Args(batch_size=64), seed=1)
    epoch = [next(batches) for _ in range(16)]
    assert sorted(tokens[0] for batch in epoch for tokens, _ in batch) == list(range(1024))
    assert max(len({len(tokens) for tokens, _ in batch}) for batch in epoch) <= 2


@pytest.mark.parametrize(
    "name", ["mini-arithmetic", "mini-choice", "mini-instruct", "mini-tools", "mini-chat"]
)
def test_an_answer_means_the_same_after_the_tokenizer(name: str) -> None:
    task = plugins.task(name)
    assert task.solution is not None
    assert task.train is not None
    lessons = list(task.train(lambda _: iter(())))
    known = [text for s in lessons for text in (text_of(s), task.solution(s))]
    tokenizer = word_tokenizer(known)
    for sample in task.samples(lambda _: iter(())):
        answer = task.solution(sample)
        ids = tokenizer(f"{text_of(sample)} {answer}")["input_ids"]
        assert tokenizer.unk_token_id not in ids
        back = tokenizer.decode(tokenizer(answer)["input_ids"])
        assert back.replace('": ', '":') == answer


def test_the_template_marks_where_the_answer_begins() -> None:
    tokenizer = word_tokenizer(["one two three"])
    talk = [{"role": "user", "content": "one two"}, {"role": "assistant", "content": "three"}]
    whole = tokenizer.apply_chat_template(talk, tokenize=False)
    head = tokenizer.apply_chat_template(talk[:1], tokenize=False, add_generation_prompt=True)
    assert whole == head + "three<end>"
    assert tokenizer.convert_ids_to_tokens(tokenizer(whole)["input_ids"]) == [
        "<user>",
        "one",
        "two",
        "<end>",
        "<assistant>",
        "three",
        "<end>",
    ]
