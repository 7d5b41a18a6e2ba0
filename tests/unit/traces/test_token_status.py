"""Do the status of a token follows from maps as the words of the format say?"""

from __future__ import annotations

import numpy as np
import pytest

from focal_common.errors import TraceError
from focal_traces.header.schema import GEMMS, SampleHeader
from focal_traces.masks.masks import SampleMaskBuilder
from focal_traces.masks.pointers import PointerRule
from focal_traces.records.records import Record
from focal_traces.records.token_status import (
    TokenStatus,
    similar_share,
    token_status_from_masks,
    token_status_from_records,
)

SAMPLE = SampleHeader(sample_id="hand", sequence_tokens=8, visual_start=1, visual_tokens=6, grid=None)
"""One text token, six visual ones (1 to 6), one text token."""


def change(layer: int, point: str, **value_of: int) -> Record:
    """A map in which every token stays but those given: t3=5 lets token 5 stand for token 3."""
    present = [token for token in range(8) if value_of.get(f"t{token}") != -2]
    values = [value_of.get(f"t{token}", token) for token in present]
    return Record.of("map", layer, point, values, 8, present)


def test_maps_are_followed_through_the_layers() -> None:
    records = [
        change(0, "layer_input", t1=2, t3=-1),
        change(2, "after_attention", t1=-2, t3=-2, t2=4, t5=-1),
    ]
    token_status = token_status_from_records(records, SAMPLE, 4, "here")
    k, c, m, d = TokenStatus.KEPT, TokenStatus.REPRESENTATIVE, TokenStatus.MERGED, TokenStatus.DROPPED
    assert token_status.status.tolist() == [[m, c, d, k, k, k]] * 2 + [[m, m, d, c, d, k]] * 2
    # Token 1 went into 2, which went into 4: place 3 of the visual range.
    assert token_status.represented_by[3].tolist() == [3, 3, -1, 3, -1, 5]
    assert token_status.is_kept[0].sum() == 4


def test_a_token_whose_representative_is_dropped_later_is_dropped() -> None:
    records = [change(0, "layer_input", t1=2), change(1, "layer_input", t1=-2, t2=-1)]
    token_status = token_status_from_records(records, SAMPLE, 2, "here")
    assert token_status.status[1, :2].tolist() == [TokenStatus.DROPPED, TokenStatus.DROPPED]


def test_replacement_leaves_tokens_present_and_made_tokens_are_told_apart() -> None:
    records = [
        change(0, "linear", t2=1, t4=-1),
        Record.of("made", 0, "layer_input", [1, 0], 8, [3, 5]),
    ]
    token_status = token_status_from_records(records, SAMPLE, 1, "here")
    expected = [
        TokenStatus.REPRESENTATIVE,
        TokenStatus.REPLACED,
        TokenStatus.REPRESENTATIVE,
        TokenStatus.DROPPED,
        TokenStatus.PADDING,
        TokenStatus.KEPT,
    ]
    assert token_status.status[0].tolist() == expected
    assert token_status.is_present[0].tolist() == [True, True, True, False, True, True]


def test_the_order_of_records_of_different_layers_does_not_matter() -> None:
    records = [change(0, "layer_input", t1=2), change(1, "after_attention", t1=-2, t2=-1)]
    one, two = (token_status_from_records(order, SAMPLE, 2, "here") for order in (records, records[::-1]))
    np.testing.assert_array_equal(one.status, two.status)


def test_a_count_that_contradicts_the_maps_is_refused() -> None:
    records = [
        change(1, "after_attention", t1=-1),
        Record.of("visual_tokens", 1, "after_attention", 4, 6),
    ]
    with pytest.raises(TraceError, match=r"here, layer 1: its maps leave 5 visual tokens .* counts 4"):
        token_status_from_records(records, SAMPLE, 2, "here")


def test_masks_tell_only_who_is_gone() -> None:
    builder = SampleMaskBuilder(1, PointerRule((0, 1), 1))
    is_zero = np.array([[False, False], [True, True], [True, False]])
    is_similar = np.array([[False, False], [False, False], [False, True]])
    for gemm in GEMMS:
        builder.add(0, gemm, is_zero, is_similar, np.where(is_similar, 1, 255).astype(np.uint8))
    masks = builder.finish()
    token_status = token_status_from_masks(masks, 3, 1)
    assert token_status.status.tolist() == [[TokenStatus.KEPT, TokenStatus.DROPPED, TokenStatus.KEPT]]
    assert not token_status.knows_merging
    assert similar_share(masks, 0).tolist() == [0.0, 0.0, 0.5]
