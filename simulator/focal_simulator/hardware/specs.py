"""Hardware files as checked values: every number has a unit and a source."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final, Literal

from pydantic import (
    Discriminator,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    Tag,
    field_validator,
    model_validator,
)

from focal_common.config import StrictModel
from focal_common.places import PlainName
from focal_common.registry import Registry
from focal_simulator.hardware.memory import DramSpec

OUTSIDE_UNITS: Registry[str] = Registry("unit", {}, group="focal.units")
"""Units of other distributions: a name, which result columns will carry, to a sentence on what the unit does."""

SIDE_UNITS = ("sec", "sfu", "preprocess", *OUTSIDE_UNITS)
"""Units beside the array: ``sec`` sorts token importance, ``sfu`` computes special functions, ``preprocess`` is what an
accelerator does to the input of a GEMM."""

SERIAL_UNITS = SIDE_UNITS[2:]
"""Those that may also work before a GEMM, while the array waits."""

WHOLE_UNITS = ("sec",)
"""Those whose work several arrays cannot share: one ranking of all tokens is one piece of work."""

UNITS = ("array", "scatter", "gather", *SIDE_UNITS)
"""Every kind of unit, in the order of tables."""


class Quantity(StrictModel):
    """A number, its unit and where it comes from.

    Attributes:
        value: The number, in ``unit``.
        unit: Unit as text; each subclass allows one.
        source: Paper and table, tool with version, or ``assumed: reason``.
    """

    value: float
    unit: str
    source: str = Field(min_length=3)

    @model_validator(mode="before")
    @classmethod
    def _is_sourced(cls, given: Any) -> Any:
        if isinstance(given, (int, float, str)):
            raise ValueError("a number needs its unit and source: write {value: ..., unit: ..., source: ...}")
        if isinstance(given, dict) and not given.get("source"):
            raise ValueError("the number has no source; add source: where it was published or measured")
        return given


class Count(Quantity):
    """A positive whole number of things."""

    value: PositiveInt = Field(le=2**24)
    unit: Literal["1"]


class Bytes(Quantity):
    """A positive whole number of bytes."""

    value: PositiveInt = Field(le=2**40)
    unit: Literal["B"]


class ArrayCount(Quantity):
    """A number of arrays."""

    value: PositiveInt = Field(le=1024)
    unit: Literal["1"]


ONE_ARRAY: Final = ArrayCount(value=1, unit="1", source="one array, unless said otherwise")


class Cycles(Quantity):
    """A latency in cycles of the array."""

    value: NonNegativeInt = Field(le=2**16)
    unit: Literal["cycles"]


class Ports(Quantity):
    """Ports of each half of a buffer, each a read or a write a cycle; 0 for as many as the published timing takes."""

    value: NonNegativeInt = Field(le=64)
    unit: Literal["1"]


class PortWidth(Quantity):
    """Bytes that a port moves in a cycle; 0 for as many as the published timing takes."""

    value: NonNegativeInt = Field(le=2**20)
    unit: Literal["B"]


class Area(Quantity):
    """A silicon area; at most a square metre, so that sums stay finite."""

    value: NonNegativeFloat = Field(le=1e6)
    unit: Literal["mm2"]


class Power(Quantity):
    """A power; at most a megawatt."""

    value: NonNegativeFloat = Field(le=1e9)
    unit: Literal["mW"]


class Frequency(Quantity):
    """A clock; at least 1 Hz, at most 1 THz."""

    value: PositiveFloat = Field(ge=1.0, le=1e12)
    unit: Literal["Hz"]


class Node(Quantity):
    """A technology node."""

    value: PositiveFloat
    unit: Literal["um"]


class EnergyPerByte(Quantity):
    """Energy of moving one byte; at most a microjoule."""

    value: NonNegativeFloat = Field(le=1e6)
    unit: Literal["pJ/B"]


class EnergyPerBit(Quantity):
    """Energy of moving one bit; at most a microjoule."""

    value: NonNegativeFloat = Field(le=1e6)
    unit: Literal["pJ/bit"]


class BytesPerSecond(Quantity):
    """A bandwidth; at most a petabyte a second."""

    value: PositiveFloat = Field(le=1e15)
    unit: Literal["B/s"]


if TYPE_CHECKING:
    Activity = str
else:
    Activity = Literal[
        UNITS
    ]  # checked without a call into Python, which would be felt in studies of many designs


class Fraction(Quantity):
    """A share between 0 and 1."""

    value: float = Field(ge=0.0, le=1.0)
    unit: Literal["1"]


class Dataflow(StrictModel):
    """Order of the loops and overlaps of a GEMM, fidelity ``cycle``.

    Attributes:
        loop_order: Loops from the outermost: m-tile, n-buffer tile, k-slice, array column. The only order modelled:
            output stationary outside, weight stationary inside (Focus, HPCA 2026, sec. VI-C). What the others
            would move: docs/better_focus.md, "Loop order and buffer split".
        is_weight_double_buffered: Whether the weights of a fold load while the fold before it streams; folds then
            overlap their drain, too.
        is_weight_wavefront: Whether they load behind the last row of that fold, so that no second set of registers is
            needed; they come from a port of a stated width (``core.weight_port``).
    """

    loop_order: Literal["m,n,k,column"] = "m,n,k,column"
    is_weight_double_buffered: bool = False
    is_weight_wavefront: bool = False

    @field_validator("loop_order", mode="before")
    @classmethod
    def _is_simulated(cls, given: Any) -> Any:
        if given != "m,n,k,column":
            raise ValueError(
                "only 'm,n,k,column' is simulated; what other loop orders would move is in docs/better_focus.md, "
                f"Loop order and buffer split; got {given!r}"
            )
        return given


class Component(StrictModel):
    """One kind of logic in the core.

    Attributes:
        label: Name in area and power reports.
        count: Instances.
        area: Of one instance.
        power: Of one instance at full activity; fidelity ``parity`` charges it for the whole run.
        active_with: Unit in `UNITS` during whose work it is active, fidelity ``cycle``.
    """

    label: PlainName
    count: Count
    area: Area
    power: Power
    active_with: Activity = "array"


class MacroUse(StrictModel):
    """A memory-compiler macro inside a buffer.

    Attributes:
        macro: Name in the macro table, depth x bits.
        parallel: Macros side by side; they widen the port.
        banks: Macros one after the other; they add capacity.
    """

    macro: PlainName
    parallel: PositiveInt
    banks: PositiveInt


class BufferSpec(StrictModel):
    """One on-chip buffer.

    Attributes:
        size: Capacity of one copy; absent where the accelerator derives it from its tile sizes.
        port: Width of the port; absent where derived.
        copies: Independent instances.
        macros: Memory-compiler macros that build all copies; none where CACTI prices it.
        source: Where the macro list comes from.
    """

    size: Bytes | None = None
    port: Bytes | None = None
    copies: Count
    macros: tuple[MacroUse, ...] = ()
    source: str = ""


_AS_PUBLISHED: Final = "as published: the timing takes as many as it needs"


class SystolicCore(StrictModel):
    """A weight-stationary systolic array.

    Attributes:
        array_rows: Height h, the K direction.
        array_columns: Width w, the N direction.
        output_latency: From the last register of the array to the output buffer, with correction
            ``array_latencies``.
        weight_port: Bytes of weights that reach the array in a cycle; 0 for one array row, whatever the price is of.
        output_ports: Ports of the output buffer, which reads and writes each partial sum; 0 for as many as it needs.
    """

    array_rows: Count
    array_columns: Count
    output_latency: Cycles = Cycles(
        value=2,
        unit="cycles",
        source="our RTL: a count in place of a last index, and the write into the buffer",
    )
    weight_port: PortWidth = PortWidth(value=0, unit="B", source=_AS_PUBLISHED)
    output_ports: Ports = Ports(value=0, unit="1", source=_AS_PUBLISHED)

    @property
    def output_word_rows(self) -> int:
        """Rows of outputs that lie in one word of the output buffer."""
        return 1


GIVEN: Final = "given"
"""What ``dram_system`` says where ``dram`` gives the memory itself."""


class PlainMemory(StrictModel):
    """A memory by its figures alone: every stream runs at the same rate, every bit costs the same.

    Attributes:
        bandwidth: Sustained, of reads as of writes.
        energy: Of one bit read or written, I/O included.
        background: Standby and refresh.
    """

    bandwidth: BytesPerSecond
    energy: EnergyPerBit
    background: Power


def _memory_kind(given: Any) -> str:
    """Return which of the two a memory is: one by its figures says its bandwidth."""
    if isinstance(given, PlainMemory | DramSpec):
        return "figures" if isinstance(given, PlainMemory) else "banks"
    return "figures" if isinstance(given, dict) and "bandwidth" in given else "banks"


Memory = Annotated[
    Annotated[PlainMemory, Tag("figures")] | Annotated[DramSpec, Tag("banks")], Discriminator(_memory_kind)
]
"""A memory that hardware holds itself: by its figures, or by banks and timings."""


FP16_UNITS = {
    "add": "fp16_add",
    "mul": "fp16_mul",
    "max": "fp16_add",
    "exp": "fp16_exp",
    "sqrt": "fp16_sqrt",
    "reciprocal": "fp16_reciprocal",
}
"""Names in the shipped files; none lists comparators, so the adders compare."""


class HardwareSpec(StrictModel):
    """What every accelerator file says; plug-ins add their core and tiles.

    Attributes:
        accelerator: Registry name of the plug-in the file is for; with ``base``, a name of its own.
        base: Name of the accelerator or plain array whose lowering the hardware is for; None for that of its name.
        label: Name in summary tables.
        sram_node: Technology node of the buffers, if CACTI prices them.
        clock: Clock frequency.
        element_bytes: Bytes of one operand.
        dram_energy: Energy of one byte to or from DRAM.
        dram_system: Preset of the bank-level memory model, fidelity ``cycle``; `GIVEN` with ``dram``.
        dram: A memory by its figures or by banks and timings, in place of a preset.
        arrays: How many of it share the memory, each with core and buffers of its own; fidelity ``cycle``.
        leakage_fraction: Share of a unit's power that it draws when idle, fidelity ``cycle``.
        dataflow: Loop order and overlaps, fidelity ``cycle``.
        dram_bandwidth: Declared bandwidth, which no formula uses (the published simulator has no DRAM timing).
        components: Core logic in the order of the breakdown file.
        buffers: Buffers in the order of the breakdown file.
    """

    accelerator: PlainName
    base: PlainName | None = None
    label: PlainName
    sram_node: Node
    clock: Frequency
    element_bytes: Bytes
    dram_energy: EnergyPerByte
    dram_bandwidth: BytesPerSecond | None = None
    dram_system: PlainName
    dram: Memory | None = None
    arrays: ArrayCount = ONE_ARRAY
    leakage_fraction: Fraction
    dataflow: Dataflow = Dataflow()
    components: dict[PlainName, Component]
    buffers: dict[PlainName, BufferSpec]

    special_functions: ClassVar[Mapping[str, str]] = {}
    """Component that does each elementary operation of softmax, normalisation and activation. Where a class names
    none, its accelerator has no special-function unit: such operators take no time, and every run says so."""

    @model_validator(mode="after")
    def _has_one_memory(self) -> HardwareSpec:
        if (self.dram is None) == (self.dram_system == GIVEN):
            expected = f"'{GIVEN}'" if self.dram is not None else f"a preset, because no 'dram' is {GIVEN}"
            raise ValueError(f"dram_system is '{self.dram_system}', expected {expected}")
        return self

    def record(self) -> dict[str, Any]:
        """Return the JSON-like content, which builds it again; what is not given is left out: base, memory, arrays."""
        exclude = {name for name in ("base", "dram") if getattr(self, name) is None}
        if self.arrays == ONE_ARRAY:
            exclude.add("arrays")
        return self.model_dump(mode="json", exclude=exclude)


class SystolicTiles(StrictModel):
    """Tile of a GEMM on chip: rows, and output columns."""

    m_tile: Count
    n_tile: Count


class SystolicHardware(HardwareSpec):
    """Hardware file of a plain systolic array, with buffers ``input``, ``wgt`` and ``output``."""

    core: SystolicCore
    tiles: SystolicTiles
