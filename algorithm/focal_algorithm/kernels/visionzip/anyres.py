"""Order of the compressed tokens of a picture cut into tiles.

VisionZip, CVPR 2025 (arXiv:2412.04467), sec. 4 (LLaVA-NeXT).
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["canvas_places", "restore_tiles"]


def canvas_places(kept: Tensor, width: int, side: int) -> Tensor:
    """Return the raster place of each kept patch on the canvas of all tiles.

    Args:
        kept: Patch of its tile, axes (tiles, kept), tiles row by row.
        width: Tiles per row.
        side: Patches along the side of a tile.

    Returns:
        Same axes, int64.
    """
    tile = torch.arange(len(kept), device=kept.device)[:, None]
    row = (tile // width) * side + kept // side
    column = (tile % width) * side + kept % side
    return row * (width * side) + column


def restore_tiles(
    features: Tensor, kept: Tensor, *, width: int, prefix_tokens: int = 1, side: int = 24
) -> Tensor:
    """Put kept patches of all tiles in the raster order of the canvas, then prefix and contextual tokens.

    Args:
        features: Axes (tiles, prefix + K + contextual, width of a token); the K patches in raster order of
            their tile.
        kept: Kept patches of each tile, in any order, axes (tiles, K), int64.
        width: Tiles per row of the canvas.
        prefix_tokens: CLS tokens before the patches.
        side: Patches along the side of a tile. Default: CLIP ViT-L/14 at 336 pixels, as published.

    Returns:
        Axes (tiles x (prefix + K + contextual), width of a token).
    """
    count = kept.shape[1]
    patches = features[:, prefix_tokens : prefix_tokens + count].flatten(0, 1)
    places = canvas_places(kept.sort(dim=1).values, width, side).flatten()
    prefix = features[:, :prefix_tokens].flatten(0, 1)
    contextual = features[:, prefix_tokens + count :].flatten(0, 1)
    return torch.cat((patches[places.argsort()], prefix, contextual))
