"""Checked parameters of a memory: the device, the controller and the system built from them.

Holds no state and no timing behaviour; everything derived from a parameter is a property.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Annotated

from pydantic import Field, model_validator

from focal_common.config import StrictModel, apply_overrides, packaged_names, packaged_yaml, validated
from focal_common.errors import near_matches

MAX_CHANNELS, MAX_RANKS, MAX_GROUPS, MAX_BANKS = 32, 128, 512, 2048
MAX_QUEUE_DEPTH, MAX_TRANSACTION_DEPTH = 16, 64
"""Largest system the kernels hold room for."""

ADDRESS_FIELDS = ("row", "channel", "rank", "bankgroup", "bank", "column")
"""The six parts of an address, each named once in ``address_order``."""

PositiveCycles = Annotated[int, Field(ge=1, le=1_000_000)]
Cycles = Annotated[int, Field(ge=0, le=1_000_000)]
PowerOfTwo = Annotated[int, Field(ge=1, le=1 << 40)]
Milliamperes = Annotated[float, Field(ge=0, le=100_000)]
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

    ``_same_group`` values are the data sheets' ``_L``, ``_other_group`` their ``_S``.
    """

    clock_ns: Annotated[float, Field(gt=0, le=1000)]
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


class DeviceSpec(StrictModel):
    """One kind of memory device."""

    name: Annotated[str, Field(min_length=1)]
    organisation: OrganisationSpec
    timing: TimingSpec
    currents: CurrentSpec
    has_dual_command: bool = False  # separate row and column command buses (HBM)


class ControllerSpec(_Section):
    """Queues and policy of one channel's controller (open page, one queue per bank)."""

    bank_queue_depth: Annotated[int, Field(ge=1, le=MAX_QUEUE_DEPTH)]
    transaction_queue_depth: Annotated[int, Field(ge=1, le=MAX_TRANSACTION_DEPTH)]
    row_hit_cap: PositiveCycles
    write_drain_threshold: Annotated[int, Field(ge=0, le=1024)]


class DramSpec(StrictModel):
    """A memory system: identical channels of identical ranks, and how addresses spread over them."""

    name: Annotated[str, Field(min_length=1)]
    citation: Source
    device: DeviceSpec
    controller: ControllerSpec
    channels: PowerOfTwo
    ranks: PowerOfTwo
    address_order: str  # high to low, the six words of ADDRESS_FIELDS
    issue_width: Annotated[int, Field(ge=1, le=1024)]  # requests the front end offers per clock
    interface_pj_per_bit: Annotated[float, Field(ge=0, le=1000)] = (
        0.0  # I/O energy, not in the device currents
    )

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


def preset_names() -> tuple[str, ...]:
    """Return the names of the memory systems that ship with Focal, sorted."""
    return packaged_names(files("focal_simulator.dram") / "presets")


@cache
def _load(name: str, overrides: tuple[str, ...]) -> DramSpec:
    where = f"memory preset {name}"
    tree = packaged_yaml(files("focal_simulator.dram") / "presets", name, "unknown memory preset", where)
    device = tree.get("device")
    if isinstance(device, str):
        unknown = f"{where}: field 'device': unknown"
        tree["device"] = packaged_yaml(
            files("focal_simulator.dram") / "devices", device, unknown, f"memory device {device}"
        )
    return validated(DramSpec, apply_overrides(tree, list(overrides), where), where)


def load_dram_spec(name: str, overrides: list[str] | None = None) -> DramSpec:
    """Return a shipped memory system, with ``dotted.field=value`` changes applied.

    Args:
        name: One of `preset_names`.
        overrides: Such as ``["ranks=1", "device.timing.clock_ns=0.833"]``.

    Raises:
        ConfigError: Unknown preset or field (with near matches), or a value out of range.

    Example:
        >>> load_dram_spec("ddr4_1ch_shipped").request_bytes
        64
    """
    return _load(name, tuple(overrides or ()))
