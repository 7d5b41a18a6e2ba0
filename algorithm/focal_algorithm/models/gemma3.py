"""Gemma 3 as transformers ships it: pooled square images, whose tokens see each other, and layers with a window."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, ClassVar

from transformers import Gemma3ForConditionalGeneration
from transformers.models.gemma3.image_processing_pil_gemma3 import Gemma3ImageProcessorPil

from focal_algorithm.models.base import Placeholders, VisualPart
from focal_algorithm.models.llava import Llava
from focal_algorithm.models.sizes import VIDEO_TOKEN
from focal_algorithm.prompts.cells import square_cells
from focal_algorithm.prompts.layout import SampleLayout
from focal_algorithm.prompts.media.preprocess import SIGLIP, PixelScale, picture_of
from focal_algorithm.prompts.media.tokens import ByteTokenizer, Tokenizer
from focal_algorithm.prompts.vision import VisualMap, shuffled_map

_START, _END = "<start_of_image>", "<end_of_image>"


class Gemma3(Llava):
    """Layout of `Gemma3ForConditionalGeneration` (Gemma 3, arXiv 2503.19786).

    An image is squashed to a square and gives a square grid of tokens, each the mean of a square of patches: 16 x 16 of
    4 x 4 with the real tower. Tokens of an image attend to each other both ways, and so do those that a method leaves.
    Five layers of six attend within a window. It is measured in places of the whole prompt, whatever was dropped; where
    a method counts positions anew, in these.

    Deviations:
        Images are not cut into crops (pan and scan), which is how the processor is shipped. Videos are not taken, as
        transformers has none in this family.
    """

    family: ClassVar[str] = "gemma3"
    model_class: ClassVar[Any] = Gemma3ForConditionalGeneration
    pixel_scale: ClassVar[PixelScale] = SIGLIP

    def visual_map(self, model: Any, layout: SampleLayout) -> VisualMap:
        """Return an image pooled as the model pools it."""
        side, vision = self._side(model), model.config.vision_config
        return shuffled_map(layout, side, vision.image_size // vision.patch_size // side)

    def prompt_text(self, question: str) -> tuple[str, str]:
        """Return the chat template, which has no system prompt."""
        return "<bos><start_of_turn>user\n", f"{question}<end_of_turn>\n<start_of_turn>model\n"

    def visual_inputs(self, model: Any, frames: Sequence[Any], is_video: bool) -> VisualPart:
        """Turn one image into pixels, and placeholders between marks; see `ModelAdapter.visual_inputs`."""
        size, side = self.sample_pixels(model), self._side(model)
        process = Gemma3ImageProcessorPil(size={"height": size, "width": size})
        pixels = process(frames[0].convert("RGB"), return_tensors="pt")["pixel_values"]
        pieces = (f"\n\n{_START}", Placeholders(model.config.image_token_id, side**2), f"{_END}\n\n")
        cells = partial(square_cells, [picture_of(pixels[0], self.pixel_scale)], side)
        return VisualPart(pieces, {"pixel_values": pixels.to(model.dtype)}, cells)

    @classmethod
    def random_tokenizer(cls) -> Tokenizer:
        """Return bytes with one token per mark."""
        return ByteTokenizer({_START: VIDEO_TOKEN + 1, _END: VIDEO_TOKEN + 2})

    def _side(self, model: Any) -> int:
        return int(model.config.mm_tokens_per_image**0.5)
