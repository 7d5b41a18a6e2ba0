"""The embedded table of CACTI 7 runs as arrays."""

from __future__ import annotations

import csv
import lzma
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

__all__ = ["METRICS", "SramPoints", "embedded_points"]

METRICS = ("area_mm2", "leakage_mw", "gate_leakage_mw", "read_pj_per_byte", "write_pj_per_byte", "access_ns")
"""Figures of a macro, in the order of `SramPoints.values`."""

_PJ_PER_NJ = 1000.0


@dataclass(frozen=True)
class SramPoints:
    """Macros that were really run; all arrays have axis (points).

    Attributes:
        node_um: Technology node, float64.
        extra_read_ports: int64.
        port_bytes: int64.
        size_bytes: int64.
        values: Axes (points, METRICS), float64.
        is_check: True for random points that no interpolation uses.
    """

    node_um: NDArray[np.float64]
    extra_read_ports: NDArray[np.int64]
    port_bytes: NDArray[np.int64]
    size_bytes: NDArray[np.int64]
    values: NDArray[np.float64]
    is_check: NDArray[np.bool_]

    @cached_property
    def index(self) -> dict[tuple[int, int, int, int], int]:
        """Row by (node in picometres, extra read ports, port, size)."""
        nodes = np.rint(self.node_um * 1e6).astype(np.int64)
        columns = (nodes, self.extra_read_ports, self.port_bytes, self.size_bytes)
        keys = zip(*(column.tolist() for column in columns), strict=True)
        return {key: row for row, key in enumerate(keys)}


@cache
def embedded_points() -> SramPoints:
    """Read the packaged table; see ``costs/data/README.md`` for tool, settings and columns."""
    packed = (files("focal_simulator.costs") / "data" / "cacti7_sram.csv.xz").read_bytes()
    rows = list(csv.DictReader(lzma.decompress(packed).decode("ascii").splitlines()))

    def column(name: str) -> NDArray[np.float64]:
        return np.array([float(row[name]) for row in rows])

    port = column("port_bytes")
    values = np.column_stack(
        [
            column("height_mm") * column("width_mm"),
            column("leakage_mw"),
            column("gate_leakage_mw"),
            column("read_nj") / port * _PJ_PER_NJ,
            column("write_nj") / port * _PJ_PER_NJ,
            column("access_ns"),
        ]
    )
    return SramPoints(
        node_um=column("node_um"),
        extra_read_ports=column("extra_read_ports").astype(np.int64),
        port_bytes=port.astype(np.int64),
        size_bytes=column("size_bytes").astype(np.int64),
        values=values,
        is_check=np.array([row["use"] == "check" for row in rows]),
    )
