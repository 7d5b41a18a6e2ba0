"""What the vision tower did with each picture, as token selection needs it.

Hooks on the projections of a few layers, so that any attention backend may be in use; attention is computed for the
CLS row only, or summed over rows where there is no CLS, and never kept as a matrix.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from focal_algorithm.kernels.visionzip import (
    attention_from_first,
    attention_of_mean_query,
    attention_received,
    head_mean,
)
from focal_algorithm.methods.base import HostNeeds
from focal_algorithm.prompts.vision import VisionPoints, VisualMap
from focal_common.errors import ConfigError, UnsupportedError

__all__ = ["TowerWatch", "TowerWork"]


@dataclass(frozen=True)
class TowerWork:
    """Pictures of one prompt that the tower saw, in its order.

    Attributes:
        attention: Attention that each patch receives, as `HostNeeds.tower_attention` asks, axes (pictures, layers,
            heads, patches), float32.
        keys: Head-mean keys as attention uses them, axes (pictures, layers, patches, key width), float32.
        features: Output of the source layer, axes (pictures, prefix + patches, width); None where no module
            projects it row by row.
        cls_query: Query of CLS, axes (pictures, layers, width); None unless asked for.
        cls_keys: Keys of CLS and patches, axes (pictures, layers, 1 + patches, width), likewise.
    """

    attention: Tensor
    keys: Tensor
    features: Tensor | None
    cls_query: Tensor | None = None
    cls_keys: Tensor | None = None


@dataclass
class _Seen:
    """Lists over pictures, per tower layer."""

    attention: dict[int, list[Tensor]] = field(default_factory=dict)
    keys: dict[int, list[Tensor]] = field(default_factory=dict)
    operands: dict[int, list[tuple[Tensor, Tensor]]] = field(default_factory=dict)
    features: list[Tensor] = field(default_factory=list)


class _Watching(threading.local):
    """What the tower has done in one thread."""

    def __init__(self) -> None:
        self.seen = _Seen()
        self.is_taken = False
        self.queries: dict[int, Tensor] = {}
        self.fused: dict[int, dict[str, Any]] = {}
        self.grid: Tensor | None = None


class TowerWatch:
    """Collects what the tower does until a prefill takes it.

    Args:
        points: The tower.
        needs: Which layers to read, relative to the source layer, and what of their attention.

    Raises:
        ConfigError: A layer does not exist, or attends within windows only.
    """

    def __init__(self, points: VisionPoints, needs: HostNeeds) -> None:
        self.points = points
        self._of_mean_query = needs.tower_attention == "of_mean_query"
        self.keeps_operands = needs.cls_operands and bool(points.prefix_tokens)
        offsets = needs.tower_layers
        if offsets is None:
            offsets = (len(points.layers) - 1 - points.source_layer,)
        self.layers = tuple(points.source_layer + offset for offset in offsets)
        for layer in (*self.layers, points.source_layer):
            if not 0 <= layer < len(points.layers):
                raise ConfigError(
                    f"tower_layers: layer {layer} of the vision tower does not exist; expected offsets that give "
                    f"layers 0 to {len(points.layers) - 1}"
                )
            if points.whole_layers is not None and layer not in points.whole_layers:
                raise ConfigError(
                    f"tower_layers: layer {layer} of the vision tower attends within windows; expected offsets "
                    f"that give one of {sorted(points.whole_layers)}"
                )
        self._now = _Watching()

    def outputs(self) -> Iterator[tuple[nn.Module, Callable[[Any], None]]]:
        """Yield the modules whose output to watch, each with the function to give it to."""
        for layer in self.layers:
            attention = self.points.attention(layer)
            if self.points.is_fused:
                yield attention.get_submodule("qkv"), partial(self._on_fused, layer)
            else:
                yield attention.get_submodule("q_proj"), partial(self._on_query, layer)
                yield attention.get_submodule("k_proj"), partial(self._on_key, layer)
        if self.points.projector is not None:
            yield self.points.layers[self.points.source_layer], self._on_features

    def keywords(self) -> Iterator[tuple[nn.Module, Callable[[dict[str, Any]], None]]]:
        """Yield the modules whose keyword arguments to watch, likewise."""
        if self.points.is_fused:
            yield self.points.tower, self._on_tower
            for layer in self.layers:
                yield self.points.attention(layer), partial(self._on_fused_inputs, layer)

    @property
    def asked(self) -> Hashable:
        """What is collected: watches of one tower that ask alike can `restore` what another has `seen`."""
        return self.layers, self._of_mean_query, self.keeps_operands

    def forget(self) -> None:
        """Start anew with the next picture."""
        self._now.is_taken = True

    def seen(self) -> Any:
        """Return what was collected since the tower last started, for `restore`."""
        return self._now.seen

    def restore(self, seen: Any) -> None:
        """Take what the tower did with some pictures from an earlier `seen`, as if it had just run on them."""
        self._now.seen, self._now.is_taken = seen, True

    def take(
        self, maps: Sequence[Sequence[VisualMap]], device: torch.device, copies: int = 1
    ) -> list[Sequence[TowerWork]]:
        """Return the work on each image or video of each prompt of a batch; it stays until the tower runs again.

        Args:
            maps: Of the images and videos of each prompt.
            device: Where it is wanted.
            copies: Rows in a row that are the same prompt, whose pictures the tower saw once: beams, or sequences to
                return.

        Raises:
            UnsupportedError: The tower did not see these pictures.
        """
        self._now.is_taken = True
        prompts = maps[::copies]
        # The tower sees images before videos, each in the order of the batch.
        order = sorted(
            (visual_map.tower_call, prompt, part)
            for prompt, own in enumerate(prompts)
            for part, visual_map in enumerate(own)
        )
        seen = len(self._now.seen.keys.get(self.layers[0], ()))
        wanted = sum(visual_map.pictures for own in prompts for visual_map in own)
        if seen != wanted and copies > 1 and seen == wanted * copies:
            return self.take(maps, device)  # a family that copies prompts before its tower runs
        if seen != wanted:
            raise UnsupportedError(
                f"the prompts hold {wanted} pictures but the vision tower saw {seen}; give the pixels to the "
                "model inside the 'with' block of attach"
            )
        shares: dict[tuple[int, int], TowerWork] = {}
        first = 0
        for _, prompt, part in order:
            stop = first + prompts[prompt][part].pictures
            shares[prompt, part], first = self._share(slice(first, stop), device), stop
        return [[shares[row // copies, part] for part in range(len(own))] for row, own in enumerate(maps)]

    def _share(self, own: slice, device: torch.device) -> TowerWork:
        def joined(parts: Sequence[Tensor]) -> Tensor:
            return torch.stack([part.to(device) for part in parts])

        seen = self._now.seen
        attention = [joined(seen.attention[layer][own]) for layer in self.layers]
        keys = [joined(seen.keys[layer][own]) for layer in self.layers]
        features = joined(seen.features[own]) if seen.features else None
        work = TowerWork(torch.stack(attention, dim=1), torch.stack(keys, dim=1), features)
        if not self.keeps_operands:
            return work
        pairs = [seen.operands[layer][own] for layer in self.layers]
        query, key = ([joined([pair[side] for pair in of]) for of in pairs] for side in (0, 1))
        return replace(work, cls_query=torch.stack(query, dim=1), cls_keys=torch.stack(key, dim=1))

    def _current(self) -> _Seen:
        if self._now.is_taken:
            self._now.seen, self._now.is_taken = _Seen(), False
        return self._now.seen

    def _note(self, layer: int, query: Tensor, key: Tensor) -> None:
        heads, scaling, prefix = self.points.heads, self.points.scaling, self.points.prefix_tokens
        seen = self._current()
        if prefix:
            attention = attention_from_first(query, key, heads, scaling)
        elif self._of_mean_query:
            attention = attention_of_mean_query(query, key, heads, scaling, self.points.patches_per_token)
        else:
            attention = attention_received(query, key, heads, scaling)
        seen.attention.setdefault(layer, []).append(attention[:, prefix:])
        seen.keys.setdefault(layer, []).append(head_mean(key, heads)[prefix:])
        if self.keeps_operands:
            seen.operands.setdefault(layer, []).append((query[0], key))

    def _on_query(self, layer: int, output: Tensor) -> None:
        self._now.queries[layer] = output.detach()

    def _on_key(self, layer: int, output: Tensor) -> None:
        for query, key in zip(self._now.queries.pop(layer), output.detach(), strict=True):
            self._note(layer, query, key)

    def _on_features(self, output: Any) -> None:
        self._current().features.extend((output[0] if isinstance(output, tuple) else output).detach())

    # --- towers that pack all pictures into one sequence ---------------------------------------------------

    def _on_tower(self, inputs: dict[str, Any]) -> None:
        self._now.grid = inputs.get("grid_thw")

    def _on_fused_inputs(self, layer: int, inputs: dict[str, Any]) -> None:
        self._now.fused[layer] = inputs

    def _on_fused(self, layer: int, output: Tensor) -> None:
        inputs = self._now.fused.pop(layer)
        query, key, _ = (
            output.detach().to(torch.float32).view(len(output), 3, self.points.heads, -1).unbind(1)
        )
        cos, sin = (table.to(torch.float32)[:, None] for table in inputs["position_embeddings"])
        query, key = (one * cos + _half_turned(one) * sin for one in (query, key))
        order = self.points.order(self._now.grid) if self.points.order is not None else None
        query, key = (_reordered(one, order).flatten(1) for one in (query, key))
        bounds = inputs["cu_seqlens"].tolist()
        for start, stop in pairwise(bounds):
            self._note(layer, query[start:stop], key[start:stop])


def _half_turned(values: Tensor) -> Tensor:
    first, second = values.chunk(2, dim=-1)
    return torch.cat((-second, first), dim=-1)


def _reordered(values: Tensor, order: Tensor | None) -> Tensor:
    return values if order is None else values[order.to(values.device)]
