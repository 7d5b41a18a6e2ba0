"""Does what a real run can leave pass the limits: full-size samples, still videos, long prompts?"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from harness import asked

from focal_traces.header.schema import GEMMS, QWEN2_7B, TraceHeader
from focal_traces.masks.file import read_masks, write_masks
from focal_traces.masks.masks import MaskTrace, SampleMasks
from focal_traces.masks.packing import PackedGemm, pack_winners
from focal_traces.masks.pointers import PointerRule
from traces_support import tiny_masks

FRAME_TOKENS, FRAMES = 196, 32
SAMPLES = 10


@pytest.mark.parametrize("is_still", [False, True], ids=["nothing compressed", "a still video"])
def test_ten_full_size_samples(is_still: bool, tmp_path: Path) -> None:
    """1.8 billion vectors in some hundred kB: what a bomb looks like, and what dense and one still picture leave."""
    tokens = FRAME_TOKENS * FRAMES
    tree = tiny_masks(vector_size=32, m_tile=1024).header.model_dump(mode="json")
    sample = tree["samples"][0] | {
        "visual_tokens": tokens,
        "visual_start": 0,
        "sequence_tokens": 5_000_000,  # text of a long prompt
        "grid": None,
    }
    samples = [sample | {"sample_id": f"video{number}"} for number in range(SAMPLES)]
    tree |= {"geometry": QWEN2_7B.model_dump(mode="json"), "samples": samples, "median_index": None}
    header = TraceHeader.model_validate(tree)
    rule = PointerRule((0, FRAME_TOKENS), rounds=1)
    packed: dict[int, PackedGemm] = {}
    for slices in {header.slices(name) for name in GEMMS}:
        is_similar = np.zeros((tokens, slices), dtype=bool)
        is_similar[FRAME_TOKENS:] = is_still
        winners = np.ones(is_similar.shape, dtype=np.uint8)
        packed[slices] = pack_winners(np.zeros_like(is_similar), is_similar, winners, rule)
    gemms = tuple(packed[header.slices(name)] for _ in range(QWEN2_7B.layers) for name in GEMMS)
    path = tmp_path / "video.masks.pth"
    write_masks(MaskTrace(header, (SampleMasks(rule, gemms),) * SAMPLES), path)
    assert path.stat().st_size < 1 << 20
    assert len(read_masks(path).samples) == SAMPLES
    found = asked(["trace", "info", str(path), "--json"])
    assert (found.code, found.faults) == (0, [])
