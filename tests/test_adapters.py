"""Adapters of one base take turns on it, and answer what each answers when it is loaded alone."""

from __future__ import annotations

import asyncio
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

from evalkit import plugins
from evalkit.backends._adapters import SHELF, sharing
from evalkit.backends.transformers_local import Local, identify, open_
from evalkit.errors import ModelError
from evalkit.events import silent
from evalkit.matrix import Row
from evalkit.run import hold
from evalkit.storage.store import Store
from evalkit.types import Checkpoint, Sampling
from tests.small_exams import doubles, exam, matrix
from tests.test_backend_transformers_local import one_thread, prompts, request
from tests.tiny_models import tiny_model

pytestmark = pytest.mark.filterwarnings(  # PEFT's, of what transformers will take away
    "ignore:.is_gradient_checkpointing. is deprecated:FutureWarning"
)
BESIDE: dict[str, dict[str, Any]] = {
    "small": {"r": 2, "target_modules": ["q_proj", "v_proj"]},
    "all": {"r": 8, "lora_alpha": 3, "use_rslora": True, "target_modules": "all-linear"},
    "drops": {"r": 4, "lora_dropout": 0.9, "target_modules": ["down_proj"]},
}
IN_PLACE: dict[str, dict[str, Any]] = {
    "head": {"r": 2, "target_modules": ["q_proj"], "modules_to_save": ["lm_head"]},
    "biased": {"r": 2, "target_modules": ["q_proj"], "bias": "all"},
}


__all__ = ["one_thread"]  # a fixture, in force here too


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Adapters by name, and their base."""
    root = tmp_path_factory.mktemp("adapters")
    base = tiny_model(root / "base")
    made = {name: adapter(root / name, base, **how) for name, how in (BESIDE | IN_PLACE).items()}
    return {"base": base, **made}


def adapter(folder: Path, base: Path, **how: Any) -> Path:
    """An adapter that changes much, so that a trace of it would show."""
    model = get_peft_model(AutoModelForCausalLM.from_pretrained(base), LoraConfig(**how))
    torch.manual_seed(len(folder.name))
    for weights in model.parameters():
        if weights.requires_grad:
            torch.nn.init.normal_(weights, std=0.3)
    model.save_pretrained(str(folder))
    return folder


def checkpoint(folder: Path) -> Checkpoint:
    options = {"device": "cpu"}
    return Checkpoint(folder.name, str(folder), backend="transformers_local", options=options)


def said(folder: Path) -> tuple[list[Any], int]:
    """What a checkpoint says, exactly; and where in memory its first weights are."""

    async def ask(model: Local) -> list[Any]:
        try:
            texts = await asyncio.gather(*map(model.generate, map(request, prompts(12))))
            return [*texts, await model.loglikelihood("abc", [" de", " cab"])]
        finally:
            await model.close()

    model = open_(checkpoint(folder))
    where = model.loaded.model.get_input_embeddings().weight.data_ptr()
    return asyncio.run(ask(model)), where


def test_adapters_that_take_turns_say_what_each_says_alone(folders: dict[str, Path]) -> None:
    alone = {name: said(folders[name])[0] for name in BESIDE}
    assert len({str(each) for each in alone.values()}) == len(BESIDE)
    with sharing():
        turns = [(name, *said(folders[name])) for name in ("small", "all", "drops", "small")]
    assert [(name, alone[name]) for name, _, _ in turns] == [
        (name, each) for name, each, _ in turns
    ]
    assert len({where for _, _, where in turns}) == 1
    assert SHELF.model is None


def test_what_takes_the_place_of_weights_leaves_no_trace(folders: dict[str, Path]) -> None:
    names = ("head", "small", "biased", "all", "base", "small")
    alone = {name: said(folders[name])[0] for name in names}
    with sharing():
        for name in names:
            assert said(folders[name])[0] == alone[name], name
            assert (SHELF.model is not None) == (name in BESIDE)


def test_a_base_that_changed_is_loaded_again(folders: dict[str, Path], tmp_path: Path) -> None:
    base = shutil.copytree(folders["base"], tmp_path / "base")
    over = {name: adapter(tmp_path / name, base, **BESIDE[name]) for name in ("small", "drops")}
    with sharing():
        said(over["small"])
        old = SHELF.key
        model = AutoModelForCausalLM.from_pretrained(base)
        for weights in model.parameters():
            torch.nn.init.normal_(weights)
        model.save_pretrained(base)
        found = said(over["drops"])[0]
        assert SHELF.key != old
    assert found == said(over["drops"])[0]


def test_an_adapter_that_cannot_be_put_on_spoils_no_other(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    broken = shutil.copytree(folders["all"], tmp_path / "broken")
    config = (broken / "adapter_config.json").read_text()
    (broken / "adapter_config.json").write_text(config.replace('"r": 8', '"r": 5'))
    alone = said(folders["small"])[0]
    with sharing():
        said(folders["small"])
        with pytest.raises(ModelError, match="checkpoint 'broken': cannot load"):
            open_(checkpoint(broken))
        assert said(folders["small"])[0] == alone


def test_a_run_loads_the_base_of_its_adapters_once(
    folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[str] = []
    load = AutoModelForCausalLM.from_pretrained

    def noting(where: Path, **options: Any) -> Any:
        loaded.append(Path(where).name)
        return load(where, **options)

    monkeypatch.setattr(AutoModelForCausalLM, "from_pretrained", noting)
    backend = plugins.backend("transformers_local")
    short = doubles(6, sampling=Sampling(max_tokens=5))

    def run(results: Path, *names: str) -> dict[str, bytes]:
        rows = [
            Row(identified(folders[name]), replace(backend, holds_device=None)) for name in names
        ]
        hold(matrix(rows, [exam(short)]), results, silent)
        cells = Store(results).cells()
        return {cell.path.name: cell.answers_path.read_bytes() for cell in cells}

    def identified(folder: Path) -> Checkpoint:
        return replace(checkpoint(folder), identity=identify(checkpoint(folder)), by_content=True)

    together = run(tmp_path / "together", *BESIDE)
    assert loaded == [next(iter(BESIDE))]
    alone = [run(tmp_path / name, name) for name in BESIDE]
    assert together == {name: answers for each in alone for name, answers in each.items()}
