"""What a method is shown, and may replace, of the inputs of GEMMs and of attention."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from focal_algorithm.hooks.forward import ThreadState
from focal_algorithm.hooks.placement import moved
from focal_algorithm.hooks.prefill import Picture
from focal_algorithm.hooks.sequence import without_keys
from focal_algorithm.methods.base import (
    AttentionOperands,
    CompressionMethod,
    DecodeNotes,
    GemmOutcome,
    HookPoint,
)
from focal_algorithm.models.inference_only import refuse_gradients


class Operands:
    """Hooks at GEMM inputs and at the attention function; they act on the forward of the thread that calls them.

    Args:
        method: The method.
        points: Where it acts.
        windows: Columns that a token of each layer attends to, itself included; None for all before it.
        thread: The forward of each thread.
    """

    def __init__(
        self,
        method: CompressionMethod,
        points: frozenset[HookPoint],
        windows: Sequence[int | None],
        thread: ThreadState,
    ) -> None:
        self.method, self.points, self._windows, self._thread = method, points, windows, thread
        self._probability_layers = (
            range(len(windows))[method.needs.probability_layers]
            if HookPoint.ATTENTION_PROBABILITIES in points
            else range(0)
        )

    def on_gemm_input(self, layer: int, gemm: str, values: Tensor) -> Tensor:
        """Transform and record a GEMM input, axes (batch, tokens, width)."""
        prefill = self._thread.prefilling
        if prefill is None:
            return values
        prefill.watch_numbers(layer, gemm, values.detach())
        record, result = prefill.record, values
        for picture in prefill.pictures():
            if HookPoint.GEMM_INPUT in self.points:
                # Of what an earlier picture of the prompt has left, and a copy: methods may write in place.
                own = result[picture.row, picture.rows].detach()
                outcome = self.method.transform(layer, gemm, own, picture.stream, picture.state)
            elif record is None:
                return values
            else:
                is_whole = len(picture.rows) == values.shape[1]
                own = (values[picture.row] if is_whole else values[picture.row, picture.rows]).detach()
                outcome = GemmOutcome(own)
            if record is not None:
                record.observe(picture.row, layer, gemm, outcome, picture.stream)
            if outcome.values is not own:
                result = values.clone() if result is values else result
                result[picture.row, picture.rows] = outcome.values
        return result if result is values else refuse_gradients(result, self.method.name)

    def on_query(self, layer: int, query: Tensor, key: Tensor, mask: Any, scaling: float) -> Tensor:
        """Transform Q and show the operands of the attention to the method.

        Args:
            layer: Decoder layer.
            query: Axes (batch, heads, tokens, head_dim), after the position embedding.
            key: Axes (batch, kv_heads, tokens, head_dim).
            mask: As `on_keys` has it.
            scaling: Factor of the scores.
        """
        prefill = self._thread.prefilling
        if prefill is None:
            return query
        batch, heads, tokens, head_dim = query.shape
        key = key[
            :, :, :tokens
        ]  # a cache of fixed size hands over all its places, of which the first are filled
        if prefill.record is not None or HookPoint.GEMM_INPUT in self.points:
            flat = query.transpose(1, 2).reshape(batch, tokens, heads * head_dim)
            new = self.on_gemm_input(layer, "query", flat)
            if new is not flat:
                query = new.view(batch, tokens, heads, head_dim).transpose(1, 2)
        if HookPoint.ATTENTION_OPERANDS in self.points:
            tables = self._thread.forward.rotary_tables
            for picture in prefill.pictures():
                row, rows = picture.row, picture.rows
                own_query, own_key = query[row][:, rows].detach(), key[row][:, rows].detach()
                operands = AttentionOperands(
                    own_query,
                    own_key,
                    scaling,
                    tables and rotary_rows(tables, row, rows),
                    self.window_of(layer, mask, picture),
                )
                self.method.see_attention(layer, operands, picture.stream, picture.state)
        return query

    def window_of(self, layer: int, mask: Tensor | None, picture: Picture) -> Tensor | None:
        """Return what tokens may attend to in a layer with a window; see `AttentionOperands.mask`."""
        if mask is None or self._windows[layer] is None:
            return None
        own = mask[picture.row if len(mask) > 1 else 0, 0][picture.rows[:, None], picture.rows]
        return own if own.dtype == torch.bool else own == 0

    def on_keys(self, layer: int, query: Tensor, key: Tensor, mask: Any, scaling: float) -> Any:
        """Close keys that tokens after the prompt are not to attend to.

        Args:
            layer: Decoder layer.
            query: Axes (batch, heads, tokens, head_dim).
            key: Axes (batch, kv_heads, tokens held, head_dim).
            mask: Of the attention, axes (batch or 1, 1, tokens, tokens held), bool or additive; None for causal.
            scaling: Factor of the scores.

        Returns:
            The mask with those keys closed; the same one where there are none.
        """
        now = self._thread.forward
        prefill = now.prefill
        if HookPoint.DECODE_KEYS not in self.points or prefill is None:
            return mask
        if not now.is_decoding and not prefill.drafted_tokens:
            return mask
        batch, _, queries, _ = query.shape
        held = key.shape[2]
        is_open: Tensor | None = None
        for row in range(batch):
            prompt = row if len(prefill.layouts) > 1 else 0
            for part, layout in enumerate(prefill.layouts[prompt].parts):
                if now.is_decoding:
                    steps = held - prefill.at_layer[layer].columns.shape[1]
                    stream, places = prefill.held_stream(layer, prompt, part, steps)
                    new = torch.arange(queries, device=query.device)
                else:
                    picture = prefill.pictures(part)[row]
                    stream, places = picture.stream, picture.rows
                    new = places[stream.token_ids >= layout.sequence_tokens]
                if not len(new):
                    continue
                operands = AttentionOperands(
                    query[row][:, new].detach(), key[row][:, places].detach(), scaling
                )
                notes = moved(now.notes.setdefault((row, part), DecodeNotes()), query.device)
                chosen = self.method.choose_keys(layer, operands, stream, notes)
                if chosen is None:
                    continue
                if is_open is None:
                    is_open = torch.ones(batch, queries, held, dtype=torch.bool, device=query.device)
                is_open[row, new[:, None], places] &= chosen
        return mask if is_open is None else without_keys(mask, is_open, query.dtype)

    def replaces_probabilities(self, layer: int) -> bool:
        """Return whether the attention of a layer must be computed unfused, for the method to change."""
        if layer not in self._probability_layers or self._thread.prefilling is None:
            return False
        return any(layout.visual_tokens for layout in self._thread.prefilling.layouts)

    def on_probabilities(self, layer: int, first_head: int, probabilities: Tensor) -> Tensor:
        """Let the method replace the softmax output of some heads, axes (batch, heads, tokens, tokens), in place."""
        prefill = self._thread.prefilling
        if prefill is None:
            return probabilities
        for picture in prefill.pictures():
            row, rows = picture.row, picture.rows
            is_whole = len(rows) == probabilities.shape[2]
            own = probabilities[row] if is_whole else probabilities[row][:, rows[:, None], rows]
            new = self.method.replace_probabilities(
                layer, first_head, own.detach(), picture.stream, picture.state
            )
            if is_whole and new.is_set_to(own):
                continue  # changed in place
            if is_whole:
                probabilities[row] = new
            else:
                probabilities[row][:, rows[:, None], rows] = new
        return probabilities


def rotary_rows(tables: tuple[Tensor, Tensor], sample: int, columns: Tensor) -> tuple[Tensor, Tensor]:
    """Return the rotary tables, axes (tokens, head_dim), of some tokens of one prompt of a batch."""
    cos, sin = tables
    own = sample if cos.shape[-3] > 1 else 0
    return cos[..., own, columns, :], sin[..., own, columns, :]
