"""A word-level tokenizer for the miniature world.

Words, single digits and runs of punctuation are its tokens.  Spaces are dropped, so a word is
one token wherever it stands, and put back on decoding where English and JSON have them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

PAD, UNKNOWN, END = "<pad>", "<unk>", "<end>"
ROLES = ("<system>", "<user>", "<assistant>", "<tool>")
TOKEN = r"[A-Za-z_]+|[0-9]|[^\sA-Za-z0-9_]+"
# between digits, before a stop, on either side of a quote or a bracket
NO_SPACE = r'(?<=\d) (?=\d)| (?=[.,?!:;])|(?<=[{}"\[\]]) | (?=[{}"\[\]])'
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<' + message['role'] + '>' + message['content'] + '<end>' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<assistant>' }}{% endif %}"
)


def word_tokenizer(texts: Iterable[str]) -> Any:
    """A tokenizer that knows every word of the texts, with a chat template."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.WordLevel(unk_token=UNKNOWN))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(TOKEN), behavior="removed", invert=True)
    special = [PAD, UNKNOWN, END, *ROLES]
    trainer = trainers.WordLevelTrainer(special_tokens=special, show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    spaced = decoders.WordPiece(prefix="\0", cleanup=False)  # no token begins so
    tokenizer.decoder = decoders.Sequence(
        [spaced, decoders.Fuse(), decoders.Replace(Regex(NO_SPACE), "")]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        unk_token=UNKNOWN,
        eos_token=END,
        chat_template=CHAT_TEMPLATE,
        clean_up_tokenization_spaces=False,
        model_input_names=["input_ids", "attention_mask"],
    )
