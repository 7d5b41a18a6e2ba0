"""The memory-compiler cost model of buffers: published macros, their whole power taken as static."""

from __future__ import annotations

import math
from functools import lru_cache
from importlib.resources import files

from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt

from focal_common.config import StrictModel, validated
from focal_common.errors import ConfigError, near_matches
from focal_common.reading.yaml_files import parse_yaml
from focal_simulator.hardware.specs import BufferSpec

_HZ_PER_MHZ = 1e6
_BITS_PER_BYTE = 8


class Macro(StrictModel):
    """One memory-compiler macro.

    Attributes:
        depth: Words.
        width_bits: Bits per word.
        area_mm2: Area.
        read_ua_per_mhz: Supply current of reading every cycle, per MHz of clock.
        write_ua_per_mhz: Supply current of writing every cycle, per MHz of clock.
        leakage_ua: Leakage current.
        supply_v: Supply voltage.
    """

    depth: PositiveInt
    width_bits: PositiveInt
    area_mm2: PositiveFloat
    read_ua_per_mhz: NonNegativeFloat
    write_ua_per_mhz: NonNegativeFloat
    leakage_ua: NonNegativeFloat
    supply_v: PositiveFloat

    def power_mw(self, clock_hz: float) -> float:
        """Return leakage plus half of the read and write power at full activity."""
        clock_mhz = clock_hz / _HZ_PER_MHZ
        leakage = self.leakage_ua * self.supply_v / 1000
        active = 0.5 * (self.read_ua_per_mhz + self.write_ua_per_mhz) * clock_mhz * self.supply_v / 1000
        return leakage + active


class MacroTable(StrictModel):
    """All macros and where their numbers come from."""

    source: str
    macros: dict[str, Macro]


@lru_cache(maxsize=1)
def macro_table() -> MacroTable:
    """Return the packaged macro table."""
    text = files("focal_simulator.costs").joinpath("sram_macros.yaml").read_text(encoding="utf-8")
    return validated(MacroTable, parse_yaml(text, "sram_macros.yaml"), "sram_macros.yaml")


def _macro(name: str, buffer: str) -> Macro:
    table = macro_table().macros
    if name not in table:
        raise ConfigError(f"buffer '{buffer}': unknown SRAM macro '{name}'; {near_matches(name, table)}")
    return table[name]


def checked_macros(name: str, spec: BufferSpec) -> tuple[int, int]:
    """Return capacity and width, in bytes, of the macros that a buffer lists.

    Raises:
        ConfigError: It lists none, or none with a source.
    """
    if not spec.macros:
        raise ConfigError(
            f"buffer '{name}': lists no macros; add buffers.{name}.macros to the hardware file, or price "
            "buffers by CACTI (sram cacti)"
        )
    if not spec.source:
        raise ConfigError(
            f"buffer '{name}': its macros have no source; say in buffers.{name}.source where they come from"
        )
    capacity_bytes = width_bytes = 0
    for use in spec.macros:
        macro = _macro(use.macro, name)
        word_bytes = macro.width_bits // _BITS_PER_BYTE
        width_bytes += word_bytes * use.parallel
        capacity_bytes += macro.depth * word_bytes * use.parallel * use.banks
    return capacity_bytes, width_bytes


def macros_area_mm2(spec: BufferSpec, buffer: str) -> float:
    """Return the area of all macros of a buffer."""
    return math.fsum(_macro(use.macro, buffer).area_mm2 * use.parallel * use.banks for use in spec.macros)


def macros_power_mw(spec: BufferSpec, buffer: str, clock_hz: float) -> float:
    """Return the power of all macros of a buffer, charged for the whole run."""
    return math.fsum(
        _macro(use.macro, buffer).power_mw(clock_hz) * use.parallel * use.banks for use in spec.macros
    )
