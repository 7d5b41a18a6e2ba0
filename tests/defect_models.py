"""What single defects of the published simulator cost: each function changes one formula and compares.

The defects are those that a re-implementation of the published artifact of Focus (HPCA 2026) laid open.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from statistics import geometric_mean
from typing import Any

import numpy as np

from focal_simulator.accelerators.base import Accelerator, published_formulas
from focal_simulator.accelerators.focus.accelerator import VectorRows
from focal_simulator.accelerators.focus_sec_only.accelerator import FocusSecOnly
from focal_simulator.accelerators.presets import build_accelerator
from focal_simulator.costs.buffer_costs import buffer_costs
from focal_simulator.costs.sram_macros import macros_power_mw
from focal_simulator.engine.parity.level import core_power_mw, simulate
from focal_simulator.workload.layer_table import ATTENTION, LayerTable, LinearShapes, Numbers
from focal_simulator.workload.loading import load_workloads
from focal_simulator.workload.workload import Workload
from focal_traces.header.schema import GEMMS
from focal_traces.methods.adaptiv import SPARSITY as ADAPTIV
from focal_traces.methods.cmc import SPARSITY as CMC
from focal_traces.root.root import TraceRoot

__all__ = ["DefectModels"]

_QUERY = GEMMS.index("query")
_CONCENTRATION_BUFFERS = ("concentrate_out", "layouter", "similarity_map", "similarity_table")
_DDR4_BYTES_PER_SECOND = 2133e6 * 8
"""One 64-bit channel of DDR4-2133, the DRAM configuration the published energy per byte comes from."""
_SFU_EXPONENTIALS = 192


class _SecOnlyOwnTokens(FocusSecOnly):
    """The ablation with its own token number in the attention byte counters."""

    def attention_rows(self, rows: VectorRows, attention_tokens: Numbers) -> tuple[Numbers, Numbers]:
        """Return T for both, without the published indexing slip."""
        del attention_tokens
        return rows.tokens[:, _QUERY], rows.tokens[:, _QUERY]


def _cycles(table: LayerTable) -> float:
    return float((table.compute_cycles + table.stall_cycles).sum()) * table.repeats


def _dram_bytes(table: LayerTable) -> Numbers:
    """Return DRAM bytes by (block, layer)."""
    parts = [values for (level, _, _), values in table.moved_bytes.items() if level == "dram"]
    total: Numbers = np.sum(parts, axis=0)
    return total


class DefectModels:
    """The published video workloads and one changed formula at a time.

    Args:
        root: Trace root with the published tables and stand-ins.
    """

    def __init__(self, root: Path) -> None:
        every = load_workloads(TraceRoot.open(root), [], [], "focus_main")
        self.videos = [workload for workload in every if workload.row(CMC) is not None]

    @cached_property
    def _accelerators(self) -> dict[str, Accelerator[Any]]:
        return {
            name: build_accelerator(name) for name in ("dense", "adaptiv", "cmc", "focus", "focus_sec_only")
        }

    @cached_property
    def _tables(self) -> dict[str, list[LayerTable]]:
        return {
            name: [published_formulas(accelerator).layers(workload) for workload in self.videos]
            for name, accelerator in self._accelerators.items()
        }

    def _ratios(self, name: str, changed: Callable[[Workload, LayerTable], float]) -> list[float]:
        """Return, by workload, changed cycles over published ones."""
        return [
            changed(workload, table) / _cycles(table)
            for workload, table in zip(self.videos, self._tables[name], strict=True)
        ]

    def sec_only_dram_gap(self) -> tuple[float, float]:
        """D1: smallest and largest part of DRAM traffic that the slipped token number removes."""
        clean = _SecOnlyOwnTokens(self._accelerators["focus_sec_only"].hardware)
        gaps = [
            float(_dram_bytes(table).sum() / _dram_bytes(clean.layers(workload)).sum()) - 1
            for workload, table in zip(self.videos, self._tables["focus_sec_only"], strict=True)
        ]
        return min(gaps), max(gaps)

    def bandwidth_slowdown(self, name: str) -> float:
        """D2: geometric mean slow-down where every layer must wait for one DDR4 channel."""
        clock = self._accelerators[name].hardware.clock.value

        def bound(workload: Workload, table: LayerTable) -> float:
            del workload
            transfer = _dram_bytes(table) / (_DDR4_BYTES_PER_SECOND / clock)
            busy = table.compute_cycles + table.stall_cycles
            return float(np.maximum(busy, transfer).sum()) * table.repeats

        return geometric_mean(self._ratios(name, bound))

    def attention_stall_share(self, name: str) -> tuple[float, float]:
        """D4: smallest and largest part of the stalls beyond the gather tails that attention makes."""
        shares = []
        for table in self._tables[name]:
            stalls = table.stall_cycles - np.min(table.stall_cycles, axis=0, keepdims=True)
            shares.append(float(stalls[:, ATTENTION].sum() / max(stalls.sum(), 1.0)))
        return min(shares), max(shares)

    def leakage_and_charged_mw(self) -> tuple[float, float]:
        """D5: leakage of the Focus macros, and the power that is charged as if it were static."""
        focus = self._accelerators["focus"]
        parts = focus.hardware.buffers.items()
        leakage = sum(macros_power_mw(spec, name, 0.0) for name, spec in parts)
        return leakage, sum(cost.static_mw for cost in buffer_costs(focus, "compiler"))

    def sec_only_tile_cost(self) -> float:
        """D7: geometric mean of SEC-only cycles with its m-tile of 512 over those with 1024."""
        wide = published_formulas(build_accelerator("focus_sec_only", overrides=["tiles.m_tile=1024"]))
        return 1 / geometric_mean(
            self._ratios("focus_sec_only", lambda workload, _: _cycles(wide.layers(workload)))
        )

    def dense_without_concentration(self) -> tuple[float, float, float]:
        """D8: lean dense area (mm2), Focus area over it, lean dense energy over the published one."""
        dense, focus = self._accelerators["dense"], self._accelerators["focus"]
        costs = buffer_costs(dense)
        kept = tuple(cost for cost in costs if cost.name not in _CONCENTRATION_BUFFERS)

        def area(accelerator: Accelerator[Any], buffers: Any) -> float:
            core = sum(part.area.value * part.count.value for part in accelerator.components())
            return core + float(sum(cost.area_mm2 for cost in buffers))

        energy = [
            simulate(dense, workload, "auto", kept).total_mj
            / simulate(dense, workload, "auto", costs).total_mj
            for workload in self.videos
        ]
        lean = area(dense, kept)
        return lean, area(focus, buffer_costs(focus)) / lean, geometric_mean(energy)

    def motion_search_cost(self) -> tuple[float, float]:
        """D9: smallest and largest slow-down of CMC if the motion search of linear layers were serial."""
        hardware = self._accelerators["cmc"].hardware

        def serial(workload: Workload, table: LayerTable) -> float:
            shapes = LinearShapes.of(workload.geometry)
            partitions = -(-workload.frames // hardware.core.frames_per_partition.value)
            searched = (workload.frames - partitions) * workload.patches**2 * shapes.inputs
            # Keys and values share the search of the queries.
            cycles = -(-searched // 1024) * np.array([1, 0, 0, 1, 1, 1, 1])
            return _cycles(table) + float(cycles.sum()) * table.repeats

        ratios = self._ratios("cmc", serial)
        return min(ratios), max(ratios)

    def adaptiv_attention_gain(self) -> tuple[float, float]:
        """D10: smallest and largest AdapTiV cycles, heads unpadded and keys merged, over published."""

        def corrected(workload: Workload, table: LayerTable) -> float:
            kept = workload.visual_tokens * (1 - (workload.row(ADAPTIV) or 0.0))
            geometry = workload.geometry
            lines, width = 16, 64
            folds = np.ceil(kept / lines) * np.floor((kept + width - 1) / width)
            product = geometry.head_dim_elements * folds
            product += -(-workload.visual_tokens * geometry.head_dim_elements // width)
            published = float(table.compute_cycles[:, ATTENTION].sum()) * table.repeats
            return _cycles(table) - published + float(product) * geometry.heads * geometry.layers

        ratios = self._ratios("adaptiv", corrected)
        return min(ratios), max(ratios)

    def utilisation(self, name: str) -> tuple[float, float]:
        """D18: smallest and largest multiply-accumulates per MAC unit and cycle."""
        used = [
            float(table.macs.sum()) * table.repeats / (1024 * _cycles(table)) for table in self._tables[name]
        ]
        return min(used), max(used)

    def weight_port_slowdown(self) -> tuple[float, float]:
        """D19: geometric mean and largest slow-down of Focus if weights pass a 2-byte port."""
        load_cycles = 32 * 32  # 2 KiB of weights in a fold, 2 bytes a cycle

        def bound(workload: Workload, table: LayerTable) -> float:
            shapes, counts = LinearShapes.of(workload.geometry), workload.counts
            assert counts is not None
            tiles = -(-counts.tokens[:, shapes.recorded] // 1024)
            folds = tiles * -(-shapes.inputs // 32) * -(-shapes.outputs // 32)
            linear = np.maximum(table.compute_cycles[:, :ATTENTION], folds * load_cycles)
            return float(linear.sum() + table.compute_cycles[:, ATTENTION].sum() + table.stall_cycles.sum())

        ratios = self._ratios("focus", bound)
        return geometric_mean(ratios), max(ratios)

    def dense_traffic(self) -> tuple[float, float]:
        """D20: DRAM bytes of dense on the first workload, published, and with every operand moved once."""
        workload, table = self.videos[0], self._tables["dense"][0]
        shapes, tokens = LinearShapes.of(workload.geometry), workload.visual_tokens
        once = shapes.inputs * shapes.outputs + tokens * (shapes.inputs + shapes.outputs)
        geometry = workload.geometry
        attention = 4 * tokens * geometry.heads * geometry.head_dim_elements
        element = 2
        least = element * (float(once.sum()) + attention) * geometry.layers
        return float(_dram_bytes(table).sum()) * table.repeats, least

    def softmax_share(self) -> tuple[float, float]:
        """D21: smallest and largest part of Focus cycles that exponentials would add on 192 units."""
        shares = []
        for workload, table in zip(self.videos, self._tables["focus"], strict=True):
            counts = workload.counts
            assert counts is not None
            scores = float((counts.tokens[:, _QUERY] ** 2).sum()) * workload.geometry.heads / 2
            shares.append(scores / _SFU_EXPONENTIALS / _cycles(table))
        return min(shares), max(shares)

    def decode_step(self) -> tuple[float, float]:
        """D21: weight bytes of one decode step and its time in s at the bandwidth of one DDR4 channel."""
        shapes, geometry = LinearShapes.of(self.videos[0].geometry), self.videos[0].geometry
        weights = 2.0 * float((shapes.inputs * shapes.outputs).sum()) * geometry.layers
        return weights, weights / _DDR4_BYTES_PER_SECOND

    def map_share(self) -> tuple[float, float]:
        """D22: bytes of similarity maps (2 B a vector) over bytes of stored vectors, smallest and largest."""
        shares = []
        for workload in self.videos:
            counts = workload.counts
            assert counts is not None
            shares.append(2 * float(counts.vectors.sum()) / (2 * 32 * float(counts.unique.sum())))
        return min(shares), max(shares)

    def core_powers_mw(self) -> tuple[float, float]:
        """D23: core power of AdapTiV and of Focus."""
        return core_power_mw(self._accelerators["adaptiv"]), core_power_mw(self._accelerators["focus"])

    def causal_excess(self) -> tuple[float, float]:
        """D26: extra attention work of a causal triangle cut into 32-wide tiles, smallest and largest."""
        extra = [32 / workload.visual_tokens for workload in self.videos]
        return min(extra), max(extra)
