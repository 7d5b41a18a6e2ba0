"""What the published area allows: splits of the buffers as simulated, and the conclusion of the section."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from focal_evaluation.loop_order_markdown import filled, gigabytes, order_name
from focal_evaluation.loop_order_memories import Memory
from focal_evaluation.loop_order_numbers import LoopTraffic
from focal_evaluation.loop_order_split import Leftover, fitting
from focal_simulator.loop_orders import PUBLISHED_ORDER

__all__ = ["conclusion", "splits_table"]

_WORTH = 0.05
"""Assumed: what saves a smaller share of the DRAM bytes is not worth a second loop order in the engine."""

_INTRODUCTION = """\
**Simulated**, study `better_focus_split` (`focal sweep better_focus_split --trace example_output/published`, rows in
`example_output/better_focus/split_points.csv`), LLaVA-Video on VideoMME, the only workload with traces of other
m-tiles; for each m-tile the n-tile with the least energy. Accuracies are published ones, looked up."""


def splits_table(rows: pd.DataFrame, left: Sequence[Leftover]) -> str:
    """Return the splits of least energy, and what panel memory in the area they leave would add, as Markdown.

    Args:
        rows: Of the study better_focus_split.
        left: Its designs of no more than the published area.
    """
    base, allowed = fitting(rows)
    lines = [
        "| m_tile | n_tile | weights | area (mm2) | DRAM (GB) | of published | speed-up | energy gain | "
        "published accuracy (%) |",
        "|---:|---:|---|---:|---:|---:|---:|---:|---:|",
    ]
    best = [_least_energy(group) for _, group in allowed.groupby(["weights", "m_tile"])]
    for row in [base, *(one for one in best if one["index"] != base["index"])]:
        lines.append(
            f"| {row['m_tile']} | {row['tiles.n_tile']} | {row['weights']} | {row['area_mm2']:.3f} | "
            f"{gigabytes(row['dram_bytes'])} | {row['dram_bytes'] / base['dram_bytes']:.3f} x | "
            f"{base['seconds'] / row['seconds']:.3f} x | {base['total_mj'] / row['total_mj']:.3f} x | "
            f"{row['accuracy']:.1f} |"
        )
    fewest = min(left, key=lambda one: one.counted_bytes)
    freed = min(left, key=lambda one: one.best_bytes)
    note = (
        f"**Formula**: {len(left)} splits with single weights have no more than the published area. The fewest "
        f"bytes in the published order are {gigabytes(fewest.counted_bytes)} GB ({fewest.m_tile} x "
        f"{fewest.n_tile}). With the rest of the published area as panel memory, and the best order and operand "
        f"for it, they are {gigabytes(freed.best_bytes)} GB ({freed.m_tile} x {freed.n_tile}, "
        f"{freed.panel_bytes / 1024:.0f} KiB, `{order_name(freed.best.order)}`)."
    )
    return "\n\n".join([_INTRODUCTION, "\n".join(lines), filled(note)])


def conclusion(
    traffic: LoopTraffic, memories: Sequence[Memory], rows: pd.DataFrame, left: Sequence[Leftover]
) -> str:
    """Return what follows from the tables, as Markdown.

    Args:
        traffic: Alternative 1 lets every byte of the published buffers keep panels.
        memories: As in the table, ascending.
        rows: Of the study better_focus_split.
        left: Its designs of no more than the published area.
    """
    published = traffic.by_order(0)[PUBLISHED_ORDER]
    # The most favourable alternative: each GEMM has its best order.
    order = (published - min(traffic.by_order(1).values())) / traffic.whole_bytes(published)
    freed = 1 - min(one.best_bytes for one in left) / min(one.counted_bytes for one in left)
    points = {"Order": _order(order), "Panels": _panels(memories), "Split": _split(rows, freed)}
    last = (
        "So a second loop order would be worth modelling in the engine."
        if max(order, freed) >= _WORTH
        else "So no second loop order is modelled. What re-fetches less at no more area, if anything, is the shape "
        "of the tile, which the engine simulates (`tiles.m_tile`, `tiles.n_tile`)."
    )
    listed = "\n".join(filled(f"- **{name}.** {text}", "  ") for name, text in points.items())
    return f"{listed}\n\n{filled(last)}"


def _order(saved: float) -> str:
    if saved >= _WORTH:
        return (
            "With every byte of the published buffers keeping panels and an order for each GEMM, other orders "
            f"fetch {100 * saved:.1f} % less."
        )
    return (
        f"No order fetches {100 * _WORTH:.0f} % less with the published buffers, not even with every byte of them "
        f"keeping panels and an order for each GEMM ({100 * saved:.1f} %)."
    )


def _panels(memories: Sequence[Memory]) -> str:
    useful = next((one for one in memories if one.saved_share >= _WORTH), None)
    if useful is None:
        return f"No memory in the table saves {100 * _WORTH:.0f} % of the bytes."
    return (
        f"The smallest memory in the table that saves at least {100 * _WORTH:.0f} % of the bytes "
        f"({100 * useful.saved_share:.1f} %) adds {100 * useful.area_share:.0f} % area; beyond its own accesses it "
        f"saves {useful.saved_j - useful.accesses_j:.1f} J and leaks {useful.leaked_j:.1f} J."
    )


def _split(rows: pd.DataFrame, freed: float) -> str:
    base, allowed = fitting(rows)
    saved = 1 - allowed["dram_bytes"].min() / base["dram_bytes"]
    best = _least_energy(allowed)
    return (
        f"Within the published area another m-tile and n-tile save {100 * saved:.1f} % of the bytes; panel memory "
        f"in the area that a split leaves, with the best order for it, saves {100 * freed:.1f} % beyond that. The "
        f"least energy has {best['m_tile']} x {best['tiles.n_tile']} with {best['weights']} weights: "
        f"{base['seconds'] / best['seconds']:.3f} x as fast, energy {base['total_mj'] / best['total_mj']:.3f} x "
        f"lower at {100 * (best['area_mm2'] / base['area_mm2'] - 1):+.1f} % area."
    )


def _least_energy(rows: pd.DataFrame) -> pd.Series[Any]:
    return rows.sort_values("total_mj", kind="stable").iloc[0]
