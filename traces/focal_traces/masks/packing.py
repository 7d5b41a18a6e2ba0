"""Masks of one GEMM input as compressed bits: small enough to keep ten samples, exact in both directions.

Payloads are Zstandard frames, so a reader without Focal needs numpy and any Zstandard library.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, get_args

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from focal_common.errors import TraceError
from focal_traces.masks.pointers import PointerRule, group_index

PointerKind = Literal["winner", "distance", "verbatim"]
POINTER_KINDS: tuple[PointerKind, ...] = get_args(PointerKind)
"""How representatives are kept; a kind's code in a file is its place here.

``winner``: candidate index of each similar vector, uint8. ``distance``: tokens back to the representative of
each similar vector, uint32 as four byte planes (an imported file has no winners). ``verbatim``: the whole
int32 group index as four byte planes, for an imported file whose group index is not of that form.
"""

_LEVEL = 3
MOST_VECTORS = 80_000_000
"""Of one GEMM input: 131,072 tokens, the longest prompt of Qwen2, of 18,944 elements in vectors of 32 are 78 million.
With representatives that takes close to 1 GB."""

_BLOCK_VECTORS = 1 << 20


@dataclass(frozen=True)
class PackedGemm:
    """One (sample, layer, gemm); bits are row-major, first vector in the highest bit.

    Attributes:
        tokens: S, visual tokens.
        slices: V, vectors per token.
        kind: Meaning of ``pointers``.
        zero: Zero flags, compressed.
        similar: Similar flags, compressed.
        pointers: Winners, distances or the group index, compressed.
    """

    tokens: int
    slices: int
    kind: PointerKind
    zero: bytes
    similar: bytes
    pointers: bytes

    @cached_property
    def _size(self) -> int:
        return self.tokens * self.slices

    def is_zero(self) -> NDArray[np.bool_]:
        """Return zero vectors, axes (visual tokens, slices)."""
        return self._flags(self.zero)

    def is_similar(self) -> NDArray[np.bool_]:
        """Return vectors replaced by a representative, axes (visual tokens, slices)."""
        return self._flags(self.similar)

    def group_index(self, rule: PointerRule) -> NDArray[np.int32]:
        """Return the published group index, axes (visual tokens, slices).

        Args:
            rule: Used where the kind is ``winner``.
        """
        is_similar = self.is_similar()
        values = self._pointers(is_similar)
        if self.kind == "winner":
            return group_index(is_similar, values.astype(np.uint8, copy=False), rule)
        if self.kind == "verbatim":
            return values.view(np.int32).reshape(is_similar.shape)
        group = np.arange(self._size, dtype=np.int32)
        group[is_similar.ravel()] -= (values * np.uint32(self.slices)).astype(np.int32)
        return group.reshape(is_similar.shape)

    def check(self, rule: PointerRule) -> int:
        """Check payload sizes, disjoint flags, and pointers that stay within the sample.

        Returns:
            How many vectors are similar.

        Raises:
            TraceError: The first violation, without file, layer or GEMM; the caller adds them.
        """
        if self._size > MOST_VECTORS:
            raise TraceError(f"{self._size} vectors are announced, expected at most {MOST_VECTORS}")
        zero, similar = self._bits(self.zero), self._bits(self.similar)
        if np.any(zero & similar):
            _check_disjoint(self._unpacked(zero), self._unpacked(similar))
        if not similar.any():
            self._pointers(np.zeros(0, dtype=np.bool_))
            return 0
        is_similar = self._unpacked(similar)
        values = self._pointers(is_similar)
        if self.kind == "winner":
            _check_winners(is_similar, values, rule)
        elif self.kind == "distance":
            early = is_similar[: int(values.max())]
            if any(np.any(back > tokens) for tokens, back in _blocks(early, values)):
                raise TraceError("a representative lies before the first visual token")
        return int(np.count_nonzero(is_similar))

    def _flags(self, payload: bytes) -> NDArray[np.bool_]:
        return self._unpacked(self._bits(payload))

    def _bits(self, payload: bytes) -> NDArray[np.uint8]:
        return _decompressed(payload, -(-self._size // 8))

    def _unpacked(self, bits: NDArray[np.uint8]) -> NDArray[np.bool_]:
        return np.unpackbits(bits, count=self._size).view(np.bool_).reshape(self.tokens, self.slices)

    def _pointers(self, is_similar: NDArray[np.bool_]) -> NDArray[np.uint8] | NDArray[np.uint32]:
        if self.kind == "winner":
            return _decompressed(self.pointers, int(np.count_nonzero(is_similar)))
        entries = self._size if self.kind == "verbatim" else int(np.count_nonzero(is_similar))
        planes = _decompressed(self.pointers, 4 * entries).reshape(4, entries)
        whole: NDArray[np.uint32] = planes[3].astype(np.uint32)
        for plane in planes[2::-1]:
            whole <<= np.uint32(8)
            whole |= plane
        return whole


def pack_winners(
    is_zero: NDArray[np.bool_], is_similar: NDArray[np.bool_], winners: NDArray[np.uint8], rule: PointerRule
) -> PackedGemm:
    """Pack what a forward recorded.

    Args:
        is_zero: Zero vectors, axes (visual tokens, slices).
        is_similar: Similar vectors, same axes.
        winners: Winning candidate, same axes; read only where similar.
        rule: Offsets the winners refer to.

    Raises:
        TraceError: Shapes differ, the sets overlap, or a winner is no candidate or lies before token 0.
    """
    check_masks(is_zero, is_similar)
    if winners.shape != is_zero.shape:
        raise TraceError(f"winners have shape {winners.shape}, expected {is_zero.shape} as the masks")
    chosen = winners[is_similar].astype(np.uint8, copy=False)
    _check_winners(is_similar, chosen, rule)
    return _packed(is_zero, is_similar, "winner", chosen)


def pack_published(
    is_zero: NDArray[np.bool_], is_similar: NDArray[np.bool_], group: NDArray[np.int32]
) -> PackedGemm:
    """Pack masks that come with a finished group index; any int32 group index is kept exactly.

    Args:
        is_zero: Zero vectors, axes (visual tokens, slices).
        is_similar: Similar vectors, same axes.
        group: Flattened index of the representative, same axes.

    Raises:
        TraceError: Shapes differ or the sets overlap.
    """
    check_masks(is_zero, is_similar)
    if group.shape != is_zero.shape:
        raise TraceError(f"group_idx has shape {group.shape}, expected {is_zero.shape} as the masks")
    slices = is_zero.shape[1]
    steps = np.arange(group.size, dtype=np.int64).reshape(group.shape) - group
    chosen = steps[is_similar]
    is_regular = not np.any(steps[~is_similar]) and not np.any(chosen % slices) and not np.any(chosen < 0)
    if is_regular:
        return _packed(is_zero, is_similar, "distance", _planes((chosen // slices).astype("<u4")))
    return _packed(is_zero, is_similar, "verbatim", _planes(group.astype("<i4").ravel()))


def check_masks(is_zero: NDArray[np.bool_], is_similar: NDArray[np.bool_]) -> None:
    """Check dtype, equal two-axis shapes and disjoint sets; raises `TraceError`."""
    for name, flags in (("mask_zero", is_zero), ("mask_similar", is_similar)):
        if flags.dtype != np.bool_ or flags.ndim != 2:
            raise TraceError(
                f"{name} must be bool with axes (visual tokens, slices), got {flags.dtype} {flags.shape}"
            )
    if is_zero.shape != is_similar.shape:
        raise TraceError(f"mask_zero has shape {is_zero.shape} but mask_similar {is_similar.shape}")
    _check_disjoint(is_zero, is_similar)


def _check_disjoint(is_zero: NDArray[np.bool_], is_similar: NDArray[np.bool_]) -> None:
    both = is_zero & is_similar
    if both.any():
        token, position = np.unravel_index(int(np.argmax(both)), both.shape)
        raise TraceError(
            f"mask_zero and mask_similar overlap in {np.count_nonzero(both)} vectors, the first at token "
            f"{token}, slice {position}; expected disjoint sets"
        )


def _check_winners(
    is_similar: NDArray[np.bool_], chosen: NDArray[np.uint8] | NDArray[np.uint32], rule: PointerRule
) -> None:
    if not len(chosen):
        return
    offsets = np.array(rule.offsets, dtype=np.int64)
    if chosen.max() >= len(offsets):
        raise TraceError(f"a winner is candidate {chosen.max()}, expected below {len(offsets)} candidates")
    # The largest offset used bounds all of them; only an input with early winners needs the exact check.
    is_used = np.zeros(len(offsets), dtype=np.bool_)
    for start in range(0, len(chosen), _BLOCK_VECTORS):
        is_used |= np.bincount(chosen[start : start + _BLOCK_VECTORS], minlength=len(offsets)) > 0
    used = offsets[is_used]
    if used.min() <= 0:
        raise TraceError("a winner is the vector itself (offset 0), expected an earlier token")
    early = is_similar[: int(used.max())]
    if any(np.any(offsets[part] > tokens) for tokens, part in _blocks(early, chosen)):
        raise TraceError("a winner lies before the first visual token")


def _blocks(
    is_similar: NDArray[np.bool_], values: NDArray[np.uint8] | NDArray[np.uint32]
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.uint8] | NDArray[np.uint32]]]:
    """Yield the token and the value of each similar vector, some at a time: all at once take 16 bytes a vector."""
    tokens_at_once, done = max(1, _BLOCK_VECTORS // is_similar.shape[1]), 0
    for first in range(0, len(is_similar), tokens_at_once):
        places = np.flatnonzero(is_similar[first : first + tokens_at_once])
        yield first + places // is_similar.shape[1], values[done : done + len(places)]
        done += len(places)


def _packed(
    is_zero: NDArray[np.bool_], is_similar: NDArray[np.bool_], kind: PointerKind, pointers: NDArray[np.uint8]
) -> PackedGemm:
    tokens, slices = is_zero.shape
    zero, similar = (_compressed(np.packbits(flags)) for flags in (is_zero, is_similar))
    return PackedGemm(tokens, slices, kind, zero, similar, _compressed(pointers))


def _planes(values: NDArray[np.generic]) -> NDArray[np.uint8]:
    # Byte planes put the almost constant high bytes together, where they cost nothing.
    octets = np.ascontiguousarray(values).view(np.uint8).reshape(-1, 4)
    return np.ascontiguousarray(octets.T).ravel()


def _compressed(octets: NDArray[np.uint8]) -> bytes:
    if not octets.size:
        return b""
    codec = pa.Codec("zstd", compression_level=_LEVEL)
    return bytes(codec.compress(pa.py_buffer(octets), asbytes=True))


def _decompressed(payload: bytes, expected_bytes: int) -> NDArray[np.uint8]:
    if not expected_bytes and not payload:
        return np.zeros(0, dtype=np.uint8)
    try:
        buffer = pa.Codec("zstd").decompress(payload, decompressed_size=expected_bytes)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise TraceError(f"a compressed mask does not unpack to {expected_bytes} bytes ({error})") from error
    return np.frombuffer(buffer, dtype=np.uint8, count=expected_bytes)
