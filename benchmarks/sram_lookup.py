"""How fast SRAM macros are priced, and how far interpolated ones are from real runs of CACTI 7.

``--markdown`` prints the accuracy table of docs/sram_model.md.
"""

from __future__ import annotations

import platform
import sys
import time

import numpy as np

from focal_simulator.costs.sram import SramTable
from focal_simulator.costs.sram_data import METRICS, embedded_points


def accuracy_table() -> list[str]:
    """Return Markdown rows: absolute relative error of held-out points of at least 64 rows, in percent."""
    points = embedded_points()
    table = SramTable.embedded()
    chosen = np.flatnonzero(points.is_check & (points.size_bytes >= 64 * points.port_bytes))
    errors = np.empty((len(chosen), len(METRICS)))
    for place, row in enumerate(chosen):
        asked = (points.size_bytes[row], points.port_bytes[row], points.extra_read_ports[row])
        figures = table.interpolated(*map(int, asked), float(points.node_um[row]))
        errors[place] = np.abs(figures / points.values[row] - 1)
    ports = points.port_bytes[chosen]
    is_power = (ports & (ports - 1)) == 0
    lines = ["| figure | ports | points | median | p90 | p95 | worst |", "|---|---|---|---|---|---|---|"]
    for column, name in enumerate(METRICS):
        for label, part in (("powers of two", is_power), ("others", ~is_power), ("all", ports > 0)):
            of = 100 * errors[part, column]
            figures = " | ".join(f"{value:.2f}" for value in np.percentile(of, (50, 90, 95, 100)))
            lines.append(f"| {name} | {label} | {part.sum()} | {figures} |")
    return lines


def main() -> None:
    if "--markdown" in sys.argv:
        print("\n".join(accuracy_table()))
        return
    print(
        f"{platform.machine()}, Python {platform.python_version()}, numpy {np.__version__}; measured, one thread"
    )
    start = time.perf_counter()
    table = SramTable.embedded()
    print(f"reading the table: {1e3 * (time.perf_counter() - start):.1f} ms")
    sizes = np.random.default_rng(0).integers(64 * 64, 1 << 20, 2_000).tolist()
    table.macro(sizes[0], 64)
    start = time.perf_counter()
    for size in sizes:
        table.macro(size, 64)
    rate = len(sizes) / (time.perf_counter() - start)
    # 0.18 s is the median of one CACTI 7 run over our grid, built with -O2.
    print(f"one by one: {rate:.3g} macros/s, {rate * 0.18:.3g} times as fast as running CACTI for each")
    print("\n".join(accuracy_table()))


if __name__ == "__main__":
    main()
