"""Whatever happens to the bytes of a trace: is it refused in one sentence, or else read unchanged?"""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from focal_common.errors import TraceError
from focal_traces.counts.trace import Trace
from focal_traces.files.diff import diff_headers, diff_masks, diff_traces
from focal_traces.files.store import read_any, write_counts, write_masks, write_published
from focal_traces.masks.masks import MaskTrace, trace_from_masks
from traces_support import tiny_masks

MASKS = tiny_masks(samples=1)
COUNTS = trace_from_masks(MASKS)
WRITERS = {
    "counts": lambda path: write_counts(COUNTS, path),
    "masks": lambda path: write_masks(MASKS, path),
    "published": lambda path: write_published(MASKS, path),
}


def _damaged(content: bytes, chance: random.Random) -> bytes:
    octets = bytearray(content)
    start, other = chance.randrange(len(octets)), chance.randrange(len(octets))
    match chance.choice(["byte", "bytes", "cut", "splice", "copy"]):
        case "byte":
            octets[start] ^= 1 << chance.randrange(8)
        case "bytes":
            for _ in range(8):
                octets[chance.randrange(len(octets))] = chance.randrange(256)
        case "cut":
            del octets[start:]
        case "splice":
            octets[start : start + chance.randrange(64)] = chance.randbytes(chance.randrange(64))
        case "copy":
            octets[start : start + 200] = octets[other : other + 200]
    return bytes(octets)


def _is_unchanged(trace: Trace | MaskTrace) -> bool:
    if isinstance(trace, MaskTrace):
        return not diff_masks(trace, MASKS)
    return not diff_headers(trace.header, COUNTS.header) and not diff_traces(trace, COUNTS)


@pytest.mark.filterwarnings("ignore")  # torch and zipfile warn about what they find in damaged files
@pytest.mark.parametrize("tier", WRITERS)
def test_damage_is_refused_or_without_effect(tmp_path: Path, tier: str) -> None:
    path = tmp_path / "trace"
    WRITERS[tier](path)
    whole, chance = path.read_bytes(), random.Random(tier)
    messages: list[str] = []
    for number in range(150):
        path.write_bytes(_damaged(whole, chance))
        try:
            _, trace = read_any(path, MASKS.header)
        except TraceError as error:
            messages.append(str(error))
            continue
        assert _is_unchanged(trace), f"damage {number} went unseen"
    assert len(messages) > 100
    assert all(str(path) in message and "\n" not in message for message in messages)
