"""From the winning candidate of each vector to the published group index.

Paper: Focus, HPCA 2026, sec. VI-A (similarity gathering within a block of frames, rows and columns).
Deviations: pointer chasing is not in the paper; rounds and order follow the published Focus artifact.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from focal_common.errors import TraceError
from focal_traces.header.schema import TokenGrid

NO_WINNER = 255
"""Winner code of a vector that is not similar; hence at most 255 candidates."""


def candidate_offsets(grid: TokenGrid, block: tuple[int, int, int]) -> tuple[int, ...]:
    """Return the linear token offset of every candidate of a block, by candidate index.

    Candidate ``q = f * (Bh * Bw) + i * Bw + k`` lies ``f * frame_stride + i * row_stride +
    k * column_stride`` tokens before the key; candidate 0 is the key itself and never wins.

    Args:
        grid: Layout of the visual tokens.
        block: Frames, rows and columns of a block; cut to the grid.
    """
    frames, rows, columns = (
        min(size, extent) for size, extent in zip(block, (grid.frames, grid.rows, grid.columns), strict=True)
    )
    return tuple(
        row * grid.row_stride + column * grid.column_stride + frame * grid.frame_stride
        for frame in range(frames)
        for row in range(rows)
        for column in range(columns)
    )


@dataclass(frozen=True, slots=True)
class PointerRule:
    """How winners of a sample become groups.

    Attributes:
        offsets: Token offset of each candidate; see `candidate_offsets`.
        rounds: Most path-doubling rounds; None follows every chain to its end. The published artifact does as
            many as the input has frames, which leaves long chains of one-frame inputs unresolved.

    Raises:
        TraceError: More than 255 candidates, or a negative offset or number of rounds.
    """

    offsets: tuple[int, ...]
    rounds: int | None

    def __post_init__(self) -> None:
        if len(self.offsets) > NO_WINNER:
            raise TraceError(f"a block has {len(self.offsets)} candidates, expected at most {NO_WINNER}")
        if any(offset < 0 for offset in self.offsets):
            raise TraceError(f"candidate offsets must be at least 0, got {min(self.offsets)}")
        if self.rounds is not None and self.rounds < 0:
            raise TraceError(f"rounds of path doubling must be at least 0, got {self.rounds}")


def group_index(
    is_similar: NDArray[np.bool_], winners: NDArray[np.uint8], rule: PointerRule
) -> NDArray[np.int32]:
    """Rebuild the group index ``g = representative token * V + slice``.

    Args:
        is_similar: Axes (visual tokens, slices).
        winners: Candidate of each similar vector in row-major order, axes (similar vectors).
        rule: Offsets and rounds.

    Returns:
        Axes (visual tokens, slices); a vector that is not similar points to itself.
    """
    slices = is_similar.shape[1]
    pointer = np.arange(is_similar.size, dtype=np.int32)
    active = np.flatnonzero(is_similar).astype(np.int32)
    pointer[active] -= np.array(rule.offsets, dtype=np.int32)[winners] * np.int32(slices)
    done = 0
    while len(active) and (rule.rounds is None or done < rule.rounds):
        target = pointer[active]
        beyond = pointer[target]
        # Those whose target is a root are final; only the others take part in later rounds.
        moving = beyond != target
        active = active[moving]
        pointer[active] = beyond[moving]
        done += 1
    return pointer.reshape(is_similar.shape)
