"""Do our pixels, made without torchvision, equal those of transformers' own image processors?"""

from __future__ import annotations

import pytest
import torch
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.minicpmv4_6.image_processing_pil_minicpmv4_6 import MiniCPMV4_6ImageProcessorPil
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

import attach_support as support
from focal_algorithm.models.architectures.qwen_grids import fitted_size, qwen_patches
from focal_algorithm.prompts.media.minicpm_slices import patch_strip, sliced
from focal_algorithm.prompts.media.preprocess import CLIP, cropped, normalised

SHAPES = [(120, 90), (333, 97), (64, 200), (500, 480), (31, 30)]
LEAST, MOST = 16 * 28 * 28, 64 * 28 * 28


@pytest.mark.parametrize(("width", "height"), SHAPES)
def test_patches_of_qwen_equal_the_stock_processor(width: int, height: int) -> None:
    picture = support.picture(1, width, height)
    stock = Qwen2VLImageProcessorPil(size={"shortest_edge": LEAST, "longest_edge": MOST})
    expected = stock(images=[picture], return_tensors="pt")
    patches, grid = qwen_patches(
        [picture],
        fitted_size(height, width, 28, LEAST, MOST),
        patch=14,
        merge=2,
        depth=2,
        scale=CLIP,
    )
    assert list(grid) == expected["image_grid_thw"][0].tolist()
    assert torch.allclose(patches, expected["pixel_values"], atol=1e-5)


def test_frames_of_qwen_fill_pairs_and_the_last_one_is_repeated() -> None:
    frames = [support.picture(seed, 56, 56) for seed in range(3)]
    cut = {"patch": 14, "merge": 2, "depth": 2, "scale": CLIP}
    patches, grid = qwen_patches(frames, (56, 56), **cut)
    assert grid == (2, 4, 4)
    for pair, shown in enumerate((frames[:2], [frames[2]] * 2)):
        alone, _ = qwen_patches(shown, (56, 56), **cut)
        assert torch.equal(patches[16 * pair : 16 * pair + 16], alone)


@pytest.mark.parametrize(("width", "height"), SHAPES)
def test_the_centre_of_a_picture_equals_the_stock_processor(width: int, height: int) -> None:
    picture = support.picture(2, width, height)
    stock = CLIPImageProcessorPil(size={"shortest_edge": 56}, crop_size={"height": 56, "width": 56})
    expected = stock(images=[picture], return_tensors="pt")["pixel_values"]
    assert torch.allclose(normalised(cropped(picture, 56), CLIP)[None], expected, atol=1e-5)


@pytest.mark.parametrize("most_slices", [2, 9])
@pytest.mark.parametrize(("width", "height"), SHAPES)
def test_slices_of_minicpm_equal_the_stock_processor_of_its_successor(
    width: int, height: int, most_slices: int
) -> None:
    # The successor rounds sides to four patches; ours with a unit of four patches must do the same.
    picture = support.picture(3, width, height)
    stock = MiniCPMV4_6ImageProcessorPil(scale_resolution=112, patch_size=14, max_slice_nums=most_slices)
    expected = stock(images=[picture], return_tensors="pt")
    overview, lines = sliced(picture, 112, 56, most_slices)
    strips = [patch_strip(shown, 14) for shown in (overview, *(s for line in lines for s in line))]
    assert [list(size) for _, size in strips] == expected["target_sizes"].tolist()
    ours = torch.cat([strip for strip, _ in strips], dim=-1)
    assert torch.allclose(ours, expected["pixel_values"][0], atol=1e-5)
