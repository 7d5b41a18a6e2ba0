"""Does the memory agree with what the data sheet's timings imply on paper?"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dram_traffic import QUIET, address_of, cycles_of, ddr4, run
from focal_simulator.dram import AccessPattern, DramModel, load_dram_spec, replay
from focal_simulator.dram.energy import command_energy
from focal_simulator.dram.patterns import pattern_requests


def test_the_first_request_follows_the_time_line() -> None:
    result = run(ddr4(), [("read", 0, {"row": 3})])
    assert result.accept_cycles.tolist() == [0]
    assert cycles_of(result, "activate") == [2]
    assert cycles_of(result, "read") == [2 + 16]
    assert result.done_cycles.tolist() == [18 + 16 + 4]


@pytest.mark.parametrize(("name", "spacing"), [("ddr4_1ch_shipped", 6), ("ddr4_1ch_bglow", 4)])
def test_sequential_reads_are_spaced_by_the_column_to_column_delay(name: str, spacing: int) -> None:
    spec = load_dram_spec(name, QUIET)
    done = replay(spec, np.arange(100) * 64, np.zeros(100, bool)).done_cycles
    assert np.diff(np.sort(done))[12:].tolist() == [spacing] * 87


def test_row_conflicts_in_one_bank_are_spaced_by_the_row_cycle() -> None:
    spec = ddr4(*QUIET)
    addresses = [address_of(spec, row=row) for row in range(50)]
    done = replay(spec, addresses, [False] * 50).done_cycles
    assert np.diff(done).tolist() == [36 + 16] * 49


def test_scattered_reads_of_one_rank_are_bound_by_the_window_of_four_activates() -> None:
    spec = ddr4(*QUIET, "ranks=1", "device.timing.four_activate_window_cycles=120")
    requests = pattern_requests(AccessPattern.random(1 << 31), 8000, 0.0, 64)
    result = replay(spec, requests.addresses, requests.is_write)
    bound_cycles = result.counts.activates * 120 / 4
    assert bound_cycles <= result.cycles + 120
    assert result.cycles == pytest.approx(bound_cycles, rel=0.03)


def test_refresh_takes_its_share_of_the_bandwidth() -> None:
    always, never = (DramModel(ddr4("ranks=1", *extra)).steady_state() for extra in ([], QUIET[:1]))
    assert always.bytes_per_ns / never.bytes_per_ns == pytest.approx(1 - 278 / 8328, abs=0.01)


def test_an_idle_memory_refreshes_on_schedule_and_draws_standby_power() -> None:
    spec = ddr4()
    far = 10_000_000
    result = run(spec, [("read", far, {"row": 1})])
    assert result.counts.refreshes == result.cycles // (8328 // 2)
    energy = result.energy
    standby_mw = energy.closed_standby_pj / result.time_ns
    assert standby_mw == pytest.approx(2 * 201.6, rel=1e-4)  # two ranks of four devices at 42 mA and 1.2 V


def test_energy_per_command_follows_the_currents() -> None:
    unit = command_energy(ddr4())
    assert unit.activate_pj == pytest.approx(3284.7, abs=0.1)
    assert unit.read_pj / 64 == pytest.approx(39.48, abs=0.01)
    assert unit.write_pj / 64 == pytest.approx(54.99, abs=0.01)
    assert unit.refresh_pj == pytest.approx(144_248, abs=1)
    assert unit.open_rank_cycle_pj / 0.94 == pytest.approx(264, abs=1e-6)


@pytest.mark.parametrize(
    ("name", "pattern"),
    [
        ("ddr4_1ch_shipped", AccessPattern.strided(64)),
        ("ddr4_4ch_interleaved", AccessPattern.tiled(32, 192, 7168)),
        ("lpddr4_1ch_shipped", AccessPattern.random(1 << 28)),
        ("hbm2_1ch", replace(AccessPattern.strided(64), interval_cycles=9)),
    ],
)
@pytest.mark.parametrize("write_share", [0.0, 0.25])
def test_a_long_transfer_is_extrapolated_within_the_targets(
    name: str, pattern: AccessPattern, write_share: float
) -> None:
    spec = load_dram_spec(name)
    num_requests = 60_000
    requests = pattern_requests(pattern, num_requests, write_share, spec.request_bytes)
    exact = replay(spec, requests.addresses, requests.is_write, requests.earliest_cycles)
    granule = pattern.granule_bytes or spec.request_bytes
    writes = int(requests.is_write.sum())
    model = DramModel(spec, sample_requests=16_384)
    fast = model.service((num_requests - writes) * granule, writes * granule, pattern)
    assert fast.cycles == pytest.approx(exact.cycles, rel=0.05)
    assert fast.energy.total_pj == pytest.approx(exact.energy.total_pj, rel=0.03)


def test_more_channels_multiply_the_bandwidth_when_interleaved() -> None:
    one = DramModel("ddr4_1ch_bglow").steady_state().bytes_per_ns
    four = DramModel("ddr4_4ch_interleaved").steady_state().bytes_per_ns
    assert four / one == pytest.approx(4, rel=0.03)
    assert four == pytest.approx(67.4, rel=0.02)
