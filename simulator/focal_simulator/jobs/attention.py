"""The two GEMMs of attention, head by head: Q x K^T and scores x V, whole or causal at tile granularity.

Model: with causal attention each m-tile of queries meets the keys up to its own end, in a GEMM of its own. Inside the
tile, a diagonal, keys come in steps of about an eighth; queries before a step are not streamed (``is_triangle``). Heads
of a group that share keys and values lie side by side in one m-tile as far as their rows fit (``kv_groups``), so that
each key and value is fetched once for them, as in decode.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from focal_simulator.jobs.jobs import GemmJob, Rows
from focal_simulator.kernels.pipeline import Pipeline
from focal_simulator.workload.arithmetic import ceil_div

_CAUSAL_HALF = 2
_STEPS = 8
"""Of the diagonal of a tile: finer steps save less than a sixteenth of it, and each is another short GEMM."""

_LEAST_DIAGONAL = 256
"""Keys of a tile below which starting those short GEMMs costs about what they save."""


@dataclass(frozen=True, slots=True)
class AttentionShape:
    """Attention of one block.

    Attributes:
        block: Decoder block.
        heads: Query heads.
        head_elements: Elements per head.
        keys: Keys in all.
        ends: Keys up to the end of each m-tile of queries, axis (m_tiles), int64.
        is_causal: Each m-tile meets the keys up to its own end; otherwise all keys, and half of it is charged.
        is_triangle: Queries of a causal tile are streamed for the keys up to their own place alone.
        kv_groups: Query heads side by side that share keys and values; 1 where each fetches its own.
        tile_rows: Rows that an m-tile holds.
    """

    block: int
    heads: int
    head_elements: int
    keys: int
    ends: NDArray[np.int64]
    is_causal: bool
    is_triangle: bool = False
    kv_groups: int = 1
    tile_rows: int = 0

    @property
    def starts(self) -> NDArray[np.int64]:
        """Keys before each m-tile of queries, axis (m_tiles)."""
        return np.concatenate([[0], self.ends])[:-1]

    def stacks(self, rows: int) -> list[tuple[int, int]]:
        """Return how many heads of a group lie side by side in an m-tile, and how many such m-tiles there are.

        Args:
            rows: Of each head.
        """
        most = min(max(self.tile_rows // max(rows, 1), 1), self.kv_groups)
        full, rest = divmod(self.kv_groups, most)
        return [(most, full), (rest, 1)] if rest else [(most, full)]

    def blocks(self, rows: Rows, step: int) -> Iterator[tuple[int, int, int]]:
        """Yield m-tile, rows and keys of each GEMM of Q x K^T of a head.

        Args:
            rows: Query rows, axis (m_tiles).
            step: Steps of the diagonal are whole multiples of it.
        """
        places = zip(rows.tolist(), self.starts.tolist(), self.ends.tolist(), strict=True)
        for tile, (high, start, end) in enumerate(places):
            if not self.is_causal:
                yield tile, high, self.keys
                continue
            span = end - start
            if not self.is_triangle or span < _LEAST_DIAGONAL:
                yield tile, high, end
                continue
            wide = int(ceil_div(ceil_div(span, _STEPS), step)) * step
            if start:
                yield tile, high, start
            for before in range(0, span, wide):
                yield tile, high - high * before // span, min(wide, span - before)


def visible_pairs(queries: int, corrections: frozenset[str]) -> int:
    """Return the pairs of query and key that a causal mask leaves, doubled; as published without the diagonal."""
    return queries * (queries + ("causal_triangle" in corrections))


def sharing_heads(geometry: Any, corrections: frozenset[str]) -> int:
    """Return how many query heads of a decoder share a key or value: those of its group, or one as published."""
    return geometry.heads // geometry.kv_heads if "shared_keys" in corrections else 1


def spread_ends(rows: Rows, keys: int) -> NDArray[np.int64]:
    """Return the keys up to the end of each m-tile, axis (m_tiles), where kept rows are spread evenly over all keys."""
    share = np.cumsum(rows, dtype=np.int64) / max(int(rows.sum()), 1)
    return np.minimum(np.ceil(share * keys).astype(np.int64), keys)


def scores_job(shape: AttentionShape, machine: Pipeline, rows: Rows, unique: Rows, **facts: Any) -> GemmJob:
    """Return Q x K^T of all heads.

    Args:
        shape: The attention.
        machine: Constants of the array.
        rows: Query rows, axis (m_tiles).
        unique: Rows to stream, axes (m_tiles, slices of a head) if equal for all heads, else
            (m_tiles, heads, slices of a head).
        **facts: ``macs``, ``dense_macs``, ``activation_bytes`` and what else `GemmJob` takes.
    """
    common: dict[str, Any] = {
        "block": shape.block,
        "layer": "attn",
        "part": "scores",
        "machine": machine.for_scores(),
        "outputs": shape.keys,
        "copies_divisor": 1 if shape.is_causal else _CAUSAL_HALF,
    }
    is_per_head = unique.ndim == 3
    if not shape.is_causal and not is_per_head and shape.kv_groups == 1:
        return GemmJob(
            **common,
            rows=rows,
            unique=np.ascontiguousarray(unique),
            output_rows=rows,
            copies=shape.heads,
            **facts,
        )
    slices = unique.shape[-1]
    # By key head; where all heads are equal, one stands for every key head.
    by_group = unique.reshape(
        len(rows), -1 if is_per_head else 1, shape.kv_groups if is_per_head else 1, slices
    )
    lines: list[NDArray[np.int64]] = []
    lengths: list[int] = []
    outputs: list[int] = []
    copies: list[int] = []
    for tile, high, keys in shape.blocks(rows, machine.slice_elements):
        # A share of the rows has that share of the unique vectors, rounded up.
        found = ceil_div(by_group[tile].astype(np.int64) * high, max(int(rows[tile]), 1))
        stacks = shape.stacks(high)
        if is_per_head:
            heads = [most for most, times in stacks for _ in range(times)]
            together = np.add.reduceat(found, np.cumsum([0, *heads[:-1]]), axis=1).swapaxes(0, 1)
            lines.append(together.reshape(-1, slices))
            lengths += [high * most for most in heads for _ in range(len(found))]
        else:
            lines += [found[:, 0] * most for most, _ in stacks]
            lengths += [high * most for most, _ in stacks]
            copies += [times for _, times in stacks]
        outputs += [keys] * (len(lengths) - len(outputs))
    tall = np.array(lengths, dtype=np.int32)
    return GemmJob(
        **common,
        rows=tall,
        unique=np.concatenate(lines).astype(np.int32) if lines else np.zeros((0, slices), dtype=np.int32),
        output_rows=tall,
        tile_outputs=np.array(outputs, dtype=np.int64),
        tile_slices=np.full(len(tall), slices, dtype=np.int64),
        tile_copies=None if is_per_head else np.array(copies, dtype=np.int64),
        copies=1 if is_per_head else shape.heads // shape.kv_groups,
        **facts,
    )


def importance_job(shape: AttentionShape, machine: Pipeline, queries: int, role: Any = None) -> GemmJob:
    """Return Q x K^T of text queries behind the picture, which see every key; its scores never leave the chip.

    Paper: Focus, HPCA 2026, sec. V: the importance of a token is the largest score that text queries give it.

    Args:
        shape: The attention.
        machine: Constants of the array.
        queries: Text queries.
        role: See `GemmJob`.
    """
    slices = int(ceil_div(shape.head_elements, machine.slice_elements))
    stacks = shape.stacks(queries)
    rows = np.array([heads * queries for heads, _ in stacks], dtype=np.int32)
    return GemmJob(
        block=shape.block,
        layer="attn",
        part="importance",
        machine=machine.for_scores(),
        rows=rows,
        unique=np.repeat(rows[:, None], slices, axis=1),
        output_rows=np.zeros_like(rows),
        outputs=shape.keys,
        tile_outputs=np.full(len(rows), shape.keys, dtype=np.int64),
        tile_slices=np.full(len(rows), slices, dtype=np.int64),
        tile_copies=np.array([times for _, times in stacks], dtype=np.int64),
        macs=queries * shape.keys * shape.head_elements * shape.heads,
        dense_macs=0,
        activation_bytes=0,
        copies=shape.heads // shape.kv_groups,
        role=role,
    )


def values_job(
    shape: AttentionShape, machine: Pipeline, rows: Rows, output_rows: Rows, **facts: Any
) -> GemmJob:
    """Return scores x V of all heads; scores are never concentrated.

    Args:
        shape: The attention.
        machine: Constants of the array.
        rows: Score rows, axis (m_tiles).
        output_rows: Rows written, axis (m_tiles).
        **facts: As in `scores_job`.
    """
    ends = shape.ends if shape.is_causal else np.full_like(shape.ends, shape.keys)
    slices = ceil_div(ends, machine.slice_elements).astype(np.int64)
    unique = np.repeat(rows[:, None], int(slices.max(initial=1)), axis=1)
    if shape.is_causal and shape.is_triangle:
        for place, high in enumerate(rows.tolist()):
            start, last = int(shape.starts[place]), int(slices[place])
            first, span = start // machine.slice_elements, max(int(ends[place]) - start, 1)
            before = np.arange(first, last) * machine.slice_elements - start
            unique[place, first:last] -= (high * np.clip(before, 0, span) // span).astype(unique.dtype)
    stacks = [(place, *one) for place, high in enumerate(rows.tolist()) for one in shape.stacks(high)]
    places, heads, times = np.array(stacks, dtype=np.int64).reshape(-1, 3).T
    is_independent = shape.is_causal or shape.kv_groups > 1
    is_stacked = bool((heads > 1).any())
    return GemmJob(
        block=shape.block,
        layer="attn",
        part="values",
        machine=machine.for_values(),
        rows=(rows[places] * heads).astype(np.int32),
        unique=(unique[places] * heads[:, None]).astype(np.int32) if is_stacked else unique,
        output_rows=(output_rows[places] * heads).astype(np.int32),
        outputs=shape.head_elements,
        tile_outputs=np.full(len(places), shape.head_elements, dtype=np.int64) if is_independent else None,
        tile_slices=slices[places] if is_independent else None,
        tile_copies=times if is_independent else None,
        copies=shape.heads // shape.kv_groups,
        copies_divisor=1 if shape.is_causal else _CAUSAL_HALF,
        **facts,
    )
