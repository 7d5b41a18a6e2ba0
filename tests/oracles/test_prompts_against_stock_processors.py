"""Are our ids and pixels of a whole prompt those of transformers' own processor of the family?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from transformers import InternVLProcessor, LlavaNextProcessor
from transformers.models.got_ocr2.image_processing_pil_got_ocr2 import GotOcr2ImageProcessorPil
from transformers.models.llava_next.image_processing_pil_llava_next import LlavaNextImageProcessorPil

import attach_support
import face_support
from focal.testing import prompts as families
from focal_algorithm.prompts.media.tokens import _CheckpointTokenizer

SHAPES = [(70, 70), (150, 70), (64, 190), (31, 30), (211, 333)]


@dataclass
class _Stock:
    """What of a stock processor needs no torchvision: its tokenizer, and ids and pixels of a text with an image."""

    tokenizer: Any
    inputs: Callable[[Any, str], Any]


def llava_next(config: Any) -> _Stock:
    side = config.vision_config.image_size
    pictures = LlavaNextImageProcessorPil(
        size={"shortest_edge": side},
        crop_size={"height": side, "width": side},
        image_grid_pinpoints=config.image_grid_pinpoints,
    )
    tokenizer = face_support.stock_tokenizer({"<image>": config.image_token_id})
    stock = LlavaNextProcessor(
        pictures,
        tokenizer,
        patch_size=config.vision_config.patch_size,
        vision_feature_select_strategy=config.vision_feature_select_strategy,
        num_additional_image_tokens=1,  # the CLS token
    )
    return _Stock(tokenizer, lambda image, text: stock(images=image, text=text, return_tensors="pt"))


def internvl(config: Any) -> _Stock:
    """Put pixels and ids together as `InternVLProcessor` does: to make one needs torchvision, for videos."""
    marks = {"<image>": config.image_token_id, "<img>": 261, "</img>": 262}
    tokenizer = face_support.stock_tokenizer(marks)
    height, width = config.vision_config.image_size
    scale = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}
    pictures = GotOcr2ImageProcessorPil(size={"height": height, "width": width}, **scale)
    own = SimpleNamespace(
        start_image_token="<img>",
        end_image_token="</img>",
        image_token="<image>",
        image_seq_length=config.image_seq_length,
    )

    def inputs(image: Any, text: str) -> Any:
        made = pictures(image, crop_to_patches=True, return_tensors="pt")
        text = text.replace("<image>", InternVLProcessor.replace_image_token(own, made, 0))
        return tokenizer(text, return_tensors="pt") | {"pixel_values": made["pixel_values"]}

    return _Stock(tokenizer, inputs)


IMAGES = {"llava_next": llava_next, "internvl": internvl}
"""Maker of the stock processor, by family."""


@pytest.mark.parametrize("family", IMAGES)
@pytest.mark.parametrize(("width", "height"), SHAPES)
def test_ids_and_pixels_of_an_image_are_those_of_the_stock_processor(
    family: str, width: int, height: int
) -> None:
    tiny = families.tiny(family)
    stock = IMAGES[family](tiny.model.config)
    loaded = replace(tiny, tokenizer=_CheckpointTokenizer(stock.tokenizer))
    sample = attach_support.image(3, width, height)
    ours = families.build_prompt(loaded, sample, "What?").inputs
    before, after = loaded.adapter.prompt_text("What?")
    theirs = stock.inputs(sample.frames[0], f"{before}<image>{after}")
    assert torch.equal(ours["input_ids"], theirs["input_ids"])
    for name in ours.keys() - {"input_ids", "attention_mask"}:
        assert ours[name].shape == theirs[name].shape, name
        assert torch.allclose(ours[name].float(), theirs[name].float(), rtol=0, atol=1e-5), name
