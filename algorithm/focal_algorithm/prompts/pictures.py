"""What a method that acts on the vision tower's output is shown, and what it answers."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class TowerPicture:
    """One picture (an image, a tile or a frame) behind the vision tower.

    Attributes:
        index: Index of the pictures of the prompt.
        places: Place of each token in the visual range, axes (tokens), int64, ascending.
        attention: Attention that each token receives from CLS, or as `HostNeeds.tower_attention` of the method asks
            where there is no CLS, axes (layers, heads, tokens), float32.
        keys: Head-mean keys, axes (layers, tokens, key width), float32.
        features: What merging acts on, axes (tokens, width): features before the projector, or input
            embeddings of the language model where it pools patches.
        prefix: CLS features that the language model does not get by itself, axes (0 or 1, width).
        embeddings: Input embeddings of the tokens, axes (tokens, hidden).
        text: Input embeddings of the prompt's text after the visual tokens, axes (text tokens, hidden).
        cls_query: Query of CLS as projected, unscaled and not split into heads, axes (layers, width); None unless
            `focal_algorithm.methods.base.HostNeeds.cls_operands` asks for it and there is a CLS.
        cls_keys: Keys of CLS and then of the tokens likewise, axes (layers, 1 + tokens, width).
    """

    index: int
    places: Tensor
    attention: Tensor
    keys: Tensor
    features: Tensor
    prefix: Tensor
    embeddings: Tensor
    text: Tensor
    cls_query: Tensor | None = None
    cls_keys: Tensor | None = None


@dataclass(frozen=True)
class CompressedPicture:
    """What remains of a picture: kept tokens in raster order, then merged ones.

    Attributes:
        kept: Tokens that stay as they are, axes (kept), int64, ascending.
        merged: Axes (merged, width of `TowerPicture.features`).
        assignment: Merged token that each token went into, -1 for none, axes (tokens), int64.
        stands_at: Token whose place each merged one takes, -1 for the first that went into it, axes (merged);
            None for -1 everywhere.
        keeps_prefix: Whether the language model is given `TowerPicture.prefix` too.
        renumbers: As of `focal_algorithm.methods.base.Resequenced`, for the whole prompt.
    """

    kept: Tensor
    merged: Tensor
    assignment: Tensor
    stands_at: Tensor | None = None
    keeps_prefix: bool = True
    renumbers: bool = False
