"""What the vision tower did with each picture, as token selection needs it.

Hooks on the Q and K projections of a few layers, so that any attention backend may be in use; attention is
computed for the CLS row only, or summed over rows where there is no CLS, and never kept as a matrix.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from focal_algorithm.kernels.visionzip.tower import attention_from_first, attention_received, head_mean
from focal_algorithm.vision import VisionPoints, VisualMap
from focal_common.errors import ConfigError, UnsupportedError

__all__ = ["TowerWatch", "TowerWork"]


@dataclass(frozen=True)
class TowerWork:
    """Pictures that the tower saw, in its order.

    Attributes:
        attention: Attention that each patch receives, axes (pictures, layers, heads, patches), float32.
        keys: Head-mean keys, axes (pictures, layers, patches, key width), float32.
        features: Output of the source layer, axes (pictures, prefix + patches, width).
    """

    attention: Tensor
    keys: Tensor
    features: Tensor


@dataclass
class _Seen:
    attention: dict[int, list[Tensor]] = field(default_factory=dict)
    keys: dict[int, list[Tensor]] = field(default_factory=dict)
    features: list[Tensor] = field(default_factory=list)


class TowerWatch:
    """Collects what the tower does until a prefill takes it.

    Args:
        points: The tower.
        offsets: Layers to read the attention of, relative to the source layer.

    Raises:
        ConfigError: A layer does not exist.
    """

    def __init__(self, points: VisionPoints, offsets: Sequence[int]) -> None:
        self.points = points
        self.layers = tuple(points.source_layer + offset for offset in offsets)
        outside = [
            layer for layer in (*self.layers, points.source_layer) if not 0 <= layer < len(points.layers)
        ]
        if outside:
            raise ConfigError(
                f"tower_layers: layer {outside[0]} of the vision tower does not exist; expected offsets that "
                f"give layers 0 to {len(points.layers) - 1}"
            )
        self._seen = _Seen()
        self._is_taken = False
        self._queries: dict[int, Tensor] = {}

    def modules(self) -> list[tuple[nn.Module, Any]]:
        """Return the modules to watch, each with the function to give its output to."""
        watched: list[tuple[nn.Module, Any]] = []
        for layer in self.layers:
            attention = self.points.layers[layer].get_submodule("self_attn")
            watched.append((attention.get_submodule("q_proj"), lambda out, at=layer: self._on_query(at, out)))
            watched.append((attention.get_submodule("k_proj"), lambda out, at=layer: self._on_key(at, out)))
        watched.append((self.points.layers[self.points.source_layer], self._on_features))
        return watched

    def forget(self) -> None:
        """Start anew with the next picture."""
        self._is_taken = True

    def take_by_prompt(self, maps: Sequence[VisualMap | None]) -> list[TowerWork | None]:
        """Return the work on the pictures of each prompt of a batch; None for prompts without any."""
        work = self.take(sum(one.pictures for one in maps if one is not None))
        shares: list[TowerWork | None] = [None] * len(maps)
        first = 0
        numbered = [(one.tower_call, sample, one) for sample, one in enumerate(maps) if one is not None]
        for _, sample, one in sorted(numbered, key=lambda entry: entry[:2]):
            own = slice(first, first + one.pictures)
            first += one.pictures
            shares[sample] = TowerWork(work.attention[own], work.keys[own], work.features[own])
        return shares

    def take(self, pictures: int) -> TowerWork:
        """Return the work on the pictures of a batch of prompts; it stays until the tower runs again.

        Raises:
            UnsupportedError: The tower did not see these pictures.
        """
        self._is_taken = True
        seen = sum(len(part) for part in self._seen.features)
        if seen != pictures:
            raise UnsupportedError(
                f"the prompts hold {pictures} pictures but the vision tower saw {seen}; give the pixels to the "
                "model inside the 'with' block of attach"
            )
        layers = range(len(self.layers))
        return TowerWork(
            attention=torch.stack([torch.cat(self._seen.attention[self.layers[i]]) for i in layers], dim=1),
            keys=torch.stack([torch.cat(self._seen.keys[self.layers[i]]) for i in layers], dim=1),
            features=torch.cat(self._seen.features),
        )

    def _current(self) -> _Seen:
        if self._is_taken:
            self._seen, self._is_taken = _Seen(), False
        return self._seen

    def _on_query(self, layer: int, output: Tensor) -> None:
        self._queries[layer] = output.detach()

    def _on_key(self, layer: int, output: Tensor) -> None:
        query, key = self._queries.pop(layer), output.detach()
        heads, scaling, prefix = self.points.heads, self.points.scaling, self.points.prefix_tokens
        scored = attention_from_first if prefix else attention_received
        rows = [scored(q, k, heads, scaling)[:, prefix:] for q, k in zip(query, key, strict=True)]
        means = [head_mean(k, heads)[prefix:] for k in key]
        seen = self._current()
        seen.attention.setdefault(layer, []).append(torch.stack(rows))
        seen.keys.setdefault(layer, []).append(torch.stack(means))

    def _on_features(self, output: Any) -> None:
        self._current().features.append((output[0] if isinstance(output, tuple) else output).detach())
