"""What differs between two traces: header fields, then counts or masks per sample, layer and GEMM."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from focal_common.reading.json_files import parse_object
from focal_traces.counts.trace import TileCounts, Trace
from focal_traces.header.schema import GEMMS, TraceHeader
from focal_traces.header.text import header_to_text
from focal_traces.masks.masks import MaskTrace, SampleMasks

_COMPARED = ("m_tile", "k_slice", "rows", "vectors", "unique")


@dataclass(frozen=True, slots=True)
class Difference:
    """One finding.

    Attributes:
        place: Header field such as ``header.samples.0.sample_id``, or ``sample 0, layer 3, query``.
        first: Value in the first trace, as text.
        second: Value in the second trace, as text.
        count: Entries that differ at this place.
    """

    place: str
    first: str
    second: str
    count: int = 1


def diff_headers(first: TraceHeader, second: TraceHeader) -> list[Difference]:
    """Return header fields that differ, in field order."""
    one, two = (
        dict(_leaves("header", parse_object(header_to_text(header), "header"))) for header in (first, second)
    )
    return [
        Difference(name, one.get(name, "(absent)"), two.get(name, "(absent)"))
        for name in sorted({*one, *two})
        if one.get(name) != two.get(name)
    ]


def diff_traces(first: Trace, second: Trace) -> list[Difference]:
    """Return differing counts, one finding per (sample, layer, GEMM) with its first differing entry.

    Args:
        first: One trace.
        second: The other.

    Returns:
        Empty if all counts are equal; headers are not compared, see `diff_headers`.
    """
    found = _lengths("samples", len(first.samples), len(second.samples))
    for sample, (one, two) in enumerate(zip(first.samples, second.samples, strict=False)):
        layers = min(first.header.geometry.layers, second.header.geometry.layers)
        for layer in range(layers):
            for gemm in GEMMS:
                place = f"sample {sample}, layer {layer}, {gemm}"
                found += _diff_counts(place, one.select(layer, gemm), two.select(layer, gemm))
    return found


def diff_masks(first: MaskTrace, second: MaskTrace) -> list[Difference]:
    """Return differing masks and group indices, one finding per (sample, layer, GEMM) and kind."""
    found = _lengths("samples", len(first.samples), len(second.samples))
    for sample, (one, two) in enumerate(zip(first.samples, second.samples, strict=False)):
        layers = min(first.header.geometry.layers, second.header.geometry.layers)
        for layer in range(layers):
            for gemm in GEMMS:
                found += _diff_dense(f"sample {sample}, layer {layer}, {gemm}", one, two, layer, gemm)
    return found


def _diff_counts(place: str, one: TileCounts, two: TileCounts) -> list[Difference]:
    if len(one) != len(two):
        return [Difference(place, f"{len(one)} entries", f"{len(two)} entries", abs(len(one) - len(two)))]
    pairs = [(getattr(one, name), getattr(two, name)) for name in _COMPARED]
    differs = np.any([a != b for a, b in pairs], axis=0)
    if not differs.any():
        return []
    index = int(np.argmax(differs))
    texts = [
        ", ".join(f"{name} {pair[side][index]}" for name, pair in zip(_COMPARED, pairs, strict=True))
        for side in (0, 1)
    ]
    return [Difference(place, texts[0], texts[1], int(np.count_nonzero(differs)))]


def _diff_dense(place: str, one: SampleMasks, two: SampleMasks, layer: int, gemm: str) -> list[Difference]:
    a, b = one.gemm(layer, gemm), two.gemm(layer, gemm)
    if (a.tokens, a.slices) != (b.tokens, b.slices):
        return [Difference(place, f"{a.tokens} x {a.slices} vectors", f"{b.tokens} x {b.slices} vectors")]
    if a == b and (a.kind != "winner" or one.rule == two.rule):
        return []
    found = []
    for kind, first, second in (
        ("mask_zero", a.is_zero(), b.is_zero()),
        ("mask_similar", a.is_similar(), b.is_similar()),
        ("group_idx", one.group_index(layer, gemm), two.group_index(layer, gemm)),
    ):
        differs = first != second
        if differs.any():
            token, position = np.unravel_index(int(np.argmax(differs)), differs.shape)
            texts = [
                f"token {token}, slice {position}: {array[token, position]}" for array in (first, second)
            ]
            found.append(Difference(f"{place}, {kind}", texts[0], texts[1], int(np.count_nonzero(differs))))
    return found


def _lengths(name: str, one: int, two: int) -> list[Difference]:
    return [] if one == two else [Difference(name, str(one), str(two), abs(one - two))]


def _leaves(name: str, tree: Any) -> Iterator[tuple[str, str]]:
    items: Any = (
        tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else None
    )
    if items is None or not tree:
        yield name, json.dumps(tree, ensure_ascii=False)
        return
    for key, value in items:
        yield from _leaves(f"{name}.{key}", value)
