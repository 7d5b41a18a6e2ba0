"""What became of each visual token of a prompt, layer by layer, from what the run recorded.

Never asks which method it was: fates follow from the maps and counts that every method's records hold.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from focal_common.errors import TraceError
from focal_traces.header.schema import GEMMS, SampleHeader
from focal_traces.masks.masks import SampleMasks
from focal_traces.records.records import Record

__all__ = ["Fate", "SampleFates", "fates_from_masks", "fates_from_records", "similar_share"]


class Fate(IntEnum):
    """What became of a token; the first four are present behind a layer, the first three computed there.

    Attributes:
        KEPT: Stays and stands for itself alone.
        CARRIES: Stays and stands for others too: a representative, or the token of a cluster.
        SPARE: Its place is taken by a token that holds no token of the prompt, such as CLS.
        REPLACED: Stays, but its values are those of another.
        MERGED: Left the sequence; another token stands for it.
        DROPPED: Nothing stands for it.
    """

    KEPT = 0
    CARRIES = 1
    SPARE = 2
    REPLACED = 3
    MERGED = 4
    DROPPED = 5


_SEQUENCE_POINTS = ("layer_input", "after_attention")
"""Points whose maps shorten the sequence; maps of other points replace values only."""


@dataclass(frozen=True, eq=False)
class SampleFates:
    """Fates behind each layer, when its attention and what a method does after it are done.

    Attributes:
        fate: Axes (layers, S), uint8, values of `Fate`.
        stands: Place of the visual token that stands for each, itself if kept, -1 for none, axes (layers, S), int32.
        knows_merging: False where only zero vectors told: merged tokens then look dropped.
    """

    fate: NDArray[np.uint8]
    stands: NDArray[np.int32]
    knows_merging: bool = True

    @property
    def is_kept(self) -> NDArray[np.bool_]:
        """Tokens that are present and computed, axes (layers, S)."""
        return self.fate <= Fate.SPARE

    @property
    def is_present(self) -> NDArray[np.bool_]:
        """Tokens in the sequence, axes (layers, S)."""
        return self.fate <= Fate.REPLACED


def fates_from_records(
    records: Sequence[Record], sample: SampleHeader, layers: int, where: str
) -> SampleFates:
    """Follow the maps of one prefill.

    Args:
        records: Of the sample.
        sample: Its layout.
        layers: Decoder layers.
        where: Names the sample in messages.

    Raises:
        TraceError: A map and a count of the same layer disagree.
    """
    own = np.arange(sample.sequence_tokens, dtype=np.int32)
    stands, is_present = own.copy(), np.ones(len(own), dtype=np.bool_)
    carries, is_spare = np.zeros(len(own), dtype=np.bool_), np.zeros(len(own), dtype=np.bool_)
    first, last = sample.visual_start, sample.visual_start + sample.visual_tokens
    fate = np.zeros((layers, sample.visual_tokens), dtype=np.uint8)
    places = np.full((layers, sample.visual_tokens), -1, dtype=np.int32)
    ordered = sorted(records, key=lambda record: record.layer)  # stable: order of computation within a layer
    for layer in range(layers):
        counted = None
        for record in (one for one in ordered if one.layer == layer):
            if record.kind == "map":
                after = np.full(len(own), -1, dtype=np.int32)
                after[record.index] = record.value
                stands = np.where(stands >= 0, after[stands], -1).astype(np.int32)
                if record.point in _SEQUENCE_POINTS:
                    is_present &= after == own
                others = record.value[(record.value >= 0) & (record.value != record.index)]
                carries[others] = True
            elif record.kind == "made":
                carries[record.index] = record.value > 0
                is_spare[record.index] = record.value == 0
            elif record.kind == "visual_tokens":
                counted = int(record.value[0])
        present = int(is_present[first:last].sum())
        if counted is not None and counted != present:
            raise TraceError(
                f"{where}, layer {layer}: its maps leave {present} visual tokens but the trace counts {counted}"
            )
        stays = is_present & (stands == own)
        found = np.where(is_present, Fate.REPLACED, Fate.MERGED)
        found[stands < 0] = Fate.DROPPED
        found[stays] = Fate.KEPT
        found[stays & carries] = Fate.CARRIES
        found[stays & is_spare] = Fate.SPARE
        fate[layer] = found[first:last]
        inside = (stands >= first) & (stands < last)
        places[layer] = np.where(inside, stands - first, -1)[first:last]
    return SampleFates(fate, places)


def fates_from_masks(masks: SampleMasks, visual_tokens: int, layers: int) -> SampleFates:
    """Tell tokens with a non-zero vector behind the attention of each layer from the others, which is all masks say."""
    fate = np.zeros((layers, visual_tokens), dtype=np.uint8)
    own = np.arange(visual_tokens, dtype=np.int32)
    stands = np.tile(own, (layers, 1))
    for layer in range(layers):
        is_gone = masks.gemm(layer, "gate_proj").is_zero().all(axis=1)
        fate[layer, is_gone] = Fate.DROPPED
        stands[layer, is_gone] = -1
    return SampleFates(fate, stands, knows_merging=False)


def similar_share(masks: SampleMasks, layer: int) -> NDArray[np.float32]:
    """Return the fraction of each token's vectors that a representative replaced, over all GEMM inputs of a layer.

    Returns:
        Axes (S), float32.
    """
    similar, vectors = np.zeros(masks.gemm(layer, GEMMS[0]).tokens, dtype=np.int64), 0
    for name in GEMMS:
        found = masks.gemm(layer, name).is_similar()
        similar += found.sum(axis=1)
        vectors += found.shape[1]
    return (similar / vectors).astype(np.float32)
