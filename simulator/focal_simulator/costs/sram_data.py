"""The embedded table of CACTI 7 runs as arrays, and bilinear interpolation in its logarithms."""

from __future__ import annotations

import lzma
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

from focal_common.errors import ConfigError
from focal_common.reading.csv_files import parse_csv

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
    _, rows = parse_csv(lzma.decompress(packed).decode("ascii"), "cacti7_sram.csv.xz")

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


MINIMUM_ROWS = 31
"""Below this many rows (size / port) CACTI 7 finds no organisation. Source: all 265 failed runs of our grid have
at most 30 rows, every success at least 31."""


def smallest_bytes(port_bytes: int) -> int:
    """Return a capacity that the embedded table can interpolate for a port at every node, as small as may be.

    Source: the grid itself, which starts at 1 KiB and at 32 rows, and whose ports are powers of two.
    """
    return max(1024, 32 << (port_bytes - 1).bit_length())


_MINIMUM_SIZES = 8  # a port width with fewer sizes is a lone point, not a column to interpolate along


@dataclass(frozen=True)
class SramGrid:
    """Macros of one node and one number of extra read ports, as columns of equal port width.

    Attributes:
        ports_bytes: Port widths with enough sizes, ascending.
        sizes_bytes: Per port width, the sizes, ascending.
        log_values: Per port width, log of the figures, axes (sizes, METRICS).
    """

    ports_bytes: NDArray[np.int64]
    sizes_bytes: tuple[NDArray[np.int64], ...]
    log_values: tuple[NDArray[np.float64], ...]

    @classmethod
    def of(cls, points: SramPoints, chosen: NDArray[np.bool_]) -> SramGrid:
        """Build the grid of the ``chosen`` points; check points are never used."""
        used = chosen & ~points.is_check
        ports, sizes, logs = [], [], []
        for port in np.unique(points.port_bytes[used]):
            column = np.flatnonzero(used & (points.port_bytes == port))
            if len(column) < _MINIMUM_SIZES:
                continue
            column = column[np.argsort(points.size_bytes[column])]
            ports.append(int(port))
            sizes.append(points.size_bytes[column])
            logs.append(np.log(points.values[column]))
        return cls(np.array(ports, dtype=np.int64), tuple(sizes), tuple(logs))

    def interpolate(self, size_bytes: int, port_bytes: int) -> NDArray[np.float64]:
        """Return the figures of a macro inside the grid, axis (METRICS).

        Args:
            size_bytes: Capacity.
            port_bytes: Port width.

        Raises:
            ConfigError: It lies outside; the message gives the range.
        """
        ports = self.ports_bytes
        if not ports[0] <= port_bytes <= ports[-1]:
            raise ConfigError(
                f"SRAM port_bytes {port_bytes} is outside the table ({ports[0]} to {ports[-1]} B)"
            )
        upper = int(np.searchsorted(ports, port_bytes))
        if ports[upper] == port_bytes:
            return np.asarray(np.exp(self._along(upper, size_bytes, port_bytes)))
        low, high = np.log(ports[upper - 1]), np.log(ports[upper])
        weight = (np.log(port_bytes) - low) / (high - low)
        below, above = (self._along(place, size_bytes, port_bytes) for place in (upper - 1, upper))
        return np.asarray(np.exp((1 - weight) * below + weight * above))

    def _along(self, place: int, size_bytes: int, port_bytes: int) -> NDArray[np.float64]:
        """Return the logarithms of the figures at one port width of the grid."""
        sizes = self.sizes_bytes[place]
        if not sizes[0] <= size_bytes <= sizes[-1]:
            raise ConfigError(
                f"SRAM size_bytes {size_bytes} with port_bytes {port_bytes} is outside the table "
                f"({sizes[0]} to {sizes[-1]} B for ports of {self.ports_bytes[place]} B)"
            )
        logs, where = np.log(sizes), np.log(size_bytes)
        return np.array([np.interp(where, logs, column) for column in self.log_values[place].T])
