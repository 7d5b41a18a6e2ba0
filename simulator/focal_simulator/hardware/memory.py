"""Checked parameters of a memory: the device, the controller and the system built from them.

Holds no state and no timing behaviour; everything derived from a parameter is a property.
"""

from __future__ import annotations

import math
from typing import Annotated, Any, Final

from pydantic import Field, model_validator

from focal_common.config import StrictModel
from focal_common.errors import near_matches

MAX_CHANNELS, MAX_RANKS, MAX_GROUPS, MAX_BANKS = 32, 128, 512, 2048
MAX_QUEUE_DEPTH, MAX_TRANSACTION_DEPTH = 16, 64
"""Largest system the kernels hold room for."""

ADDRESS_FIELDS = ("row", "channel", "rank", "bankgroup", "bank", "column")
"""The six parts of an address, each named once in ``address_order``."""

_INTERLEAVED: Final = "row rank bank column bankgroup channel"
"""What streams get the peak from: neighbouring bursts lie in different channels, then in different bank groups."""

_RATE_TOLERANCE = 0.01
_MOST_CLOCK_NS = 1000

PositiveCycles = Annotated[int, Field(ge=1, le=1_000_000)]
Cycles = Annotated[int, Field(ge=0, le=1_000_000)]
PowerOfTwo = Annotated[int, Field(ge=1, le=1 << 40)]
Milliamperes = Annotated[float, Field(ge=0, le=100_000)]
PicojoulesPerBit = Annotated[float, Field(ge=0, le=1000)]
Source = Annotated[str, Field(min_length=10)]


class _Section(StrictModel):
    """Numbers with one source; ``notes`` names the fields whose origin or value needs a word of its own."""

    source: Source
    notes: Annotated[dict[str, str], Field(default_factory=dict)]

    @model_validator(mode="after")
    def _notes_name_fields(self) -> _Section:
        for name in self.notes:
            if name not in type(self).model_fields:
                raise ValueError(f"notes: no field '{name}'; {near_matches(name, type(self).model_fields)}")
        return self


class OrganisationSpec(_Section):
    """Shape of one device and of the rank it forms."""

    bank_groups: PowerOfTwo
    banks_per_group: PowerOfTwo
    rows: PowerOfTwo
    columns: PowerOfTwo
    device_width_bits: PowerOfTwo
    burst_length: PowerOfTwo
    burst_cycles: PositiveCycles
    bus_width_bits: PowerOfTwo

    @model_validator(mode="after")
    def _powers_of_two(self) -> OrganisationSpec:
        for name in type(self).model_fields:
            value = getattr(self, name)
            if isinstance(value, int) and name != "burst_cycles" and value & (value - 1):
                raise ValueError(f"{name} must be a power of two, got {value}")
        if self.device_width_bits > self.bus_width_bits:
            raise ValueError("device_width_bits must not exceed bus_width_bits")
        if self.columns < self.burst_length:
            raise ValueError("columns must be at least burst_length")
        return self

    @property
    def request_bytes(self) -> int:
        """Bytes one burst carries over the whole bus."""
        return self.bus_width_bits // 8 * self.burst_length

    @property
    def devices_per_rank(self) -> int:
        """Devices side by side on the bus."""
        return self.bus_width_bits // self.device_width_bits

    @property
    def banks(self) -> int:
        """Banks of one rank."""
        return self.bank_groups * self.banks_per_group

    @property
    def rank_bytes(self) -> int:
        """Capacity of one rank."""
        return self.banks * self.rows * self.columns * self.bus_width_bits // 8


class TimingSpec(_Section):
    """Device timings in clock cycles, under their JEDEC names spelt out.

    ``_same_group`` values are the data sheets' ``_L``, ``_other_group`` their ``_S``. A file may give any of them in
    nanoseconds, as ``refresh_ns`` in place of ``refresh_cycles``: rounded up to whole cycles, as a controller would.
    """

    clock_ns: Annotated[float, Field(gt=0, le=_MOST_CLOCK_NS)]
    read_latency_cycles: PositiveCycles  # CL
    write_latency_cycles: PositiveCycles  # CWL
    activate_to_column_cycles: PositiveCycles  # tRCD
    precharge_cycles: PositiveCycles  # tRP
    activate_to_precharge_cycles: PositiveCycles  # tRAS
    refresh_cycles: PositiveCycles  # tRFC
    refresh_interval_cycles: PositiveCycles  # tREFI
    activate_to_activate_other_group_cycles: PositiveCycles  # tRRD_S
    activate_to_activate_same_group_cycles: PositiveCycles  # tRRD_L
    write_to_read_other_group_cycles: PositiveCycles  # tWTR_S
    write_to_read_same_group_cycles: PositiveCycles  # tWTR_L
    four_activate_window_cycles: PositiveCycles  # tFAW
    write_recovery_cycles: PositiveCycles  # tWR
    read_to_precharge_cycles: PositiveCycles  # tRTP
    column_to_column_other_group_cycles: PositiveCycles  # tCCD_S
    column_to_column_same_group_cycles: PositiveCycles  # tCCD_L
    rank_switch_cycles: Cycles  # tRTRS
    precharge_to_precharge_cycles: Cycles = 0  # tPPD, only LPDDR4

    @model_validator(mode="before")
    @classmethod
    def _in_cycles(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        found, clock = {}, given.get("clock_ns")
        for name, value in given.items():
            cycles = f"{str(name).removesuffix('_ns')}_cycles"
            if not str(name).endswith("_ns") or cycles not in cls.model_fields:
                found[name] = value
                continue
            if (
                not isinstance(clock, int | float)
                or isinstance(clock, bool)
                or not 0 < clock <= _MOST_CLOCK_NS
            ):
                raise ValueError(
                    f"clock_ns is {clock!r:.40}, expected a number above 0, at most {_MOST_CLOCK_NS}, for timings in ns"
                )
            if cycles in given:
                raise ValueError(f"{name} and {cycles} are given, expected one of the two")
            if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value < 1e9:
                raise ValueError(f"{name} must be nanoseconds of 0 to 1e9, got {value!r:.40}")
            # A clock such as 1.25 ns divides its multiples up to rounding of the last digit.
            found[cycles] = math.ceil(value / clock - 1e-6)
        return found

    @model_validator(mode="after")
    def _orders(self) -> TimingSpec:
        pairs = ("activate_to_activate", "write_to_read", "column_to_column")
        for name in pairs:
            same = getattr(self, f"{name}_same_group_cycles")
            other = getattr(self, f"{name}_other_group_cycles")
            if same < other:
                raise ValueError(
                    f"{name}_same_group_cycles must be >= the other_group value {other}, got {same}"
                )
        if self.refresh_interval_cycles <= self.refresh_cycles:
            raise ValueError(
                "refresh_interval_cycles must exceed refresh_cycles, or nothing but refresh runs"
            )
        return self


class CurrentSpec(_Section):
    """Supply voltage and the data sheet's average currents per device."""

    supply_volts: Annotated[float, Field(gt=0, le=10)]
    activate_precharge_ma: Milliamperes  # IDD0
    precharge_standby_ma: Milliamperes  # IDD2N
    active_standby_ma: Milliamperes  # IDD3N
    write_burst_ma: Milliamperes  # IDD4W
    read_burst_ma: Milliamperes  # IDD4R
    refresh_ma: Milliamperes  # IDD5AB

    @model_validator(mode="after")
    def _above_standby(self) -> CurrentSpec:
        for name in ("write_burst_ma", "read_burst_ma", "refresh_ma"):
            if getattr(self, name) < self.active_standby_ma:
                raise ValueError(f"{name} must be at least active_standby_ma, got {getattr(self, name)}")
        return self


class BitEnergySpec(_Section):
    """Energy by the bit, where no currents are known; activation is in a bit, refresh in the background."""

    read_pj_per_bit: PicojoulesPerBit
    write_pj_per_bit: PicojoulesPerBit
    background_mw: Annotated[float, Field(ge=0, le=1e9)]  # of one rank, all the time


class DeviceSpec(StrictModel):
    """One kind of memory device; ``standard`` and ``rate_mt_per_s`` (of a pin) may say again what the rest means."""

    name: Annotated[str, Field(min_length=1)]
    standard: str = ""
    rate_mt_per_s: Annotated[float, Field(gt=0, le=1_000_000)] | None = None
    organisation: OrganisationSpec
    timing: TimingSpec
    currents: CurrentSpec | None = None
    energy: BitEnergySpec | None = None
    has_dual_command: bool = False  # separate row and column command buses (HBM)

    @model_validator(mode="after")
    def _consistent(self) -> DeviceSpec:
        if (self.currents is None) == (self.energy is None):
            raise ValueError("expected either currents or energy (pJ/bit)")
        if self.rate_mt_per_s is not None:
            shape, clock = self.organisation, self.timing.clock_ns
            rate = shape.burst_length / (shape.burst_cycles * clock) * 1e3
            if abs(rate - self.rate_mt_per_s) > _RATE_TOLERANCE * rate:
                raise ValueError(
                    f"rate_mt_per_s is {self.rate_mt_per_s:g}, but burst_length {shape.burst_length} in burst_cycles "
                    f"{shape.burst_cycles} of clock_ns {clock:g} are {rate:.6g}; expected them to agree within 1 %"
                )
        return self


class InterfaceSpec(_Section):
    """Energy of the wires between memory and controller, which currents of a device leave out."""

    pj_per_bit: PicojoulesPerBit


class ControllerSpec(_Section):
    """Queues and policy of one channel's controller (open page, one queue per bank)."""

    bank_queue_depth: Annotated[int, Field(ge=1, le=MAX_QUEUE_DEPTH)]
    transaction_queue_depth: Annotated[int, Field(ge=1, le=MAX_TRANSACTION_DEPTH)]
    row_hit_cap: PositiveCycles
    write_drain_threshold: Annotated[int, Field(ge=0, le=1024)]


DEFAULT_CONTROLLER: Final = ControllerSpec(
    source="DRAMsim3 1.0 defaults (open page, per-bank queues, rank-staggered refresh)",
    notes={},
    bank_queue_depth=8,
    transaction_queue_depth=32,
    row_hit_cap=4,
    write_drain_threshold=8,
)


class DramSpec(StrictModel):
    """A memory system: identical channels of identical ranks, and how addresses spread over them."""

    name: Annotated[str, Field(min_length=1)]
    citation: Source
    device: DeviceSpec
    controller: ControllerSpec = DEFAULT_CONTROLLER
    channels: PowerOfTwo
    ranks: PowerOfTwo
    address_order: str = _INTERLEAVED  # high to low, the six words of ADDRESS_FIELDS
    # Requests the front end offers per clock; one for each channel if left out.
    issue_width: Annotated[int, Field(ge=1, le=1024)]
    interface: InterfaceSpec | None = None

    def __hash__(self) -> int:
        """Return a number that equal memories share; notes are mappings, which have none."""
        return hash((self.name, self.citation))

    @model_validator(mode="before")
    @classmethod
    def _feeds_channels(cls, given: Any) -> Any:
        if isinstance(given, dict) and "issue_width" not in given and isinstance(given.get("channels"), int):
            return {**given, "issue_width": max(given["channels"], 1)}
        return given

    @model_validator(mode="after")
    def _consistent(self) -> DramSpec:
        words = self.address_order.split()
        for word in words:
            if word not in ADDRESS_FIELDS:
                raise ValueError(
                    f"address_order: '{word}' is not a field; {near_matches(word, ADDRESS_FIELDS)}"
                )
        if sorted(words) != sorted(ADDRESS_FIELDS):
            raise ValueError(f"address_order must name each of {' '.join(ADDRESS_FIELDS)} exactly once")
        for name in ("channels", "ranks"):
            if getattr(self, name) & (getattr(self, name) - 1):
                raise ValueError(f"{name} must be a power of two, got {getattr(self, name)}")
        ranks = self.channels * self.ranks
        # the fixed size of the kernels' state record (layout.py)
        for name, value, most in (
            ("channels", self.channels, MAX_CHANNELS),
            ("channels x ranks", ranks, MAX_RANKS),
            ("channels x ranks x bank_groups", ranks * self.device.organisation.bank_groups, MAX_GROUPS),
            ("channels x ranks x banks", ranks * self.device.organisation.banks, MAX_BANKS),
        ):
            if value > most:
                raise ValueError(f"{name} must be at most {most}, got {value}")
        if self.device.timing.refresh_interval_cycles < self.ranks:
            raise ValueError("ranks must be at most refresh_interval_cycles")
        return self

    @property
    def request_bytes(self) -> int:
        """Bytes of one request (one burst)."""
        return self.device.organisation.request_bytes

    @property
    def capacity_bytes(self) -> int:
        """Addresses wrap at this size."""
        return self.channels * self.ranks * self.device.organisation.rank_bytes
