"""Does token selection stay clear of the whole attention matrix, in the tower and in the decoder?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from focal_algorithm.kernels import vectors
from focal_algorithm.kernels.hybrid_scores import HybridWeights, hybrid_score
from focal_algorithm.kernels.sparsevlm import attention_rows
from focal_algorithm.kernels.visionzip import attention_from_first, attention_received

TOKENS, HEADS, CHUNK = 512, 4, 1 << 14


class Largest(TorchDispatchMode):
    """Note the elements of the largest tensor that an operation returns."""

    def __init__(self) -> None:
        super().__init__()
        self.elements = 0

    def __torch_dispatch__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, tuple) else (result,):
            if isinstance(tensor, torch.Tensor):
                self.elements = max(self.elements, tensor.numel())
        return result


def test_only_the_rows_needed_are_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vectors, "_CPU_ELEMENTS", CHUNK)
    query, key = torch.randn(TOKENS, 32), torch.randn(TOKENS, 32)
    with Largest() as cls:
        attention_from_first(query, key, HEADS, 0.3)
    assert cls.elements == TOKENS * 32, "the operands"
    with Largest() as received:
        attention_received(query, key, HEADS, 0.3)
    assert received.elements <= max(CHUNK, TOKENS * 32), "a block of rows"
    with Largest() as scores:
        hybrid_score(torch.rand(HEADS, TOKENS), key, HybridWeights())
    assert scores.elements <= max(CHUNK, TOKENS * 32), "a block of rows"
    rows = torch.arange(TOKENS - 9, TOKENS)
    with Largest() as rated:
        attention_rows(torch.randn(HEADS, TOKENS, 8), torch.randn(2, TOKENS, 8), rows, 0.3)
    assert rated.elements == HEADS * len(rows) * TOKENS
