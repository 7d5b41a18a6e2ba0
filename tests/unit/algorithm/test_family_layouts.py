"""Does each adapter find the visual tokens and their grid, and refuse in one sentence what it cannot place?"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
import torch

import attach_support as support
from focal.testing import prompts as families
from focal_algorithm.checkpoints.loading import random_model
from focal_algorithm.methods.dense import Dense
from focal_algorithm.methods.focus import Focus
from focal_algorithm.models import MODELS
from focal_common.errors import UnsupportedError
from focal_traces.header.schema import TokenGrid

PRUNING = Focus(**support.PRUNING)


def grid(frames: int, rows: int, columns: int, frame_stride: int) -> TokenGrid:
    return TokenGrid(
        frames=frames,
        rows=rows,
        columns=columns,
        frame_stride=frame_stride,
        row_stride=columns,
        column_stride=1,
    )


def of_ids(family: str, token_ids: list[int], model: Any = None, **inputs: Any) -> Any:
    """Layout of bare token ids."""
    loaded = families.tiny(family)
    rows = {"input_ids": torch.tensor([token_ids]), **inputs}
    return loaded.adapter.layouts(model or loaded.model, rows)[0]


def test_llava_places_24_by_24_tokens_without_the_cls_token() -> None:
    layout = families.prompt(families.tiny("llava"), "image").layout
    assert (layout.visual_tokens, layout.grid) == (36, grid(1, 6, 6, 36))
    with torch.device("meta"):
        model = random_model(MODELS.load("llava"), "small", "sdpa")
    assert of_ids("llava", [1] + [259] * 576 + [2], model).grid == grid(1, 24, 24, 576)


def test_llava_next_places_the_overview_before_the_tiles_of_a_square_picture() -> None:
    with torch.device("meta"):
        model = random_model(MODELS.load("llava_next"), "small", "sdpa")
    layout = of_ids(
        "llava_next", [1] + [259] * 2928 + [2], model, image_sizes=torch.tensor([[672, 672]], device="cpu")
    )
    assert layout.grid == grid(1, 48, 49, 24)
    assert (layout.visual_tokens, layout.image_size_pixels) == (2928, (672, 672))


def test_internvl_places_tiles_below_one_another() -> None:
    with torch.device("meta"):
        model = random_model(MODELS.load("internvl"), "small", "sdpa")
    layout = of_ids("internvl", [1] + [259] * 13 * 256 + [2], model)
    assert layout.grid == grid(1, 13 * 16, 16, 13 * 256)
    shown = families.prompt(families.tiny("internvl"), "image").layout
    assert shown.visual_tokens == (3 * 2 + 1) * 9


def test_a_token_of_internvl_is_the_mean_of_the_patches_that_the_model_puts_into_it() -> None:
    loaded = families.tiny("internvl")
    layout = families.prompt(loaded, "image").layout
    patches = torch.rand(7, 36, 2)
    shuffled = loaded.model.model.pixel_shuffle(
        patches.view(7, 6, 6, 2), loaded.model.config.downsample_ratio
    )
    expected = shuffled.reshape(7 * 9, 4, 2).mean(dim=1)
    found = loaded.adapter.visual_map(loaded.model, layout)
    assert torch.allclose(found.place(patches), expected)
    assert found.picture_of_token.tolist() == [picture for picture in range(7) for _ in range(9)]


def test_gemma3_places_16_by_16_tokens_and_pools_as_the_model_does() -> None:
    with torch.device("meta"):
        model = random_model(MODELS.load("gemma3"), "small", "sdpa")
    assert of_ids("gemma3", [1] + [259] * 256 + [2], model).grid == grid(1, 16, 16, 256)
    loaded = families.tiny("gemma3")
    patches = torch.rand(1, 144, 2)
    projector = loaded.model.model.multi_modal_projector
    pooled = projector.avg_pool(patches.transpose(1, 2).reshape(1, 2, 12, 12)).flatten(2).transpose(1, 2)[0]
    found = loaded.adapter.visual_map(loaded.model, families.prompt(loaded, "image").layout)
    assert torch.allclose(found.place(patches), pooled)


def test_smolvlm_keeps_tiles_and_overview_of_an_image_together_and_frames_of_a_video() -> None:
    loaded = families.tiny("smolvlm")
    shown = {kind: families.prompt(loaded, kind).layout for kind in ("image", "video")}
    tiles, frames = shown["image"], shown["video"]
    assert (tiles.is_tiled, frames.is_tiled) == (True, False)
    assert tiles.grid == grid(4 * 3 + 1, 3, 3, 9 + 2)  # a tile, and two marks before the next
    assert [after - before for before, after in pairwise(tiles.frame_starts)] == [11, 11, 11, 12] * 2 + [
        11,
        11,
        11,
        13,
    ]
    assert frames.grid == grid(4, 3, 3, 9 + 3 + len("\nFrame from 00:01:"))
    assert frames.frame_starts == tuple(30 * frame for frame in range(4))


def test_a_token_of_smolvlm_is_the_mean_of_the_patches_that_the_model_puts_into_it() -> None:
    loaded = families.tiny("smolvlm")
    layout = families.prompt(loaded, "image").layout
    patches = torch.rand(13, 36, 2)
    shuffled = loaded.model.model.connector.pixel_shuffle(patches, 2)
    found = loaded.adapter.visual_map(loaded.model, layout)
    places = (found.picture_of_token >= 0).nonzero().flatten()
    assert torch.allclose(found.place(patches)[places], shuffled.reshape(13 * 9, 4, 2).mean(dim=1))
    assert found.picture_of_token[places].tolist() == [tile for tile in range(13) for _ in range(9)]
    assert len(places) == layout.visual_tokens - 28


@pytest.mark.parametrize("method", [Dense(), PRUNING])
def test_internvl_3_5_runs_with_its_own_decoder(method: Any) -> None:
    adapter = MODELS.load("internvl")
    settings = adapter.random_settings("tiny")
    settings["text_config"] |= {"model_type": "qwen3", "head_dim": 16}
    with torch.random.fork_rng(devices=[]):
        model = adapter.model_class(adapter.model_class.config_class(**settings)).eval()
    loaded = replace(families.tiny("internvl"), model=model)
    shown = families.prompt(loaded, "image")
    with torch.inference_mode():
        untouched = model(**shown.inputs).logits
    samples, output = families.record(loaded, method, shown.inputs)
    assert torch.equal(output.logits, untouched) == isinstance(method, Dense)
    assert samples[0].header.visual_tokens == shown.layout.visual_tokens


def test_a_tower_whose_queries_are_normalised_is_not_looked_into() -> None:
    adapter = MODELS.load("internvl")
    settings = adapter.random_settings("tiny")
    settings["vision_config"] |= {"use_qk_norm": True}
    with torch.device("meta"):
        model = adapter.model_class(adapter.model_class.config_class(**settings))
    with pytest.raises(UnsupportedError, match="use_qk_norm"):
        adapter().vision_points(model)


@pytest.mark.parametrize("kind", ["image", "video"])
def test_qwen2_5_places_one_token_per_four_patches_and_leaves_the_marks_to_the_text(kind: str) -> None:
    loaded = families.tiny("qwen2_5_vl")
    layout = families.prompt(loaded, kind).layout
    assert layout.grid is not None
    frames = {"image": 1, "video": 2}[kind]
    assert layout.grid.frames == frames
    assert (
        layout.visual_tokens
        == frames * layout.grid.rows * layout.grid.columns
        == frames * layout.grid.frame_stride
    )
    before, after = loaded.adapter.prompt_text("What?")
    assert layout.visual_start == len(loaded.tokenizer.encode(before))
    assert layout.query_tokens == len(loaded.tokenizer.encode(after))


def test_qwen3_spans_the_time_marks_between_frames() -> None:
    loaded = families.tiny("qwen3_vl")
    layout = families.prompt(loaded, "video").layout
    marks = len(loaded.tokenizer.encode("<|vision_end|><2.5 seconds><|vision_start|>"))
    assert layout.grid == grid(2, 2, 2, 4 + marks)
    assert layout.visual_tokens == 2 * 4 + marks


def test_minicpm_reaches_from_the_first_mark_to_the_last_newline() -> None:
    # Published sizes: 6 small frames give 402 tokens, 64 large ones 12736; the frame stride is 199 for both.
    loaded = families.tiny("minicpm_v")
    with torch.device("meta"):
        model = random_model(type(loaded.adapter), "small", "sdpa")
    pad, start, end, slice_start, slice_end = (259, 260, 261, 262, 263)
    overview, part = [start] + [pad] * 64 + [end], [slice_start] + [pad] * 64 + [slice_end]
    small = of_ids("minicpm_v", [1, 2] + [*overview, 10] * 6 + [3], model)
    assert (small.visual_start, small.visual_tokens, small.query_tokens) == (2, 402, 1)
    assert small.grid == grid(6, 8, 8, 199)
    large = of_ids("minicpm_v", [1] + [*overview, *part, *part, 10] * 64 + [3], model)
    assert (large.visual_start, large.visual_tokens) == (1, 12736)
    assert large.grid == grid(64, 8, 8, 199)


def test_minicpm_slices_large_frames() -> None:
    loaded = families.tiny("minicpm_v")
    frames = tuple(support.picture(seed, 160, 90) for seed in range(2))
    sample = type(support.video())("wide", frames, is_video=True, origin="random")
    prompt = families.build_prompt(loaded, sample, "What?")
    assert prompt.layout.visual_tokens == 2 * (3 * (4 + 2) + 1)
    samples, _ = families.record(loaded, PRUNING, prompt.inputs)
    assert len(samples) == 1


@pytest.mark.parametrize(
    ("family", "token_ids", "inputs", "message"),
    [
        ("llava", [1] + [259] * 35 + [2], {}, "35 image placeholders; expected 6 x 6 = 36"),
        ("gemma3", [1] + [259] * 35 + [2], {}, "35 image placeholders; expected 6 x 6 = 36"),
        (
            "smolvlm",
            [262] + [259] * 9 + [261, 262] + [259] * 8 + [2],
            {},
            "runs of 9, 8 placeholders make no pictures of one size; expected 3 x 3 = 9 in each",
        ),
        ("internvl", [1] + [259] * 10 + [2], {}, r"10 image placeholders; expected a multiple of 3 x 3 = 9"),
        (
            "llava_next",
            [1] + [259] * 10 + [2],
            {"image_sizes": torch.tensor([[70, 140]])},
            r"10 image placeholders, expected 5\^2",
        ),
        ("llava_next", [1] + [259] * 10 + [2], {}, "follows from image_sizes, which the forward lacks"),
        ("llava_video", [1] + [260] * 13 + [2], {}, r"13 video placeholders .* multiple of 3 x 4 = 12"),
        (
            "qwen2_5_vl",
            [1] + [259] * 5 + [2],
            {"image_grid_thw": torch.tensor([[1, 4, 4]])},
            "5 placeholders, expected 1 x 2 x 2 = 4 for the grid",
        ),
        ("qwen2_5_vl", [1] + [259] * 4 + [2], {}, "follows from image_grid_thw, which the forward lacks"),
        (
            "qwen2_5_vl",
            [1] + [260] * 4 + [2],
            {"video_grid_thw": torch.zeros(0, 3)},
            "video_grid_thw has 0 rows; expected one per picture",
        ),
        (
            "qwen3_vl",
            [1] + [260] * 4 + [2] + [260] * 4 + [3],
            {"video_grid_thw": torch.tensor([[1, 4, 4]])},
            "video_grid_thw has 1 rows; expected one per picture",
        ),
        ("minicpm_v", [260] + [259] * 3 + [261, 10, 2], {}, "3 placeholders in a row; expected 4"),
        ("minicpm_v", [1] + [259] * 4 + [261, 10, 2], {}, "lack their marks"),
        ("minicpm_v", [260] + [259] * 4 + [261], {}, "lack their marks"),
        (
            "minicpm_v",
            [260, *[259] * 4, 261, 10, 260, *[259] * 4, 261, 262, *[259] * 4, 263, 10, 2],
            {},
            "2 frames in 20 tokens; expected frames of equally many tokens",
        ),
    ],
)
def test_a_grid_that_does_not_fit_the_placeholders_is_refused(
    family: str, token_ids: list[int], inputs: dict[str, Any], message: str
) -> None:
    with pytest.raises(UnsupportedError, match=message):
        of_ids(family, token_ids, **inputs)


@pytest.mark.parametrize(("family", "kind"), families.CASES)
def test_visual_tokens_at_the_very_end_are_refused_by_a_method_that_needs_a_question(
    family: str, kind: str
) -> None:
    if (family, kind) == ("llava_onevision", "video"):
        pytest.skip("its newline always follows")
    loaded = families.tiny(family)
    prompt = families.prompt(loaded, kind)
    inputs = dict(prompt.inputs)
    for name in ("input_ids", "attention_mask", "mm_token_type_ids"):
        if name in inputs:
            inputs[name] = inputs[name][:, : prompt.layout.visual_stop]
    with pytest.raises(UnsupportedError, match="no token follows the visual tokens"):
        families.record(loaded, PRUNING, inputs)
    dense = Dense()
    assert len(families.record(loaded, dense, inputs)[0]) == 1


@pytest.mark.parametrize(
    ("family", "kind", "message"),
    [
        ("llava", "video", "llava takes no videos; expected image"),
        ("llava_video", "image", "takes no images"),
    ],
)
def test_a_family_says_what_it_does_not_take(family: str, kind: str, message: str) -> None:
    with pytest.raises(UnsupportedError, match=message):
        families.prompt(families.tiny(family), kind)


def test_a_row_of_text_beside_pictures_of_different_size_takes_no_grid() -> None:
    loaded = families.tiny("qwen2_5_vl")
    first, last = families.two(loaded, "image")
    words = torch.tensor([loaded.tokenizer.encode("Nothing to see here.")])
    text = type(first)(
        {
            "input_ids": words,
            "attention_mask": torch.ones_like(words),
            "mm_token_type_ids": torch.zeros_like(words),
        },
        type(first.layout)("text", words.shape[1], 0, 0, None),
    )
    samples, _ = families.record(loaded, PRUNING, support.padded([first, text, last], "left"))
    assert [s.header.grid for s in samples] == [first.layout.grid, None, last.layout.grid]
    assert first.layout.grid != last.layout.grid
