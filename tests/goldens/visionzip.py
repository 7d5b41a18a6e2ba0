"""VisionZip files: tower attention and keys, selection and merging."""

from __future__ import annotations

import re
from pathlib import Path

import torch
from torch import Tensor

from focal_algorithm.kernels.visionzip import (
    attention_from_first,
    attention_received,
    head_mean,
    merge_into_targets,
    select_dominant,
    split_tokens,
)
from goldens.comparing import compare
from goldens.plain import VALUE, tensors

PREFIX = "vz_"


def check(path: Path) -> list[str]:
    """Return what differs."""
    stored = tensors(path)
    if "q_weight" in stored:
        return _check_tower(stored)
    return _check_selection(stored)


def _check_tower(stored: dict[str, Tensor]) -> list[str]:
    heads = int(stored["num_heads"])
    wrong: list[str] = []
    for sample, x in enumerate(stored["x"]):
        query, key, value = (
            torch.nn.functional.linear(x, stored[f"{name}_weight"], stored.get(f"{name}_bias"))
            for name in ("q", "k", "v")
        )
        scaling = (query.shape[-1] // heads) ** -0.5
        expected = stored["attn_weights"][sample]
        first = attention_from_first(query, key, heads, scaling)
        received = attention_received(query, key, heads, scaling)
        wrong += compare(f"attention of CLS [{sample}]", first, expected[:, 0], absolute=VALUE)
        wrong += compare(f"attention received [{sample}]", received, expected.mean(1), absolute=VALUE)
        wrong += compare(
            f"metric [{sample}]", head_mean(key, heads), stored["metric"][sample], absolute=VALUE
        )
        mixed = torch.cat([expected[head] @ part for head, part in enumerate(value.chunk(heads, -1))], -1)
        output = torch.nn.functional.linear(mixed, stored["out_weight"], stored.get("out_bias"))
        wrong += compare(f"attn_out [{sample}]", output, stored["attn_out"][sample], absolute=VALUE)
    return wrong


def _check_selection(stored: dict[str, Tensor]) -> list[str]:
    wrong: list[str] = []
    for name in (name for name in stored if name.startswith("tok_")):
        case = name.removeprefix("tok_")
        numbers = re.fullmatch(r"d(\d+)_c(\d+)", case)
        if numbers is None:
            wrong.append(f"{name}: expected a name such as tok_d53_c10")
            continue
        count, contextual = int(numbers[1]), int(numbers[2])
        for sample, hidden in enumerate(stored["hidden"]):
            score = stored["attn_cls"][sample].sum(dim=0)[1:]
            ranked = select_dominant(score, count)
            dominant, rest = split_tokens(ranked, len(score))
            patches, keys = hidden[1:], stored["metric"][sample][1:]
            merged = merge_into_targets(patches[rest], keys[rest], contextual).features
            tokens = torch.cat((hidden[:1], patches[dominant], merged))
            index = torch.cat((torch.zeros(1, dtype=torch.int64), ranked + 1))
            wrong += compare(f"idx_{case} [{sample}]", index, stored[f"idx_{case}"][sample])
            wrong += compare(f"{name} [{sample}]", tokens, stored[name][sample], absolute=VALUE)
    return wrong
