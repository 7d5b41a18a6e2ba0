"""A tiny stock LLaVA checkpoint with its stock processor, as a user would have one on disk."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import LlavaProcessor, PreTrainedTokenizerFast
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from focal_algorithm.checkpoints.loading import random_model
from focal_algorithm.models.llava import Llava

EXAMPLES = Path(__file__).parents[1] / "docs" / "examples"
PUBLISHED = Path(__file__).parents[1] / "example_output" / "published"


def stock_model(seed: int = 0) -> Any:
    """LLaVA-1.5 in the sizes of our tiny random model; the class is that of transformers."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return random_model(Llava, "tiny", "sdpa").eval()


def stock_tokenizer(marks: dict[str, int]) -> PreTrainedTokenizerFast:
    """One token per byte, and marks with their ids."""
    letters = pre_tokenizers.ByteLevel.alphabet()
    words = {letter: place for place, letter in enumerate(sorted(letters))}
    words |= {"<pad>": 256, "<s>": 257, "</s>": 258} | marks
    inner = Tokenizer(models.WordLevel(words, unk_token="<pad>"))
    inner.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.ByteLevel(add_prefix_space=False), pre_tokenizers.Split(Regex("."), "isolated")]
    )
    inner.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=inner,
        pad_token="<pad>",
        bos_token="<s>",
        eos_token="</s>",
        additional_special_tokens=list(marks),
    )


@cache
def stock_processor() -> LlavaProcessor:
    """One token per byte; the placeholder and its id are those of the model."""
    pictures = CLIPImageProcessorPil(size={"shortest_edge": 84}, crop_size={"height": 84, "width": 84})
    return LlavaProcessor(
        pictures,
        stock_tokenizer({"<image>": 259}),
        patch_size=14,
        vision_feature_select_strategy="default",
        image_token="<image>",
        num_additional_image_tokens=1,
    )


def save_checkpoint(folder: Path) -> Path:
    """Write model and processor as a checkpoint folder."""
    stock_model().save_pretrained(folder)
    stock_processor().save_pretrained(folder)
    return folder
