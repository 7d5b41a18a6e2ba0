"""How buffers are split between m-tile and n-tile: rows of the study better_focus_split, and the area they leave."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from focal_common.errors import ConfigError
from focal_evaluation.loop_order_numbers import Choice, LoopTraffic, fewest
from focal_simulator.costs.sram import SramMacro, SramTable
from focal_simulator.hardware_files import build_accelerator
from focal_simulator.loading import load_workloads, with_trace
from focal_simulator.loop_orders import Kept
from focal_traces.root import TraceRoot

__all__ = ["BANK_BYTES", "Leftover", "bank", "fitting", "left_over", "memory_bytes", "read_splits"]

BANK_BYTES = 1 << 18

_PORT_BYTES = 128
"""A memory as fast as DRAM: 64 GB/s (Focus, HPCA 2026, Table I) at 500 MHz."""

_NODE_UM = 0.028
_SMALL_BANKS = (3 << 16, 1 << 17, 1 << 16)
_WORKLOAD, _FOLDER = ("llava_vid", "videomme"), "m_tile_size_dse"
_COLUMNS = {"m_tile", "tiles.n_tile", "weights", "seconds", "total_mj", "area_mm2", "dram_bytes", "accuracy"}


@dataclass(frozen=True)
class Leftover:
    """A split with the rest of the published area as panel memory.

    Attributes:
        m_tile: Rows.
        n_tile: Output columns.
        panel_bytes: Memory that fits into the rest.
        counted_bytes: DRAM bytes in the published order without it, as the engine counts them.
        best: Order and operand with the fewest bytes.
        best_bytes: DRAM bytes of everything with it.
    """

    m_tile: int
    n_tile: int
    panel_bytes: int
    counted_bytes: int
    best: Choice
    best_bytes: int


def read_splits(path: Path) -> pd.DataFrame:
    """Read the points of the study; raises `ConfigError` if it is not one or lacks the published design."""
    try:
        rows = pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: not a readable table of better_focus_split ({error})") from error
    missing = _COLUMNS - set(rows.columns)
    if missing:
        raise ConfigError(
            f"{path}: has no column '{sorted(missing)[0]}', expected rows of better_focus_split"
        )
    if not _is_published(rows).any():
        raise ConfigError(
            f"{path}: does not hold the published design (m-tile 1024, n-tile 96, weights single)"
        )
    return rows


def fitting(rows: pd.DataFrame) -> tuple[pd.Series[Any], pd.DataFrame]:
    """Return the published design, and all designs of no more than its area."""
    base = rows[_is_published(rows)].iloc[0]
    return base, rows[rows["area_mm2"] <= base["area_mm2"] * (1 + 1e-9)]


def _is_published(rows: pd.DataFrame) -> pd.Series[bool]:
    return (rows["m_tile"] == 1024) & (rows["tiles.n_tile"] == 96) & (rows["weights"] == "single")


def bank(size_bytes: int = BANK_BYTES) -> SramMacro:
    """Return one bank of a panel memory."""
    return SramTable.configured().macro(size_bytes, _PORT_BYTES, node_um=_NODE_UM)


def memory_bytes(area_mm2: float) -> int:
    """Return how large a panel memory fits into an area, in banks of 64 to 256 KiB without wires between them."""
    whole = bank().area_mm2
    count = int(max(area_mm2, 0.0) / whole)
    rest = area_mm2 - count * whole
    small = next((size for size in _SMALL_BANKS if bank(size).area_mm2 <= rest), 0)
    return count * BANK_BYTES + small


def left_over(rows: pd.DataFrame, root: TraceRoot) -> list[Leftover]:
    """Return every split with single weights at no more than the published area."""
    base, allowed = fitting(rows)
    main = load_workloads(root, [_WORKLOAD[0]], [_WORKLOAD[1]])[0]
    recorded = {
        m_tile: with_trace(main, root.open_trace(*_WORKLOAD, _FOLDER, str(m_tile)), _FOLDER)
        for m_tile in sorted({int(value) for value in allowed["m_tile"]})
    }
    found = []
    for _, row in allowed[allowed["weights"] == "single"].iterrows():
        m_tile, n_tile = int(row["m_tile"]), int(row["tiles.n_tile"])
        accelerator = build_accelerator(
            "focus", overrides=[f"tiles.m_tile={m_tile}", f"tiles.n_tile={n_tile}"]
        )
        size = memory_bytes(base["area_mm2"] - row["area_mm2"])
        sizes = np.array([0, size], dtype=np.int64)
        traffic = LoopTraffic(accelerator, [recorded[m_tile]]).comparing(Kept(sizes, sizes, sizes))
        best = fewest(traffic.choices(1))
        found.append(
            Leftover(m_tile, n_tile, size, traffic.all_bytes, best, traffic.whole_bytes(best.total_bytes))
        )
    return found
