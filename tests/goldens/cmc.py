"""CMC files: motion table and mask exact, counts, sparsity, and the activations after replacement."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch

from focal_algorithm.kernels.cmc_motion import INTERVAL_FRAMES, REFERENCE_FRAME, Motion, search_motion
from focal_algorithm.kernels.cmc_replacement import replace_tokens, replaced_by
from goldens.comparing import Arrays, compare, load
from goldens.focus_sic import TOLERANCE, setting

PREFIX = "cmc_"


def check(path: Path) -> list[str]:
    """Return what differs."""
    params, arrays = load(path)
    dtype = getattr(torch, str(params.get("dtype", "float32")).removeprefix("torch."))
    start, tokens = params["image_token_start"], params["image_token_length"]
    frames = setting(params, "frames", "num_frames", default=1)
    searched = _by_head(arrays["embeds"] if "embeds" in arrays else arrays["act_in"], dtype)
    visual = searched[:, start : start + tokens]
    motion = search_motion(
        visual.unflatten(1, (frames, tokens // frames)),
        setting(params, "threshold", "thr", default=0.4),
        is_simplified=bool(setting(params, "simplified", "simple", default=False)),
        name=path.name,
    )
    wrong = _compare_motion(motion, arrays)
    applied = _by_head(arrays["act_in"], dtype).clone()
    part = applied[:, start : start + tokens]
    applied[:, start : start + tokens] = replace_tokens(part, replaced_by(motion))
    result = applied.view(arrays["act_in"].shape).to(torch.float32)
    tolerance = TOLERANCE[dtype]
    return wrong + compare("act_out", result, arrays["act_out"], absolute=tolerance, relative=tolerance)


def _by_head(values: Any, dtype: torch.dtype) -> torch.Tensor:
    """Return (heads, tokens, width) of an array with a batch of 1 and perhaps a head axis."""
    tensor = torch.from_numpy(values).to(dtype)
    return tensor.reshape(-1, *tensor.shape[-2:])


def _compare_motion(motion: Motion, arrays: Arrays) -> list[str]:
    heads, intervals, _, _ = motion.table.shape
    reference = torch.arange(intervals) * INTERVAL_FRAMES + REFERENCE_FRAME
    informative = int(motion.informative().sum())
    tokens = heads * math.prod(motion.is_counted.shape[1:])
    wrong: list[str] = []
    if "i_frame_idx" in arrays:
        wrong += compare("i_frame_idx", reference, arrays["i_frame_idx"])
    for name, found in (("table", motion.table), ("mask", motion.is_replaceable)):
        expected = arrays[name]
        wrong += compare(
            name, found.reshape(expected.shape) if found.numel() == expected.size else found, expected
        )
    for name, count in (("num_informative", informative), ("num_non_informative", tokens - informative)):
        if name in arrays:
            wrong += compare(name, count, arrays[name])
    return wrong + compare("sparsity", motion.sparsity, arrays["sparsity"], absolute=1e-6)
