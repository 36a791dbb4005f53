"""The transformers_local backend says what the model says, however it is batched."""

from __future__ import annotations

import asyncio
import json
import random
import re
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig

from evalkit.backends._decoding import draw
from evalkit.backends._loading import load
from evalkit.backends.transformers_local import OPTIONS, Local, environment, identify, open_
from evalkit.errors import ConfigError, ModelError
from evalkit.identity.fingerprint import fingerprint
from evalkit.types import Checkpoint, LogLikelihood, Request, Response, Sample, Sampling, Task
from tests.tiny_models import tiny_model

TASK = Task("tiny", "tiny", 1, lambda rows: [])
KINDS = ("llama", "gpt2", "mistral")


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """So small a model is slower by several threads, and far slower where others compute too."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {kind: tiny_model(tmp_path_factory.mktemp(kind), kind) for kind in KINDS}


@pytest.fixture(scope="module")
def chat(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("chat"), template=True)


def checkpoint(folder: Path, **options: Any) -> Checkpoint:
    return Checkpoint("tiny", str(folder), options={"device": "cpu", **options})


def prompts(count: int) -> list[str]:
    source = random.Random(5)
    return ["".join(source.choices("abc de", k=source.randint(1, 60))) for _ in range(count)]


def request(prompt: Any, seed: int | None = None, **sampling: Any) -> Request:
    return Request(prompt, Sampling(**{"max_tokens": 12, **sampling}), TASK, Sample("1", prompt),
                   seed=seed)  # fmt: skip


def answers(of: Checkpoint, requests: Sequence[Request]) -> list[Response]:
    async def ask() -> list[Response]:
        model = open_(of)
        try:
            return list(await asyncio.gather(*map(model.generate, requests)))
        finally:
            await model.close()

    return asyncio.run(ask())


def likelihoods(
    of: Checkpoint, questions: Sequence[tuple[Any, Sequence[str]]]
) -> list[list[LogLikelihood]]:
    async def ask() -> list[list[LogLikelihood]]:
        model = open_(of)
        try:
            return list(await asyncio.gather(*(model.loglikelihood(*q) for q in questions)))
        finally:
            await model.close()

    return asyncio.run(ask())


def plain(folder: Path, **how: Any) -> tuple[Any, Any]:
    model = AutoModelForCausalLM.from_pretrained(folder, **how)
    return model, AutoTokenizer.from_pretrained(folder)


@pytest.mark.parametrize(("kind", "count"), [("llama", 200), ("gpt2", 40), ("mistral", 40)])
def test_greedy_text_is_that_of_plain_generate_sample_by_sample(
    folders: dict[str, Path], kind: str, count: int
) -> None:
    model, tokenizer = plain(folders[kind])
    asked = prompts(count)
    found = answers(checkpoint(folders[kind], batch_size=16), [request(p) for p in asked])
    for prompt, response in zip(asked, found, strict=True):
        ids = tokenizer(prompt, return_tensors="pt")
        out = model.generate(**ids, max_new_tokens=12, do_sample=False)[0, ids.input_ids.shape[1] :]
        assert response == Response(
            text=tokenizer.decode(out, skip_special_tokens=True),
            finish_reason="stop" if out[-1] == 1 else "length",
            prompt_tokens=ids.input_ids.shape[1],
            completion_tokens=len(out),
        )
    assert len({response.finish_reason for response in found}) == 2 or kind != "llama"


@pytest.mark.parametrize("name", ["bfloat16", "float16"])
def test_half_the_precision_is_that_of_transformers(folders: dict[str, Path], name: str) -> None:
    model, tokenizer = plain(folders["llama"], dtype=name)
    of = checkpoint(folders["llama"], dtype=name, batch_size=1)
    assert environment(of)["dtype"] == name
    for prompt, response in zip(prompts(6), answers(of, [*map(request, prompts(6))]), strict=True):
        ids = tokenizer(prompt, return_tensors="pt")
        out = model.generate(**ids, max_new_tokens=12, do_sample=False)[0, ids.input_ids.shape[1] :]
        assert response.text == tokenizer.decode(out, skip_special_tokens=True)


def test_a_model_spread_over_all_devices_says_the_same(folders: dict[str, Path]) -> None:
    asked = [*map(request, prompts(8))]
    spread = replace(checkpoint(folders["llama"]), options={"device": "all", "dtype": "float32"})
    if not torch.cuda.is_available():  # where there is one, its arithmetic is another
        assert answers(spread, asked) == answers(checkpoint(folders["llama"]), asked)
    assert all(not each.error for each in answers(spread, asked))


def test_every_request_has_its_own_maximum_and_stop(folders: dict[str, Path]) -> None:
    of = checkpoint(folders["llama"])
    wholes = answers(of, [request(prompt, max_tokens=40) for prompt in prompts(30)])
    cuttable = [
        (prompt, whole.text, found_stop[0])
        for prompt, whole in zip(prompts(30), wholes, strict=True)
        if len(whole.text) > 12 and (found_stop := re.search("[ -~]{1,2}", whole.text[5:-3]))
    ]
    assert len(cuttable) > 10
    requests = [request(p, max_tokens=40, stop=("zzzz", stop)) for p, _, stop in cuttable]
    requests += [request(p, max_tokens=1 + at % 5) for at, (p, _, _) in enumerate(cuttable)]
    found = answers(of, requests)
    for (_, text, stop), response in zip(cuttable, found[: len(cuttable)], strict=True):
        assert response.text == text[: text.index(stop)]
        assert response.finish_reason == "stop"
        assert response.completion_tokens < 40
    for at, response in enumerate(found[len(cuttable) :]):
        assert (response.completion_tokens, response.finish_reason) == (1 + at % 5, "length")


def test_a_seed_decides_a_draw_whatever_else_is_in_the_batch(folders: dict[str, Path]) -> None:
    of = checkpoint(folders["llama"])
    mine = [request("abc", seed, temperature=1.0, top_p=0.9) for seed in range(12)]
    others = [request(prompt, 99, temperature=0.7) for prompt in prompts(20)]
    greedy = [request(prompt) for prompt in prompts(9)]
    alone = [answers(of, [one])[0].text for one in mine[:4]]
    together = [response.text for response in answers(of, [*others, *mine, *greedy])]
    assert together[20:24] == alone
    assert len(set(together[20:32])) == 12
    assert together[32:] == [response.text for response in answers(of, greedy)]
    unseeded = answers(of, [request("abc", temperature=1.0) for _ in range(8)])
    assert len({response.text for response in unseeded}) == 8


def test_tokens_are_drawn_as_often_as_they_are_likely() -> None:
    chances = torch.tensor([0.1, 0.5, 0.05, 0.35])
    logits = chances.log().repeat(4000, 1)
    uniform = (torch.arange(4000, dtype=torch.float64) + 0.5) / 4000
    free = Counter(draw(logits, torch.ones(4000), uniform))
    assert [free[at] / 4000 for at in range(4)] == pytest.approx(chances.tolist(), abs=0.001)
    assert set(draw(logits, torch.zeros(4000), uniform)) == {1}
    inner = Counter(draw(logits, torch.full((4000,), 0.8), uniform))
    assert [inner[at] / 4000 for at in range(4)] == pytest.approx(
        [0, 0.5 / 0.85, 0, 0.35 / 0.85], abs=0.001
    )


def test_a_conversation_goes_through_the_template_with_one_beginning(chat: Path) -> None:
    model, tokenizer = plain(chat)
    turns = [{"role": "user", "content": "abc"}]
    (found,) = answers(checkpoint(chat), [request(turns)])
    ids = tokenizer("<s><|user|>abc\n<|assistant|>", add_special_tokens=False, return_tensors="pt")
    out = model.generate(**ids, max_new_tokens=12, do_sample=False)[0, ids.input_ids.shape[1] :]
    assert found.text == tokenizer.decode(out, skip_special_tokens=True)
    assert found.prompt_tokens == ids.input_ids.shape[1] == 7
    tools = replace(request(turns), sample=Sample("1", "", tools=({"type": "function"},)))
    assert answers(checkpoint(chat), [tools])[0].prompt_tokens == 7 + len("1 tools\n")
    begun = replace(checkpoint(chat), format="completion")
    assert answers(begun, [request("<s>ab"), request("ab")])[0].prompt_tokens == 3


def test_the_format_is_chat_exactly_where_there_is_a_template(
    folders: dict[str, Path], chat: Path
) -> None:
    async def form(of: Checkpoint) -> str:
        model = open_(of)
        await model.close()
        return model.format

    assert asyncio.run(form(checkpoint(chat))) == "chat"
    assert asyncio.run(form(replace(checkpoint(chat), format="completion"))) == "completion"
    assert asyncio.run(form(checkpoint(folders["llama"]))) == "completion"
    with pytest.raises(ModelError, match="has no chat template"):
        open_(replace(checkpoint(folders["llama"]), format="chat"))


def expected(model: Any, ids: list[int], start: int) -> LogLikelihood:
    with torch.inference_mode():
        logits = model(torch.tensor([ids])).logits[0, start - 1 : -1]
    own = torch.tensor(ids[start:])
    values = logits.log_softmax(-1).gather(-1, own[:, None])
    return LogLikelihood(float(values.sum()), len(own), bool((logits.argmax(-1) == own).all()))


@pytest.mark.parametrize("kind", KINDS)
def test_log_likelihoods_are_those_of_a_plain_forward_pass(
    folders: dict[str, Path], kind: str
) -> None:
    model, tokenizer = plain(folders[kind])
    source = random.Random(1)
    questions = [
        (prompt, [" " + "".join(source.choices("abcd ", k=source.randint(0, 9))) for _ in range(4)])
        for prompt in [*prompts(16), ""]
    ]
    greedy = answers(checkpoint(folders[kind]), [request("ab", max_tokens=3)])[0].text
    questions.append(("ab", [greedy, greedy[:1]]))
    found = likelihoods(checkpoint(folders[kind], batch_size=8), questions)
    for (context, continuations), row in zip(questions, found, strict=True):
        start = len(tokenizer(context.rstrip()).input_ids)
        for continuation, got in zip(continuations, row, strict=True):
            want = expected(model, tokenizer(context + continuation).input_ids, start)
            assert got.total == pytest.approx(want.total, abs=1e-4)
            assert (got.tokens, got.greedy) == (want.tokens, want.greedy)


@pytest.mark.parametrize("kind", KINDS)
def test_a_text_longer_than_the_window_is_scored_in_pieces_each_token_once(
    kind: str, folders: dict[str, Path]
) -> None:
    text = " ".join(prompts(20))
    tokenizer = AutoTokenizer.from_pretrained(folders[kind])
    model: Any = AutoModelForCausalLM.from_pretrained(folders[kind])
    tokens = tokenizer(text)["input_ids"]
    assert tokens[0] == 0  # the beginning mark
    size, expected, scored = 160, 0.0, 0
    for start in range(1, len(tokens), size):
        end = min(start + size, len(tokens))
        piece = torch.tensor(tokens[max(0, end - 1 - size) : end])
        logits = model(piece[None, :-1]).logits[0].log_softmax(-1)
        own = logits.gather(-1, piece[1:, None])[start - end :, 0]
        expected, scored = expected + float(own.detach().sum()), scored + len(own)

    async def ask() -> list[LogLikelihood]:
        local = open_(checkpoint(folders[kind]))
        try:
            return [await local.rolling(text), await local.rolling("a")]
        finally:
            await local.close()

    long, short = asyncio.run(ask())
    assert long.tokens == scored == len(tokens) - 1 > 3 * size
    assert long.total == pytest.approx(expected, abs=1e-2)
    assert short.tokens == 1


def test_an_empty_text_has_no_log_likelihood(folders: dict[str, Path]) -> None:
    async def ask() -> LogLikelihood:
        local = open_(checkpoint(folders["llama"]))
        try:
            return await local.rolling("")
        finally:
            await local.close()

    with pytest.raises(ModelError, match="an empty text"):
        asyncio.run(ask())


def test_a_conversation_has_log_likelihoods_after_its_template(chat: Path) -> None:
    model, tokenizer = plain(chat)
    turns = [{"role": "user", "content": "abc "}]
    ((found,),) = likelihoods(checkpoint(chat), [(turns, ["yes"])])
    text = "<s><|user|>abc \n<|assistant|>yes"
    want = expected(model, tokenizer(text, add_special_tokens=False).input_ids, 8)
    assert found.total == pytest.approx(want.total, abs=1e-4)
    assert found.tokens == 3


def test_what_does_not_fit_the_model_is_an_error_of_that_sample(folders: dict[str, Path]) -> None:
    of = checkpoint(folders["llama"])
    long, tight, fine = answers(
        of, [request("a" * 200), request("a" * 150, max_tokens=99), request("a")]
    )
    assert long.error == "the prompt has 201 tokens, the model reads 160"
    assert not tight.error
    assert tight.prompt_tokens + tight.completion_tokens <= 160
    assert (tight.finish_reason == "length") == (tight.completion_tokens == 160 - 151)
    assert fine.text
    (short,) = answers(checkpoint(folders["llama"], max_length=10), [request("a" * 12)])
    assert short.error == "the prompt has 13 tokens, the model reads 10"
    with pytest.raises(ModelError, match="prompt and choice have 205 tokens, the model reads 160"):
        likelihoods(of, [("a" * 200, ["b" * 5])])
    with pytest.raises(ModelError, match="an empty choice"):
        likelihoods(of, [("a", ["b", ""])])


def test_a_sample_that_breaks_its_batch_fails_alone(folders: dict[str, Path]) -> None:
    async def ask() -> list[Response]:
        model = open_(checkpoint(folders["llama"]))
        model.loaded.tokenizer.add_tokens(["BROKEN"])  # a token that the model does not have
        try:
            asked = [request(p) for p in [*prompts(9), "BROKEN", *prompts(9)]]
            return list(await asyncio.gather(*map(model.generate, asked)))
        finally:
            await model.close()

    found = asyncio.run(ask())
    assert "IndexError: index out of range" in found[9].error
    assert [bool(response.error) for response in found].count(True) == 1
    assert found[:9] == found[10:]


def test_closing_ends_a_long_answer_at_once(folders: dict[str, Path]) -> None:
    async def ask() -> tuple[bool, float]:
        options = {**OPTIONS, "device": "cpu", "max_length": 10**6}
        loaded = load(checkpoint(folders["llama"]), options)
        model = Local(replace(loaded, ends=frozenset()), 4)
        task = asyncio.create_task(model.generate(request("a", max_tokens=10**6)))
        await asyncio.sleep(0.1)
        task.cancel()
        start = time.monotonic()
        await model.close()
        return task.cancelled(), time.monotonic() - start

    cancelled, seconds = asyncio.run(ask())
    assert cancelled
    assert seconds < 10  # the whole answer would take hours


def test_a_folder_that_cannot_be_loaded_says_which_and_why(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    def copy(name: str) -> Path:
        made = tmp_path / name
        made.mkdir()
        for path in folders["llama"].iterdir():
            (made / path.name).write_bytes(path.read_bytes())
        return made

    torn = copy("torn")
    weights = torn / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(ModelError, match=r"checkpoint 'tiny': cannot load .*torn: Safetensor"):
        open_(checkpoint(torn))
    pickled = copy("pickled")
    (pickled / "model.safetensors").unlink()
    torch.save({}, pickled / "pytorch_model.bin")
    with pytest.raises(ModelError, match=r"cannot load .*pickled"):
        open_(checkpoint(pickled))
    deeper = copy("deeper")
    config = json.loads((deeper / "config.json").read_text())
    (deeper / "config.json").write_text(json.dumps({**config, "num_hidden_layers": 3}))
    with pytest.raises(ModelError, match=r"deeper lacks the weights model.layers.2"):
        open_(checkpoint(deeper))
    with pytest.raises(ModelError, match="there is no folder"):
        open_(checkpoint(tmp_path / "nowhere"))
    with pytest.raises(ConfigError, match="needs `model`"):
        open_(Checkpoint("tiny"))
    with pytest.raises(ConfigError, match="dtype is one of"):
        open_(checkpoint(folders["llama"], dtype="int3"))
    with pytest.raises(ConfigError, match="quantization is 8bit, 4bit or empty"):
        open_(checkpoint(folders["llama"], quantization="int3"))


@pytest.mark.parametrize("quantization", ["8bit", "4bit"])
def test_a_model_in_fewer_bits_says_what_transformers_says_of_it(
    tmp_path: Path, quantization: str
) -> None:
    folder = tiny_model(tmp_path, width=128)  # blocks of 64 weights share a scale
    fewer = BitsAndBytesConfig(**{f"load_in_{quantization}": True})
    model, tokenizer = plain(folder, quantization_config=fewer, device_map="cpu")
    asked = prompts(20)
    of = checkpoint(folder, quantization=quantization, batch_size=1)
    found = answers(of, [request(prompt) for prompt in asked])
    for prompt, response in zip(asked, found, strict=True):
        ids = tokenizer(prompt, return_tensors="pt")
        out = model.generate(**ids, max_new_tokens=12, do_sample=False)[0, ids.input_ids.shape[1] :]
        assert response.text == tokenizer.decode(out, skip_special_tokens=True)
    questions = [(prompt, ("a b", "cc")) for prompt in asked]
    assert likelihoods(of, questions) != likelihoods(checkpoint(folder), questions)


def test_without_bitsandbytes_it_is_told_what_to_install(
    folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("evalkit.backends._loading.find_spec", lambda name: None)
    with pytest.raises(ModelError, match=r"'tiny': .* bitsandbytes: pip install .*quantization"):
        open_(checkpoint(folders["llama"], quantization="4bit"))


def test_a_hub_id_that_is_not_to_be_had_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ModelError, match=r"'nobody/nothing' is neither a folder here nor to be"):
        open_(Checkpoint("tiny", "nobody/nothing"))


def test_its_identity_is_its_fingerprint_and_its_environment_is_named(chat: Path) -> None:
    assert identify(checkpoint(chat)) == fingerprint(chat)
    named = environment(checkpoint(chat))
    assert named["engine"] == "transformers"
    assert named["torch"].startswith(torch.__version__.split("+")[0])
    assert (named["device"], named["dtype"]) == ("cpu", "float32")
