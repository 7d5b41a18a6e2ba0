"""Memories that keep panels beside the published buffers: DRAM bytes and energy saved, area and energy they cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from focal_evaluation.loop_order_markdown import filled, gigabytes, order_name, workload_sum
from focal_evaluation.loop_order_numbers import OPERANDS, LoopTraffic, fewest
from focal_evaluation.loop_order_split import BANK_BYTES, bank
from focal_simulator.arithmetic import ceil_div
from focal_simulator.loop_orders import PUBLISHED_ORDER

__all__ = ["Memory", "bank_counts", "memories_table", "memory_of"]

_WHOLE_BANKS = (1, 2, 4, 8, 16, 32)
_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Memory:
    """A panel memory, with the best order and operand for it.

    Attributes:
        size_bytes: Capacity.
        area_mm2: Area it adds.
        area_share: Of the published design.
        cells: DRAM bytes and order with panels of each operand, as text.
        saved_share: DRAM bytes saved, of those of everything.
        saved_j: Dynamic DRAM energy saved.
        accesses_j: Energy of its own accesses.
        leaked_j: Its leakage over the published times of all workloads.
    """

    size_bytes: int
    area_mm2: float
    area_share: float
    cells: tuple[str, ...]
    saved_share: float
    saved_j: float
    accesses_j: float
    leaked_j: float


def bank_counts(panels: Mapping[str, Sequence[int]]) -> list[int]:
    """Return memory sizes in banks: powers of two, and what all weight panels and all input panels need."""
    wanted = [*panels["weight"], panels["input"][-1]]
    return sorted({*_WHOLE_BANKS, *(int(ceil_div(size, BANK_BYTES)) for size in wanted)})


def memory_of(traffic: LoopTraffic, alternative: int, count: int, base: pd.Series[Any]) -> Memory:
    """Return the memory of ``count`` banks.

    Args:
        traffic: Jobs of all workloads; in ``alternative`` they may keep as much as the memory holds.
        alternative: Its place.
        count: Banks.
        base: Row of the published design, for area and times.
    """
    macro, choices = bank(), traffic.choices(alternative)
    published = next(one for one in traffic.choices(0) if one.order == PUBLISHED_ORDER)
    best = fewest(choices)
    accesses_pj = best.served_bytes * macro.read_pj_per_byte + best.kept_bytes * macro.write_pj_per_byte
    cells = []
    for operand in OPERANDS:
        own = fewest([one for one in choices if one.operand == operand])
        cells.append(f"{gigabytes(traffic.whole_bytes(own.total_bytes))} `{order_name(own.order)}`")
    return Memory(
        size_bytes=count * BANK_BYTES,
        area_mm2=count * macro.area_mm2,
        area_share=count * macro.area_mm2 / base["area_mm2"],
        cells=tuple(cells),
        saved_share=1 - traffic.whole_bytes(best.total_bytes) / traffic.whole_bytes(published.total_bytes),
        saved_j=(published.dram_mj(traffic.rates) - best.dram_mj(traffic.rates)) / 1e3,
        accesses_j=accesses_pj / 1e12,
        leaked_j=count * macro.leakage_mw * workload_sum(base, "seconds") / 1e3,
    )


def memories_table(
    memories: Sequence[Memory], panels: Mapping[str, Sequence[int]], base: pd.Series[Any]
) -> str:
    """Return the table of memories with what it means, as Markdown."""
    lines = [
        "| memory (MiB) | area (mm2) | area | input panels (GB) | weight panels (GB) | partial sums (GB) | "
        "bytes saved | DRAM energy saved (J) | its accesses (J) | its leakage (J) |",
        "|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for one in memories:
        lines.append(
            f"| {one.size_bytes / _MIB:g} | {one.area_mm2:.2f} | {100 * one.area_share:+.0f} % | "
            f"{' | '.join(one.cells)} | {100 * one.saved_share:.1f} % | {one.saved_j:.1f} | "
            f"{one.accesses_j:.1f} | {one.leaked_j:.1f} |"
        )
    weight = " and ".join(f"{size / 1e6:.2f}" for size in panels["weight"])
    note = (
        f"At the published tiles a weight panel, K x n, takes {weight} MB, an input panel, m x K concentrated "
        f"rows with their maps, up to {panels['input'][-1] / 1e6:.1f} MB, partial sums, m x N, up to "
        f"{panels['partial'][-1] / 1e6:.1f} MB. Each column keeps one operand, in the order in which that moves "
        "least; the last four columns are of the best of the three. The memory is made of banks of "
        f"{BANK_BYTES // 1024} KiB (CACTI, no wires between them), as fast as DRAM. DRAM energy is the engine's "
        "per command, without standby. Leakage is at 360 K with fast devices, over the published times. All "
        f"workloads together take {workload_sum(base, 'total_mj') / 1e3:.1f} J."
    )
    return "\n".join(lines) + "\n\n" + filled(note)
