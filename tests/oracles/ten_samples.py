"""A whole-prefill golden file made with plain loops: ten samples, three layers, two pruning events."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from focal_traces import TokenGrid
from oracles.similarity_twin import twin

START, VISUAL, AFTER = 2, 18, 3
LENGTH = START + VISUAL + AFTER
WIDTHS = {"q_proj": 8, "query": 8, "o_proj": 8, "gate_proj": 8, "down_proj": 20}
ALPHAS = {0: 0.7, 2: 0.4}
GRID = TokenGrid(frames=3, rows=2, columns=3, frame_stride=6, row_stride=3, column_stride=1)
WEIGHTS = (8 * 8 + 2 * (8 * 8 // 2), 8 * VISUAL, 8 * 8, 2 * 8 * 20, 8 * 20)


def write_ten_samples(path: Path) -> None:
    """Write the file."""
    generator = np.random.default_rng(3)
    arrays: dict[str, NDArray[Any]] = {}
    for name, width in WIDTHS.items():
        coarse = generator.integers(-2, 3, (30, LENGTH, width)) + 0.25 * generator.standard_normal(
            (30, LENGTH, width)
        )
        arrays[f"act_{name}"] = (np.round(coarse * 128) / 128).astype(np.float32)
    arrays["attn"] = generator.random((20, 2, LENGTH, LENGTH)).astype(np.float32)
    traces = [_prefill(arrays, sample) for sample in range(10)]
    per_gemm = np.array([trace[0] for trace in traces])
    weighted = per_gemm @ np.array(WEIGHTS) / sum(WEIGHTS)
    order = sorted(range(10), key=lambda sample: np.float32(weighted[sample]))
    median = order[4]
    arrays["retained_count"] = np.array([trace[1] for trace in traces])
    arrays["per_gemm_sparsity"] = per_gemm
    arrays["weighted_sparsity"] = weighted.astype(np.float32)
    for key, stacked in traces[median][2].items():
        arrays[f"trace_{key}"] = np.stack(stacked)[:, None]
    header = "Model,Dataset,Sequence length,Num frames,Num patches,Median index"
    params = {
        "num_frames": 3,
        "patch_height": 2,
        "patch_width": 3,
        "frame_stride": 6,
        "height_stride": 3,
        "width_stride": 1,
        "image_token_start": START,
        "image_token_length": VISUAL,
        "text_after": AFTER,
        "vs": 4,
        "m": 6,
        "selected_layers": "0,2",
        "alpha_list": "0.7,0.4",
        "median_idx": median,
        "meta_csv": f"{header}\ntiny,synthetic,{VISUAL},3,6,{median}\n",
    }
    np.savez(path, params=np.array(json.dumps(params)), **arrays)


def _prefill(
    arrays: dict[str, NDArray[Any]], sample: int
) -> tuple[list[float], list[int], dict[str, list[NDArray[Any]]]]:
    """Return the mean sparsity per GEMM, lengths after each event, and the masks per kind, GEMM and layer."""
    kept = list(range(VISUAL))
    lengths: list[int] = []
    sparsity: dict[str, list[float]] = {name: [] for name in WIDTHS}
    masks: dict[str, list[NDArray[Any]]] = {}
    for layer in range(3):
        for name in WIDTHS:
            if name == "gate_proj" and layer in ALPHAS:
                kept = _prune(arrays["attn"][2 * sample + len(lengths)], kept, ALPHAS[layer])
                lengths.append(START + len(kept) + AFTER)
            rows = arrays[f"act_{name}"][3 * sample + layer][[START + token for token in kept]]
            result = twin(
                torch.from_numpy(rows),
                torch.tensor(kept),
                grid=GRID,
                visual_tokens=VISUAL,
                vector_size=4,
                m_tile=6,
                block=(2, 2, 2),
                threshold=0.9,
            )
            slices = result.is_zero.shape[1]
            sparsity[name].append(float((result.is_zero | result.is_similar).mean()))
            group = (result.root * slices + np.arange(slices)).astype(np.int32)
            for kind, mask in zip(
                ("mask_zero", "mask_similar", "group_idx"),
                (result.is_zero, result.is_similar, group),
                strict=True,
            ):
                masks.setdefault(f"{kind}_{name}", []).append(mask)
    return [float(np.mean(sparsity[name])) for name in WIDTHS], lengths, masks


def _prune(attention: NDArray[Any], kept: list[int], alpha: float) -> list[int]:
    length = START + len(kept) + AFTER
    ranks = [
        max(
            attention[head, row, START + column]
            for head in range(attention.shape[0])
            for row in range(length - AFTER, length)
        )
        for column in range(len(kept))
    ]
    count = min(max(int(VISUAL * alpha), 1), len(kept))
    best = sorted(range(len(kept)), key=lambda column: (-ranks[column], column))[:count]
    return [kept[column] for column in sorted(best)]
