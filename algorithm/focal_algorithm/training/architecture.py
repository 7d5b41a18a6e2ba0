"""The two offline models: their shapes, in the native classes that the 7B checkpoints use, and their vocabulary."""

from __future__ import annotations

import math
import re
from typing import Any

import torch
from torch import Tensor

from focal_algorithm.tasks.drawing import COLORS, DIRECTIONS, OPPOSITE_SIDES, QUADRANTS, SHAPES

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


_CONTENT_SCALE = 0.5
"""Content starts weaker than position. Tried."""
_SHARPNESS = 1.8
"""Gain of queries and keys: most attention of a head falls on its neighbour. Tried."""
_NOISE = 0.02
"""Deviation of all other query and key weights, as CLIP starts them."""
_NEIGHBOURS = ((0, -1), (0, 1), (-1, 0), (1, 0))
"""(rows, columns) to the patch a head looks at, in patches; heads take turns."""


@torch.no_grad()
def look_nearby(tower: Any, has_class_token: bool) -> None:
    """Start positions as sinusoids, and queries as keys of a neighbour (Vaswani et al. 2017, sec. 3.5).

    A shift by one patch rotates every pair of sine and cosine, so a linear query can ask for it.

    Args:
        tower: SigLIP or CLIP tower.
        has_class_token: Whether position 0 belongs to the class token.
    """
    tower.embeddings.patch_embedding.weight.mul_(_CONTENT_SCALE)
    table = tower.embeddings.position_embedding.weight
    first = int(has_class_token)
    side = math.isqrt(len(table) - first)
    rates = _rates(side, table.shape[1] // 4)
    table[first:] = _sinusoids(side, rates)
    for layer, reach in zip(tower.encoder.layers[:2], (1, 2), strict=True):
        attention = layer.self_attn
        for projection in (attention.q_proj, attention.k_proj):
            torch.nn.init.normal_(projection.weight, std=_NOISE)
        _aim(attention, rates, reach)


def _rates(side: int, count: int) -> Tensor:
    """Return radians per patch: periods from 4 patches to four times the side."""
    return 2 * math.pi / torch.logspace(math.log10(4.0), math.log10(4.0 * side), count)


def _sinusoids(side: int, rates: Tensor) -> Tensor:
    """Return axes (side * side, 4 * rates): sines and cosines of the row, then of the column."""
    angles = torch.arange(side)[:, None] * rates
    along = torch.cat([angles.sin(), angles.cos()], 1)
    rows = along[:, None, :].expand(side, side, -1)
    columns = along[None, :, :].expand(side, side, -1)
    return torch.cat([rows, columns], 2).reshape(side * side, -1)


def _aim(attention: Any, rates: Tensor, reach: int) -> None:
    """Add to each head queries that equal the keys of the patch ``reach`` steps away in its direction."""
    query, key = attention.q_proj.weight, attention.k_proj.weight
    heads = attention.num_heads
    pairs = query.shape[0] // heads // 4
    count = len(rates)
    chosen = torch.linspace(0, count - 1, pairs).round().long().tolist()
    for head in range(heads):
        steps = _NEIGHBOURS[head % len(_NEIGHBOURS)]
        row = head * (query.shape[0] // heads)
        for axis in (0, 1):
            for rate in chosen:
                sine, cosine = axis * 2 * count + rate, (axis * 2 + 1) * count + rate
                turn = float(rates[rate]) * steps[axis] * reach
                key[row, sine] += _SHARPNESS
                key[row + 1, cosine] += _SHARPNESS
                query[row, sine] += _SHARPNESS * math.cos(turn)
                query[row, cosine] += _SHARPNESS * math.sin(turn)
                query[row + 1, cosine] += _SHARPNESS * math.cos(turn)
                query[row + 1, sine] -= _SHARPNESS * math.sin(turn)
                row += 2


VISUAL_SIDE = {"video": 8, "image": 12}
"""Visual tokens per side of a frame, as the decoder sees them."""

IMAGE_SIZE_PIXELS = {"video": 64, "image": 96}

_DECODER = {
    "hidden_size": 128,
    "intermediate_size": 256,
    "num_hidden_layers": 8,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 4096,
    # As Qwen2 (arXiv 2407.10671). With 1e4, most of a head of 32 turns too fast to match content over 1000 tokens.
    "rope_parameters": {"rope_type": "default", "rope_theta": 1e6},
    "initializer_range": 0.05,
    "pad_token_id": WORDS.index(PAD),
    "bos_token_id": None,
    "eos_token_id": WORDS.index(ANSWER_END),
}


def video_model(words: int) -> Any:
    """Build `LlavaOnevisionForConditionalGeneration` for a vocabulary of ``words``, from torch's random state.

    16 x 16 patches a frame, pooled to 8 x 8 tokens: 1024 visual tokens for 16 frames.
    """
    from transformers import LlavaOnevisionConfig, LlavaOnevisionForConditionalGeneration

    side = IMAGE_SIZE_PIXELS["video"]
    config = LlavaOnevisionConfig(
        vision_config={
            "model_type": "siglip_vision_model",
            "vision_use_head": False,
            "hidden_size": 64,
            "intermediate_size": 128,
            "num_hidden_layers": 3,
            "num_attention_heads": 4,
            "image_size": side,
            "patch_size": 4,
        },
        text_config={"model_type": "qwen2", "vocab_size": words, **_DECODER},
        image_token_index=WORDS.index(IMAGE),
        video_token_index=WORDS.index(VIDEO),
        vision_feature_layer=-1,
        vision_feature_select_strategy="full",
        image_grid_pinpoints=[[side * rows, side * columns] for rows in (1, 2) for columns in (1, 2)],
        tie_word_embeddings=False,
    )
    model = LlavaOnevisionForConditionalGeneration(config)
    look_nearby(model.model.vision_tower, has_class_token=False)
    return model


def image_model(words: int) -> Any:
    """Build `LlavaForConditionalGeneration` with a CLIP tower; 12 x 12 visual tokens, CLS dropped at layer -2."""
    from transformers import LlavaConfig, LlavaForConditionalGeneration

    config = LlavaConfig(
        vision_config={
            "model_type": "clip_vision_model",
            "hidden_size": 96,
            "intermediate_size": 192,
            "projection_dim": 96,
            "num_hidden_layers": 4,
            "num_attention_heads": 4,
            "image_size": IMAGE_SIZE_PIXELS["image"],
            "patch_size": 8,
        },
        text_config={"model_type": "llama", "vocab_size": words, **_DECODER},
        image_token_index=WORDS.index(IMAGE),
        image_seq_length=VISUAL_SIDE["image"] ** 2,
        vision_feature_layer=-2,
        vision_feature_select_strategy="default",
        tie_word_embeddings=False,
    )
    model = LlavaForConditionalGeneration(config)
    look_nearby(model.model.vision_tower, has_class_token=True)
    return model
