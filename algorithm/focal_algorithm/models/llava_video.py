"""LLaVA-Video: one video per prompt, 13 x 14 tokens per frame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from focal_algorithm.models.architectures.llava_video import LlavaVideoForConditionalGeneration
from focal_algorithm.models.base import ModelAdapter, Placeholders, VisualPart, VisualRange
from focal_algorithm.prompts.cells import VisualCells, concatenated, frame_labels, grid_cells
from focal_algorithm.prompts.layout import PromptRow, SampleLayout, token_grid
from focal_algorithm.prompts.media.preprocess import resized, video_pixels
from focal_algorithm.prompts.vision import VisualMap, pooled_map
from focal_common.errors import UnsupportedError


class LlavaVideo(ModelAdapter):
    """Layout of LLaVA-Video (arXiv 2410.02713) as its evaluation sets it.

    A frame gives floor(side / 2) rows of as many tokens and one newline, which is inside the visual range like any
    other token: 13 x 14 = 182 per frame with the real tower. All tokens after the last row are query text.

    Deviations:
        None from the published artifact, which takes no images in this family either.
    """

    family: ClassVar[str] = "llava_video"
    model_class: ClassVar[Any] = LlavaVideoForConditionalGeneration
    modalities: ClassVar[frozenset[str]] = frozenset({"video"})

    def visual_range(self, model: Any, inputs: Mapping[str, Any], row: PromptRow) -> VisualRange:
        """Return frames whose rows end with a newline; see `ModelAdapter.visual_range`."""
        rows, run = self._rows(model), row.only_run()
        per_frame = rows * (rows + 1)
        if run.tokens % per_frame:
            raise UnsupportedError(
                f"{row.name}: {run.tokens} video placeholders do not make one video of whole frames; "
                f"expected a multiple of {rows} x {rows + 1} = {per_frame}"
            )
        grid = token_grid(run.tokens // per_frame, rows, rows + 1)
        return VisualRange(run.start, run.tokens, grid, separator_columns=1)

    def visual_map(self, model: Any, layout: SampleLayout) -> VisualMap:
        """Return frames pooled as the model pools them, with a newline after each row."""
        return pooled_map(layout, model.model.apply_pooling, self._rows(model), has_newlines=True)

    def prompt_text(self, question: str) -> tuple[str, str]:
        """Return the Qwen chat template around the visual tokens."""
        before = "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n"
        return before, f"\n{question}<|im_end|>\n<|im_start|>assistant\n"

    def visual_inputs(self, model: Any, frames: Sequence[Any], is_video: bool) -> VisualPart:
        """Turn frames into pixels and placeholders; see `ModelAdapter.visual_inputs`."""
        size = model.config.vision_config.image_size
        pixels = video_pixels(frames, size).to(model.dtype)
        rows = self._rows(model)
        placeholders = Placeholders(model.config.video_token_id, len(frames) * rows * (rows + 1))
        covered = 2 * rows * model.config.vision_config.patch_size  # pooling leaves out an odd last patch

        def cells() -> VisualCells:
            box = (0, 0, covered, covered)
            shown = tuple(resized(frame, (size, size)) for frame in frames)
            grids = [grid_cells(index, (size, size), rows, rows, True, box) for index in range(len(frames))]
            return VisualCells(shown, frame_labels(len(frames), is_video), concatenated(grids))

        return VisualPart((placeholders,), {"pixel_values_videos": pixels}, cells)

    def _rows(self, model: Any) -> int:
        vision = model.config.vision_config
        return int(vision.image_size // vision.patch_size // 2)
