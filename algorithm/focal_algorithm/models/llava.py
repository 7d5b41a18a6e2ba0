"""LLaVA-1.5 as transformers ships it: one image per prompt, from a CLIP tower whose CLS token is left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

from transformers import LlavaForConditionalGeneration

from focal_algorithm.models.base import ModelAdapter, Placeholders, VisualPart, VisualRange
from focal_algorithm.prompts.cells import square_cells
from focal_algorithm.prompts.layout import PromptRow, Run, cut_run, token_grid
from focal_algorithm.prompts.media.preprocess import CLIP, PixelScale, cropped, normalised
from focal_common.errors import UnsupportedError

_SYSTEM = (
    "A chat between a curious human and an artificial intelligence assistant. The assistant gives helpful, "
    "detailed, and polite answers to the human's questions."
)


class Llava(ModelAdapter):
    """Layout of `LlavaForConditionalGeneration` (LLaVA-1.5, arXiv 2310.03744).

    An image gives side squared tokens, row by row, without the tower's CLS token and without newlines: 24 x 24
    with the real tower. It has one frame.

    Deviations:
        The short side is resized and the centre cut out, as the processor of the converted checkpoints does; the
        original evaluation pads to a square instead.
    """

    family: ClassVar[str] = "llava"
    model_class: ClassVar[Any] = LlavaForConditionalGeneration
    modalities: ClassVar[frozenset[str]] = frozenset({"image"})
    pixel_scale: ClassVar[PixelScale] = CLIP

    def first_picture(
        self, model: Any, inputs: Mapping[str, Any], row: PromptRow
    ) -> tuple[tuple[Run, ...], tuple[Run, ...]]:
        """Cut a run of images side by side; see `ModelAdapter.first_picture`."""
        return cut_run(row.runs, self._side(model) ** 2)

    def visual_range(self, model: Any, inputs: Mapping[str, Any], row: PromptRow) -> VisualRange:
        """Return one frame of rows of patches; see `ModelAdapter.visual_range`."""
        side, run = self._side(model), row.only_run()
        if run.tokens != side**2:
            raise UnsupportedError(
                f"{row.name}: {run.tokens} image placeholders; expected {side} x {side} = {side**2}"
            )
        return VisualRange(run.start, run.tokens, token_grid(1, side, side))

    def prompt_text(self, question: str) -> tuple[str, str]:
        """Return the Vicuna conversation around the image."""
        return f"<s>{_SYSTEM} USER: ", f"\n{question} ASSISTANT:"

    def visual_inputs(self, model: Any, frames: Sequence[Any], is_video: bool) -> VisualPart:
        """Turn one image into pixels and placeholders; see `ModelAdapter.visual_inputs`."""
        size = model.config.vision_config.image_size
        pixels = normalised(cropped(frames[0], size), self.pixel_scale)[None]
        side = self._side(model)
        placeholders = Placeholders(model.config.image_token_id, side**2)
        cells = partial(square_cells, [cropped(frames[0], size)], side)
        return VisualPart((placeholders,), {"pixel_values": pixels.to(model.dtype)}, cells)

    def _side(self, model: Any) -> int:
        return int(model.config.vision_config.image_size // model.config.vision_config.patch_size)
