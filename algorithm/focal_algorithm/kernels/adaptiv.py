"""Sign-based token merging of AdapTiV (MICRO 2024): which tokens resemble the one above or to the left."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from focal_common.errors import RunError
from focal_traces.header.schema import TokenGrid

_BLOCK_ELEMENTS = 1 << 24  # bounds the signs held at once to 16 MiB per operand


@dataclass(frozen=True)
class SignMerge:
    """Result over S visual tokens.

    Attributes:
        representative: Token that stands for each token, itself if it is kept, axes (S), int64.
        score: Larger of the two sign agreements over the width, axes (S), dtype of the values.
    """

    representative: Tensor
    score: Tensor

    @property
    def is_kept(self) -> Tensor:
        """Tokens that stand for themselves, axes (S), bool."""
        own = torch.arange(len(self.representative), device=self.representative.device)
        return self.representative == own

    @property
    def sparsity(self) -> float:
        """Merged tokens over S."""
        return int((~self.is_kept).sum()) / len(self.representative)


def linear_margins(grid: TokenGrid, tokens: int, device: torch.device | None = None) -> tuple[Tensor, Tensor]:
    """Return which tokens may merge upwards and to the left by the published rule, axes (tokens), bool.

    Neither direction is open in the first row, in the first column, nor, with several frames, in the whole
    first frame, with row and column from the linear token number.

    Args:
        grid: Layout of the visual tokens.
        tokens: S.
        device: Device of the result.
    """
    token = torch.arange(tokens, device=device)
    inside = token % grid.frame_stride
    row, column = inside // grid.row_stride, inside % grid.row_stride // grid.column_stride
    is_open = (row > 0) & (column > 0)
    if grid.frames > 1:
        is_open &= token >= grid.frame_stride
    return is_open, is_open


def sign_merge(
    values: Tensor, *, up: Tensor, left: Tensor, open_up: Tensor, open_left: Tensor, threshold: float
) -> SignMerge:
    """Merge each token into its upper or left neighbour where enough signs agree.

    Scores are sums of sign products, rounded to the dtype of the values as published; the threshold is rounded
    to it as well and is reached from equality on.

    Args:
        values: Visual tokens, axes (S, width).
        up: Distance to the upper neighbour of each token, axes (S), int64; beyond the start there are zeros.
        left: Distance to the left neighbour, same axes.
        open_up: Whether merging upwards is allowed, axes (S), bool.
        open_left: Whether merging to the left is allowed, same axes.
        threshold: Score over width from which a token merges.

    Raises:
        RunError: A value is NaN.
    """
    if bool(values.isnan().any()):
        raise RunError("AdapTiV: the visual tokens hold NaN; expected finite numbers")
    own = torch.arange(len(values), device=values.device)
    scores = [_agreement(values, own - distance) for distance in (up, left)]
    barred = -values.shape[1] - 1  # below every score
    for score, is_open in zip(scores, (open_up, open_left), strict=True):
        score.masked_fill_(~is_open, barred)
    score = torch.maximum(*scores)
    parent = torch.where(scores[1] > scores[0], own - left, own - up)
    is_merged = (score / values.shape[1] >= torch.tensor(threshold, dtype=values.dtype)) & (
        open_up | open_left
    )
    return SignMerge(_roots(torch.where(is_merged, parent, own)), score)


def _agreement(values: Tensor, neighbour: Tensor) -> Tensor:
    signs = torch.sign(values).to(torch.int8)
    block = max(1, _BLOCK_ELEMENTS // max(1, values.shape[1]))
    sums = [
        (signs[start : start + block] * signs[neighbour[start : start + block].clamp(min=0)]).sum(
            dim=1, dtype=torch.int32
        )
        for start in range(0, len(values), block)
    ]
    return torch.cat(sums).masked_fill(neighbour < 0, 0).to(values.dtype)


def _roots(parent: Tensor) -> Tensor:
    """Follow parents, which lie before their children, to the end."""
    while True:
        further = parent[parent]
        if torch.equal(further, parent):
            return parent
        parent = further
