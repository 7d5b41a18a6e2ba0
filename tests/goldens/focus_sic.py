"""Similarity-concentration files: masks and groups exact, values to rounding."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from focal_algorithm.kernels.similarity import Concentration, concentrate
from focal_algorithm.kernels.vectors import tile_of_tokens
from focal_traces import TokenGrid
from goldens.comparing import Arrays, compare, load
from goldens.published_forms import expand, tile_spans

PREFIX = "sic_"

# Values are compared to "one ulp-ish" for half types and 2e-6 for fp32, as the files promise.
TOLERANCE = {torch.float32: 2e-6, torch.float16: 2**-10, torch.bfloat16: 2**-7}


def grid_of(params: dict[str, Any]) -> TokenGrid:
    """Return the layout of the visual tokens."""
    return TokenGrid(
        frames=params["num_frames"],
        rows=params["patch_height"],
        columns=params["patch_width"],
        frame_stride=params["frame_stride"],
        row_stride=params["height_stride"],
        column_stride=params["width_stride"],
    )


def check(path: Path) -> list[str]:
    """Return what differs."""
    params, arrays = load(path)
    wrong: list[str] = []
    for index, variant in enumerate(params["variants"]):
        wrong += _check_variant(f"v{index}_", {**params, **variant}, arrays)
    return wrong


def setting(params: dict[str, Any], *names: str, default: Any) -> Any:
    """Return the first of the names that is set."""
    return next((params[name] for name in names if params.get(name) is not None), default)


def block_of(params: dict[str, Any]) -> tuple[int, int, int]:
    """Return the search block (frames, rows, columns)."""
    side = setting(params, "block", "block_size", default=2)
    frames = setting(params, "fblock", "frame_block", "frame_block_size", default=2)
    if isinstance(side, str):
        frames, rows, columns = (int(part) for part in side.split("x"))
        return frames, rows, columns
    if isinstance(side, list):
        frames, rows, columns = side
        return frames, rows, columns
    return frames, side, side


def _check_variant(prefix: str, params: dict[str, Any], arrays: Arrays) -> list[str]:
    dtype = getattr(torch, str(params.get("dtype", "float32")).removeprefix("torch."))
    hidden = torch.from_numpy(arrays.get(f"{prefix}hidden_in", arrays["hidden_in"])).to(dtype)[0].clone()
    start, visual_tokens = params["image_token_start"], params["image_token_length"]
    ids = torch.arange(len(hidden))
    for name in ("retained_ids", f"{prefix}retained_ids"):
        if name in arrays:
            ids = torch.from_numpy(arrays[name]).to(torch.int64).flatten()
    is_visual = (ids >= start) & (ids < start + visual_tokens)
    positions = ids[is_visual] - start
    m_tile = setting(params, "m", "m_tile", "gemm_m_size", default=-1)
    found = concentrate(
        hidden[is_visual],
        positions,
        grid=grid_of(params),
        visual_tokens=visual_tokens,
        vector_size=setting(params, "vs", "v", "vector_size", default=4),
        m_tile=m_tile,
        block=block_of(params),
        threshold=setting(params, "thr", "threshold", "similarity_threshold", default=0.9),
        heads=params.get("heads") or 1,
        keep_similarity=True,
    )
    hidden[is_visual] = found.values
    wrong = _compare_masks(prefix, found, positions, visual_tokens, arrays)
    wrong += _compare_tiles(prefix, found, positions, visual_tokens, m_tile, arrays)
    expected = arrays[f"{prefix}hidden_out"]
    tolerance = TOLERANCE[dtype]
    wrong += compare(
        f"{prefix}hidden_out",
        hidden[None].to(torch.float32),
        expected,
        absolute=tolerance,
        relative=tolerance,
    )
    return wrong


def _compare_masks(
    prefix: str, found: Concentration, positions: torch.Tensor, visual_tokens: int, arrays: Arrays
) -> list[str]:
    full = expand(found, positions, visual_tokens)
    wrong = compare(f"{prefix}mask_zero", full.is_zero[None], arrays[f"{prefix}mask_zero"])
    wrong += compare(f"{prefix}mask_similar", full.is_similar[None], arrays[f"{prefix}mask_similar"])
    wrong += compare(f"{prefix}group_idx", full.group_index[None], arrays[f"{prefix}group_idx"])
    wrong += compare(f"{prefix}sparsity", full.sparsity, arrays[f"{prefix}sparsity"], absolute=1e-7)
    similar = found.is_similar.numpy()

    def of_rows(name: str) -> NDArray[Any]:
        """Return the entries of the retained rows of an array stored for them alone or for all tokens."""
        stored = arrays[prefix + name][0]
        return stored if len(stored) == len(positions) else stored[positions.numpy()]

    if f"{prefix}argmax_candidate" in arrays:
        expected = np.where(similar, of_rows("argmax_candidate"), 255)
        wrong += compare(f"{prefix}argmax_candidate (where similar)", found.winner, expected)
    if f"{prefix}max_similarity" in arrays and found.best_similarity is not None:
        expected = of_rows("max_similarity")
        wrong += compare(f"{prefix}max_similarity", found.best_similarity, expected, absolute=2e-6)
    return wrong


def _compare_tiles(
    prefix: str,
    found: Concentration,
    positions: torch.Tensor,
    visual_tokens: int,
    m_tile: int,
    arrays: Arrays,
) -> list[str]:
    if f"{prefix}tiles" not in arrays:
        return []
    is_zero_token = torch.ones(visual_tokens, dtype=torch.bool)
    is_zero_token[positions] = found.is_zero.all(1)
    tile = tile_of_tokens(is_zero_token, m_tile)
    wrong = compare(f"{prefix}tiles", tile_spans(tile), arrays[f"{prefix}tiles"])
    return wrong + compare(f"{prefix}tiles of the retained rows", found.tile, tile[positions])
