"""Turns what a method did to each GEMM input into a trace, one prefill at a time.

Masks are reduced where they lie (`focal_algorithm.hooks.counting`); until a prefill ends nothing waits for a device.
Prefills of several threads may be open at once, each in an `OpenBatch` of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from threading import Lock
from typing import Any

import numpy as np
import torch
from torch import Tensor

from focal_algorithm.hooks.counting import HostCopies, MaskCounts
from focal_algorithm.methods.base import (
    CompressionMethod,
    GemmOutcome,
    HookPoint,
    Resequenced,
    TokenStream,
    VectorMasks,
    zero_vectors,
)
from focal_algorithm.prompts.layout import SampleLayout
from focal_common.errors import RunError
from focal_traces.counts.sparsity import weighted_sparsity_of
from focal_traces.counts.tiles import assemble_counts
from focal_traces.counts.trace import TileCounts
from focal_traces.header.schema import GEMMS, DecoderGeometry, PictureSpan, SampleHeader, slices_per_token
from focal_traces.masks.masks import SampleMaskBuilder, SampleMasks
from focal_traces.records.records import Record

__all__ = ["OpenBatch", "RecordedSample", "Recorder"]


@dataclass(frozen=True)
class RecordedSample:
    """One finished prefill.

    Attributes:
        header: Layout and weighted sparsity.
        counts: Tier 1.
        masks: Tier 2; None unless asked for.
        records: Token counts, kept tokens and merge maps of every layer, and what the method adds.
        summary: The method's own figures; empty without visual tokens.
    """

    header: SampleHeader
    counts: TileCounts
    masks: SampleMasks | None
    records: tuple[Record, ...] = ()
    summary: dict[str, float] = field(default_factory=dict)


@dataclass
class _Open:
    """A prefill under way; a record whose numbers are still on a device is what gives it once they were fetched."""

    layout: SampleLayout
    masks: MaskCounts
    records: list[Record | Callable[[], Sequence[Record]]] = field(default_factory=list)
    pending: list[VectorMasks] = field(default_factory=list)
    visual_tokens: int = 0


_COUNTED_AT = {"q_proj": "layer_input", "gate_proj": "after_attention"}
"""GEMM inputs whose tokens are those behind a point of the layer."""


class Recorder:
    """Observer of prefills.

    Args:
        geometry: Decoder shape.
        method: Whose vector size, m-tile and winner codes apply.
        keep_masks: Whether to keep tier 2 as well.

    Attributes:
        samples: Finished prefills, in the order in which they ended.
    """

    def __init__(
        self, geometry: DecoderGeometry, method: CompressionMethod, keep_masks: bool = False
    ) -> None:
        self.samples: list[RecordedSample] = []
        self._geometry, self._method, self._keep_masks = geometry, method, keep_masks
        self._lock = Lock()

    def open(self, layouts: Sequence[SampleLayout], drafted_tokens: int = 0, copies: int = 1) -> OpenBatch:
        """Start a batch of prefills; it adds nothing unless it is completed.

        Args:
            layouts: Of each row.
            drafted_tokens: Tokens after each prompt that the same forward checks; they are not recorded.
            copies: Rows in a row that are the same prompt, which is recorded once.
        """
        return OpenBatch(
            self, self._geometry, self._method, self._keep_masks, layouts, drafted_tokens, copies
        )

    def start(self) -> None:
        """Hear that a forward with pictures, or a call of `generate`, begins in this thread."""

    def add(
        self, samples: Sequence[RecordedSample], layouts: Sequence[SampleLayout], token_ids: Sequence[Tensor]
    ) -> None:
        """Take the prefills of a finished batch.

        Args:
            samples: The prefills.
            layouts: Of each.
            token_ids: Of each without padding, axes (tokens); empty if the prompts came as embeddings.
        """
        with self._lock:
            self.samples += samples


class OpenBatch:
    """A batch of prefills that are under way."""

    def __init__(
        self,
        recorder: Recorder,
        geometry: DecoderGeometry,
        method: CompressionMethod,
        keep_masks: bool,
        layouts: Sequence[SampleLayout],
        drafted_tokens: int,
        copies: int,
    ) -> None:
        self._recorder, self._geometry, self._keep_masks = recorder, geometry, keep_masks
        self._drafted_tokens, self._copies = drafted_tokens, copies
        self._method, self._study = method, method.study
        self._layouts = tuple(layouts)[::copies]
        self._host = HostCopies()
        self._open = [
            _Open(layout, MaskCounts(method.m_tile, self._mask_builder(layout), self._host))
            for layout in self._layouts
        ]
        for opened in self._open:
            if not opened.layout.visual_tokens:
                self._fill_empty(opened)

    def observe(self, sample: int, layer: int, gemm: str, outcome: GemmOutcome, stream: TokenStream) -> None:
        """Take one GEMM input.

        Args:
            sample: Row of the batch.
            layer: Decoder layer.
            gemm: Name in `GEMMS`.
            outcome: What the method returned.
            stream: Tokens present.
        """
        if sample % self._copies:
            return
        opened = self._open[sample // self._copies]
        layout, masks = opened.layout, outcome.masks
        if masks is None:
            masks = VectorMasks(zero_vectors(outcome.values, stream, self._method.vector_size))
        if len(layout.parts) > 1:
            opened.pending.append(masks)
            opened.visual_tokens += len(stream.visual_rows)
            if len(opened.pending) < len(layout.parts):
                return  # the other pictures of the prompt follow
            masks, visual = _joined(opened.pending), opened.visual_tokens
            opened.pending, opened.visual_tokens = [], 0
        else:
            visual = len(stream.visual_rows)
        opened.masks.add(layer, gemm, masks)
        if gemm in _COUNTED_AT:
            point, present = _COUNTED_AT[gemm], len(stream.token_ids) - self._drafted_tokens
            opened.records += [
                Record.of("tokens", layer, point, present, layout.sequence_tokens),
                Record.of("visual_tokens", layer, point, visual, layout.visual_tokens),
            ]

    def resequenced(
        self, sample: int, point: HookPoint, layer: int, stream: TokenStream, change: Resequenced
    ) -> None:
        """Take a change of the tokens of a prompt.

        Args:
            sample: Row of the batch.
            point: Where.
            layer: Decoder layer.
            stream: Tokens present before.
            change: What remains.
        """
        if sample % self._copies:
            return
        before = stream.token_ids
        if change.merged_into is None:
            stands = torch.full_like(before, -1)
            stands[change.rows] = before[change.rows]
        else:
            stands = before[change.merged_into.clamp(min=0)].masked_fill(change.merged_into < 0, -1)
        opened = self._open[sample // self._copies]
        total = opened.layout.sequence_tokens
        order = before.argsort()[: len(before) - self._drafted_tokens]
        tokens, standing = (self._host.add(one[order].to(torch.int32)) for one in (before, stands))
        made_of = None if change.made_of is None else self._host.add(change.made_of[order].to(torch.int32))

        def records() -> list[Record]:
            where = (layer, point.name.lower())
            found = [Record.of("map", *where, standing(), total, tokens())]
            if made_of is not None and (is_made := made_of() >= 0).any():
                found.append(Record.of("made", *where, made_of()[is_made], total, tokens()[is_made]))
            return found

        opened.records.append(records)

    def complete(self, states: Mapping[tuple[int, int], Any], token_ids: Sequence[Tensor]) -> None:
        """Close the batch: its prefills become samples of the recorder.

        Args:
            states: Of the method, by row and number of the picture in it.
            token_ids: Of each row without padding, axes (tokens); empty if the prompts came as embeddings.

        Raises:
            RunError: A layer did not run.
        """
        layers = self._geometry.layers
        for opened in self._open:
            missing = opened.masks.missing(layers)
            if missing is not None:
                layer, gemm = missing
                raise RunError(
                    f"{opened.layout.sample_id}: layer {layer}, {gemm} was never reached in this prefill"
                )
            opened.masks.reduce()
        self._host.fetch()
        finished = []
        for number, opened in enumerate(self._open):
            own = [states[number * self._copies, part] for part in range(len(opened.layout.parts))]
            tiles, shares = opened.masks.finish()
            sparsity = np.array([[shares[layer, gemm] for gemm in GEMMS] for layer in range(layers)])
            layout = opened.layout
            header = SampleHeader(
                sample_id=layout.sample_id,
                sequence_tokens=layout.sequence_tokens,
                visual_start=layout.visual_start,
                visual_tokens=layout.visual_tokens,
                grid=layout.grid,
                pictures=tuple(
                    PictureSpan(visual_start=one.visual_start, visual_tokens=one.visual_tokens, grid=one.grid)
                    for one in layout.pictures
                ),
                weighted_sparsity=(
                    weighted_sparsity_of(sparsity, self._geometry, layout.visual_tokens)
                    if layout.visual_tokens
                    else None
                ),
            )
            counts = assemble_counts([tiles[layer, gemm] for layer in range(layers) for gemm in GEMMS])
            builder = opened.masks.builder
            masks = None if builder is None else builder.finish()
            summaries = [self._study.summary(self._method, state) for state in own]
            summary = {name: fmean(one[name] for one in summaries) for name in (summaries[:1] or [{}])[0]}
            records = [one for made in opened.records for one in (made() if callable(made) else (made,))]
            if len(own) == 1:  # what a method adds is told in places of the one visual range
                records += self._study.records(self._method, own[0])
            finished.append(RecordedSample(header, counts, masks, tuple(records), summary))
        self._recorder.add(finished, self._layouts, token_ids[:: self._copies])

    def _mask_builder(self, layout: SampleLayout) -> SampleMaskBuilder | None:
        if not self._keep_masks or layout.pictures:
            return None  # the rule that finds a representative is that of one grid
        return SampleMaskBuilder(self._geometry.layers, self._study.pointer_rule(self._method, layout))

    def _fill_empty(self, opened: _Open) -> None:
        for layer in range(self._geometry.layers):
            for gemm in GEMMS:
                slices = slices_per_token(self._geometry.input_elements(gemm), self._method.vector_size)
                opened.masks.add(layer, gemm, VectorMasks(torch.zeros(0, slices, dtype=torch.bool)))


def _joined(masks: Sequence[VectorMasks]) -> VectorMasks:
    """Return what was done to the vectors of all pictures of a prompt, those of the first before those of the next.

    Which vector stands for one is not told: masks of several pictures are counted, and not kept.
    """
    is_zero = torch.cat([one.is_zero for one in masks])
    if all(one.is_similar is None for one in masks):
        return VectorMasks(is_zero)
    similar = [torch.zeros_like(one.is_zero) if one.is_similar is None else one.is_similar for one in masks]
    return VectorMasks(is_zero, torch.cat(similar))
