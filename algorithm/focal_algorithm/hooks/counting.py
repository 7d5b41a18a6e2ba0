"""Masks of a prefill reduced to counts where they lie, and everything that goes to the host copied once, at its end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from focal_algorithm.kernels.tile_counts import count_tiles, packed_bits, tiles_in
from focal_algorithm.methods.base import VectorMasks
from focal_traces.counts.tiles import GemmTiles
from focal_traces.header.schema import GEMMS
from focal_traces.masks.masks import SampleMaskBuilder
from focal_traces.masks.pointers import NO_WINNER

Place = tuple[int, str]
"""Decoder layer and name in `GEMMS`."""

Fetch = Callable[[], NDArray[Any]]

_CPU_BYTES, _DEVICE_BYTES = 1 << 23, 1 << 28
"""Masks held before they are reduced: on a CPU so few that memory stays flat, on a device few and large launches.
Chosen here."""


class HostCopies:
    """Tensors that are wanted on the host: each device is waited for once, when they are fetched."""

    def __init__(self) -> None:
        self._tensors: list[Tensor] = []
        self._arrays: list[NDArray[Any]] = []

    def add(self, values: Tensor) -> Fetch:
        """Return what gives the values as an array once they were fetched."""
        index = len(self._tensors)
        self._tensors.append(values)
        return lambda: self._arrays[index]

    def fetch(self) -> None:
        """Copy what was added since the start, in one piece per device."""
        self._arrays = [np.empty(0)] * len(self._tensors)
        devices = dict.fromkeys(one.device for one in self._tensors)
        for device in devices:
            own = [index for index, one in enumerate(self._tensors) if one.device == device]
            if device.type == "cpu":
                for index in own:
                    self._arrays[index] = self._tensors[index].numpy()
                continue
            pieces = [self._tensors[index].contiguous().flatten().view(torch.uint8) for index in own]
            octets = torch.cat(pieces).cpu().numpy()
            start = 0
            for index, piece in zip(own, pieces, strict=True):
                source = self._tensors[index]
                kind = torch.empty(0, dtype=source.dtype).numpy().dtype
                values = octets[start : start + len(piece)].copy().view(kind)
                self._arrays[index], start = values.reshape(tuple(source.shape)), start + len(piece)
        self._tensors = []


@dataclass
class MaskCounts:
    """What was done to the GEMM inputs of one prompt, in the order of the forward.

    Attributes:
        m_tile: Tokens per m-tile; 0 for a single tile.
        builder: Takes the masks themselves; None to keep their counts alone.
        copies: Where counts wait for the end of the prefill.
    """

    m_tile: int
    builder: SampleMaskBuilder | None
    copies: HostCopies
    _held: list[tuple[Place, VectorMasks]] = field(default_factory=list)
    _held_bytes: int = 0
    _places: set[Place] = field(default_factory=set)
    _counted: list[tuple[tuple[Place, ...], tuple[Fetch, ...], int]] = field(default_factory=list)
    _unbuilt: list[Callable[[], None]] = field(default_factory=list)

    def add(self, layer: int, gemm: str, masks: VectorMasks) -> None:
        """Take one GEMM input."""
        self._held.append(((layer, gemm), masks))
        self._places.add((layer, gemm))
        parts = (masks.is_zero, masks.is_similar, masks.winner, masks.token)
        self._held_bytes += sum(one.numel() * one.element_size() for one in parts if one is not None)
        if self._held_bytes > (_CPU_BYTES if masks.is_zero.device.type == "cpu" else _DEVICE_BYTES):
            self.reduce()

    def missing(self, layers: int) -> Place | None:
        """Return the first GEMM input of so many layers that was never taken; None if all were."""
        places = ((layer, gemm) for layer in range(layers) for gemm in GEMMS)
        return next((place for place in places if place not in self._places), None)

    def reduce(self) -> None:
        """Count what is held and let go of it; inputs of one shape are counted together."""
        groups: dict[Any, list[tuple[Place, VectorMasks]]] = {}
        for place, masks in self._held:
            key = (masks.is_zero.device, masks.is_zero.shape, masks.is_similar is None)
            groups.setdefault(key, []).append((place, masks))
        for (device, shape, _), group in groups.items():
            is_zero = torch.stack([masks.is_zero for _, masks in group])
            similar = [masks.is_similar for _, masks in group if masks.is_similar is not None]
            counts: Sequence[Tensor] = count_tiles(
                is_zero, torch.stack(similar) if similar else None, self.m_tile
            )
            if device.type != "cpu" and shape[0] < 1 << 15:
                counts = tuple(one.to(torch.int16) for one in counts)  # half of what is copied
            fetches = tuple(self.copies.add(one) for one in counts)
            self._counted.append((tuple(place for place, _ in group), fetches, shape.numel()))
        if self.builder is not None:
            for place, masks in self._held:
                build = self._building(self.builder, *place, masks)
                if masks.is_zero.device.type == "cpu":
                    build()  # nothing is to be waited for, and compressed masks take less
                else:
                    self._unbuilt.append(build)
        self._held, self._held_bytes = [], 0

    def finish(self) -> tuple[dict[Place, GemmTiles], dict[Place, float]]:
        """Return the counts of every GEMM input, and the share of its vectors that are zero or similar.

        Nothing is held any more, and copies were fetched since.
        """
        tiles: dict[Place, GemmTiles] = {}
        sparsity: dict[Place, float] = {}
        for places, fetches, vectors in self._counted:
            counts = [fetch().astype(np.int32, copy=False) for fetch in fetches]
            alive, unique = counts[0].sum(axis=1).tolist(), counts[2].sum(axis=(1, 2)).tolist()
            for index, place in enumerate(places):
                own = slice(0, tiles_in(alive[index], self.m_tile))
                tiles[place] = GemmTiles(*(one[index, own] for one in counts))
                sparsity[place] = (vectors - unique[index]) / max(vectors, 1)
        for build in self._unbuilt:
            build()
        self._counted, self._unbuilt = [], []
        return tiles, sparsity

    def _building(
        self, builder: SampleMaskBuilder, layer: int, gemm: str, masks: VectorMasks
    ) -> Callable[[], None]:
        """Return what gives the masks of a GEMM input to the builder, once copies were fetched."""
        shape = masks.is_zero.shape
        is_zero, is_similar = self._flags(masks.is_zero, shape), self._flags(masks.is_similar, shape)
        if masks.token is not None:
            # The published group index: token of the representative times V plus the slice.
            slices = torch.arange(shape[1], device=masks.token.device)
            group = self._fetched((masks.token * shape[1] + slices).to(torch.int32))
            return lambda: builder.add_published(layer, gemm, is_zero(), is_similar(), group())
        if masks.winner is None:
            none = np.full(shape, NO_WINNER, dtype=np.uint8)
            return lambda: builder.add(layer, gemm, is_zero(), is_similar(), none)
        winner = self._fetched(masks.winner)
        return lambda: builder.add(layer, gemm, is_zero(), is_similar(), winner())

    def _flags(self, mask: Tensor | None, shape: torch.Size) -> Fetch:
        if mask is None:
            return lambda: np.zeros(shape, dtype=np.bool_)
        if mask.device.type == "cpu":
            return mask.numpy
        bits = self.copies.add(packed_bits(mask))
        return lambda: np.unpackbits(bits(), count=shape.numel()).view(np.bool_).reshape(shape)

    def _fetched(self, values: Tensor) -> Fetch:
        return values.numpy if values.device.type == "cpu" else self.copies.add(values)
