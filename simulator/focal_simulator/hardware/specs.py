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
    model_validator,
)

from focal_common.config import StrictModel
from focal_common.errors import UnsupportedError
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
        if isinstance(given, dict) and cls.model_fields["value"].annotation is int:
            value = given.get("value")
            if isinstance(value, float) and value.is_integer():
                return {**given, "value": int(value)}  # 1e30 is then beyond a bound, and not "no integer"
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


class Nanoseconds(Quantity):
    """A time; at least a femtosecond, at most a second."""

    value: PositiveFloat = Field(ge=1e-6, le=1e9)
    unit: Literal["ns"]


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
            output stationary outside, weight stationary inside (Focus, HPCA 2026, sec. VI-C).
        is_weight_double_buffered: Whether the weights of a fold load while the fold before it streams; folds then
            overlap their drain, too.
        is_weight_wavefront: Whether they load behind the last row of that fold, so that no second set of registers is
            needed; they come from a port of a stated width (``core.weight_port``).
    """

    loop_order: Literal["m,n,k,column"] = "m,n,k,column"
    is_weight_double_buffered: bool = False
    is_weight_wavefront: bool = False


FORMAT_BITS: Final = {
    "fp32": 32,
    "int32": 32,
    "fp16": 16,
    "bf16": 16,
    "fp8": 8,
    "int8": 8,
    "int4": 4,
}
"""Bits of each number format."""

Format = Literal["fp32", "int32", "fp16", "bf16", "fp8", "int8", "int4"]

PRECISIONS: Final[Mapping[str, Mapping[str, str]]] = {
    "fp16": {
        "weights": "fp16",
        "activations": "fp16",
        "scores": "fp16",
        "partial_sums": "fp16",
        "accumulators": "fp32",
        "source": "Focus, HPCA 2026, Table I and sec. VII: FP16 operands, FP32 accumulation; sums of 2 bytes in the "
        "published buffers",
    },
    "int8": {
        "weights": "int8",
        "activations": "int8",
        "scores": "int8",
        "partial_sums": "int32",
        "accumulators": "int32",
        "source": "assumed: products of INT8 summed by 32-bit adders, and no sum cut short in a buffer",
    },
}
"""Presets by name: a format for each operand."""


class Precision(StrictModel):
    """Number format of each operand.

    Attributes:
        weights: Of linear layers.
        activations: Inputs and outputs of layers; queries, keys and values of attention, which meet the array in
            place of inputs or weights.
        scores: Of attention, before and after softmax.
        partial_sums: Sums of a fold on their way through the buffers.
        accumulators: Sums inside the array.
        source: Why these.
    """

    weights: Format
    activations: Format
    scores: Format
    partial_sums: Format
    accumulators: Format
    source: str = Field(min_length=3)

    @model_validator(mode="after")
    def _holds_sums(self) -> Precision:
        held = self.partial_sums
        if FORMAT_BITS[held] < 16 or (self.accumulators.startswith("int") and held != self.accumulators):
            expected = self.accumulators if self.accumulators.startswith("int") else "fp16, bf16 or fp32"
            raise ValueError(
                f"partial_sums is {held}, expected {expected}: sums of {self.accumulators} accumulators that a buffer "
                "cuts shorter overflow or lose the product"
            )
        return self

    @model_validator(mode="after")
    def _adds_products(self) -> Precision:
        kinds = {
            one: getattr(self, one).startswith("int") for one in ("weights", "activations", "accumulators")
        }
        if len(set(kinds.values())) > 1 or self.bits("accumulators") < self.bits("activations"):
            raise ValueError(
                f"accumulators is {self.accumulators}, expected "
                f"{'int32' if kinds['activations'] else 'fp32 or fp16'}: it adds products of {self.weights} weights "
                f"and {self.activations} activations"
            )
        return self

    @model_validator(mode="after")
    def _multiplies_scores(self) -> Precision:
        if self.scores != self.activations and FORMAT_BITS[self.scores] <= FORMAT_BITS[self.activations]:
            raise ValueError(
                f"scores is {self.scores}, expected {self.activations} or wider: scores meet the multipliers of the "
                "activations, and nothing here widens them"
            )
        return self

    @property
    def published_bytes(self) -> int:
        """Bytes of the one element size that published formulas know.

        Raises:
            UnsupportedError: Operands differ in size.
        """
        sizes = {self.bits(operand) for operand in ("weights", "activations", "scores", "partial_sums")}
        if len(sizes) > 1 or min(sizes) % 8:
            raise UnsupportedError(
                "precision has operands of "
                f"{', '.join(str(one) for one in sorted(sizes))} bits, and published formulas know one size; "
                "use fidelity cycle"
            )
        return sizes.pop() // 8

    @property
    def input_bits(self) -> int:
        """Bits of the widest element that an input buffer holds."""
        return max(self.bits("activations"), self.bits("scores"))

    @property
    def stationary_bits(self) -> int:
        """Bits of the widest element that a weight buffer holds; keys and values wait there, too."""
        return max(self.bits("weights"), self.bits("activations"))

    def bits(self, operand: str) -> int:
        """Return the bits of one operand."""
        return FORMAT_BITS[getattr(self, operand)]


OPERANDS: Final = ("weights", "activations", "scores", "partial_sums", "accumulators")

if TYPE_CHECKING:
    Operand = str
else:
    Operand = Literal[OPERANDS]

Factor = Annotated[float, Field(gt=0, le=1e12)]
"""Value of a field at which something was synthesised; 1 of a switch that is on, bits of a format."""


class Component(StrictModel):
    """One kind of logic in the core.

    Attributes:
        label: Name in area and power reports.
        count: Instances.
        area: Of one instance.
        power: Of one instance at full activity and ``timing.synthesised_clock``; fidelity ``parity`` charges it for
            the whole run.
        active_with: Unit in `UNITS` during whose work it is active, fidelity ``cycle``.
        follows: Fields of the hardware file by the value at which area and power hold; both are proportional to
            each. A switch counts as 0 or 1 and a format as its bits; what follows a switch that is off is absent.
        formats: Operands that it computes with, by the format at which area and power hold.
        register_area: Share of the area that registers of these operands take; it goes with their bits.
        register_power: Likewise of the power.
    """

    label: PlainName
    count: Count
    area: Area
    power: Power
    active_with: Activity = "array"
    follows: Mapping[str, Factor] = {}
    formats: Mapping[Operand, Format] = {}
    register_area: Fraction | None = None
    register_power: Fraction | None = None


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
        follows: Fields by the value at which ``size`` and the number of macros hold, as of a `Component`.
        formats: The operand that it holds, by the format at which ``size``, ``port`` and ``macros`` hold; macros
            stand side by side in proportion to its bits.
        macros: Memory-compiler macros that build all copies; none where CACTI prices it.
        source: Where the macro list comes from.
    """

    size: Bytes | None = None
    port: Bytes | None = None
    copies: Count
    follows: Mapping[str, Factor] = {}
    formats: Mapping[Operand, Format] = {}
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

    @property
    def buffer_ports(self) -> Mapping[str, int]:
        """Ports stated for a buffer, by its name; 0 for those of the published timing."""
        return {"output": self.output_ports.value}


_NS_PER_SECOND = 1e9 * (1 + 1e-9)  # of a clock that is written as the inverse of a rounded time

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


class Timing(StrictModel):
    """How fast the parts of a file may run.

    Attributes:
        synthesised_clock: Clock at which areas and powers of components are stated.
        critical_path: Shortest cycle of the logic.
        allow_beyond: Whether a cycle shorter than the critical path, or than the access time of a buffer, runs all
            the same.
    """

    synthesised_clock: Frequency
    critical_path: Nanoseconds
    allow_beyond: bool = False


class HardwareSpec(StrictModel):
    """What every accelerator file says; plug-ins add their core and tiles.

    Attributes:
        accelerator: Registry name of the plug-in the file is for; with ``base``, a name of its own.
        base: Name of the accelerator or plain array whose lowering the hardware is for; None for that of its name.
        label: Name in summary tables.
        sram_node: Technology node of the buffers, if CACTI prices them.
        clock: Clock frequency.
        timing: Clock of the stated powers, and shortest cycle.
        precision: Format of each operand.
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
    timing: Timing
    precision: Precision
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

    @model_validator(mode="before")
    @classmethod
    def _names_operands(cls, given: Any) -> Any:
        if isinstance(given, dict) and "element_bytes" in given:
            raise ValueError(
                "element_bytes is no field any more, expected precision: a format for each operand, such as "
                "{weights: fp16, activations: fp16, scores: fp16, partial_sums: fp16, accumulators: fp32, source: ...}"
            )
        return given

    @model_validator(mode="after")
    def _has_one_memory(self) -> HardwareSpec:
        if (self.dram is None) == (self.dram_system == GIVEN):
            expected = f"'{GIVEN}'" if self.dram is not None else f"a preset, because no 'dram' is {GIVEN}"
            raise ValueError(f"dram_system is '{self.dram_system}', expected {expected}")
        return self

    @model_validator(mode="after")
    def _keeps_time(self) -> HardwareSpec:
        if self.clock_is_beyond and not self.timing.allow_beyond:
            raise ValueError(
                f"clock is {self.clock.value:g} Hz, expected at most {1e9 / self.timing.critical_path.value:.5g}: the "
                f"logic needs {self.timing.critical_path.value:g} ns a cycle (timing.critical_path); "
                "timing.allow_beyond=true runs it all the same, and every table says so"
            )
        return self

    @property
    def clock_is_beyond(self) -> bool:
        """Whether a cycle is shorter than the critical path of the logic."""
        return self.is_beyond(self.timing.critical_path.value)

    def is_beyond(self, time_ns: float) -> bool:
        """Return whether a cycle is shorter than a time."""
        return self.clock.value * time_ns > _NS_PER_SECOND

    @property
    def power_at_clock(self) -> float:
        """Power at full activity over that stated: the dynamic part goes with the clock, leakage stays."""
        pace = self.clock.value / self.timing.synthesised_clock.value
        leakage = self.leakage_fraction.value
        return 1.0 if pace == 1.0 else leakage + (1 - leakage) * pace

    @property
    def leakage_share(self) -> float:
        """Share of the power at this clock that flows when a unit is idle."""
        return self.leakage_fraction.value / self.power_at_clock

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
