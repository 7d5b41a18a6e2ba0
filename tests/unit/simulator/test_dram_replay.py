"""Is a replay repeatable, safe at the edges, and strict about its input?"""

from __future__ import annotations

import numpy as np
import pytest

from dram_requests import read_requests
from dram_traffic import ddr4, run
from focal_common.errors import ConfigError, TraceError
from focal_simulator.dram import AccessPattern, DramModel, load_dram_spec, preset_names, replay
from focal_simulator.dram.curves import pattern_curve
from focal_simulator.dram.patterns import pattern_requests


def test_no_requests_take_no_time_and_no_energy() -> None:
    result = replay("ddr4_1ch_shipped", [], [])
    assert (result.cycles, result.energy.total_pj, result.num_completed) == (0, 0, 0)
    nothing = DramModel("ddr4_1ch_shipped").service(0, 0)
    assert (nothing.cycles, nothing.energy.total_pj) == (0, 0)


@pytest.mark.parametrize("name", preset_names())
def test_a_replay_repeats_exactly(name: str) -> None:
    requests = pattern_requests(AccessPattern.random(1 << 24), 3000, 0.3, 64)
    first, second = (replay(name, requests.addresses, requests.is_write) for _ in range(2))
    assert first.done_cycles.tolist() == second.done_cycles.tolist()
    assert first.counts == second.counts
    assert first.counts.reads <= 2100


def test_cycles_beyond_32_bits_are_counted_exactly() -> None:
    far = 40_000_000_000  # 37 s of a DDR4-2133 clock
    spec = ddr4("device.timing.refresh_interval_cycles=1000000")
    quarter = far - far % 500_000 + 250_000  # clear of any refresh
    result = run(spec, [("read", quarter, {"row": 1})])
    assert result.done_cycles.tolist() == [quarter + 38]
    assert result.counts.refreshes == quarter // 500_000


def test_reads_of_one_address_finish_together_and_cost_one_burst() -> None:
    result = run(ddr4(), [("read", 0, {"row": 1})] * 5)
    assert result.counts.reads == 1
    assert len(set(result.done_cycles.tolist())) == 1


def test_a_read_of_a_pending_write_is_forwarded() -> None:
    result = run(ddr4(), [("write", 0, {"row": 1}), ("read", 0, {"row": 1})])
    assert result.done_cycles.tolist() == [2, 2]
    assert result.counts.reads == 0


def test_addresses_wrap_at_the_capacity() -> None:
    spec = load_dram_spec("lpddr3_1ch_shipped")
    base = np.arange(500) * 64
    near = replay(spec, base, np.zeros(500, bool))
    far = replay(spec, base + spec.capacity_bytes, np.zeros(500, bool))
    assert near.done_cycles.tolist() == far.done_cycles.tolist()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([0, 64], [False]), "is_write: expected one value per request"),
        (([-64], [False]), "addresses: expected values in"),
        (([0.5], [False]), "addresses: expected a 1-D array of integers"),
        (([0], [False], [-1]), "earliest_cycles: expected values in"),
    ],
)
def test_wrong_requests_are_refused(arguments: tuple[list, ...], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        replay("ddr4_1ch_shipped", *arguments)


@pytest.mark.parametrize(
    ("name", "override", "message"),
    [
        ("ddr4_1ch", None, "did you mean 'ddr4_1ch_"),
        ("ddr4_1ch_shipped", "chanels=2", "did you mean 'channels'"),
        ("ddr4_1ch_shipped", "channels=3", "power of two"),
        ("ddr4_1ch_shipped", "channels=64", "at most 32"),
        ("ddr4_1ch_shipped", "device.timing.clock_ns=0", "clock_ns"),
        ("ddr4_1ch_shipped", "address_order=row channel rank bank bankgroup colum", "did you mean 'column'"),
        ("ddr4_1ch_shipped", "address_order=row row rank bank bankgroup column", "exactly once"),
        ("ddr4_1ch_shipped", "device.timing.refresh_interval_cycles=100", "must exceed refresh_cycles"),
        ("ddr4_1ch_shipped", "controller.bank_queue_depth=0", "bank_queue_depth"),
    ],
)
def test_a_wrong_system_is_refused_with_the_field(name: str, override: str | None, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_dram_spec(name, [override] if override else None)


def test_every_preset_names_a_source_for_each_group_of_numbers() -> None:
    for name in preset_names():
        spec = load_dram_spec(name)
        sections = (spec.device.organisation, spec.device.timing, spec.device.currents, spec.controller)
        assert all("DRAMsim3" in section.source for section in sections)


def test_a_curve_is_measured_once_and_answers_in_proportion() -> None:
    spec = load_dram_spec("hbm2_1ch")
    pattern = AccessPattern.strided(64)
    assert pattern_curve(spec, pattern, 0.0) is pattern_curve(spec, pattern, 0.004)
    model = DramModel(spec)
    assert [model.service(size, 0).cycles for size in (64, 4096, 1 << 20)] == sorted(
        model.service(size, 0).cycles for size in (64, 4096, 1 << 20)
    )
    with pytest.raises(ConfigError, match="bytes_read must not be negative"):
        model.service(-1, 0)


def test_a_longer_list_of_a_pattern_starts_with_the_shorter() -> None:
    for pattern in (AccessPattern.random(1 << 20), AccessPattern.tiled(4, 128, 1024)):
        short, long = (pattern_requests(pattern, count, 0.3, 64) for count in (100, 900))
        assert short.addresses.tolist() == long.addresses[:100].tolist()
        assert short.is_write.tolist() == long.is_write[:100].tolist()


def test_an_unreadable_request_file_is_refused(tmp_path) -> None:  # noqa: ANN001
    with pytest.raises(TraceError, match="cannot be read"):
        read_requests(tmp_path / "absent.trace")
