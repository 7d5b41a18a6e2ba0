"""DivPrune files: order of choice and distances, budgets, degenerate inputs, half precision."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from focal_algorithm.kernels.ordering import cosine_distances, farthest_points
from focal_algorithm.methods.divprune import DivPrune
from focal_common.errors import UnsupportedError
from goldens.comparing import Arrays, Settings, compare, load_settings

PREFIX = "divprune_"
DISTANCE = 1e-6
HALF_STEP = 2e-3
"""Distances in half precision may differ by one rounding of the product: two steps of fp16 near 1."""


def check(path: Path) -> list[str]:
    """Return what differs."""
    params, arrays, wrong = load_settings(path, "divprune")
    if "duplicates_features" in arrays:
        wrong += _check_degenerate(params, arrays)
    elif "count_table" in arrays:
        wrong += _check_budgets(params, arrays)
    elif "budgets" in params:
        wrong += _check_prefixes(params, arrays)
    else:
        wrong += _check_one(params, arrays)
    return wrong + params.unread()


def _features(params: Settings, arrays: Arrays, name: str = "features") -> Tensor:
    """Return features in the dtype that the file names; bfloat16 is stored as float32."""
    return torch.from_numpy(arrays[name]).to(getattr(torch, params["dtype"])).flatten(0, -2)


def _check_shape(params: Settings, features: Tensor) -> list[str]:
    # As published, the frames of a video are one pool.
    tokens = params["visual_tokens"] * (
        params.get("frames", 1) if len(features) > params["visual_tokens"] else 1
    )
    return compare("visual_tokens, width", features.shape, (tokens, params["width"]))


def _order(features: Tensor, ratio: float, **settings: Any) -> Tensor:
    return DivPrune(retain_ratio=ratio, **settings).order(features)


def _check_one(params: Settings, arrays: Arrays) -> list[str]:
    features = _features(params, arrays)
    tokens, is_half = len(features), features.dtype != torch.float32
    count = DivPrune(retain_ratio=params["retain_ratio"]).count(tokens)
    params.get("frames")
    wrong = _check_shape(params, features) + compare("keep_count", count, params["keep_count"])
    matrix = cosine_distances(features, is_strict=False)(torch.arange(tokens))
    bound = HALF_STEP if is_half else DISTANCE
    wrong += compare("distance_matrix", matrix, arrays["distance_matrix"], absolute=bound)
    stored = torch.from_numpy(arrays["distance_matrix"])
    if "second_smallest_distance" in arrays:
        second = stored.sort(dim=0).values[1]
        wrong += compare("second_smallest_distance", second, arrays["second_smallest_distance"])
    # From the stored distances, so that the verdict does not rest on how a matmul rounds here.
    order = farthest_points(lambda rows: stored[rows], tokens, count, stored.device, is_strict=False)
    wrong += compare("selection_order", order, arrays["selection_order"])
    if not is_half:
        wrong += compare(
            "selection_order of features",
            _order(features, params["retain_ratio"]),
            arrays["selection_order"],
        )
        strict = _order(features, params["retain_ratio"], mode="strict")
        wrong += compare("selection_order of strict", strict, arrays["selection_order"])
    return wrong + compare("kept_sorted", order.unique(), arrays["kept_sorted"])


def _check_prefixes(params: Settings, arrays: Arrays) -> list[str]:
    features = _features(params, arrays)
    wrong = _check_shape(params, features)
    for budget, ratio in zip(params["budgets"], params["retain_ratios"], strict=True):
        order = _order(features, ratio)
        wrong += compare(f"count of {budget}", len(order), budget)
        wrong += compare(f"kept_sorted_{budget}", order.unique(), arrays[f"kept_sorted_{budget}"])
        if f"selection_order_{budget}" in arrays:
            wrong += compare(f"selection_order_{budget}", order, arrays[f"selection_order_{budget}"])
    return wrong


def _check_budgets(params: Settings, arrays: Arrays) -> list[str]:
    features = _features(params, arrays)
    distances = cosine_distances(features, is_strict=False)
    wrong = _check_shape(params, features)
    for number, ratio in enumerate(params["retain_ratios"]):
        count = DivPrune(retain_ratio=ratio).count(len(features))
        wrong += compare(f"keep_counts {ratio}", count, arrays["keep_counts"][number])
        # By the kernel, because the method does not choose at all where everything stays.
        order = farthest_points(distances, len(features), count, features.device, is_strict=False)
        wrong += compare(f"selection_order_{number}", order, arrays[f"selection_order_{number}"])
    table = [
        [DivPrune(retain_ratio=ratio).count(tokens) for ratio in params["count_table_ratios"]]
        for tokens in params["count_table_visual_tokens"]
    ]
    return wrong + compare("count_table", table, arrays["count_table"])


def _check_degenerate(params: Settings, arrays: Arrays) -> list[str]:
    wrong: list[str] = []
    for case in ("duplicates", "few_directions", "zero_vector"):
        features = _features(params, arrays, f"{case}_features")
        ratio, reference = float(arrays[f"{case}_retain_ratio"]), arrays[f"{case}_selection_order_reference"]
        if f"{case}_selection_strict" in arrays:
            strict = _order(features, ratio, mode="strict")
            wrong += compare(f"{case}_selection_strict", strict, arrays[f"{case}_selection_strict"])
        if case == "zero_vector":
            wrong += _refusal(features, ratio)
            continue
        matrix = cosine_distances(features, is_strict=False)(torch.arange(len(features)))
        wrong += compare(
            f"{case}_distance_matrix", matrix, arrays[f"{case}_distance_matrix"], absolute=DISTANCE
        )
        # The tail, where every distinct direction is taken, is rounding noise.
        first = len(np.unique(np.round(_unit(arrays[f"{case}_features"]), 5), axis=0))
        order = farthest_points(
            cosine_distances(features, is_strict=False),
            len(features),
            first,
            features.device,
            is_strict=False,
        )
        wrong += compare(f"{case}_selection_order_reference", order, reference[:first])
    return wrong


def _unit(features: Any) -> Any:
    return features / np.linalg.norm(features, axis=1, keepdims=True)


def _refusal(features: Tensor, ratio: float) -> list[str]:
    try:
        _order(features, ratio)
    except UnsupportedError:
        return []
    return ["zero_vector: compatible chose tokens; expected a refusal"]
