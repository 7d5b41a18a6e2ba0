"""Area, leakage and access energy of an SRAM macro of any size, port width, port number and node.

Order of answers: a macro that CACTI 7 was run for (exact); the user's own CACTI binary, if one is given;
interpolation in the embedded table. Each answer says which it is. The figures are a model's, at 360 K with fast
devices and ECC, of one macro without wiring around it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Literal, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from focal_common.errors import ConfigError, near_matches
from focal_simulator.costs.sram_data import METRICS, MINIMUM_ROWS, SramGrid, SramPoints, embedded_points

__all__ = ["SOURCES", "CactiRunner", "SramMacro", "SramTable"]

Source = Literal["exact", "cacti", "interpolated"]
SOURCES: tuple[Source, ...] = ("exact", "cacti", "interpolated")


@dataclass(frozen=True, slots=True)
class SramMacro:
    """One SRAM macro.

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

    @property
    def total_leakage_mw(self) -> float:
        """Sub-threshold and gate leakage; what an estimate should charge."""
        return self.leakage_mw + self.gate_leakage_mw


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
        sources: Which kinds of answers are allowed; a design sweep should not mix them unseen.
    """

    points: SramPoints
    cacti: CactiRunner | None = None
    sources: Sequence[str] = SOURCES
    _grids: dict[tuple[float, int], SramGrid] = field(default_factory=dict, compare=False, repr=False)

    def __post_init__(self) -> None:
        for source in self.sources:
            if source not in SOURCES:
                raise ConfigError(f"unknown SRAM source '{source}'; {near_matches(source, SOURCES)}")

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
            ConfigError: Outside the table, or only answerable by a source that is not allowed.
        """
        figures, sources = self.macros([size_bytes], [port_bytes], [extra_read_ports], node_um)
        return SramMacro(**dict(zip(METRICS, figures[0].tolist(), strict=True)), source=sources[0])

    def macros(
        self,
        size_bytes: ArrayLike,
        port_bytes: ArrayLike,
        extra_read_ports: ArrayLike = 0,
        node_um: float = 0.028,
    ) -> tuple[NDArray[np.float64], list[Source]]:
        """Return many macros at once.

        Args:
            size_bytes: Capacities, axis (macros).
            port_bytes: Port widths, same axis or one.
            extra_read_ports: Extra read ports, same axis or one.
            node_um: Technology node of all.

        Returns:
            Figures, axes (macros, METRICS), and the source of each.

        Raises:
            ConfigError: See `macro`.
        """
        sizes, ports, extra = (
            np.atleast_1d(np.asarray(part, dtype=np.int64))
            for part in np.broadcast_arrays(size_bytes, port_bytes, extra_read_ports)
        )
        self._check(sizes, ports, extra, node_um)
        figures = np.full((len(sizes), len(METRICS)), np.nan)
        sources: list[Source | None] = [None] * len(sizes)
        if "exact" in self.sources:
            for place, row in enumerate(self._exact(sizes, ports, extra, node_um)):
                if row >= 0:
                    figures[place], sources[place] = self.points.values[row], "exact"
        missing = [place for place, source in enumerate(sources) if source is None]
        if missing and self.cacti is not None and "cacti" in self.sources:
            for place in missing:
                asked = (int(sizes[place]), int(ports[place]), int(extra[place]))
                figures[place], sources[place] = self.cacti.figures(*asked, node_um), "cacti"
            missing = []
        if missing:
            self._fill(figures, sources, np.array(missing), sizes, ports, extra, node_um)
        return figures, [source for source in sources if source is not None]

    def _fill(
        self,
        figures: NDArray[np.float64],
        sources: list[Source | None],
        missing: NDArray[np.int64],
        sizes: NDArray[np.int64],
        ports: NDArray[np.int64],
        extra: NDArray[np.int64],
        node_um: float,
    ) -> None:
        if "interpolated" not in self.sources:
            first = missing[0]
            raise ConfigError(
                f"SRAM size_bytes {sizes[first]} with port_bytes {ports[first]} and {extra[first]} extra "
                "read ports is not in the table, and only these sources are allowed: "
                f"{', '.join(self.sources)}"
            )
        for count in np.unique(extra[missing]):
            here = missing[extra[missing] == count]
            figures[here] = self._grid(node_um, int(count)).interpolate(sizes[here], ports[here])
            for place in here:
                sources[place] = "interpolated"

    def _check(
        self, sizes: NDArray[np.int64], ports: NDArray[np.int64], extra: NDArray[np.int64], node_um: float
    ) -> None:
        self.check_node(node_um)
        for name, values in (("size_bytes", sizes), ("port_bytes", ports)):
            if (values < 1).any():
                raise ConfigError(f"SRAM {name} must be at least 1, got {int(values.min())}")
        at_node = np.isclose(self.points.node_um, node_um, rtol=0, atol=1e-9)
        most = int(self.points.extra_read_ports[at_node].max())
        if (extra < 0).any() or (extra > most).any():
            wrong = int(extra[(extra < 0) | (extra > most)][0])
            raise ConfigError(
                f"SRAM extra_read_ports must be 0 to {most} at node_um {node_um:g}, got {wrong}"
            )
        flat = sizes < MINIMUM_ROWS * ports
        if flat.any():
            size, port = int(sizes[flat][0]), int(ports[flat][0])
            raise ConfigError(
                f"SRAM size_bytes {size} with port_bytes {port} has {size / port:.3g} rows; CACTI "
                f"needs at least {MINIMUM_ROWS}, so expected size_bytes >= {MINIMUM_ROWS * port}"
            )

    def _exact(
        self, sizes: NDArray[np.int64], ports: NDArray[np.int64], extra: NDArray[np.int64], node_um: float
    ) -> NDArray[np.int64]:
        index = self.points.index
        node_pm = round(node_um * 1e6)
        found = (
            index.get((node_pm, *asked), -1)
            for asked in zip(extra.tolist(), ports.tolist(), sizes.tolist(), strict=True)
        )
        return np.fromiter(found, dtype=np.int64, count=len(sizes))

    def _grid(self, node_um: float, extra_read_ports: int) -> SramGrid:
        key = (round(node_um, 9), extra_read_ports)
        if key not in self._grids:
            chosen = np.isclose(self.points.node_um, node_um, rtol=0, atol=1e-9)
            chosen &= self.points.extra_read_ports == extra_read_ports
            self._grids[key] = SramGrid.of(self.points, chosen)
        return self._grids[key]
