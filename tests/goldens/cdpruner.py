"""CDPruner files: kernel, relevance and order of choice, tiles, budgets, degenerate rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from focal_algorithm.kernels.determinant import mean_cosine, unit_rows
from focal_algorithm.methods.cdpruner import CdPruner
from focal_common.errors import UnsupportedError
from goldens.comparing import Arrays, Settings, compare, load_settings

PREFIX = "cdpruner_"
VALUE = 2e-5
"""Of relevance and kernel, relative: relevance divides by a range that may be small."""


def check(path: Path) -> list[str]:
    """Return what differs."""
    params, arrays, wrong = load_settings(path, "cdpruner")
    if "rank_deficient_features" in arrays:
        wrong += _check_degenerate(params, arrays)
    elif "budgets" in params:
        wrong += _check_prefixes(params, arrays)
    else:
        wrong += _check_pictures(params, arrays)
    return wrong + params.unread()


def _inputs(params: Settings, arrays: Arrays, prefix: str = "") -> tuple[Tensor, Tensor]:
    """Return features, axes (pictures, tokens, width), and CLIP's scores, same axes without width."""
    dtype = getattr(torch, params["dtype"])
    features = torch.from_numpy(arrays[f"{prefix}features"]).to(dtype)
    images = torch.from_numpy(arrays[f"{prefix}image_embeds"])
    # Published: CLIP's cosines of patches and text are inverted.
    return features, -mean_cosine(images, torch.from_numpy(arrays[f"{prefix}text_embeds"]))


def _method(params: Settings, mode: str = "compatible") -> CdPruner:
    return CdPruner(mode=mode, theta=params.get("theta"))  # type: ignore[arg-type]


def _orders(method: CdPruner, features: Tensor, relevance: Tensor, count: int) -> list[list[int]]:
    pairs = zip(features, relevance, strict=True)
    return [method.order(values, weights, count).tolist() for values, weights in pairs]


def _check_shapes(params: Settings, arrays: Arrays) -> list[str]:
    pictures = params.get("images", 1)
    axes = (pictures, params["visual_tokens"])
    wrong = compare("features", arrays["features"].shape, (*axes, params["width"]))
    wrong += compare("image_embeds", arrays["image_embeds"].shape, (*axes, params["clip_width"]))
    segments = (params["text_segments"], params["clip_width"])
    return wrong + compare("text_embeds", arrays["text_embeds"].shape, segments)


def _check_pictures(params: Settings, arrays: Arrays) -> list[str]:
    features, scores = _inputs(params, arrays)
    method, count = _method(params), params["keep_count"]
    relevance = method.weights(scores)
    wrong = _check_shapes(params, arrays)
    if "relevance" in arrays:
        wrong += compare("relevance", relevance, arrays["relevance"], absolute=VALUE, relative=VALUE)
    if "kernel" in arrays:
        unit = unit_rows(features, is_strict=False)
        kernel = relevance[:, :, None] * (unit @ unit.mT) * relevance[:, None, :]
        wrong += compare("kernel", kernel, arrays["kernel"], absolute=VALUE, relative=VALUE)
    for mode in ("compatible", "strict"):
        own = _method(params, mode)
        orders = np.array(_orders(own, features, own.weights(scores), count))
        wrong += compare(f"selection_order of {mode}", orders, arrays["selection_order"])
        wrong += compare(f"kept_sorted of {mode}", np.sort(orders), arrays["kept_sorted"])
        if "mask" in arrays:
            mask = np.zeros(arrays["mask"].shape, dtype=bool)
            np.put_along_axis(mask, orders, True, axis=1)
            wrong += compare(f"mask of {mode}", mask, arrays["mask"])
    return wrong


def _check_prefixes(params: Settings, arrays: Arrays) -> list[str]:
    features, scores = _inputs(params, arrays)
    method = _method(params)
    relevance, wrong = method.weights(scores), _check_shapes(params, arrays)
    for budget in params["budgets"]:
        (order,) = _orders(method, features, relevance, budget)
        wrong += compare(f"selection_order_{budget}", order, arrays[f"selection_order_{budget}"])
    return wrong


def _check_degenerate(params: Settings, arrays: Arrays) -> list[str]:
    features, scores = _inputs(params, arrays, "rank_deficient_")
    wrong: list[str] = []
    # Only picks within the rank of the features are meaningful.
    rank, count = features.shape[-1], int(arrays["rank_deficient_keep_count"])
    for mode in ("compatible", "strict"):
        method = _method(params, mode)
        (order,) = _orders(method, features, method.weights(scores), count)
        expected = arrays["rank_deficient_selection_order"][0, :rank]
        wrong += compare(f"rank_deficient_selection_order of {mode}", order[:rank], expected)
        if mode == "strict":
            wrong += compare("rank_deficient count of strict", len(set(order)), count)
    duplicates, own = _inputs(params, arrays, "duplicate_")
    for mode in ("compatible", "strict"):
        method = _method(params, mode)
        orders = _orders(method, duplicates, method.weights(own), int(arrays["duplicate_keep_count"]))
        wrong += compare(f"duplicate_selection_order of {mode}", orders, arrays["duplicate_selection_order"])
        mask = np.zeros(arrays["duplicate_mask"].shape, dtype=bool)
        mask[0, orders[0]] = True
        wrong += compare(f"duplicate_mask of {mode}", mask, arrays["duplicate_mask"])
    zero = torch.from_numpy(arrays["zero_vector_features"])
    texts = torch.from_numpy(arrays["rank_deficient_text_embeds"])
    constant = -mean_cosine(torch.from_numpy(arrays["constant_relevance_image_embeds"]), texts)
    # What the released code makes of these is noise: refused, and lawful in strict.
    strict = _method(params, "strict")
    (order,) = _orders(strict, zero, strict.weights(scores), int(arrays["zero_vector_keep_count"]))
    wrong += compare("zero_vector count of strict", len(set(order)), int(arrays["zero_vector_keep_count"]))
    if bool(constant.amin() == constant.amax()):
        wrong += compare("constant_relevance of strict", strict.weights(constant), np.ones(constant.shape))
        wrong += _refusal("constant_relevance", lambda: _method(params).weights(constant))
    return wrong + _refusal("zero_vector", lambda: _orders(_method(params), zero, scores, 1))


def _refusal(case: str, call: object) -> list[str]:
    try:
        call()  # type: ignore[operator]
    except UnsupportedError:
        return []
    return [f"{case}: compatible chose tokens; expected a refusal"]
