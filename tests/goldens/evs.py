"""EVS files: differences and masks, rates, ties, three dtypes, positions."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from focal_algorithm.kernels.evs import engine_positions, frame_differences, retained_count
from focal_algorithm.methods.base import TokenStream
from focal_algorithm.methods.evs import Evs
from goldens.comparing import compare
from goldens.stored import HALF_VALUE, Stored, stream_of

PREFIX = "evs_"
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def check(path: Path) -> list[str]:
    """Return what differs."""
    stored, wrong = Stored.load(path, "EVS")
    if "count_expected" in stored:
        wrong += _check_counts(stored)
    if "video_embeds" not in stored:
        return wrong + stored.unread()
    if "mask_fp32" in stored:
        wrong += _check_dtypes(stored)
    elif "media_positions" in stored:
        wrong += _check_positions(stored)
    elif "masks" in stored:
        wrong += _check_rates(stored)
    else:
        wrong += _check_one(stored)
    return wrong + stored.unread()


def _stream(stored: Stored, before: int = 0, after: int = 0) -> TokenStream:
    merge = stored["spatial_merge_size"]
    return stream_of(stored["T"], stored["H"] // merge, stored["W"] // merge, before=before, after=after)


def _mask(stream: TokenStream, values: Tensor, rate: float) -> Tensor:
    """Return which tokens of the prompt stay."""
    mask = torch.zeros(len(stream.token_ids), dtype=torch.bool)
    padded = values.new_zeros(len(mask), values.shape[-1]).index_copy(0, stream.visual_rows, values)
    answer = Evs(pruning_rate=rate).before_layer(0, padded, stream, None)
    mask[slice(None) if answer is None else answer.rows] = True
    return mask


def _differences(stored: Stored, values: Tensor) -> Tensor:
    return frame_differences(values.unflatten(0, (stored["T"], -1))).flatten()


def _check_one(stored: Stored) -> list[str]:
    values, stream = stored.tensor("video_embeds"), _stream(stored)
    mask = _mask(stream, values, stored["q"])
    wrong = compare("mask", mask, stored["mask"])
    wrong += compare("kept_indices", mask.nonzero().flatten(), stored["kept_indices"])
    wrong += compare("retained_count", int(mask.sum()), stored["retained_count"])
    found = _differences(stored, values)
    return wrong + compare(
        "dissimilarity", found, stored["dissimilarity"], absolute=stored.bound("video_embeds")
    )


def _check_rates(stored: Stored) -> list[str]:
    values, stream, wrong = stored.tensor("video_embeds"), _stream(stored), []
    for number, rate in enumerate(stored["q"].tolist()):
        mask = _mask(stream, values, rate)
        wrong += compare(f"masks {rate}", mask, stored["masks"][number])
        wrong += compare(f"retained_counts {rate}", int(mask.sum()), stored["retained_counts"][number])
    if "dissimilarity" in stored:
        found = _differences(stored, values)
        wrong += compare("dissimilarity", found, stored["dissimilarity"], absolute=1e-6)
    return wrong


def _check_counts(stored: Stored) -> list[str]:
    names = ("count_frames", "count_tokens_per_frame", "count_q")
    cases = zip(*(stored[name].tolist() for name in names), strict=True)
    return compare("count_expected", [retained_count(*case) for case in cases], stored["count_expected"])


def _check_dtypes(stored: Stored) -> list[str]:
    values, stream, wrong = stored.tensor("video_embeds"), _stream(stored), []
    for name, dtype in DTYPES.items():
        mask = _mask(stream, values.to(dtype), stored["q"])
        wrong += compare(f"mask_{name}", mask, stored[f"mask_{name}"])
        wrong += compare(f"count {name}", int(mask.sum()), stored["count"])
        found = _differences(stored, values.to(dtype))
        wrong += compare(f"dissimilarity_{name}", found.dtype == dtype, True)
        expected, bound = stored.tensor(f"dissimilarity_{name}"), 1e-6 if name == "fp32" else HALF_VALUE
        wrong += compare(f"dissimilarity_{name}", found.float(), expected.float(), absolute=bound)
    return wrong


def _check_positions(stored: Stored) -> list[str]:
    before, after = stored["text_before"] + 1, stored["text_after"] + 1  # with the marks around the video
    stream = _stream(stored, before, after)
    grid = stream.layout.grid
    assert grid is not None
    time = torch.arange(grid.frames) * stored["tokens_per_second"] * stored["second_per_grid"]
    time = time.to(torch.int64)
    axes = torch.meshgrid(time, torch.arange(grid.rows), torch.arange(grid.columns), indexing="ij")
    media = torch.stack([axis.flatten() for axis in axes])
    width = torch.full_like(media[:1], grid.columns)
    wrong = compare("media_positions", torch.cat((media, width)).T, stored["media_positions"])
    # As a stock model has them.
    text = torch.arange(before).expand(3, -1)
    behind = before + media.amax() + 1 + torch.arange(after)
    model = torch.cat((text, before + media, behind.expand(3, -1)), dim=1)
    layout = stream.layout
    positions = engine_positions(model, slice(layout.visual_start, layout.visual_stop), grid.columns)
    mask = _mask(stream, stored.tensor("video_embeds"), stored["q"])
    wrong += compare("mask", mask[stream.visual_rows], stored["mask"])
    for name, found in (("", positions[:, mask]), ("_full", positions)):
        wrong += compare(f"positions{name}", found, stored[f"positions{name}"])
        wrong += compare(f"delta{name}", int(found.max()) + 1 - found.shape[1], stored[f"delta{name}"])
    return wrong
