"""Whole-prefill files: ten samples through all layers, the median sample, its trace and its table row."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from focal_algorithm.kernels.importance import importance_of_probabilities
from focal_algorithm.kernels.ordering import select_top, tokens_to_keep
from focal_algorithm.kernels.similarity import concentrate
from focal_traces import GEMMS, DecoderGeometry, TokenGrid
from focal_traces.counts.sparsity import median_index, weighted_sparsity_of
from goldens.comparing import Arrays, compare, load
from goldens.focus_sic import block_of, grid_of, setting
from goldens.published_forms import FullMasks, expand, retained_after

PREFIX = "e2e_"

SAMPLES = 10
KINDS = {"mask_zero": "is_zero", "mask_similar": "is_similar", "group_idx": "group_index"}


@dataclass(frozen=True)
class Plan:
    """What the file was made with."""

    params: dict[str, Any]
    grid: TokenGrid
    layers: int
    sequence_tokens: int
    visual_start: int
    visual_tokens: int
    alphas: dict[int, float]

    @property
    def query_tokens(self) -> int:
        return self.sequence_tokens - self.visual_start - self.visual_tokens


@dataclass
class Prefill:
    """What one sample gave; lengths are of the sequence, after each event and at each GEMM."""

    masks: dict[tuple[int, str], FullMasks] = field(default_factory=dict)
    after_event: list[int] = field(default_factory=list)
    at_gemm: list[int] = field(default_factory=list)

    def mean_sparsity(self, gemm: str) -> float:
        return float(np.mean([full.sparsity for (_, name), full in self.masks.items() if name == gemm]))


def check(path: Path) -> list[str]:
    """Return what differs."""
    params, arrays = load(path)
    plan = _plan(params, arrays)
    prefills = [_run(plan, arrays, sample) for sample in range(SAMPLES)]
    sparsities = np.array([[prefill.mean_sparsity(gemm) for gemm in GEMMS] for prefill in prefills])
    weighted = _weighted(plan, arrays, sparsities)
    chosen = median_index(weighted)
    wrong = compare("per_gemm_sparsity", sparsities, arrays["per_gemm_sparsity"], absolute=1e-6)
    wrong += compare("weighted_sparsity", weighted, arrays["weighted_sparsity"], absolute=1e-6)
    wrong += compare("median_idx", chosen, params["median_idx"])
    wrong += _check_retained(plan, prefills, arrays["retained_count"])
    wrong += _check_meta(plan, chosen, params["meta_csv"])
    for kind, attribute in KINDS.items():
        for gemm in GEMMS:
            name = f"trace_{kind}_{gemm}"
            masks = [getattr(prefills[chosen].masks[layer, gemm], attribute) for layer in range(plan.layers)]
            wrong += compare(name, torch.stack(masks)[:, None], arrays[name])
    return wrong


def _plan(params: dict[str, Any], arrays: Arrays) -> Plan:
    activations = arrays["act_q_proj"]
    layers = len(activations) // SAMPLES
    sequence_tokens = activations.shape[1]
    visual_tokens = arrays["trace_mask_zero_q_proj"].shape[2]
    after = setting(params, "text_after", "query_length", default=None)
    start = setting(params, "image_token_start", "image_start", "text_before", default=None)
    if start is None:
        start = sequence_tokens - visual_tokens - after
    grid = {"num_frames": 3, "patch_height": 2, "patch_width": 3, **params}
    grid.setdefault("width_stride", 1)
    grid.setdefault("height_stride", grid["patch_width"])
    grid.setdefault("frame_stride", grid["patch_width"] * grid["patch_height"])
    selected = _numbers(setting(params, "selected_layers", "sec_layers", default="0,2"))
    alphas = _numbers(setting(params, "alpha_list", "alphas", default="0.7,0.4"))
    by_layer = {int(layer): alpha for layer, alpha in zip(selected, alphas, strict=True)}
    return Plan(params, grid_of(grid), layers, sequence_tokens, start, visual_tokens, by_layer)


def _numbers(value: Any) -> list[float]:
    parts = value.strip("[]() ").split(",") if isinstance(value, str) else value
    return [float(part) for part in parts]


def _run(plan: Plan, arrays: Arrays, sample: int) -> Prefill:
    """Run the five GEMM inputs of every layer, pruning between attention and MLP of selected layers."""
    retained = torch.arange(plan.sequence_tokens)
    prefill = Prefill()
    for layer in range(plan.layers):
        for gemm in GEMMS:
            if gemm == "gate_proj" and layer in plan.alphas:
                event = sample * len(plan.alphas) + len(prefill.after_event)
                retained = _prune(plan, retained, arrays["attn"][event], plan.alphas[layer])
                prefill.after_event.append(len(retained))
            full = arrays[f"act_{gemm}"][sample * plan.layers + layer]
            prefill.masks[layer, gemm] = _concentrate(plan, full, retained)
            prefill.at_gemm.append(len(retained))
    return prefill


def _prune(plan: Plan, retained: torch.Tensor, attention: np.ndarray, alpha: float) -> torch.Tensor:
    length = len(retained)
    present = length - plan.visual_start - plan.query_tokens
    probabilities = torch.from_numpy(attention)[:, length - plan.query_tokens : length, :length]
    ranks = importance_of_probabilities(probabilities, first_visual=plan.visual_start, visual_count=present)
    kept = select_top(ranks, tokens_to_keep(plan.visual_tokens, alpha, present))
    return retained_after(retained, kept, visual_start=plan.visual_start, query_tokens=plan.query_tokens)


def _concentrate(plan: Plan, full: np.ndarray, retained: torch.Tensor) -> FullMasks:
    inside = (retained >= plan.visual_start) & (retained < plan.visual_start + plan.visual_tokens)
    rows = retained[inside]
    dtype = getattr(torch, str(plan.params.get("dtype", "float32")).removeprefix("torch."))
    found = concentrate(
        torch.from_numpy(full)[rows].to(dtype),
        rows - plan.visual_start,
        grid=plan.grid,
        visual_tokens=plan.visual_tokens,
        vector_size=setting(plan.params, "vs", "v", "vector_size", default=4),
        m_tile=setting(plan.params, "m", "m_tile", "gemm_m_size", default=6),
        block=block_of(plan.params),
        threshold=setting(plan.params, "thr", "threshold", "similarity_threshold", default=0.9),
    )
    return expand(found, rows - plan.visual_start, plan.visual_tokens)


def _weighted(plan: Plan, arrays: Arrays, sparsities: np.ndarray) -> list[float]:
    """Weigh the sparsities; where the file names no key heads, take the group size that fits it best."""
    heads = arrays["attn"].shape[1]
    named = setting(plan.params, "kv_heads", "num_key_value_heads", default=None)
    group = setting(plan.params, "gqa_group", "gqa_group_size", "group_size", default=None)
    choices = (
        [heads // group]
        if group
        else [named]
        if named
        else [h for h in range(1, heads + 1) if heads % h == 0]
    )
    tried = []
    for kv_heads in choices:
        geometry = DecoderGeometry(
            layers=plan.layers,
            hidden_elements=arrays["act_q_proj"].shape[2],
            intermediate_elements=arrays["act_down_proj"].shape[2],
            heads=max(heads, kv_heads),
            kv_heads=kv_heads,
            head_dim_elements=max(1, arrays["act_query"].shape[2] // heads),
        )
        tried.append([weighted_sparsity_of(row[None], geometry, plan.visual_tokens) for row in sparsities])
    return min(tried, key=lambda values: float(np.abs(values - arrays["weighted_sparsity"]).max()))


def _check_retained(plan: Plan, prefills: list[Prefill], expected: np.ndarray) -> list[str]:
    """Compare lengths with the file, which may count per sample, event, layer or GEMM, text or not."""
    text = plan.sequence_tokens - plan.visual_tokens
    every = np.array([prefill.at_gemm for prefill in prefills]).reshape(SAMPLES, plan.layers, len(GEMMS))
    readings = (
        every[:, -1, -1],
        np.array([prefill.after_event for prefill in prefills]),
        every[:, :, 0],
        every[:, :, -1],
        every,
    )
    fitting = [reading for reading in readings if reading.size == expected.size]
    if not fitting:
        return [f"retained_count: shape {expected.shape} is neither per sample, event, layer nor GEMM"]
    flat = expected.ravel()
    if any((lengths.ravel() - less == flat).all() for lengths in fitting for less in (0, text)):
        return []
    return compare("retained_count", fitting[-1].ravel(), flat)


def _check_meta(plan: Plan, chosen: int, text: str) -> list[str]:
    row = list(csv.DictReader(io.StringIO(text)))[-1]
    frames = plan.grid.frames
    ours = {
        "Sequence length": plan.visual_tokens,
        "Num frames": frames,
        "Num patches": plan.visual_tokens // frames,
        "Median index": chosen,
    }
    return [
        f"meta_csv: {column} is {value}, expected {row.get(column)}"
        for column, value in ours.items()
        if row.get(column) != str(value)
    ]
