"""Area, leakage and access energy of an SRAM macro of any size, port width, port number and node.

Order of answers: a macro that CACTI 7 was run for (exact); the user's own CACTI binary, if one is given;
interpolation in the embedded table. Each answer says which it is. The figures are a model's, at 360 K with fast
devices and ECC, of one macro without wiring around it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from focal_common.errors import ConfigError
from focal_simulator.costs.sram_data import METRICS, MINIMUM_ROWS, SramGrid, SramPoints, embedded_points

Source = Literal["exact", "cacti", "interpolated"]


@dataclass(frozen=True, slots=True)
class SramMacro:
    """One SRAM macro; figures in the order of `METRICS`.

    Attributes:
        area_mm2: Height times width.
        leakage_mw: Sub-threshold leakage, all the published Focus runs charge.
        gate_leakage_mw: Gate leakage, beside it.
        read_pj_per_byte: Energy of a read access over the port width.
        write_pj_per_byte: Energy of a write access over the port width.
        access_ns: Access time.
        source: ``exact``, ``cacti`` or ``interpolated``.
    """

    area_mm2: float
    leakage_mw: float
    gate_leakage_mw: float
    read_pj_per_byte: float
    write_pj_per_byte: float
    access_ns: float
    source: Source


class CactiRunner(Protocol):
    """Runs a real CACTI; see `focal_simulator.costs.sram_cacti`."""

    def figures(
        self, size_bytes: int, port_bytes: int, extra_read_ports: int, node_um: float
    ) -> tuple[float, ...]:
        """Return the figures in the order of `METRICS`."""


@dataclass(frozen=True)
class SramTable:
    """Answers for macros; build it with `embedded`.

    Attributes:
        points: Macros that were really run.
        cacti: The user's CACTI, or None.
    """

    points: SramPoints
    cacti: CactiRunner | None = None
    _grids: dict[tuple[float, int], SramGrid] = field(default_factory=dict, compare=False, repr=False)

    @staticmethod
    @cache
    def embedded() -> SramTable:
        """Return the table that ships with Focal."""
        return SramTable(embedded_points())

    @staticmethod
    @cache
    def configured() -> SramTable:
        """Return the embedded table, backed by the CACTI binary that ``FOCAL_CACTI`` names, if any.

        Raises:
            ConfigError: ``FOCAL_CACTI`` names nothing that can be run.
        """
        from focal_simulator.costs.sram_cacti import CactiBinary

        return SramTable(embedded_points(), cacti=CactiBinary.from_environment())

    def check_node(self, node_um: float) -> None:
        """Raise `ConfigError` unless the table holds a technology node, in micrometres."""
        nodes = np.unique(self.points.node_um)
        if not np.isclose(nodes, node_um, rtol=0, atol=1e-9).any():
            valid = ", ".join(f"{node:g}" for node in nodes)
            raise ConfigError(f"SRAM node_um {node_um:g} is not in the table; expected one of {valid}")

    def macro(
        self, size_bytes: int, port_bytes: int, extra_read_ports: int = 0, node_um: float = 0.028
    ) -> SramMacro:
        """Return one macro.

        Args:
            size_bytes: Capacity; at least 31 rows of ``port_bytes``.
            port_bytes: Width of the read-write port.
            extra_read_ports: Exclusive read ports beside it.
            node_um: Technology node in micrometres, one of the table.

        Raises:
            ConfigError: Outside the table.
        """
        self._check(size_bytes, port_bytes, extra_read_ports, node_um)
        asked = (size_bytes, port_bytes, extra_read_ports, node_um)
        row = self.points.index.get((round(node_um * 1e6), extra_read_ports, port_bytes, size_bytes))
        if row is not None:
            return _macro(self.points.values[row], "exact")
        if self.cacti is not None:
            return _macro(self.cacti.figures(*asked), "cacti")
        return _macro(self.interpolated(*asked), "interpolated")

    def interpolated(
        self, size_bytes: int, port_bytes: int, extra_read_ports: int, node_um: float
    ) -> NDArray[np.float64]:
        """Return the figures between macros that were run, even where this one was; axis (METRICS)."""
        return self._grid(extra_read_ports, node_um).interpolate(size_bytes, port_bytes)

    def widest_port(self, extra_read_ports: int, node_um: float) -> int:
        """Return the widest port, in bytes, that macros of a node and a number of ports are known for.

        Raises:
            ConfigError: Another node, or more ports than the table holds.
        """
        self._check_ports(extra_read_ports, node_um)
        return int(self._grid(extra_read_ports, node_um).ports_bytes[-1])

    def _grid(self, extra_read_ports: int, node_um: float) -> SramGrid:
        key = (round(node_um, 9), extra_read_ports)
        if key not in self._grids:
            chosen = self._is_at(node_um) & (self.points.extra_read_ports == extra_read_ports)
            self._grids[key] = SramGrid.of(self.points, chosen)
        return self._grids[key]

    def _is_at(self, node_um: float) -> NDArray[np.bool_]:
        return np.isclose(self.points.node_um, node_um, rtol=0, atol=1e-9)

    def _check(self, size_bytes: int, port_bytes: int, extra_read_ports: int, node_um: float) -> None:
        for name, value in (("size_bytes", size_bytes), ("port_bytes", port_bytes)):
            if value < 1:
                raise ConfigError(f"SRAM {name} must be at least 1, got {value}")
        self._check_ports(extra_read_ports, node_um)
        if size_bytes < MINIMUM_ROWS * port_bytes:
            raise ConfigError(
                f"SRAM size_bytes {size_bytes} with port_bytes {port_bytes} has {size_bytes / port_bytes:.3g} rows; "
                f"CACTI needs at least {MINIMUM_ROWS}, so expected size_bytes >= {MINIMUM_ROWS * port_bytes}"
            )

    def _check_ports(self, extra_read_ports: int, node_um: float) -> None:
        self.check_node(node_um)
        most = int(self.points.extra_read_ports[self._is_at(node_um)].max())
        if not 0 <= extra_read_ports <= most:
            raise ConfigError(
                f"SRAM extra_read_ports must be 0 to {most} at node_um {node_um:g}, got {extra_read_ports}"
            )


def _macro(figures: Iterable[float], source: Source) -> SramMacro:
    return SramMacro(**dict(zip(METRICS, map(float, figures), strict=True)), source=source)
