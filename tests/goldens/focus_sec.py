"""Semantic-concentration files: importance, retained positions, gathered rotary tables and hidden states."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import torch

from focal_algorithm.kernels.importance import (
    attention_probabilities,
    importance,
    importance_of_probabilities,
)
from focal_algorithm.kernels.ordering import select_top, tokens_to_keep
from goldens.comparing import Arrays, compare, load
from goldens.published_forms import retained_after

PREFIX = "sec_"


def check(path: Path) -> list[str]:
    """Return what differs."""
    params, arrays = load(path)
    return _check_attention(params, arrays) if "q" in arrays else _check_schedule(params, arrays)


def _check_schedule(params: dict[str, Any], arrays: Arrays) -> list[str]:
    """Prune event by event; each event sees the rows that the one before it kept."""
    start, visual_tokens = params["image_token_start"], params["image_token_length"]
    query_tokens = params["text_after"]
    tables = {name: torch.from_numpy(arrays[f"{name}_in"]) for name in ("cos", "sin", "hidden")}
    retained = torch.arange(tables["hidden"].shape[1])
    wrong: list[str] = []
    for event, alpha in enumerate(float(part) for part in params["alpha_list"].split(",")):
        prefix = f"e{event}_"
        attention = torch.from_numpy(arrays[f"{prefix}attn"])[0]
        present = len(retained) - start - query_tokens
        ranks = importance_of_probabilities(
            attention[:, -query_tokens:], first_visual=start, visual_count=present
        )
        kept = select_top(ranks, tokens_to_keep(visual_tokens, alpha, present))
        before = retained
        retained = retained_after(retained, kept, visual_start=start, query_tokens=query_tokens)
        local = torch.searchsorted(before, retained)
        # The sequence axis is the last but one in 3-D and in 4-D (multimodal rotary) tables.
        tables = {name: table.index_select(-2, local) for name, table in tables.items()}
        wrong += compare(f"{prefix}importance", ranks, arrays[f"{prefix}importance"])
        wrong += compare(f"{prefix}retained_ids", retained, arrays[f"{prefix}retained_ids"])
        for name, table in tables.items():
            if f"{prefix}{name}" in arrays:
                wrong += compare(f"{prefix}{name}", table, arrays[f"{prefix}{name}"])
    return wrong


def _check_attention(params: dict[str, Any], arrays: Arrays) -> list[str]:
    queries, keys = (torch.from_numpy(arrays[name])[0] for name in ("q", "k"))
    start, visual_tokens = params["image_token_start"], params["image_token_length"]
    query_tokens = queries.shape[1] - start - visual_tokens
    scaling = 1 / math.sqrt(queries.shape[-1])
    wrong: list[str] = []
    for name, dtype, tolerance in (
        ("weights", torch.float32, 2e-7),
        ("weights_fp16", torch.float16, 2**-11),
    ):
        groups = queries.shape[0] // keys.shape[0]
        parts = [
            attention_probabilities(
                queries[index * groups : (index + 1) * groups].to(dtype), head.to(dtype), scaling=scaling
            )
            for index, head in enumerate(keys)
        ]
        wrong += compare(
            name,
            torch.cat(parts)[None].to(torch.float32),
            arrays[name].astype(np.float32),
            absolute=tolerance,
            relative=tolerance,
        )
    ranks = importance(
        queries[:, -query_tokens:], keys, scaling=scaling, first_visual=start, visual_count=visual_tokens
    )
    return wrong + compare("importance", ranks, arrays["importance"], absolute=2e-7, relative=2e-6)
