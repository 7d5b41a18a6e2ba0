"""EVS files: differences and masks, rates, ties, three dtypes, positions."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor
from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import Qwen2_5_VLModel

from focal_algorithm.kernels.evs import frame_differences, retained_count
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
    """Check that a stock model's positions, of which kept tokens keep theirs, are those of the file."""
    before, after = stored["text_before"] + 1, stored["text_after"] + 1  # with the marks around the video
    stream = _stream(stored, before, after)
    layout, merge = stream.layout, stored["spatial_merge_size"]
    assert layout.grid is not None
    vision = SimpleNamespace(spatial_merge_size=merge, tokens_per_second=stored["tokens_per_second"])
    model: Any = SimpleNamespace(
        config=SimpleNamespace(vision_config=vision),
        get_vision_position_ids=partial(Qwen2_5_VLModel.get_vision_position_ids, None),
    )
    kinds = torch.zeros(1, layout.sequence_tokens, dtype=torch.int64)
    kinds[0, stream.visual_rows] = 2
    positions, _ = Qwen2_5_VLModel.get_rope_index(
        model,
        torch.zeros_like(kinds),
        kinds,
        video_grid_thw=torch.tensor([[stored["T"], stored["H"], stored["W"]]]),
        second_per_grid_ts=torch.tensor([stored["second_per_grid"]]),
    )
    positions = positions[:, 0]
    # vLLM goes on behind the width of a frame, a stock model behind its longer side.
    positions[:, layout.visual_stop :] += layout.grid.columns - max(layout.grid.rows, layout.grid.columns)
    media = positions[:, stream.visual_rows] - before
    width = torch.full_like(media[:1], layout.grid.columns)
    wrong = compare("media_positions", torch.cat((media, width)).T, stored["media_positions"])
    mask = _mask(stream, stored.tensor("video_embeds"), stored["q"])
    wrong += compare("mask", mask[stream.visual_rows], stored["mask"])
    for name, found in (("", positions[:, mask]), ("_full", positions)):
        wrong += compare(f"positions{name}", found, stored[f"positions{name}"])
        wrong += compare(f"delta{name}", int(found.max()) + 1 - found.shape[1], stored[f"delta{name}"])
    return wrong
