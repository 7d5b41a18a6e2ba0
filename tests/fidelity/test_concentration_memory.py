"""Does similarity concentration stay within the memory it promises: never all candidates at once?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from focal_algorithm.kernels import grouping, vectors
from focal_algorithm.kernels.similarity import concentrate
from focal_traces import TokenGrid

torch.set_num_threads(1)


class Allocations(TorchDispatchMode):
    """Note the size of every storage that an operation returns a tensor of, by address."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes_bytes: dict[int, int] = {}

    def __torch_dispatch__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, tuple) else (result,):
            if isinstance(tensor, torch.Tensor):
                storage = tensor.untyped_storage()
                known = self.sizes_bytes.get(storage.data_ptr(), 0)
                self.sizes_bytes[storage.data_ptr()] = max(known, storage.nbytes())
        return result


@pytest.mark.parametrize("side", [2, 3])
def test_only_the_output_is_as_large_as_the_input(side: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vectors, "_CPU_ELEMENTS", 1 << 12)
    monkeypatch.setattr(grouping, "_VECTORS_PER_BLOCK", 1 << 11)
    monkeypatch.setattr(grouping, "_MEMBERS_PER_BLOCK", 1 << 7)
    generator = torch.Generator().manual_seed(0)
    x = torch.randint(-2, 3, (6 * 49, 1024), generator=generator).to(torch.float32)
    grid = TokenGrid(frames=6, rows=7, columns=7, frame_stride=49, row_stride=7, column_stride=1)
    positions = torch.arange(len(x))
    with Allocations() as seen:
        found = concentrate(
            x,
            positions,
            grid=grid,
            visual_tokens=len(x),
            vector_size=16,
            m_tile=64,
            block=(side, side, side),
            threshold=0.4,
        )
    assert bool(found.is_similar.any())
    del seen.sizes_bytes[x.untyped_storage().data_ptr()]
    sizes = sorted(seen.sizes_bytes.values(), reverse=True)
    assert sizes[0] == x.nbytes, "the output"
    assert sizes[1] <= x.nbytes // 8, "nothing else comes near the size of the input"
