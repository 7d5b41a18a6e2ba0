"""Tier 2 in memory: which vectors are zero or similar, and who stands for them.

Holds compressed bits; dense arrays exist for one (sample, layer, gemm) at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from focal_common.errors import TraceError
from focal_traces.counts.tiles import assemble_counts, count_tiles
from focal_traces.counts.trace import TileCounts, Trace
from focal_traces.header.schema import GEMMS, TraceHeader
from focal_traces.masks.packing import PackedGemm, pack_published, pack_winners
from focal_traces.masks.pointers import PointerRule

_MOST_SIMILAR, _MOST_GROWTH = 1 << 32, 1 << 10
"""Similar vectors of all masks: ten samples of 11,648 tokens of one still picture have 3.4 billion in few bytes."""


@dataclass(frozen=True)
class SampleMasks:
    """Masks of one prefill.

    Attributes:
        rule: What winner indices mean in this sample.
        gemms: One entry per (layer, gemm), layer-major, GEMMs in the order of `GEMMS`.
    """

    rule: PointerRule
    gemms: tuple[PackedGemm, ...]

    def gemm(self, layer: int, name: str) -> PackedGemm:
        """Return the masks of one GEMM input."""
        return self.gemms[layer * len(GEMMS) + GEMMS.index(name)]

    def group_index(self, layer: int, name: str) -> NDArray[np.int32]:
        """Return the published group index of one GEMM input, axes (visual tokens, slices)."""
        return self.gemm(layer, name).group_index(self.rule)


@dataclass(frozen=True)
class MaskTrace:
    """A header and the masks of each of its samples.

    Attributes:
        header: What was run.
        samples: Masks, one per ``header.samples``.
    """

    header: TraceHeader
    samples: tuple[SampleMasks, ...]

    def chosen_sample(self) -> int:
        """Return the median sample if one was chosen, else the first."""
        return self.header.median_index or 0

    def check(self, where: str) -> None:
        """Check masks against the header and against themselves.

        Raises:
            TraceError: The first violation, naming file, sample, layer and GEMM.
        """
        if len(self.samples) != len(self.header.samples):
            raise TraceError(
                f"{where}: the header lists {len(self.header.samples)} samples but there are masks of "
                f"{len(self.samples)}"
            )
        similar, allowed = 0, _MOST_SIMILAR
        for sample, masks in enumerate(self.samples):
            expected = self.header.geometry.layers * len(GEMMS)
            if len(masks.gemms) != expected:
                raise TraceError(
                    f"{where}: sample {sample} has {len(masks.gemms)} masks, expected {expected}"
                )
            for layer, name, packed in _named(masks):
                # What is announced takes time in proportion, so that few bytes must not announce much.
                similar += self._check_one(sample, layer, name, packed, where)
                allowed += _MOST_GROWTH * len(packed.pointers)
                if similar > allowed:
                    raise TraceError(
                        f"{where}: more than {similar} similar vectors in few bytes, expected at most {_MOST_SIMILAR} "
                        f"and {_MOST_GROWTH} for each byte"
                    )

    def _check_one(self, sample: int, layer: int, name: str, packed: PackedGemm, where: str) -> int:
        shape = (self.header.samples[sample].visual_tokens, self.header.slices(name))
        place = f"{where}: sample {sample}, layer {layer}, {name}"
        if (packed.tokens, packed.slices) != shape:
            raise TraceError(
                f"{place}: masks have axes {packed.tokens} x {packed.slices}, expected {shape[0]} visual "
                f"tokens x {shape[1]} slices"
            )
        try:
            return packed.check(self.samples[sample].rule)
        except TraceError as error:
            raise TraceError(f"{place}: {error}") from error


@dataclass
class SampleMaskBuilder:
    """Takes one (layer, gemm) at a time and keeps it compressed.

    Example:
        >>> builder = SampleMaskBuilder(layers=1, rule=PointerRule((0, 1), rounds=1))
        >>> is_zero = np.array([[False], [False]])
        >>> is_similar = np.array([[False], [True]])
        >>> for gemm in GEMMS:
        ...     builder.add(0, gemm, is_zero, is_similar, np.array([[255], [1]], dtype=np.uint8))
        >>> builder.finish().group_index(0, "query").ravel().tolist()
        [0, 0]

    Attributes:
        layers: Decoder layers expected.
        rule: What winner indices mean.
    """

    layers: int
    rule: PointerRule
    _packed: dict[tuple[int, str], PackedGemm] = field(default_factory=dict)

    def add(
        self,
        layer: int,
        gemm: str,
        is_zero: NDArray[np.bool_],
        is_similar: NDArray[np.bool_],
        winners: NDArray[np.uint8],
    ) -> None:
        """Record one GEMM input; axes of all arrays are (visual tokens, slices).

        Raises:
            TraceError: The place is unknown or taken, or the masks contradict each other.
        """
        self._put(layer, gemm, lambda: pack_winners(is_zero, is_similar, winners, self.rule))

    def add_published(
        self,
        layer: int,
        gemm: str,
        is_zero: NDArray[np.bool_],
        is_similar: NDArray[np.bool_],
        group: NDArray[np.int32],
    ) -> None:
        """Record one GEMM input whose representatives are given as a group index."""
        self._put(layer, gemm, lambda: pack_published(is_zero, is_similar, group))

    def _put(self, layer: int, gemm: str, pack: Callable[[], PackedGemm]) -> None:
        if gemm not in GEMMS or not 0 <= layer < self.layers:
            raise TraceError(
                f"layer {layer}, {gemm}: expected a layer below {self.layers} and one of {', '.join(GEMMS)}"
            )
        if (layer, gemm) in self._packed:
            raise TraceError(f"layer {layer}, {gemm}: recorded twice in one prefill")
        try:
            self._packed[layer, gemm] = pack()
        except TraceError as error:
            raise TraceError(f"layer {layer}, {gemm}: {error}") from error

    def finish(self) -> SampleMasks:
        """Return the sample.

        Raises:
            TraceError: A (layer, gemm) was never recorded.
        """
        places = [(layer, gemm) for layer in range(self.layers) for gemm in GEMMS]
        for layer, gemm in places:
            if (layer, gemm) not in self._packed:
                raise TraceError(f"layer {layer}, {gemm}: never recorded in this prefill")
        return SampleMasks(self.rule, tuple(self._packed[place] for place in places))


def counts_from_masks(masks: SampleMasks, header: TraceHeader) -> TileCounts:
    """Reduce the masks of one sample to tile counts, with the m-tile rule of `focal_traces.counts.tiles`.

    Args:
        masks: One sample.
        header: Gives ``m_tile``.
    """
    return assemble_counts(
        [count_tiles(packed.is_zero(), packed.is_similar(), header.m_tile) for packed in masks.gemms]
    )


def trace_from_masks(masks: MaskTrace) -> Trace:
    """Reduce all samples to tier 1."""
    return Trace(masks.header, tuple(counts_from_masks(sample, masks.header) for sample in masks.samples))


def _named(masks: SampleMasks) -> Iterator[tuple[int, str, PackedGemm]]:
    for place, packed in enumerate(masks.gemms):
        yield place // len(GEMMS), GEMMS[place % len(GEMMS)], packed
