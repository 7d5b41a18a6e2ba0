"""Shapes of the two offline models, in the native classes that the 7B checkpoints use."""

from __future__ import annotations

from typing import Any

from focal_algorithm.training.nearby import look_nearby
from focal_algorithm.training.words import ANSWER_END, IMAGE, PAD, VIDEO, WORDS

__all__ = ["IMAGE_SIZE_PIXELS", "VISUAL_SIDE", "image_model", "video_model"]

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
