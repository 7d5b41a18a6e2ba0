"""Plain systolic arrays: bases of hardware files that bring an accelerator of their own."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from focal_common.errors import ConfigError
from focal_common.places import PlainName
from focal_simulator.accelerators.base import Accelerator, AcceleratorStudy
from focal_simulator.costs.needs import DOUBLE_BUFFERED, LEAST_PORT_BYTES, BufferNeed, with_stated_ports
from focal_simulator.costs.sram_data import smallest_bytes
from focal_simulator.hardware.specs import Component, Count, HardwareSpec, SystolicHardware
from focal_simulator.jobs.context import CycleContext
from focal_simulator.jobs.lowering import Lowering
from focal_simulator.jobs.systolic import SystolicArray, systolic_array
from focal_simulator.jobs.tokens import array_token_jobs
from focal_simulator.workload.arithmetic import bytes_of
from focal_simulator.workload.workload import Workload

_BUFFERS = ("input", "wgt", "output")


class ArrayComponent(Component):
    """One kind of logic, ``count`` times; without a count, once for each multiplier of the array."""

    count: Count | None = None  # type: ignore[assignment]  # `PlainArray.components` fills it


class PlainArrayHardware(SystolicHardware):
    """Hardware file of a plain array, whose buffers and counts may follow from its size."""

    components: dict[PlainName, ArrayComponent]  # type: ignore[assignment]  # see `ArrayComponent`


class PlainArray(Accelerator[PlainArrayHardware]):
    """Weight-stationary systolic array without any unit beside it; it computes all tokens.

    Paper: none; the array is the baseline of Focus, HPCA 2026, in sizes of one's own.
    Deviations: none known.
    """

    hardware_model: ClassVar[type[HardwareSpec]] = PlainArrayHardware
    preset: ClassVar[str] = "systolic_array"
    study: ClassVar[AcceleratorStudy] = AcceleratorStudy()

    def array(self, context: CycleContext) -> SystolicArray:
        """Return the array by itself."""
        return systolic_array(self.hardware, context, self.hardware.tiles.m_tile.value)

    def jobs(self, workload: Workload, context: CycleContext) -> Lowering:
        """Return the GEMMs of every block."""
        return array_token_jobs(self.array(context), workload, context, has_all_tokens=True)

    def buffers(self, corrections: frozenset[str] = frozenset()) -> tuple[BufferNeed, ...]:
        """Return the three buffers: as stated, or two tiles of their kind with a port as wide as the array.

        Raises:
            ConfigError: Another buffer is named or one is missing, one does not hold its tiles, or a port is narrower
                than what the array reads or writes in a cycle.
        """
        hardware, precision = self.hardware, self.hardware.precision
        rows, columns = hardware.core.array_rows.value, hardware.core.array_columns.value
        m_tile, n_tile = hardware.tiles.m_tile.value, hardware.tiles.n_tile.value
        if set(hardware.buffers) != set(_BUFFERS):
            raise ConfigError(
                f"{self.name}: field 'buffers' has {', '.join(hardware.buffers) or 'none'}, expected exactly "
                f"{', '.join(_BUFFERS)}"
            )
        tiles = {
            "input": (m_tile, rows, rows, precision.input_bits),
            "wgt": (rows, n_tile, columns, precision.stationary_bits),
            "output": (m_tile, n_tile, columns, precision.bits("partial_sums")),
        }
        needs = []
        for name, (high, wide, port, bits) in tiles.items():
            spec, least = hardware.buffers[name], bytes_of(DOUBLE_BUFFERED * high * wide, bits)
            narrowest = max(bytes_of(port, bits), LEAST_PORT_BYTES)
            width = narrowest if spec.port is None else spec.port.value
            if name == "wgt" and (stated := hardware.core.weight_port.value):
                width = max(stated, LEAST_PORT_BYTES)  # and loading takes as long as that
            elif width < narrowest:
                raise ConfigError(
                    f"{self.name}: field 'buffers.{name}.port' is {width}, expected at least {narrowest}: {port} "
                    f"elements of {bits} bits a cycle{'; or core.weight_port' if name == 'wgt' else ''}"
                )
            # Tiles that are smaller than any macro lie in the smallest.
            size = max(least, smallest_bytes(width)) if spec.size is None else spec.size.value
            if size < least:
                raise ConfigError(
                    f"{self.name}: field 'buffers.{name}.size' is {size}, expected at least {least}: two tiles of "
                    f"{high} x {wide} elements of {bits} bits"
                )
            needs.append(BufferNeed(name, size, width, spec.copies.value))
        return with_stated_ports(needs, hardware.core)

    def components(self, corrections: frozenset[str] = frozenset()) -> tuple[Component, ...]:
        """Return the core logic, counted.

        Raises:
            ConfigError: A component that multiplies is stated to be there fewer times than the array has multipliers.
        """
        core = self.hardware.core
        many = core.array_rows.value * core.array_columns.value
        every = Count(value=many, unit="1", source="one for each multiplier")
        for name, part in self.hardware.components.items():
            if part.count is not None and part.count.value < many and "weights" in part.formats:
                raise ConfigError(
                    f"{self.name}: field 'components.{name}.count' is {part.count.value}, expected at least {many}, "
                    "one for each multiplier of the array, or no count"
                )
        return tuple(
            part if part.count is not None else part.model_copy(update={"count": every})
            for part in super().components()
        )


class TokenArray(PlainArray):
    """The same array, fed with the tokens that a method kept.

    Paper: none; an array that is given fewer tokens needs no unit for it.
    Deviations: none known.
    """

    study: ClassVar[AcceleratorStudy] = AcceleratorStudy(uses_counts=True)

    def jobs(self, workload: Workload, context: CycleContext) -> Lowering:
        """Return the GEMMs of every block."""
        return array_token_jobs(self.array(context), workload, context)

    def live_tokens(self, workload: Workload) -> NDArray[np.int64]:
        """Return the tokens that the method kept."""
        return workload.kept_tokens
