"""AdapTiV files: merged tokens exact, and hidden states and rotary tables of the kept ones."""

from __future__ import annotations

from pathlib import Path

import torch

from focal_algorithm.kernels.adaptiv import linear_margins, sign_merge
from goldens.comparing import compare, load
from goldens.focus_sic import grid_of, setting

PREFIX = "adaptiv_"


def check(path: Path) -> list[str]:
    """Return what differs."""
    params, arrays = load(path)
    dtype = getattr(torch, str(params.get("dtype", "float32")).removeprefix("torch."))
    start, tokens = params["image_token_start"], params["image_token_length"]
    hidden = torch.from_numpy(arrays["hidden_in"]).to(dtype)
    grid = grid_of(params)
    open_up, open_left = linear_margins(grid, tokens)
    merge = sign_merge(
        hidden[0, start : start + tokens],
        up=torch.full((tokens,), grid.row_stride),
        left=torch.full((tokens,), grid.column_stride),
        open_up=open_up,
        open_left=open_left,
        threshold=setting(params, "threshold", "thr", default=0.6),
    )
    is_kept = torch.ones(hidden.shape[1], dtype=torch.bool)
    is_kept[start : start + tokens] = merge.is_kept
    kept = is_kept.nonzero().flatten()
    wrong = compare("keep_ids", kept, arrays["keep_ids"].ravel())
    wrong += compare("merged_ids", merge.representative, arrays["merged_ids"].ravel())
    wrong += compare("sparsity", merge.sparsity, arrays["sparsity"], absolute=1e-7)
    for name in ("hidden", "cos", "sin"):
        if f"{name}_in" in arrays and f"{name}_out" in arrays:
            # The sequence axis is the last but one in 3-D and in 4-D (multimodal rotary) tables.
            table = torch.from_numpy(arrays[f"{name}_in"]).index_select(-2, kept)
            wrong += compare(f"{name}_out", table, arrays[f"{name}_out"])
    return wrong
