"""Are our ids and pixels of a whole prompt those of transformers' own processor of the family?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from transformers import Gemma3Processor, InternVLProcessor, LlavaNextProcessor, SmolVLMProcessor
from transformers.models.gemma3.image_processing_pil_gemma3 import Gemma3ImageProcessorPil
from transformers.models.got_ocr2.image_processing_pil_got_ocr2 import GotOcr2ImageProcessorPil
from transformers.models.llava_next.image_processing_pil_llava_next import LlavaNextImageProcessorPil
from transformers.models.smolvlm import processing_smolvlm
from transformers.models.smolvlm.image_processing_pil_smolvlm import SmolVLMImageProcessorPil

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


def gemma3(config: Any) -> _Stock:
    marks = {"image": "<image_soft_token>", "boi": "<start_of_image>", "eoi": "<end_of_image>"}
    ids = {name: getattr(config, f"{name}_token_id") for name in marks}
    tokenizer = face_support.stock_tokenizer({mark: ids[name] for name, mark in marks.items()})
    for name, mark in marks.items():
        setattr(tokenizer, f"{name}_token", mark)
        setattr(tokenizer, f"{name}_token_id", ids[name])
    side = config.vision_config.image_size
    pictures = Gemma3ImageProcessorPil(size={"height": side, "width": side})
    stock = Gemma3Processor(pictures, tokenizer, image_seq_length=config.mm_tokens_per_image)

    def inputs(image: Any, text: str) -> Any:
        return stock(images=image, text=text.replace("<image>", marks["boi"]), return_tensors="pt")

    return _Stock(tokenizer, inputs)


def smolvlm_marks(config: Any) -> dict[str, int]:
    places = [f"<row_{row}_col_{column}>" for row in range(1, 5) for column in range(1, 5)]
    marks = ["<fake_token_around_image>", "<global-img>", *places]
    return {"<image>": config.image_token_id, **{mark: 261 + place for place, mark in enumerate(marks)}}


def smolvlm_words(config: Any) -> SimpleNamespace:
    """What of `SmolVLMProcessor` its words are made with: to make one needs torchvision and num2words, for videos."""
    side = config.vision_config.image_size // config.vision_config.patch_size // config.scale_factor
    return SimpleNamespace(
        fake_image_token="<fake_token_around_image>",
        image_token="<image>",
        global_image_token="<global-img>",
        image_seq_len=side**2,
    )


def smolvlm(config: Any) -> _Stock:
    tokenizer = face_support.stock_tokenizer(smolvlm_marks(config))
    side = config.vision_config.image_size
    pictures = SmolVLMImageProcessorPil(
        size={"longest_edge": 4 * side}, max_image_size={"longest_edge": side}, return_row_col_info=True
    )

    def inputs(image: Any, text: str) -> Any:
        made = pictures([[image]], return_tensors="pt")
        text = text.replace("<image>", SmolVLMProcessor.replace_image_token(smolvlm_words(config), made, 0))
        pixels = {name: made[name] for name in ("pixel_values", "pixel_attention_mask")}
        return tokenizer(text, return_tensors="pt") | pixels

    return _Stock(tokenizer, inputs)


IMAGES = {"gemma3": gemma3, "internvl": internvl, "llava_next": llava_next, "smolvlm": smolvlm}
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


def test_ids_of_a_video_of_smolvlm_are_those_of_the_stock_processor_but_for_a_number_in_digits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(processing_smolvlm, "num2words", str)
    tiny = families.tiny("smolvlm")
    config = tiny.model.config
    tokenizer = face_support.stock_tokenizer(smolvlm_marks(config))
    loaded = replace(tiny, tokenizer=_CheckpointTokenizer(tokenizer))
    ours = families.build_prompt(loaded, families.video(frames=3), "What?").inputs
    seconds = SimpleNamespace(fps=1, timestamps=[0.0, 1.0, 2.0], duration=2)
    shown = {"pixel_values": ours["pixel_values"], "video_metadata": [seconds]}
    words = SmolVLMProcessor.replace_video_token(smolvlm_words(config), shown, 0)
    before, after = loaded.adapter.prompt_text("What?")
    assert ours["input_ids"].tolist() == [tokenizer.encode(f"{before} {words}{after}")]
