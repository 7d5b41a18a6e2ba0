"""Does every legal trace survive every tier, whatever its shape?"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from focal_traces.counts.trace import COLUMNS
from focal_traces.files.store import open_masks, open_trace, write_counts, write_masks, write_published
from focal_traces.header.schema import GEMMS, DecoderGeometry, TokenGrid
from focal_traces.masks.masks import trace_from_masks
from focal_traces.synthetic.schedule import Schedule
from synthetic_traces import SyntheticInput, synthetic_masks


@st.composite
def inputs(draw: st.DrawFn) -> SyntheticInput:
    layers = draw(st.integers(1, 3))
    kv_heads = draw(st.integers(1, 2))
    geometry = DecoderGeometry(
        layers=layers,
        hidden_elements=draw(st.integers(1, 20)),
        intermediate_elements=draw(st.integers(1, 40)),
        heads=kv_heads * draw(st.integers(1, 2)),
        kv_heads=kv_heads,
        head_dim_elements=draw(st.integers(1, 8)),
    )
    frames, rows, columns = (draw(st.integers(1, 4)) for _ in range(3))
    grid = TokenGrid(
        frames=frames,
        rows=rows,
        columns=columns,
        # Published layouts have strides that do not follow from rows and columns.
        frame_stride=draw(st.sampled_from([rows * columns, 3, 60])),
        row_stride=draw(st.sampled_from([columns, 1, 7])),
        column_stride=1,
    )
    selected = draw(st.lists(st.integers(0, layers - 1), unique=True, max_size=layers))
    alphas = draw(st.lists(st.floats(0.01, 1), min_size=len(selected), max_size=len(selected)))
    return SyntheticInput(
        geometry=geometry,
        grid=grid,
        schedule=Schedule(tuple(selected), tuple(alphas)),
        similarity=dict.fromkeys(GEMMS, draw(st.floats(0, 1))),
        block=(draw(st.integers(1, 3)), draw(st.integers(1, 3)), draw(st.integers(1, 3))),
        vector_size=draw(st.integers(1, 16)),
        m_tile=draw(st.integers(0, 12)),
        samples=draw(st.integers(1, 2)),
        seed=draw(st.integers(0, 2**31)),
    )


@settings(max_examples=40, deadline=None)
@given(inputs())
def test_masks_counts_and_published_layout_agree(drawn: SyntheticInput) -> None:
    masks = synthetic_masks(drawn)
    counts = trace_from_masks(masks)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_masks(masks, folder / "a.masks.pth")
        assert open_masks(folder / "a.masks.pth") == masks
        write_counts(counts, folder / "a.counts.parquet")
        again = open_trace(folder / "a.counts.parquet")
        assert again.header == counts.header
        for one, two in zip(again.samples, counts.samples, strict=True):
            assert all(np.array_equal(getattr(one, column), getattr(two, column)) for column in COLUMNS)
        write_published(masks, folder / "a.pth")
        lone = masks.header.model_copy(update={"samples": masks.header.samples[:1]})
        imported = open_masks(folder / "a.pth", lone)
        write_masks(imported, folder / "b.masks.pth")
        write_published(open_masks(folder / "b.masks.pth"), folder / "b.pth")
        first, second = (torch.load(folder / file, weights_only=True) for file in ("a.pth", "b.pth"))
        for kind in first:
            assert all(torch.equal(first[kind][gemm], second[kind][gemm]) for gemm in GEMMS)
        assert np.array_equal(trace_from_masks(imported).samples[0].unique, counts.samples[0].unique)
