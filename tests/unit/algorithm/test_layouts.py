"""Does the adapter find the visual tokens and their grid, as the stock model packs them?"""

from __future__ import annotations

import pytest
import torch
from transformers import LlavaOnevisionConfig

import attach_support as support
from focal_algorithm.checkpoints.loading import random_model
from focal_algorithm.models.llava_onevision import LlavaOnevision
from focal_common.errors import UnsupportedError
from focal_traces.header.schema import TokenGrid


def test_a_video_has_pooled_frames_and_leaves_the_newline_to_the_question() -> None:
    prompt = support.prompt(support.video(frames=4), "Hi")
    before, after = LlavaOnevision().prompt_text("Hi")
    layout = prompt.layout
    # 70 / 14 = 5 patches a side, pooled to ceil(5 / 2) = 3.
    assert layout.grid == TokenGrid(
        frames=4, rows=3, columns=3, frame_stride=9, row_stride=3, column_stride=1
    )
    assert (layout.visual_start, layout.visual_tokens) == (len(before), 36)
    assert layout.query_tokens == 1 + len(after)


@pytest.mark.parametrize(("width", "height"), [(70, 70), (140, 70), (70, 200), (333, 97)])
def test_an_image_is_a_base_grid_and_an_unpadded_grid_with_newlines(width: int, height: int) -> None:
    prompt = support.prompt(support.image(0, width, height))
    layout = prompt.layout
    assert layout.grid is not None
    grid = layout.grid
    assert layout.visual_tokens == 25 + grid.rows * grid.columns
    # Published image layout: pseudo frames of pooled size, the side of the base grid as frame stride.
    assert (grid.frames, grid.frame_stride) == (layout.visual_tokens // 9, 5)
    assert (grid.row_stride, grid.column_stride) == (grid.columns, 1)
    with torch.inference_mode():  # the stock model counts the placeholders itself
        support.tiny().model(**prompt.inputs)


def test_the_published_sizes_follow_from_the_real_geometry() -> None:
    # 27 patches a side; 32 frames: 6272 tokens; an image of 640 x 480: 3149 tokens (published meta_data.csv).
    with torch.device("meta"):
        model = random_model(LlavaOnevision, "tiny", "sdpa")
    model.config.vision_config.image_size, model.config.vision_config.patch_size = 384, 14
    model.config.image_grid_pinpoints = LlavaOnevisionConfig().image_grid_pinpoints
    adapter = LlavaOnevision()
    video = torch.tensor([[1] + [260] * (32 * 196 + 1) + [2]])
    layout = adapter.layouts(model, {"input_ids": video})[0]
    assert (layout.visual_tokens, layout.query_tokens) == (6272, 2)
    rows, columns = adapter._image_grid(model, [480, 640])
    image = torch.tensor([[1] + [259] * (729 + rows * columns) + [2]])
    sizes = torch.tensor([[480, 640]])
    layout = adapter.layouts(model, {"input_ids": image, "image_sizes": sizes})[0]
    assert layout.grid is not None
    assert layout.visual_tokens == 729 + layout.grid.rows * layout.grid.columns
    assert (layout.grid.frame_stride, layout.grid.frames) == (27, layout.visual_tokens // 196)


def test_a_cut_video_is_refused() -> None:
    token_ids = torch.tensor([[1] + [260] * 30 + [2]])
    with pytest.raises(UnsupportedError, match="30 video placeholders do not make one video"):
        LlavaOnevision().layouts(support.tiny().model, {"input_ids": token_ids})
