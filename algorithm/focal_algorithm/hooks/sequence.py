"""Which tokens of a padded batch are present, and moving tensors from one such set to a smaller one.

Rows of a batch may keep different numbers of tokens: the shorter ones are filled with dummy tokens that no
real token attends to. Knows nothing of methods or models.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

__all__ = ["BatchSequence", "gather_tokens", "without_keys"]


def gather_tokens(values: Tensor, columns: Tensor, token_axis: int) -> Tensor:
    """Take tokens by index, separately for each row of the batch.

    Args:
        values: The axis before ``token_axis`` is the batch, of size 1 (shared) or that of ``columns``.
        columns: Axes (batch, tokens), int64.
        token_axis: Negative axis of the tokens in ``values``.
    """
    batch = columns.shape[0]
    batch_axis = values.ndim + token_axis - 1
    if values.shape[batch_axis] != batch:
        shape = list(values.shape)
        shape[batch_axis] = batch
        values = values.expand(shape)
    place = torch.arange(batch, device=columns.device)[:, None].expand_as(columns)
    index: list[slice | Tensor] = [slice(None)] * batch_axis
    return values[(*index, place, columns)]


@dataclass(frozen=True)
class BatchSequence:
    """Tokens present in a padded batch.

    Attributes:
        columns: Column of the original input behind each present token, axes (batch, tokens), int64.
        is_real: False for padding and dummies, same axes, bool.
        is_whole: Whether this is still the original input.
        is_left_padded: Where dummies go: before the real tokens, so that the last token stays last.
        renumbered: Columns of the original input whose positions the tokens take, same axes; None if each takes
            that of its own column.
        lowered: By how many positions renumbering has moved the end of each prompt down, axes (batch, 1), int64; None
            where nothing was renumbered.
        known_rows: What `rows` gives for each sample; None to look for it.
    """

    columns: Tensor
    is_real: Tensor
    is_whole: bool
    is_left_padded: bool
    renumbered: Tensor | None = None
    lowered: Tensor | None = None
    known_rows: tuple[Tensor, ...] | None = None

    @cached_property
    def _rows(self) -> tuple[Tensor, ...]:
        return self.known_rows or tuple(one.nonzero().flatten() for one in self.is_real)

    @property
    def lengths(self) -> list[int]:
        """Real tokens of each sample."""
        return [len(rows) for rows in self._rows]

    @property
    def is_full(self) -> bool:
        """Whether there is neither padding nor a dummy."""
        return min(self.lengths) == self.columns.shape[1]

    @cached_property
    def is_ordered(self) -> bool:
        """Whether plain causal attention is right among the tokens."""
        return self.is_full and bool((self.position_columns.diff(dim=1) > 0).all())

    @property
    def position_columns(self) -> Tensor:
        """Columns whose position and causal place the present tokens take, axes (batch, tokens)."""
        return self.columns if self.renumbered is None else self.renumbered

    @classmethod
    def whole(cls, is_real: Tensor) -> BatchSequence:
        """Start from the original input; ``is_real`` has axes (batch, tokens), bool."""
        places = torch.arange(is_real.shape[1], device=is_real.device)
        tokens, is_last_real = torch.stack((is_real.sum(dim=1), is_real[:, -1])).tolist()
        rows = None if min(tokens) < len(places) else (places,) * len(tokens)
        return cls(places.expand(is_real.shape), is_real, True, all(is_last_real), known_rows=rows)

    def rows(self, sample: int) -> Tensor:
        """Return the places of a sample's real tokens, axes (tokens), int64."""
        return self._rows[sample]

    def taken(
        self, kept_rows: Sequence[Tensor], renumbers: Collection[int] = ()
    ) -> tuple[BatchSequence, Tensor]:
        """Keep some tokens of each sample.

        Args:
            kept_rows: For each sample, places in the present sequence, axes (kept tokens), int64.
            renumbers: Samples whose tokens take the first of the positions present; others keep theirs.

        Returns:
            The new sequence, and the place in the present one of each of its tokens, axes (batch, tokens).
        """
        length = max(len(rows) for rows in kept_rows)
        places = self.columns.new_zeros(len(kept_rows), length)
        is_real = torch.zeros_like(places, dtype=torch.bool)
        every, known_rows = torch.arange(length, device=places.device), []
        for sample, rows in enumerate(kept_rows):
            part = slice(length - len(rows), None) if self.is_left_padded else slice(0, len(rows))
            places[sample, part] = rows
            is_real[sample, part] = True
            known_rows.append(every[part])
        columns = self.columns.gather(1, places)
        renumbered, lowered = None, self.lowered
        if renumbers or self.renumbered is not None:
            renumbered = self.position_columns.gather(1, places)
        if renumbered is not None and renumbers:
            lowered = places.new_zeros(len(kept_rows), 1) if lowered is None else lowered.clone()
            for sample in renumbers:
                own = self.position_columns[sample][self.rows(sample)].sort().values
                count = len(kept_rows[sample])
                renumbered[sample, known_rows[sample]] = own[:count]
                lowered[sample] += own[-1] - own[count - 1]
        return BatchSequence(
            columns, is_real, False, self.is_left_padded, renumbered, lowered, tuple(known_rows)
        ), places

    def without_last(self, tokens: int) -> BatchSequence:
        """Return the sequence without its last ``tokens`` tokens, which every row must still hold."""
        if not tokens:
            return self
        renumbered = None if self.renumbered is None else self.renumbered[:, :-tokens]
        rows = tuple(one[:-tokens] for one in self._rows) if self.is_full else None
        return replace(
            self,
            columns=self.columns[:, :-tokens],
            is_real=self.is_real[:, :-tokens],
            renumbered=renumbered,
            known_rows=rows,
        )

    def prefill_mask(self, whole_mask: Tensor | None, dtype: torch.dtype) -> Tensor | None:
        """Return the attention mask among the present tokens.

        Args:
            whole_mask: Mask of the original input as the model made it, axes (batch or 1, 1, tokens, tokens),
                bool or additive; None for plain causal attention.
            dtype: Of an additive mask made here.

        Returns:
            None where plain causal attention is right.
        """
        columns = self.position_columns
        if whole_mask is None and self.is_ordered:
            return None
        if whole_mask is None:
            is_open = (columns[:, None, :] <= columns[:, :, None]) & self.is_real[:, None, :]
            mask = additive_mask(is_open, dtype)[:, None]
        else:
            mask = _taken(whole_mask, columns[:, :, None], columns[:, None, :])
            if self.renumbered is not None:
                # A later token is open for what both are, parts of one image, and not for where they stand.
                first, last = self.columns[:, :, None], self.columns[:, None, :]
                is_later = columns[:, None, :] > columns[:, :, None]
                both = _taken(whole_mask, torch.minimum(first, last), torch.maximum(first, last))
                mask = torch.where(is_later[:, None], both, mask)
            closed = False if mask.dtype == torch.bool else torch.finfo(mask.dtype).min
            mask = mask.masked_fill(~self.is_real[:, None, None, :], closed)
        # A dummy or padding query that may attend to nothing would turn into NaN and reach the cache.
        opened = True if mask.dtype == torch.bool else 0.0
        return mask.masked_fill(~self.is_real[:, None, :, None], opened)

    def decode_mask(
        self, steps: int, queries: int, dtype: torch.dtype, window: int | None = None, end: int = 0
    ) -> Tensor | None:
        """Return the mask of new tokens against this sequence, all tokens since, and each other.

        Args:
            steps: Tokens between the prefill and the new ones; negative where the last of the prompt were cut off.
            queries: New tokens.
            dtype: Of the additive mask.
            window: Columns that a token attends to, itself included; None for all before it.
            end: Columns of the original input.

        Returns:
            Axes (batch, 1, queries, keys); None where every key is open to the only query.
        """
        if queries == 1 and window is None and self.is_full:
            return None
        cut = min(steps, 0)  # the last tokens of the prompt may be gone again
        since = torch.arange(cut, steps + queries, device=self.columns.device) + end
        since = since - (0 if self.lowered is None else self.lowered)
        held = self.columns.shape[1] + cut
        columns = torch.cat((self.position_columns[:, :held], since.expand(len(self.columns), -1)), dim=1)
        is_near = columns[:, None, :] > columns[:, -queries:, None] - (window or columns.max() + 1)
        is_real = torch.nn.functional.pad(self.is_real[:, :held], (0, since.shape[-1]), value=True)
        is_open = is_near & is_real[:, None]
        if queries == 1 and bool(is_open.all()):
            return None
        return additive_mask(is_open.tril(is_open.shape[-1] - queries), dtype)[:, None]


def _taken(mask: Tensor, queries: Tensor, keys: Tensor) -> Tensor:
    """Return entries of a mask, axes (batch or 1, 1, tokens, tokens), by columns that broadcast to (batch, n, n)."""
    rows = torch.arange(len(queries), device=mask.device)[:, None, None]
    return mask.expand(len(queries), -1, -1, -1)[rows, 0, queries, keys][:, None]


def without_keys(mask: Tensor | None, is_open: Tensor, dtype: torch.dtype) -> Tensor:
    """Return a mask that closes some keys beside those that another closes.

    Args:
        mask: Axes (batch or 1, 1, queries, keys), bool or additive; None for causal, the queries being the last tokens.
        is_open: Axes (batch, queries, keys), bool.
        dtype: Of an additive mask made here.
    """
    queries, keys = is_open.shape[1:]
    if mask is None:
        return additive_mask(is_open.tril(keys - queries), dtype)[:, None]
    mask = mask[..., :keys]
    closed = False if mask.dtype == torch.bool else torch.finfo(mask.dtype).min
    return torch.where(is_open[:, None], mask, closed)


def additive_mask(is_open: Tensor, dtype: torch.dtype) -> Tensor:
    """Return 0 where ``is_open`` and the most negative number elsewhere; eager and sdpa both take it."""
    return torch.zeros(is_open.shape, dtype=dtype, device=is_open.device).masked_fill(
        ~is_open, torch.finfo(dtype).min
    )
