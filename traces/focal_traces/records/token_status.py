"""What became of each visual token of a prompt, layer by layer, from what the run recorded.

Never asks which method it was: the status of a token follows from the maps and counts that every method's records hold.
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


class TokenStatus(IntEnum):
    """What became of a token; the first four are present behind a layer, the first three computed there.

    Attributes:
        KEPT: Stays and stands for itself alone.
        REPRESENTATIVE: Stays and stands for others too: a representative, or the token of a cluster.
        PADDING: Its place is taken by a token that holds no token of the prompt, such as CLS.
        REPLACED: Stays, but its values are those of another.
        MERGED: Left the sequence; another token stands for it.
        DROPPED: Nothing stands for it.
    """

    KEPT = 0
    REPRESENTATIVE = 1
    PADDING = 2
    REPLACED = 3
    MERGED = 4
    DROPPED = 5


_SEQUENCE_POINTS = ("layer_input", "after_attention")
"""Points whose maps shorten the sequence; maps of other points replace values only."""


@dataclass(frozen=True, eq=False)
class SampleTokenStatus:
    """Status of each token behind each layer, when its attention and what a method does after it are done.

    Attributes:
        status: Axes (layers, S), uint8, values of `TokenStatus`.
        represented_by: Place of the visual token that represents each, itself if kept, -1 for none, axes (layers, S),
            int32.
        knows_merging: False where only zero vectors told: merged tokens then look dropped.
    """

    status: NDArray[np.uint8]
    represented_by: NDArray[np.int32]
    knows_merging: bool = True

    @property
    def is_kept(self) -> NDArray[np.bool_]:
        """Tokens that are present and computed, axes (layers, S)."""
        return self.status <= TokenStatus.PADDING

    @property
    def is_present(self) -> NDArray[np.bool_]:
        """Tokens in the sequence, axes (layers, S)."""
        return self.status <= TokenStatus.REPLACED


def token_status_from_records(
    records: Sequence[Record], sample: SampleHeader, layers: int, where: str
) -> SampleTokenStatus:
    """Follow the maps of one prefill.

    Args:
        records: Of the sample.
        sample: Its layout.
        layers: Decoder layers.
        where: Names the sample in messages.

    Raises:
        TraceError: A map and a count of the same layer disagree.
    """
    itself = np.arange(sample.sequence_tokens, dtype=np.int32)
    represented_by, is_present = itself.copy(), np.ones(len(itself), dtype=np.bool_)
    is_representative, is_padding = (
        np.zeros(len(itself), dtype=np.bool_),
        np.zeros(len(itself), dtype=np.bool_),
    )
    first, last = sample.visual_start, sample.visual_start + sample.visual_tokens
    status = np.zeros((layers, sample.visual_tokens), dtype=np.uint8)
    places = np.full((layers, sample.visual_tokens), -1, dtype=np.int32)
    ordered = sorted(records, key=lambda record: record.layer)  # stable: order of computation within a layer
    for layer in range(layers):
        counted = None
        for record in (one for one in ordered if one.layer == layer):
            if record.kind == "map":
                # Composed with the maps so far: who a token stood for follows it to the token that stands for it now.
                after = np.full(len(itself), -1, dtype=np.int32)
                after[record.index] = record.value
                represented_by = np.where(represented_by >= 0, after[represented_by], -1).astype(np.int32)
                if record.point in _SEQUENCE_POINTS:
                    is_present &= after == itself
                others = record.value[(record.value >= 0) & (record.value != record.index)]
                is_representative[others] = True
            elif record.kind == "made":
                is_representative[record.index] = record.value > 0
                is_padding[record.index] = record.value == 0
            elif record.kind == "visual_tokens":
                counted = int(record.value[0])
        present = int(is_present[first:last].sum())
        if counted is not None and counted != present:
            raise TraceError(
                f"{where}, layer {layer}: its maps leave {present} visual tokens but the trace counts {counted}"
            )
        stays = is_present & (represented_by == itself)
        # From the weakest claim to the strongest: each line overrules those before it.
        found = np.where(is_present, TokenStatus.REPLACED, TokenStatus.MERGED)
        found[represented_by < 0] = TokenStatus.DROPPED
        found[stays] = TokenStatus.KEPT
        found[stays & is_representative] = TokenStatus.REPRESENTATIVE
        found[stays & is_padding] = TokenStatus.PADDING
        status[layer] = found[first:last]
        inside = (represented_by >= first) & (represented_by < last)
        places[layer] = np.where(inside, represented_by - first, -1)[first:last]
    return SampleTokenStatus(status, places)


def token_status_from_masks(masks: SampleMasks, visual_tokens: int, layers: int) -> SampleTokenStatus:
    """Tell tokens with a non-zero vector behind the attention of each layer from the others, which is all masks say."""
    status = np.zeros((layers, visual_tokens), dtype=np.uint8)
    itself = np.arange(visual_tokens, dtype=np.int32)
    represented_by = np.tile(itself, (layers, 1))
    for layer in range(layers):
        is_gone = masks.gemm(layer, "gate_proj").is_zero().all(axis=1)
        status[layer, is_gone] = TokenStatus.DROPPED
        represented_by[layer, is_gone] = -1
    return SampleTokenStatus(status, represented_by, knows_merging=False)


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
