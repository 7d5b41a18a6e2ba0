"""Section "Loop order and buffer split" of docs/better_focus.md: would another loop order move fewer DRAM bytes?"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from focal_evaluation.loop_order_markdown import filled, gigabytes, order_name
from focal_evaluation.loop_order_memories import bank_counts, memories_table, memory_of
from focal_evaluation.loop_order_numbers import OPERANDS, LoopTraffic, largest_panel_bytes
from focal_evaluation.loop_order_split import BANK_BYTES, left_over, read_splits
from focal_evaluation.loop_order_verdict import conclusion, splits_table
from focal_simulator.hardware_files import build_accelerator
from focal_simulator.loading import load_workloads
from focal_simulator.loop_orders import LOOP_ORDERS, PUBLISHED_ORDER, Kept
from focal_traces.root import TraceRoot

__all__ = ["loop_order_section"]

_MODELS, _DATASETS = ["llava_vid", "llava_onevision", "minicpm_v"], ["videomme", "mlvu", "mvbench"]
_BUFFERS = {"input": "input", "weight": "wgt", "partial": "output"}

_INTRODUCTION = """\
## Loop order and buffer split

The engine times one order of the outer loops: m-tile, n-tile, k-slice (`m,n,k`). **Formula, not simulated**, in the
next two tables: `focal_simulator.loop_orders` gives the DRAM bytes of the same tiles in all six orders, summed over the
nine workloads, and says nothing about time. The loop on which an operand does not depend uses the same tiles, a
*panel*, again: a panel that is kept is fetched once, otherwise at every use; partial sums that are not kept are written
and read back. For `m,n,k` the formula gives the engine's bytes exactly."""


def loop_order_section(base: pd.Series[Any], splits: Path, root: TraceRoot) -> str:
    """Return the section as Markdown.

    Args:
        base: Row of the published design of the study better_focus, for its area, times and energies.
        splits: Rows of the study better_focus_split.
        root: Published traces.

    Raises:
        ConfigError: See `read_splits`.
    """
    rows = read_splits(splits)
    accelerator = build_accelerator("focus")
    buffers = {need.name: need.size_bytes for need in accelerator.buffers()}
    own = [buffers[_BUFFERS[operand]] for operand in OPERANDS]
    published = LoopTraffic(accelerator, load_workloads(root, _MODELS, _DATASETS))
    panels = largest_panel_bytes(published.gemms)
    banks = bank_counts(panels)
    # Alternatives: as published, every byte of each buffer, then each memory.
    traffic = published.comparing(
        Kept(*(np.array([0, size, *(count * BANK_BYTES for count in banks)]) for size in own))
    )
    memories = [memory_of(traffic, place, count, base) for place, count in enumerate(banks, start=2)]
    left = left_over(rows, root)
    parts = [
        _INTRODUCTION,
        _orders(traffic, own),
        "### Panels in a memory of their own",
        memories_table(memories, panels, base),
        "### Splits of no more than the published area",
        splits_table(rows, left),
        "### What follows",
        conclusion(traffic, memories, rows, left),
    ]
    return "\n\n".join(parts) + "\n"


def _orders(traffic: LoopTraffic, own: Sequence[int]) -> str:
    nothing, everything = traffic.by_order(0), traffic.by_order(1)
    published = traffic.whole_bytes(nothing[PUBLISHED_ORDER])
    lines = [
        "| order | DRAM (GB) | of published | every byte of the buffers keeps panels (GB) | of published |",
        "|---|---:|---:|---:|---:|",
    ]
    for order in (*LOOP_ORDERS, "best"):
        found = [traffic.whole_bytes(column[order]) for column in (nothing, everything)]
        name = "the best order for each GEMM" if order == "best" else f"`{order_name(order)}`"
        cells = " | ".join(f"{gigabytes(one)} | {one / published:.3f} x" for one in found)
        lines.append(f"| {name} | {cells} |")
    read, again = traffic.attention_refetches
    sizes = ", ".join(f"{size / 1024:.0f}" for size in own)
    note = (
        "Left: buffers as published, with room for a tile in use and a tile on its way. Right: as if the whole "
        f"input, weight and output buffers ({sizes} KiB) kept panels and tiles in work needed no room, more than "
        "any design can have. Reads of the linear layers are "
        f"{100 * nothing[PUBLISHED_ORDER] / published:.0f} % of all bytes. Attention reads {gigabytes(read)} GB, at "
        f"most {gigabytes(again)} GB of it again, and is left as it is: its m-tiles meet different keys."
    )
    return "\n".join(lines) + "\n\n" + filled(note)
