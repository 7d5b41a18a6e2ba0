"""HoliTom files: windows, what is left of a video, and the merge inside a decoder."""

from __future__ import annotations

import math
from pathlib import Path

import torch

from focal_algorithm.kernels.holitom import effective_ratio, place_likeness, static_windows
from focal_algorithm.methods.holitom import HoliTom, HoliTomState
from goldens.comparing import compare
from goldens.stored import VALUE, Stored, stream_of

PREFIX = "holitom_"


def check(path: Path) -> list[str]:
    """Return what differs."""
    stored, wrong = Stored.load(path, "HoliTom")
    if "cases" in stored:
        wrong += _check_windows(stored)
    elif "hidden_in" in stored:
        wrong += _check_inner(stored)
    else:
        wrong += _check_outer(stored)
    return wrong + stored.unread()


def _check_windows(stored: Stored) -> list[str]:
    wrong = []
    for number in range(stored["cases"]):
        case, name = stored.case(number), f"case{number}"
        likeness = case.tensor("similarity")
        found = static_windows(likeness, case["tau"], case["max_window"])
        wrong += compare(f"{name}_frames", len(likeness) + 1, case["frames"])
        wrong += compare(f"{name}_windows", found.bounds, case["windows"])
        wrong += compare(f"{name}_total_reduced", found.reduced, case["total_reduced"]) + case.unread()
    return wrong


def _check_outer(stored: Stored) -> list[str]:
    features = stored.tensor("features")
    frames, tokens, width = features.shape
    bound = stored.bound("features")
    method = HoliTom(
        retain_ratio=stored["retain_ratio"],
        threshold=stored["tau"],
        merged_share=stored["dominant_share_D_context"],
        neighbours=stored["knn_k"],
        centre_weight=stored["beta"],
        plain_mean=not stored["uses_beta"],
        longest_window=stored["max_window"],
    )
    has_rows = {"grid": True, "one_token": False}[stored["newline_mode"]]
    rows, columns = (math.isqrt(tokens), math.isqrt(tokens)) if has_rows else (1, tokens)
    stream = stream_of(frames, rows, columns, separators=int(has_rows))
    cells = features.view(frames, rows, columns, width)
    if has_rows:
        newline = stored.tensor("newline").to(features.dtype).expand(frames, rows, 1, width)
        cells = torch.cat((cells, newline), dim=2)
    likeness = place_likeness(features)
    windows = static_windows(likeness, method.threshold, method.longest_window)
    wrong = compare("windows", windows.bounds, stored["windows"])
    wrong += compare("total_reduced", windows.reduced, stored["total_reduced"])
    ratio = effective_ratio(method.retain_ratio, frames, tokens, windows.reduced)
    wrong += compare("effective_ratio", ratio, stored["effective_ratio"])
    if "frame_similarity" in stored:
        wrong += compare("frame_similarity", likeness.float(), stored["frame_similarity"], absolute=bound)
    if "static_places_per_window" in stored:
        static = [
            int((likeness[first:last] > method.threshold).all(dim=0).sum()) if last > first else 0
            for first, last in windows.bounds
        ]
        wrong += compare("static_places_per_window", static, stored["static_places_per_window"])
    state = HoliTomState(saliency=list(stored.tensor("attention")))
    answer = method.before_layer(0, cells.reshape(-1, width), stream, state)
    if answer is None or answer.hidden is None:
        return [*wrong, "nothing was merged"]
    frame = answer.rows // (rows * (columns + has_rows))
    counts = [int(((frame >= first) & (frame <= last)).sum()) for first, last in windows.bounds]
    wrong += compare("tokens_per_window", counts, stored["tokens_per_window"])
    return wrong + compare("out_features", answer.hidden.float(), stored["out_features"], absolute=bound)


def _check_inner(stored: Stored) -> list[str]:
    hidden, start, visual = stored.tensor("hidden_in"), stored["visual_start"], stored["visual_tokens"]
    stream = stream_of(1, 1, visual, before=start, after=len(hidden) - start - visual)
    scores = stored.tensor("attention_last_row").mean(dim=0)[stream.visual_rows]
    state = HoliTomState(scores=scores, inner=stream.visual_rows)
    method = HoliTom(inner_layer=1, inner_ratio=stored["merge_ratio_r"])
    answer = method.before_layer(1, hidden, stream, state)
    rows = torch.arange(len(hidden)) if answer is None else answer.rows
    after = hidden if answer is None or answer.hidden is None else answer.hidden
    wrong = compare("kept_rows", rows, stored["kept_rows"])
    return wrong + compare("hidden_out", after.float(), stored["hidden_out"], absolute=VALUE)
