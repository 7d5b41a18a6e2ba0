"""Do totals, rows and columns of a run say what its jobs say, on an array of 2 x 2?"""

from __future__ import annotations

import pytest

from focal_common.errors import ConfigError
from focal_simulator.accelerators.corrections import ALL
from focal_simulator.accelerators.presets import build_accelerator
from focal_simulator.engine.base import Fidelity
from focal_simulator.engine.cycle.level import CycleFidelity
from focal_simulator.engine.cycle.simulate import CycleResult, cycle_context, simulate_lowering
from focal_simulator.engine.cycle.totals import mean_ratio
from focal_simulator.jobs.jobs import CAUSES, STALLS
from focal_simulator.workload.layer_table import LINEAR_LAYERS
from hand_workload import TWO_BY_TWO, WHOLE_TILES, counted_workload

PLAIN = WHOLE_TILES - {"group_mean"}


@pytest.fixture(scope="module")
def result() -> CycleResult:
    """Six tokens in tiles of 4 and 2; half of the vectors of o_proj are unique, and those of gate."""
    given = {
        (0, "o_proj"): ([4, 2], [[2, 2], [1, 1]]),
        (0, "gate_proj"): ([4, 2], [[2, 2], [1, 1]]),
    }
    focus = build_accelerator("focus", overrides=TWO_BY_TWO)
    context = cycle_context(focus, PLAIN)
    return simulate_lowering(
        focus, focus.jobs(counted_workload(6, given, m_tile=4), context), context, "compiler"
    )


def test_jobs_are_timed_in_the_order_of_execution(result: CycleResult) -> None:
    order = [(time.job.layer, time.job.part) for time in result.times]
    assert order == [(layer, "gemm") for layer in LINEAR_LAYERS] + [("attn", "scores"), ("attn", "values")]


def test_causes_macs_and_bytes_are_the_sums_of_the_jobs(result: CycleResult) -> None:
    assert result.total_cycles == sum(time.total_cycles for time in result.times)
    for place, name in enumerate(CAUSES):
        assert result.causes[name] == sum(int(time.causes[place]) for time in result.times), name
    assert result.macs == sum(time.job.macs for time in result.times)
    assert result.dense_macs == sum(time.job.dense_macs for time in result.times)
    assert result.activation_bytes == sum(time.job.activation_bytes for time in result.times)
    for key, value in result.moved_bytes.items():
        assert value == sum(time.job.traffic.get(key, 0) for time in result.times), key
    assert result.dram_bytes == sum(value for key, value in result.moved_bytes.items() if key[0] == "dram")


def test_stalls_are_the_causes_outside_the_array(result: CycleResult) -> None:
    assert set(CAUSES) - set(STALLS) == {"stream", "fill_drain", "weight"}
    assert result.stall_cycles == sum(result.causes[name] for name in STALLS) > 0
    assert result.compute_cycles == sum(result.causes[name] for name in ("stream", "fill_drain", "weight"))


def test_units_are_busy_for_the_rows_that_pass_them(result: CycleResult) -> None:
    busy = {item.name: item.actions for item in result.breakdown if item.group == "core"}
    jobs = [time.job for time in result.times]
    assert (
        busy["Systolic Array"]
        == result.causes["stream"]
        == sum(j.scaled(j.shape.streamed_rows) for j in jobs)
    )
    # By hand: q, o, up, down and attention are gathered, at 8 cycles a row and array column. The last block's
    # down_proj is not, since nothing reads it. q: 2 columns, o: 2, up: 4; values: 1 column a head, two heads.
    gathered = 8 * 6 * (2 + 2 + 4 + 2)
    assert busy["Cosine Similarity (SIC)"] == min(gathered, result.total_cycles)
    scattered = sum(j.scaled(j.shape.scattered_rows) // 2 for j in jobs if j.part != "values")  # two lanes
    assert busy["Accumulator (SIC)"] == min(scattered, result.total_cycles)
    assert busy["Max Unit (SEC)"] == 0


def test_compression_is_the_mean_of_rows_over_unique_rows(result: CycleResult) -> None:
    # o, gate and up read half of their rows; q, k, v, down and the scores read all; scores x V does not count.
    assert result.compression_ratio == pytest.approx((3 * 2 + 5 * 1) / 8)
    assert mean_ratio([]) == 1.0
    assert mean_ratio([1.0, 4.0]) == 2.5


def test_rows_for_explain_hold_what_the_jobs_hold(result: CycleResult) -> None:
    rows = CycleFidelity(PLAIN).layer_rows(result)
    assert [row["place"] for row in rows] == list(range(len(result.times)))
    assert sum(row["cycles"] for row in rows) == result.total_cycles
    for row, time in zip(rows, result.times, strict=True):
        assert row["cycles"] == sum(row[f"{name}_cycles"] for name in CAUSES)
        job = time.job
        assert row["dram_read_bytes"] == sum(v for k, v in job.traffic.items() if k[:2] == ("dram", "read"))
        assert row["dram_write_bytes"] == sum(v for k, v in job.traffic.items() if k[:2] == ("dram", "write"))
    attention = rows[-2]
    assert (attention["copies"], attention["m_tiles"], attention["rows"]) == (
        1,
        4,
        4,
    )  # two tiles of two heads


def test_columns_have_the_names_that_are_promised_and_close(result: CycleResult) -> None:
    level = CycleFidelity(PLAIN)
    columns = level.columns(result)
    assert list(columns) == list(level.column_names())
    shares = [columns[f"dram_{action}_energy_mj"] for action in ("read", "write", "standby")]
    assert sum(float(share) for share in shares) == pytest.approx(result.dram_mj)
    assert min(float(share) for share in shares) > 0
    units = level.unit_energy_mj(result)
    assert sum(units.values()) == pytest.approx(result.core_mj)
    assert CycleFidelity(ALL - {"core_energy"}).unit_energy_mj(result) == {}


@pytest.mark.parametrize(
    ("corrections", "label"),
    [
        (ALL, "all"),
        (frozenset(), "none"),
        (frozenset({"dram_stalls", "causal_tiles"}), "causal_tiles+dram_stalls"),
    ],
)
def test_a_run_says_which_corrections_were_on(corrections: frozenset[str], label: str) -> None:
    assert CycleFidelity(corrections).label == label


def test_memory_presets_that_do_not_exist_are_refused() -> None:
    level: Fidelity = CycleFidelity()
    dense = build_accelerator("dense", overrides=["dram_system=ddr4_4ch_1rank_interleave"])
    with pytest.raises(ConfigError, match="ddr4_4ch_1rank_interleaved"):
        level.check_hardware(dense.hardware)
