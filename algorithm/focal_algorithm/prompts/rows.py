"""The rows of a batch as an adapter reads them: without padding, with their runs of placeholders."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from focal_common.errors import UnsupportedError

__all__ = ["PromptRow", "Run", "prompt_rows"]


@dataclass(frozen=True)
class Run:
    """A maximal run of one placeholder.

    Attributes:
        token_id: The placeholder.
        start: Index of its first token in the prompt.
        tokens: Its length.
    """

    token_id: int
    start: int
    tokens: int


@dataclass(frozen=True)
class PromptRow:
    """One row of a batch.

    Attributes:
        name: Sample id.
        index: Row of the batch.
        token_ids: Without padding, axes (tokens).
        is_real: False for padding, axes (padded tokens).
        runs: Runs of placeholders in order.
        picture: How many earlier rows begin with the same placeholder: the number of its picture among those of a kind.
    """

    name: str
    index: int
    token_ids: Tensor
    is_real: Tensor
    runs: tuple[Run, ...]
    picture: int

    def only_run(self) -> Run:
        """Return the one run of placeholders of a row that has any.

        Raises:
            UnsupportedError: There are several.
        """
        if len(self.runs) > 1:
            raise UnsupportedError(
                f"{self.name}: the prompt holds {len(self.runs)} images or videos; expected at most one"
            )
        return self.runs[0]


def prompt_rows(
    inputs: Mapping[str, Any], placeholders: Sequence[int], sample_ids: Sequence[str] | None
) -> list[PromptRow]:
    """Read the rows of a batch.

    Args:
        inputs: Keyword arguments of the forward: ``input_ids``, axes (batch, tokens), and perhaps
            ``attention_mask`` of the same axes.
        placeholders: Ids that stand for visual tokens.
        sample_ids: Names of the rows; numbered if None.
    """
    token_ids, mask = inputs["input_ids"], inputs.get("attention_mask")
    rows = []
    seen: Counter[int] = Counter()
    for index in range(token_ids.shape[0]):
        is_real = torch.ones_like(token_ids[index], dtype=torch.bool) if mask is None else mask[index].bool()
        own = token_ids[index][is_real]
        name = str(index) if sample_ids is None else sample_ids[index]
        runs = _runs(own, placeholders)
        first = runs[0].token_id if runs else -1
        rows.append(PromptRow(name, index, own, is_real, runs, seen[first]))
        seen[first] += 1
    return rows


def _runs(token_ids: Tensor, placeholders: Sequence[int]) -> tuple[Run, ...]:
    runs: list[Run] = []
    values, lengths = torch.unique_consecutive(token_ids, return_counts=True)
    start = 0
    for value, length in zip(values.tolist(), lengths.tolist(), strict=True):
        if value in placeholders:
            runs.append(Run(value, start, length))
        start += length
    return tuple(runs)
