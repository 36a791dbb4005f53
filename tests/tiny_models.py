"""Tiny models of random weights, with a tokenizer of bytes: real files in a folder, no download."""

from __future__ import annotations

from pathlib import Path
from typing import Any

MARKS = ["<s>", "</s>", "<|user|>", "<|assistant|>"]
TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}<|{{ m.role }}|>{{ m.content }}\n{% endfor %}"
    "{% if tools %}{{ tools | length }} tools\n{% endif %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


def tiny_model(
    folder: Path,
    kind: str = "llama",
    *,
    template: bool = False,
    window: int = 160,
    width: int = 32,
) -> Path:
    """A model of that kind that reads so many tokens, and its tokenizer, saved into the folder."""
    import torch
    import transformers

    hf: Any = transformers  # its own types leave half of this out
    torch.manual_seed(0)
    hf.AutoModelForCausalLM.from_config(_config(hf, kind, window, width)).save_pretrained(folder)
    tokenizer = _tokenizer(hf)
    tokenizer.chat_template = TEMPLATE if template else None
    tokenizer.save_pretrained(folder)
    return folder


def _config(hf: Any, kind: str, window: int, width: int) -> Any:
    ends = {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 1}
    size = {"hidden_size": width, "intermediate_size": width * 3 // 2, "num_hidden_layers": 2,
            "vocab_size": 260, "num_attention_heads": 4, "num_key_value_heads": 2,
            "max_position_embeddings": window, "initializer_range": 0.3, **ends}  # fmt: skip
    if kind == "mistral":  # its window is shorter than the prompts
        return hf.MistralConfig(**size, sliding_window=12)
    if kind == "gpt2":  # positions are learned, so a wrong one shows
        return hf.GPT2Config(
            n_embd=width, n_layer=2, n_head=4, vocab_size=260, n_positions=window,
            initializer_range=0.3, **ends,
        )  # fmt: skip
    return hf.LlamaConfig(**size)


def _tokenizer(hf: Any) -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: at for at, token in enumerate([*MARKS, *letters])}
    tokenizer = Tokenizer(models.BPE(vocabulary, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", 0)]
    )
    return hf.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>",
        additional_special_tokens=MARKS[2:],
    )  # fmt: skip
