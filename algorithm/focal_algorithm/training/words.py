"""The tokenizer of the offline models: one token per word of the benchmarks and of the chat template."""

from __future__ import annotations

import re
from typing import Any

from focal_algorithm.tasks.drawing import COLORS, DIRECTIONS, OPPOSITE_SIDES, QUADRANTS, SHAPES

__all__ = ["ANSWER_END", "IMAGE", "PAD", "UNKNOWN", "VIDEO", "WORDS", "vocabulary", "word_tokenizer"]

PAD, UNKNOWN, IMAGE, VIDEO = "<pad>", "<unk>", "<image>", "<video>"
ANSWER_END = "<|im_end|>"
_SPECIAL = (PAD, UNKNOWN, "<|im_start|>", ANSWER_END, IMAGE, VIDEO, "<s>", "</s>")
_TEMPLATE = ("system", "You", "are", "a", "helpful", "assistant", ".", "user", "USER", "ASSISTANT", ":")
# fmt: off
_GRAMMAR = (
    "is", "there", "in", "the", "at", "of", "or", "to", "and", "what", "which", "where", "how", "many", "does", "do",
    "has", "same", "as", "other", "one", "object", "objects", "color", "shape", "way", "move", "moves", "start",
    "end", "appears", "first", "faster", "image", "video", "larger", "than", "smaller", "more", ",", "?",
)
# fmt: on
_NUMBERS = tuple(str(number) for number in range(10))

WORDS: tuple[str, ...] = tuple(
    dict.fromkeys(
        (
            *_SPECIAL,
            *_TEMPLATE,
            *_GRAMMAR,
            "yes",
            "no",
            *_NUMBERS,
            *COLORS,
            *SHAPES,
            *DIRECTIONS,
            *OPPOSITE_SIDES,
            *QUADRANTS,
        )
    )
)
"""Vocabulary in the order of token ids."""


_WORD = r"[\w-]+|[^\w\s]"


def vocabulary(template: str) -> tuple[str, ...]:
    """Return all words of a model in the order of token ids: `WORDS`, then those only its template has."""
    plain = re.sub("|".join(re.escape(word) for word in (*_SPECIAL, "{question}")), " ", template)
    return tuple(dict.fromkeys((*WORDS, *re.findall(_WORD, plain))))


def word_tokenizer(words: tuple[str, ...]) -> Any:
    """Return a ``PreTrainedTokenizerFast``; white space is dropped, words outside ``words`` are unknown."""
    from tokenizers import AddedToken, Regex, Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.WordLevel({word: index for index, word in enumerate(words)}, UNKNOWN))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(_WORD), "removed", invert=True)
    tokenizer.add_special_tokens([AddedToken(word, special=True) for word in _SPECIAL])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        unk_token=UNKNOWN,
        eos_token=ANSWER_END,
        clean_up_tokenization_spaces=False,
    )
