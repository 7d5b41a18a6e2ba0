"""LLaVA-PruMerge and PruMerge+ files: shares of outliers, and whole merges of one picture or of a batch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from focal_algorithm.kernels.enrichment import cls_scores, outlier_share
from focal_algorithm.methods.prumerge import PruMerge
from focal_algorithm.methods.prumerge_plus import PruMergePlus
from goldens.comparing import Arrays, compare

PREFIX = "prumerge_"
SCORE, VALUE, HALF = 1e-6, 3e-5, 4e-3

_SAID = {"method", "note", "produced_with", "seed", "counts_losing_one_at_576"}
"""What describes a file; tokens lost by rounding are none in the files that there are, see `_check_shares`."""


class _File:
    """Arrays of a file, with the memory of which were read."""

    def __init__(self, path: Path) -> None:
        with np.load(path, allow_pickle=False) as stored:
            self.arrays: Arrays = {name: stored[name] for name in stored.files}
        self.read = set(_SAID)

    def __contains__(self, name: str) -> bool:
        return name in self.arrays

    def __getitem__(self, name: str) -> Any:
        self.read.add(name)
        return self.arrays[name]

    def tensor(self, name: str) -> Tensor:
        """Return an array in the dtype that the file names, float32 if none."""
        dtype = str(self[f"{name}__dtype"]) if f"{name}__dtype" in self else "float32"
        return torch.from_numpy(self[name]).to(getattr(torch, dtype))

    def unread(self) -> list[str]:
        left = sorted(self.arrays.keys() - self.read)
        return [f"'{name}' says something that this check does not read" for name in left]


def check(path: Path) -> list[str]:
    """Return what differs."""
    file = _File(path)
    if "cases" in file:
        return _check_shares(file) + file.unread()
    return _check_merge(file) + file.unread()


def _check_shares(file: _File) -> list[str]:
    wrong = []
    for number in range(int(file["cases"])):
        scores = torch.from_numpy(file[f"case{number}_attention"])
        wrong += compare(f"case{number}_ratio", outlier_share(scores), file[f"case{number}_ratio"])
        wrong += compare(f"case{number}_count", PruMerge().outliers(scores)[0], file[f"case{number}_count"])
    lost = [n for n in range(577) if int(576 * (n / 576)) != n]
    return wrong + compare("counts_losing_one_at_576", lost, file["counts_losing_one_at_576"])


def _check_merge(file: _File) -> list[str]:
    features, query, keys = (file.tensor(name) for name in ("features", "query", "key"))
    batch = [one if one.ndim == 3 else one[None] for one in (features, query, keys)]
    is_plus = bool(file["is_plus"]) if "is_plus" in file else False
    ratio = "reduction_ratio_if_not_adaptive"
    settings: dict[str, Any] = {
        "is_adaptive": bool(file["is_adaptive"]) if "is_adaptive" in file else True,
        "neighbours": int(file["neighbours"]) if "neighbours" in file else 32,
        "ratio": float(file[ratio]) if ratio in file else 1 / 8,
    }
    wrong: list[str] = []
    if "is_strict_rule" in file:  # only the rule for ties, which is ours in both modes
        wrong += compare("is_strict_rule", bool(file["is_strict_rule"]), True)
    scores = torch.stack([cls_scores(q[0], k) for q, k in zip(batch[1], batch[2], strict=True)])
    bound = SCORE if scores.dtype == torch.float32 else HALF
    if "cls_attention" in file:
        wrong += compare("cls_attention", scores.float().squeeze(0), file["cls_attention"], absolute=bound)
    share = outlier_share(scores)
    if "outlier_ratio" in file:
        wrong += compare("outlier_ratio", share, file["outlier_ratio"])
    tokens = scores.shape[-1]
    if len(scores) > 1 and settings["is_adaptive"]:
        # As published, one share serves the batch; ours is per picture, so it is given as the ratio.
        settings |= {"is_adaptive": False, "ratio": max(share, 1e-9)}
    method = (PruMergePlus if is_plus else PruMerge)(**settings)
    if "count" in file:
        wrong += compare("count", int(tokens * method.outliers(scores[0])[1]), file["count"])
    made = torch.stack(
        [
            method.merge(values[1:], k[1:], own)[2]
            for values, k, own in zip(batch[0], batch[2], scores, strict=True)
        ]
    )
    is_half = features.dtype != torch.float32
    expected = file.tensor("out_tokens").float()
    if expected.ndim == 2:
        made = made[0]
    wrong += compare("out_tokens", made.float(), expected, absolute=HALF if is_half else VALUE)
    return wrong
