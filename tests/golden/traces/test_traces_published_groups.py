"""Do tiles and group indices equal what the published functions gave on stored inputs?"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from focal_traces.counts.tiles import tile_of_tokens
from focal_traces.header.schema import TokenGrid
from focal_traces.masks.packing import pack_published, pack_winners
from focal_traces.masks.pointers import PointerRule, candidate_offsets

DATA = Path(__file__).parents[2] / "data" / "traces"
FILES = sorted(DATA.glob("*.npz"))


def _variants() -> list[tuple[Path, int]]:
    found = []
    for path in FILES:
        with np.load(path) as golden:
            found += [(path, number) for number in range(len(json.loads(str(golden["params"]))["variants"]))]
    return found


@pytest.mark.golden
@pytest.mark.parametrize(("path", "number"), _variants(), ids=lambda value: getattr(value, "stem", value))
def test_group_index_is_rebuilt_from_masks_and_winner(path: Path, number: int) -> None:
    with np.load(path) as golden:
        params = json.loads(str(golden["params"]))
        names = ("mask_zero", "mask_similar", "argmax_candidate", "group_idx")
        zero, similar, winners, group = (golden[f"v{number}_{name}"][0] for name in names)
    variant = params["variants"][number]
    grid = TokenGrid(
        frames=params["num_frames"],
        rows=params["patch_height"],
        columns=params["patch_width"],
        frame_stride=params["frame_stride"],
        row_stride=params["height_stride"],
        column_stride=params["width_stride"],
    )
    size = variant.get("block", 2)
    rule = PointerRule(candidate_offsets(grid, (variant.get("fblock", 2), size, size)), grid.frames)
    packed = pack_winners(zero, similar, winners.astype(np.uint8), rule)
    assert np.array_equal(packed.group_index(rule), group)
    assert np.array_equal(pack_published(zero, similar, group).group_index(rule), group)


@pytest.mark.golden
def test_tiles_start_and_end_where_the_published_ones_do() -> None:
    with np.load(DATA / "sic_04_mtile_sweep_zero_tokens.npz") as golden:
        variants = json.loads(str(golden["params"]))["variants"]
        compared = 0
        for number, variant in enumerate(variants):
            if f"v{number}_tiles" not in golden:
                continue
            tiles = tile_of_tokens(golden[f"v{number}_mask_zero"][0], variant["m"])
            starts = np.flatnonzero(np.r_[True, tiles[1:] != tiles[:-1]])
            ends = np.r_[starts[1:], len(tiles)]
            assert np.array_equal(np.stack([starts, ends], axis=1), golden[f"v{number}_tiles"])
            compared += 1
    assert compared >= 5
