"""Are our ids and pixels of a whole prompt those of transformers' own processor of the family?"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from transformers import LlavaNextProcessor
from transformers.models.llava_next.image_processing_pil_llava_next import LlavaNextImageProcessorPil

import attach_support
import face_support
from focal.testing import prompts as families
from focal_algorithm.prompts.media.tokens import _CheckpointTokenizer

SHAPES = [(70, 70), (150, 70), (64, 190), (31, 30), (211, 333)]


def llava_next(config: Any) -> Any:
    side = config.vision_config.image_size
    pictures = LlavaNextImageProcessorPil(
        size={"shortest_edge": side},
        crop_size={"height": side, "width": side},
        image_grid_pinpoints=config.image_grid_pinpoints,
    )
    return LlavaNextProcessor(
        pictures,
        face_support.stock_tokenizer({"<image>": config.image_token_id}),
        patch_size=config.vision_config.patch_size,
        vision_feature_select_strategy=config.vision_feature_select_strategy,
        num_additional_image_tokens=1,  # the CLS token
    )


IMAGES = {"llava_next": (llava_next, "<image>")}
"""Maker of the stock processor and its mark of an image, by family."""


@pytest.mark.parametrize("family", IMAGES)
@pytest.mark.parametrize(("width", "height"), SHAPES)
def test_ids_and_pixels_of_an_image_are_those_of_the_stock_processor(
    family: str, width: int, height: int
) -> None:
    tiny = families.tiny(family)
    make, mark = IMAGES[family]
    stock = make(tiny.model.config)
    loaded = replace(tiny, tokenizer=_CheckpointTokenizer(stock.tokenizer))
    sample = attach_support.image(3, width, height)
    ours = families.build_prompt(loaded, sample, "What?").inputs
    before, after = loaded.adapter.prompt_text("What?")
    theirs = stock(images=list(sample.frames), text=f"{before}{mark}{after}", return_tensors="pt")
    assert torch.equal(ours["input_ids"], theirs["input_ids"])
    for name in ours.keys() - {"input_ids", "attention_mask"}:
        assert torch.allclose(ours[name].float(), theirs[name].float(), rtol=0, atol=1e-5), name
