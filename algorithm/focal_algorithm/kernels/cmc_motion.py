"""Motion search of CMC: which tokens of an interval resemble a token of its reference frame (ASPLOS 2024)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from focal_common.errors import RunError, UnsupportedError

INTERVAL_FRAMES = 8
"""Frames that share one reference frame. Source: published Focus artifact, CMC baseline."""

REFERENCE_FRAME = 3
"""Place of the reference frame in its interval, from 0. Source: as above."""

_CPU_COLUMNS = 128
"""Columns per pass, so that the reference frame stays in the cache: 1.6 times as fast as whole rows of 3584."""

_BLOCK_COLUMNS = 32
_SLACK = 1e-3
_FEW_PAIRS = 0.1
"""Fraction of pairs left by the blocks, above which searching all pairs at once is faster; measured on a CPU."""
_PAIR_ELEMENTS = 1 << 22


@dataclass(frozen=True)
class Motion:
    """Result of a search over F frames of P tokens in I intervals.

    Attributes:
        table: Token of the reference frame that each token resembles most, lowest index first, axes
            (heads, I, 8, P), int64. Frames of the last interval that do not exist are searched as zeros.
        is_replaceable: Whether it resembles it enough, same axes, bool.
        frames: F.
    """

    table: Tensor
    is_replaceable: Tensor
    frames: int

    @property
    def has_tail(self) -> bool:
        """Whether the reference frame of the last interval does not exist."""
        return self.frames % INTERVAL_FRAMES in range(1, REFERENCE_FRAME + 1)

    @property
    def is_counted(self) -> Tensor:
        """Replaceable tokens of intervals with a reference frame, axes (heads, F, P), bool."""
        counted = self.is_replaceable
        if self.has_tail:
            counted = counted.clone()
            counted[:, -1] = False
        return self.of_frames(counted)

    def of_frames(self, values: Tensor) -> Tensor:
        """Return (heads, I, 8, P) as (heads, F, P), without the frames that do not exist."""
        return values.flatten(1, 2)[:, : self.frames]

    def informative(self) -> Tensor:
        """Return the tokens the codec keeps per head and interval, axes (heads, I), int64.

        Tokens of reference frames match themselves; the published count adds them again.
        """
        heads, intervals, _, patches = self.table.shape
        counted = self.is_counted
        kept = torch.zeros(heads, intervals, dtype=torch.int64, device=counted.device)
        for index in range(intervals):
            part = counted[:, index * INTERVAL_FRAMES : (index + 1) * INTERVAL_FRAMES]
            has_reference = not (self.has_tail and index == intervals - 1)
            kept[:, index] = (~part).sum(dim=(1, 2)) + (patches if has_reference else 0)
        return kept

    def interval_tokens(self) -> Tensor:
        """Return the tokens of each interval, axes (I), int64."""
        intervals, patches = self.table.shape[1], self.table.shape[3]
        starts = torch.arange(intervals) * INTERVAL_FRAMES
        return (self.frames - starts).clamp(max=INTERVAL_FRAMES) * patches

    @property
    def sparsity(self) -> float:
        """Fraction of tokens the codec does not keep, over all heads."""
        tokens = int(self.interval_tokens().sum()) * self.table.shape[0]
        return (tokens - int(self.informative().sum())) / tokens


def search_motion(
    values: Tensor,
    threshold: float,
    *,
    is_simplified: bool = False,
    only_replaceable: bool = False,
    name: str = "",
) -> Motion:
    """Search every token's best match in the reference frame of its interval.

    The sum of absolute differences is taken in fp32, one head and interval at a time: memory is 8 P x P sums,
    whatever the width, and neither a difference nor an n x n matrix is stored.

    Args:
        values: Axes (heads, frames, patches, width); one head where heads are not told apart.
        threshold: A token is replaceable if its best sum is below ``threshold * width``.
        is_simplified: Compare with the same place of the reference frame only, in the dtype of ``values``.
        only_replaceable: Leave the table open where a token is not replaceable, which allows to rule out most
            pairs by sums over blocks of columns. Worth it for wide rows of one sign, such as probabilities.
        name: What to call the tensor in an error.

    Raises:
        UnsupportedError: There is no token.
        RunError: A value is NaN.
    """
    heads, frames, patches, width = values.shape
    if not values.numel():
        raise UnsupportedError(f"{name or 'motion search'}: expected at least one frame of one token")
    intervals = -(-frames // INTERVAL_FRAMES)
    table = torch.empty(heads, intervals, INTERVAL_FRAMES, patches, dtype=torch.int64, device=values.device)
    best = torch.empty(table.shape, dtype=torch.float32, device=values.device)
    for head in range(heads):
        for index in range(intervals):
            interval = _interval(values[head], index)
            if is_simplified:
                found = _search_same_place(interval)
            elif only_replaceable:
                found = _search_below(interval, threshold * width)
            else:
                found = _search_everywhere(interval)
            table[head, index], best[head, index] = found
    if bool(best.isnan().any()):
        raise RunError(
            f"{name or 'motion search'}: the values hold NaN or infinities; expected finite numbers"
        )
    return Motion(table, best < threshold * width, frames)


def _interval(values: Tensor, index: int) -> Tensor:
    """Return an interval of (F, P, d), filled with zeros to 8 frames; a view where nothing is missing."""
    part = values[index * INTERVAL_FRAMES : (index + 1) * INTERVAL_FRAMES]
    missing = INTERVAL_FRAMES - len(part)
    return torch.nn.functional.pad(part, (0, 0, 0, 0, 0, missing)) if missing else part


def _search_everywhere(interval: Tensor) -> tuple[Tensor, Tensor]:
    used = interval[..., : _used_width(interval)].to(torch.float32)
    tokens, reference = used.flatten(0, 1), used[REFERENCE_FRAME]
    width = used.shape[2]
    at_once = _CPU_COLUMNS if used.device.type == "cpu" else width
    sums = torch.zeros(len(tokens), len(reference), dtype=torch.float32, device=used.device)
    for start in range(0, width, at_once):
        part = slice(start, start + at_once)
        sums += torch.cdist(tokens[:, part].contiguous(), reference[:, part].contiguous(), p=1.0)
    place = sums.argmin(dim=1)  # the first of equals, by contract of torch
    best = sums.gather(1, place[:, None])
    return place.view(interval.shape[:2]), best.view(interval.shape[:2])


def _search_below(interval: Tensor, limit: float) -> tuple[Tensor, Tensor]:
    """Search pairs whose sum can be below a limit; where none can, the best sum is infinite.

    Sums of absolute differences are at least those of sums over blocks of columns (triangle inequality).
    """
    whole = interval.shape[2] // _BLOCK_COLUMNS * _BLOCK_COLUMNS
    blocks = interval[..., :whole].unflatten(2, (-1, _BLOCK_COLUMNS)).sum(dim=3, dtype=torch.float32)
    rest = interval[..., whole:].sum(dim=2, keepdim=True, dtype=torch.float32)
    blocks = torch.cat((blocks, rest), dim=2)
    least = torch.cdist(blocks.flatten(0, 1), blocks[REFERENCE_FRAME], p=1.0)
    # fp32 rounding of both sums stays far below the slack.
    token, other = (least < limit * (1 + _SLACK)).nonzero(as_tuple=True)
    if bool(least.isnan().any()) or len(token) > _FEW_PAIRS * least.numel():
        return _search_everywhere(interval)
    tokens, reference = interval.flatten(0, 1), interval[REFERENCE_FRAME]
    sums = torch.full_like(least, torch.inf)
    at_once = max(1, _PAIR_ELEMENTS // interval.shape[2])
    for start in range(0, len(token), at_once):
        one, two = token[start : start + at_once], other[start : start + at_once]
        sums[one, two] = (tokens[one].float() - reference[two].float()).abs_().sum(dim=1)
    best, place = sums.amin(dim=1), sums.argmin(dim=1)
    return place.view(interval.shape[:2]), best.view(interval.shape[:2])


def _search_same_place(interval: Tensor) -> tuple[Tensor, Tensor]:
    sums = (interval - interval[REFERENCE_FRAME]).abs().sum(dim=-1)
    return torch.arange(interval.shape[1], device=interval.device).expand(interval.shape[:2]), sums.float()


def _used_width(interval: Tensor) -> int:
    """Return the width without trailing zeros: rows of causal attention are zero after the interval."""
    used = (interval != 0).flatten(0, 1).any(dim=0).nonzero()
    return int(used[-1]) + 1 if len(used) else 1
