"""FrameFusion files: rounds of merging and pruning, positions exact, hidden states to rounding."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from focal_algorithm.kernels.framefusion import merge_alike, prune_to_budget, remaining_reduction
from goldens.comparing import Arrays, compare, load
from goldens.focus_sic import TOLERANCE, setting

PREFIX = "framefusion_"


@dataclass
class Run:
    """Where the rounds have come."""

    hidden: Tensor
    types: Tensor
    positions: Tensor
    ratios: list[float] = field(default_factory=list)
    has_merged: bool = False
    has_pruned: bool = False


def check(path: Path) -> list[str]:
    """Return what differs."""
    params, arrays = load(path)
    dtype = getattr(torch, str(params.get("dtype", "float32")).removeprefix("torch."))
    hidden = torch.from_numpy(arrays["hidden_in"])[0].to(dtype)
    types = torch.from_numpy(arrays["patch_type"]).flatten()
    run = Run(hidden, types, torch.arange(len(hidden)))
    rounds = sorted(int(name[1:].split("_")[0]) for name in arrays if name.endswith("_positions"))
    wrong: list[str] = []
    for index in rounds:
        attention = arrays.get(f"r{index}_attn")
        _step(run, params, None if attention is None else torch.from_numpy(attention))
        wrong += _compare_round(run, index, params, arrays, TOLERANCE[dtype])
    return wrong


def _step(run: Run, params: dict[str, Any], attention: Tensor | None) -> None:
    """Do one invocation."""
    if run.has_merged and run.has_pruned:
        return
    layers = setting(params, "num_layers", "layers", default=28)
    budget = remaining_reduction(run.ratios, cost=params["cost"], layers=layers)
    visual = (run.types >= 0).nonzero().flatten()
    is_kept = torch.ones(len(run.types), dtype=torch.bool)
    if not run.has_merged:
        similarity = setting(params, "similarity_lower_bound", default=0.6)
        merge = merge_alike(run.hidden[visual], run.types[visual], similarity=similarity, budget=budget)
        run.hidden = run.hidden.index_copy(0, visual, merge.values)
        is_kept[visual] = merge.representative == torch.arange(len(visual))
        if merge.is_over_budget:
            run.has_merged = run.has_pruned = True
        else:
            run.ratios.append(merge.ratio)
            run.has_merged = merge.ratio < setting(params, "ratio_lower_bound", default=0.1)
    else:
        if attention is None:
            raise ValueError("the round that prunes has no attention")
        weights = attention.reshape(-1, attention.shape[-2], attention.shape[-1])[:, -1].mean(dim=0)[visual]
        is_kept[visual] = False
        is_kept[visual[prune_to_budget(weights, budget)]] = True
        run.has_pruned = True
    run.hidden, run.types, run.positions = run.hidden[is_kept], run.types[is_kept], run.positions[is_kept]


def _compare_round(
    run: Run, index: int, params: dict[str, Any], arrays: Arrays, tolerance: float
) -> list[str]:
    wrong = compare(f"r{index}_positions", run.positions, arrays[f"r{index}_positions"].ravel())
    if f"r{index}_hidden" in arrays:
        wrong += compare(
            f"r{index}_hidden",
            run.hidden[None].to(torch.float32),
            arrays[f"r{index}_hidden"],
            absolute=tolerance,
            relative=tolerance,
        )
    ours = {
        "lengths": len(run.positions),
        "flags": [run.has_merged, run.has_pruned],
        "sparsity_lists": run.ratios,
    }
    for name, value in ours.items():
        if name in params and len(params[name]) > index:
            wrong += compare(f"{name}[{index}]", value, params[name][index], absolute=1e-6)
    return wrong
