"""Area, static power and energy per byte of every buffer, by memory compiler or by CACTI."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Literal, Protocol

from focal_common.errors import ConfigError
from focal_simulator.costs.component_costs import scale, word_ratio
from focal_simulator.costs.needs import BufferNeed, SramModel
from focal_simulator.costs.sram import SramTable
from focal_simulator.costs.sram_macros import checked_macros, macro_table, macros_area_mm2, macros_power_mw
from focal_simulator.hardware.specs import BufferSpec, HardwareSpec

SramChoice = Literal["auto", "compiler", "cacti"]

_MACRO_NODE_UM = 0.028
_MW_PER_PJ_PER_SECOND = 1e-9
_MOST_BYTES = 1 << 30
"""Largest buffer. The engine counts the bits of a step in 64-bit integers, times 2^20; no chip comes near either."""

_CACTI_SOURCES = {"exact": "cacti", "cacti": "cacti, own binary", "interpolated": "cacti, interpolated"}


@dataclass(frozen=True, slots=True)
class BufferCost:
    """Cost of one buffer, all copies together.

    Attributes:
        name: Buffer name.
        capacity_bytes: Of all copies.
        area_mm2: Of all copies.
        static_mw: Charged for the whole run.
        read_pj_per_byte: Energy per byte read.
        write_pj_per_byte: Energy per byte written.
        port_bytes: Bytes that all copies read, and write, in a cycle at most.
        read_ports: Reads of so many bytes in a cycle.
        source: Where the figures come from.
        access_ns: Time of an access; 0 where it is not known, as of macros, which run at the synthesised clock.
    """

    name: str
    capacity_bytes: int
    area_mm2: float
    static_mw: float
    read_pj_per_byte: float
    write_pj_per_byte: float
    port_bytes: int = 0
    read_ports: int = 1
    source: str = "given"
    access_ns: float = 0.0

    def peak_mw(self, clock_hz: float) -> float:
        """Return the power of a buffer whose ports read and write in every cycle."""
        each = self.read_pj_per_byte * self.read_ports + self.write_pj_per_byte
        return self.static_mw + each * self.port_bytes * clock_hz * _MW_PER_PJ_PER_SECOND


class Buffered(Protocol):
    """What has buffers to price: an accelerator."""

    hardware: Any

    def buffers(self, corrections: frozenset[str] = frozenset()) -> tuple[BufferNeed, ...]:
        """Return the buffers."""

    def sram_model(self, corrections: frozenset[str] = frozenset()) -> SramModel:
        """Return the buffer cost model that the published runs used for this configuration."""


def buffer_costs(owner: Buffered, choice: SramChoice = "auto") -> tuple[BufferCost, ...]:
    """Return the cost of each buffer, in the order of the hardware file.

    Args:
        owner: With its hardware.
        choice: Buffer cost model; ``auto`` takes the one of the published run of this configuration.

    Raises:
        ConfigError: A buffer has no macros, or the CACTI table does not cover it.
    """
    return costs_of(owner.hardware, owner.buffers(), owner.sram_model() if choice == "auto" else choice)


def costs_of(
    hardware: HardwareSpec, needs: tuple[BufferNeed, ...], model: SramModel
) -> tuple[BufferCost, ...]:
    """Return the cost of the given buffers; raises as `buffer_costs`."""
    for need in needs:
        if need.size_bytes > _MOST_BYTES:
            raise ConfigError(
                f"{hardware.accelerator}: buffer '{need.name}' would hold {need.size_bytes} bytes, expected at most "
                f"{_MOST_BYTES}; make the tiles or the array smaller"
            )
    if model == "compiler":
        return tuple(_compiler_cost(hardware, need) for need in needs)
    return tuple(_cacti_cost(hardware, need) for need in needs)


def of_all_arrays(costs: tuple[BufferCost, ...], arrays: int) -> tuple[BufferCost, ...]:
    """Return the costs of the buffers of several equal arrays; energy per byte stays."""
    if arrays == 1:
        return costs
    return tuple(
        replace(
            cost,
            capacity_bytes=cost.capacity_bytes * arrays,
            area_mm2=cost.area_mm2 * arrays,
            static_mw=cost.static_mw * arrays,
        )
        for cost in costs
    )


def sram_label(costs: tuple[BufferCost, ...]) -> str:
    """Return where the costs come from, every source named once."""
    return " + ".join(sorted({cost.source for cost in costs}))


def _compiler_cost(hardware: HardwareSpec, need: BufferNeed) -> BufferCost:
    if need.name not in hardware.buffers:
        raise ConfigError(f"{hardware.accelerator}.yaml: buffers has no entry '{need.name}'")
    spec = _built(hardware, need)
    if need.stated_ports > 1:
        raise ConfigError(
            f"{hardware.accelerator}: buffer '{need.name}': its macros have one port, the hardware states "
            f"{need.stated_ports}; use buffer costs of cacti",
            about=("sram",),
        )
    if hardware.sram_node.value != _MACRO_NODE_UM:
        raise ConfigError(
            f"{hardware.accelerator}.yaml: memory-compiler macros exist for sram_node {_MACRO_NODE_UM:g} only, got "
            f"{hardware.sram_node.value:g}; use sram cacti"
        )
    return BufferCost(
        name=need.name,
        capacity_bytes=need.size_bytes * need.copies,
        area_mm2=macros_area_mm2(spec, need.name),
        static_mw=macros_power_mw(spec, need.name, hardware.clock.value),
        # The published model charges full activity as if it were static, and nothing per byte.
        read_pj_per_byte=0.0,
        write_pj_per_byte=0.0,
        port_bytes=need.port_bytes * need.copies,
        read_ports=1 + need.extra_read_ports,
        source="compiler",
    )


def _cacti_cost(hardware: HardwareSpec, need: BufferNeed) -> BufferCost:
    try:
        cost = _macro_cost(need, hardware.sram_node.value)
    except ConfigError as error:
        raise ConfigError(f"{hardware.accelerator}: buffer '{need.name}': {error}") from error
    if hardware.is_beyond(cost.access_ns) and not hardware.timing.allow_beyond:
        raise ConfigError(
            f"{hardware.accelerator}: buffer '{need.name}' takes {cost.access_ns:.3g} ns an access at sram_node "
            f"{hardware.sram_node.value:g}, and a cycle at clock {hardware.clock.value:g} Hz "
            f"{1e9 / hardware.clock.value:.3g} ns; expected a smaller or narrower buffer, or a slower clock; "
            "timing.allow_beyond=true runs it all the same, and every table says so"
        )
    return cost


@lru_cache(maxsize=65536)
def _macro_cost(need: BufferNeed, node_um: float) -> BufferCost:
    """Return the cost of a buffer; a port wider than CACTI was run for is made of equal macros side by side."""
    table = SramTable.configured()
    beside = -(-need.port_bytes // table.widest_port(need.extra_read_ports, node_um))
    size, port = -(-need.size_bytes // beside), -(-need.port_bytes // beside)
    macro = table.macro(size, port, need.extra_read_ports, node_um)
    return BufferCost(
        name=need.name,
        capacity_bytes=need.size_bytes * need.copies,
        area_mm2=macro.area_mm2 * (need.copies * beside),
        static_mw=macro.leakage_mw * (need.copies * beside),
        read_pj_per_byte=macro.read_pj_per_byte,
        write_pj_per_byte=macro.write_pj_per_byte,
        port_bytes=need.port_bytes * need.copies,
        read_ports=1 + need.extra_read_ports,
        source=_CACTI_SOURCES[macro.source],
        access_ns=macro.access_ns,
    )


_BITS_PER_BYTE = 8


def access_costs(
    hardware: HardwareSpec, needs: tuple[BufferNeed, ...], model: SramModel
) -> tuple[BufferCost, ...]:
    """Return the costs of buffers by energy per access and leakage; raises as `costs_of`."""
    costs = costs_of(hardware, needs, model)
    if model != "compiler":
        return costs
    return tuple(_by_access(cost, _built(hardware, need)) for cost, need in zip(costs, needs, strict=True))


def _built(hardware: HardwareSpec, need: BufferNeed) -> BufferSpec:
    """Return a buffer with as many of its macros as the need asks for.

    Rule: macros stand side by side in proportion to the bits of the operand, and until they are as wide as the port;
    as many such rows follow one another as hold the capacity, and as what the buffer follows asks for. There are never
    fewer than the file lists for its operand.

    Raises:
        ConfigError: The buffer lists no macros, or macros without a source.
    """
    spec = hardware.buffers[need.name]
    capacity_bytes, width_bytes = checked_macros(need.name, spec)
    words = word_ratio(hardware, spec)
    wide = max(words, need.port_bytes / width_bytes)
    held = capacity_bytes * wide
    many = max(need.size_bytes * need.copies / held, scale(hardware, spec.follows, f"buffers.{need.name}"))
    if wide == 1.0 and many <= 1.0:
        return spec
    macros = [
        use.model_copy(
            update={
                "parallel": math.ceil(use.parallel * wide),
                "banks": math.ceil(use.banks * max(many, 1.0)),
            }
        )
        for use in spec.macros
    ]
    return spec.model_copy(update={"macros": tuple(macros)})


def _by_access(cost: BufferCost, spec: BufferSpec) -> BufferCost:
    """Replace power by energy: microampere per megahertz is picocoulomb per access, times volts picojoule."""
    table = macro_table().macros
    leakage_mw = read = write = 0.0
    capacity = 0
    for use in spec.macros:
        macro, count = table[use.macro], use.parallel * use.banks
        width_bytes = macro.width_bits / _BITS_PER_BYTE
        bits = macro.depth * macro.width_bits * count
        leakage_mw += macro.leakage_ua * macro.supply_v / 1000 * count
        # Bytes spread over banks of different macros in proportion to what they hold.
        read += macro.read_ua_per_mhz * macro.supply_v / width_bytes * bits
        write += macro.write_ua_per_mhz * macro.supply_v / width_bytes * bits
        capacity += bits
    return BufferCost(
        name=cost.name,
        capacity_bytes=cost.capacity_bytes,
        area_mm2=cost.area_mm2,
        static_mw=leakage_mw,
        read_pj_per_byte=read / capacity,
        write_pj_per_byte=write / capacity,
        port_bytes=cost.port_bytes,
        read_ports=cost.read_ports,
        source=cost.source,
    )
