"""Can a reader who follows the format page, without Focal, read both tiers?"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from focal_traces.files.store import write_counts, write_masks
from focal_traces.header.schema import GEMMS, SampleHeader, TraceHeader
from traces_support import tiny_masks, tiny_trace

PAGE = Path(__file__).parents[3] / "docs" / "trace_format.md"


def _run_block(marker: str, path: Path) -> dict[str, Any]:
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    (block,) = [block for block in blocks if marker in block]
    names: dict[str, Any] = {"path": path}
    exec(block, names)
    return names


def test_the_pandas_example_sums_unique_vectors(tmp_path: Path) -> None:
    pytest.importorskip("pandas")
    trace = tiny_trace()
    write_counts(trace, tmp_path / "a.counts.parquet")
    names = _run_block("read_parquet", tmp_path / "a.counts.parquet")
    assert names["unique"][1, 2, "query"] == trace.totals(1).unique[2, GEMMS.index("query")]
    assert TraceHeader.model_validate(names["header"]) == trace.header


def test_the_torch_example_unpacks_masks(tmp_path: Path) -> None:
    masks = tiny_masks()
    write_masks(masks, tmp_path / "a.masks.pth")
    names = _run_block("torch.load", tmp_path / "a.masks.pth")
    packed = masks.samples[0].gemm(0, GEMMS[0])
    assert np.array_equal(names["mask_zero"], packed.is_zero())
    assert np.array_equal(names["mask_similar"], packed.is_similar())


def test_every_header_field_is_documented() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for field in (*TraceHeader.model_fields, *SampleHeader.model_fields):
        assert f"`{field}`" in text, field
