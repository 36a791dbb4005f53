"""LoRA by PEFT: a stage's `lora:` is its LoraConfig, and the adapter is merged when it is done."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from evalkit import Stage


def config(stage: Stage, *, scores: bool) -> Any:
    """PEFT's configuration of the stage; none where all weights are trained."""
    if not stage.lora:
        return None
    from peft import LoraConfig

    given = dict(stage.lora)
    given.setdefault("task_type", "SEQ_CLS" if scores else "CAUSAL_LM")
    return LoraConfig(**given)


def merge(parent: str, adapter: Path, out: Path, *, pad: int, scores: bool) -> None:
    """Writes the parent's weights with the adapter in them, put together on the CPU."""
    import transformers
    from peft import PeftModel

    hf: Any = transformers
    kind = hf.AutoModelForSequenceClassification if scores else hf.AutoModelForCausalLM
    options = {"num_labels": 1} if scores else {}
    model = kind.from_pretrained(parent, dtype="auto", **options)
    if scores:
        model.config.pad_token_id = pad  # by it a classifier finds where a text ends
    PeftModel.from_pretrained(model, str(adapter)).merge_and_unload().save_pretrained(out)
