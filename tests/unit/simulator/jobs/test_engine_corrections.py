"""Does each correction of the engine change what it says, by hand and against plain loops over queries and keys?"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from focal_common.errors import ConfigError
from focal_simulator.accelerators.base import Accelerator
from focal_simulator.accelerators.corrections import ALL, CORRECTIONS
from focal_simulator.accelerators.presets import build_accelerator
from focal_simulator.engine.base import peak_power_mw
from focal_simulator.engine.cycle.level import CycleFidelity
from focal_simulator.engine.cycle.simulate import CycleResult, cycle_context, simulate_cycles
from focal_simulator.jobs.attention import AttentionShape, scores_job, values_job
from focal_simulator.jobs.jobs import PlacedJob
from focal_simulator.jobs.systolic import systolic_machine
from focal_simulator.kernels.pipeline import Pipeline, scatter_cycles
from focal_simulator.results.work import given_workload
from focal_simulator.whole_model.operator import Operator
from focal_simulator.workload.workload import Workload
from focal_traces.synthetic.schedule import Schedule
from hand_workload import TWO_BY_TWO, WHOLE_TILES, counted_workload, plain_workload, small_decoder
from simulator_support import jobs_of, small_workload

Place = tuple[int, str, str]
FACTS = {"macs": 0, "dense_macs": 0, "activation_bytes": 0}
FREE = ALL - {"dram_stalls", "special_functions"}


def machine(name: str, *overrides: str, corrections: frozenset[str] = ALL) -> Pipeline:
    accelerator = build_accelerator(name, overrides=list(overrides))
    return systolic_machine(accelerator.hardware, cycle_context(accelerator, corrections))


def jobs(
    name: str, workload: Workload, corrections: frozenset[str], *overrides: str
) -> dict[Place, PlacedJob]:
    accelerator = build_accelerator(name, overrides=[*TWO_BY_TWO, *overrides])
    return {(job.block, job.layer, job.part): job for job in jobs_of(accelerator, workload, corrections)}


def cycles(
    accelerator: Accelerator[Any], gemm: tuple[int, int, int], corrections: frozenset[str] = FREE
) -> int:
    return int(simulate_cycles(accelerator, given_workload([gemm]), corrections=corrections).total_cycles)


# --- latencies, ports and weights -------------------------------------------------------------------------


def test_outputs_are_there_two_cycles_after_the_last_index_once_a_gemm() -> None:
    dense = build_accelerator("dense")
    without = cycles(dense, (100, 320, 320), FREE - {"array_latencies"})
    # Ten slices x ten columns of 100 rows: the fold after waits for registers, not for the buffer.
    assert without == 100 * (100 + 2 * 32 + 32 - 3)
    assert cycles(dense, (100, 320, 320)) == without + 2
    later = build_accelerator("dense", overrides=["core.output_latency=7"])
    assert cycles(later, (100, 320, 320)) == without + 7


def test_an_array_of_one_multiplier_takes_a_cycle_a_weight_and_one_a_row() -> None:
    one = build_accelerator("dense", overrides=["core.array_rows=1", "core.array_columns=1"])
    # 1,024 folds that load a weight and stream a row; the formula of SCALE-Sim says 1,025 cycles in all.
    assert cycles(one, (1, 32, 32), FREE - {"array_latencies"}) == 2 * 1024


@pytest.mark.parametrize(
    ("port", "load"), [(0, 32), (64, 32), (63, 64), (128, 32), (32, 64), (2, 1024), (1, 2048)]
)
def test_weights_come_through_their_port_one_array_row_after_the_other(port: int, load: int) -> None:
    assert machine("dense", f"core.weight_port={port}").weight_load_cycles == load


def test_a_wavefront_lets_a_row_in_as_soon_as_its_weights_are_there() -> None:
    wave = ("dataflow.is_weight_wavefront=true", "core.weight_port=64")
    found = machine("dense", *wave)
    assert (found.weight_load_cycles, found.weight_lead_cycles) == (32, 1)
    # Array row r is complete 16 (r + 1) cycles after the load began, and is met r cycles after row 0.
    slow = machine("dense", wave[0], "core.weight_port=4")
    assert slow.weight_lead_cycles == max(16 * (row + 1) - row for row in range(32))
    serial, shadow, fast = (
        cycles(build_accelerator("dense", overrides=list(one)), (100, 320, 320))
        for one in ((), ("dataflow.is_weight_double_buffered=true",), wave)
    )
    assert fast < shadow < serial
    assert fast == 1 + 100 * 100 + 61 + 2  # no bubble at all: a cycle before the first row


def test_keys_take_the_port_as_long_as_activations_do() -> None:
    """Weights of 4 bits beside activations of 8: a row of 32 keys is twice as wide as one of weights."""
    mixed = ("precision=int8", "precision.weights=int4", "core.weight_port=16")
    serial, wave = (machine("dense", *mixed, *one) for one in ((), ("dataflow.is_weight_wavefront=true",)))
    assert (serial.weight_load_cycles, serial.weight_lead_cycles, wave.weight_lead_cycles) == (32, 32, 1)
    for found, lead in ((serial, 64), (wave, 33)):
        for one in (found.for_scores(), found.for_values()):
            assert (one.weight_load_cycles, one.weight_lead_cycles) == (64, lead)


@pytest.mark.parametrize("name", ["dense", "focus", "focus_sec_only"])
def test_second_operands_have_the_format_of_activations(name: str) -> None:
    """INT8 keeps sums of 4 bytes; what is multiplied and added to outputs on their way out has one."""
    workload = counted_workload(6, {}, m_tile=4, layers=2)
    small = ("precision=int8", "precision.scores=int32")
    wide, thin = (jobs(name, workload, FREE | {"whole_rows"}, *one) for one in ((), small))
    for layer in ("up_proj", "o_proj", "down_proj"):
        one, other = wide[0, layer, "gemm"], thin[0, layer, "gemm"]
        assert one.extra_read_bytes == 2 * other.extra_read_bytes > 0
        assert one.extra_write_bytes == 2 * other.extra_write_bytes


def test_a_second_operand_of_a_list_has_the_format_of_the_output_that_it_meets() -> None:
    listed = (
        Operator(phase="prefill", layer=0, name="o_proj", kind="gemm", m=64, n=32, k=32),
        Operator(
            phase="prefill",
            layer=0,
            name="residual",
            kind="vector",
            vector="add",
            elements=2048,
            rows=64,
            operands=2,
        ),
    )
    for fields, bytes_each in (((), 2), (("precision=int8",), 1)):
        accelerator = build_accelerator("dense", overrides=list(fields))
        (time,) = simulate_cycles(accelerator, Workload.given("sum", listed), "cacti", corrections=FREE).times
        assert time.job.extra_read_bytes == 64 * 32 * bytes_each


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            ["dataflow.is_weight_wavefront=true"],
            r"core.weight_port is 0 B, expected the bytes of weights a cycle",
        ),
        (
            [
                "dataflow.is_weight_wavefront=true",
                "dataflow.is_weight_double_buffered=true",
                "core.weight_port=64",
            ],
            "are both true, expected one of them",
        ),
        (["core.output_ports=-1"], "core.output_ports.value"),
        (["core.scatter_latency=-1"], "core.scatter_latency.value"),
    ],
)
def test_weights_that_cannot_load_so_are_refused(fields: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        machine("focus", *fields)


@pytest.mark.parametrize(
    ("fields", "cycles_of_ten_rows"),
    [
        ([], 5),  # two rows a cycle
        (["core.concentrate_ports=1"], 10),
        (["core.output_ports=1"], 10),  # a word of two rows is read in one cycle and written in the next
        (["core.output_ports=2", "core.concentrate_ports=2"], 5),
        (["core.scatter_vectors=4", "core.concentrate_ports=3"], 4),
        (["core.scatter_vectors=5", "core.output_ports=1"], 4),
    ],
)
def test_scatter_is_as_fast_as_the_ports_of_its_buffers(fields: list[str], cycles_of_ten_rows: int) -> None:
    workload = counted_workload(8, {}, m_tile=4)
    found = jobs("focus", workload, ALL, *fields)[0, "o_proj", "gemm"].machine
    assert scatter_cycles(found, 10) == cycles_of_ten_rows
    assert found.cycles_per_pass == 1
    assert found.scatter_latency_cycles == 3


def test_an_array_that_accumulates_directly_needs_two_ports_or_a_word_of_two_rows() -> None:
    assert machine("dense", "core.output_ports=1").cycles_per_pass == 1  # words of two rows, as in Focus
    assert machine("cmc", "core.output_ports=1").cycles_per_pass == 2
    assert machine("cmc", "core.output_ports=2").cycles_per_pass == 1


@pytest.mark.parametrize("name", ["dense", "focus", "focus_sec_only"])
def test_stated_ports_are_paid_for(name: str) -> None:
    published = build_accelerator(name)
    for field in ("core.output_ports=2", "core.weight_port=64"):
        changed = build_accelerator(name, overrides=[field])
        assert (published.sram_model(ALL), changed.sram_model(ALL)) == ("compiler", "cacti"), field
    plain, paid = (
        simulate_cycles(build_accelerator(name, overrides=fields), small_workload(), "cacti")
        for fields in ([], ["core.output_ports=2"])
    )
    assert paid.total_cycles == plain.total_cycles
    assert paid.sram_mj > plain.sram_mj


def test_macros_of_one_port_are_not_taken_for_two() -> None:
    focus = build_accelerator("focus", overrides=["core.output_ports=2"])
    with pytest.raises(ConfigError, match="buffer 'output': its macros have one port, the hardware states 2"):
        simulate_cycles(focus, small_workload(), "compiler")


# --- attention --------------------------------------------------------------------------------------------


@st.composite
def attentions(draw: st.DrawFn) -> tuple[AttentionShape, np.ndarray]:
    tile = draw(st.sampled_from([64, 256, 300, 1024]))
    tiles = draw(st.integers(1, 3))
    rows = np.array([tile] * (tiles - 1) + [draw(st.integers(1, tile))], dtype=np.int32)
    spread = draw(st.sampled_from([1, 1, 3]))
    ends = np.cumsum(rows, dtype=np.int64) * spread
    groups = draw(st.sampled_from([1, 2, 7]))
    shape = AttentionShape(0, 2 * groups, 64, int(ends[-1]), ends, True, draw(st.booleans()), groups, tile)
    return shape, rows


@settings(max_examples=150, deadline=None)
@given(attentions())
def test_every_visible_pair_is_computed_once_and_little_else(case: tuple[AttentionShape, np.ndarray]) -> None:
    shape, rows = case
    array = machine("dense")
    job = scores_job(shape, array, rows, np.repeat(rows[:, None], 2, axis=1), **FACTS)
    assert job.tile_outputs is not None
    assert job.tile_copies is not None
    computed = job.copies * int((job.rows.astype(np.int64) * job.tile_outputs * job.tile_copies).sum())
    needed = most = 0
    for high, start, end in zip(rows.tolist(), shape.starts.tolist(), shape.ends.tolist(), strict=True):
        places = start + (np.arange(high) + 1) * (end - start) // high  # keys up to each query
        needed += int(places.sum())
        step = max(-(-(end - start) // 8), 32) + 32
        most += (
            int(np.minimum(places + step, end).sum())
            if shape.is_triangle and end - start >= 256
            else high * end
        )
    assert needed * shape.heads <= computed <= most * shape.heads
    # No tile holds more rows than the buffers, and no head is left out or computed twice.
    assert int(job.rows.max()) <= max(shape.tile_rows, int(rows.max()))
    values = values_job(shape, array, rows, rows, **FACTS)
    assert values.tile_copies is not None
    assert values.copies * int((values.output_rows * values.tile_copies).sum()) == shape.heads * int(
        rows.sum()
    )
    assert int(values.rows.max()) <= max(shape.tile_rows, int(rows.max()))


def test_scores_times_values_leaves_out_queries_before_a_slice_of_keys() -> None:
    rows = np.array([4, 2], dtype=np.int32)
    shape = AttentionShape(0, 3, 4, 6, np.array([4, 6]), True, True)
    job = values_job(shape, machine("dense", *TWO_BY_TWO), rows, rows, **FACTS)
    # Slices of two keys: of queries 0 to 3 two see keys 2 and 3; queries 4 and 5 see all.
    assert job.unique[0, :2].tolist() == [4, 2]
    assert job.unique[1].tolist() == [2, 2, 2]
    assert job.tile_slices is not None
    assert job.tile_slices.tolist() == [2, 3]


def test_heads_of_a_group_share_a_tile_as_far_as_their_rows_fit() -> None:
    rows = np.array([10, 4], dtype=np.int32)
    shape = AttentionShape(0, 6, 2, 14, np.array([10, 14]), True, False, kv_groups=3, tile_rows=10)
    unique = np.arange(2 * 6 * 1).reshape(2, 6, 1) + 1  # axes (m-tiles, heads, slices)
    job = scores_job(
        shape, machine("dense", *TWO_BY_TWO), rows, np.minimum(unique, rows[:, None, None]), **FACTS
    )
    # The full tile holds one head; of the short one two heads fit, then the third; two groups.
    assert job.rows.tolist() == [10] * 6 + [8, 8, 4, 4]
    # Heads 0, 3 | 1, 4 | 2, 5 of the first tile; then heads (0, 1), (3, 4) and 2, 5, each with 4 unique rows at most.
    assert job.unique[:, 0].tolist() == [1, 4, 2, 5, 3, 6, 8, 8, 4, 4]
    alone = scores_job(shape, machine("dense", *TWO_BY_TWO), rows, np.ones((2, 1), dtype=int), **FACTS)
    assert alone.tile_copies is not None
    assert (alone.copies, alone.rows.tolist(), alone.tile_copies.tolist()) == (2, [10, 8, 4], [3, 1, 1])


def test_macs_of_causal_attention_hold_the_diagonal() -> None:
    for name in ("dense", "focus", "focus_sec_only"):
        found = jobs(name, plain_workload(6), ALL)
        pairs = sum(query + 1 for query in range(6))
        for part in ("scores", "values"):
            assert found[0, "attn", part].macs == found[0, "attn", part].dense_macs == pairs * 2 * 2, (
                name,
                part,
            )


# --- bytes beside a GEMM, and rows beside attention ------------------------------------------------------------


def moved(job: PlacedJob, way: str, name: str) -> int:
    return int(job.traffic.get(("dram", way, name), 0))


@pytest.mark.parametrize("name", ["dense", "focus", "focus_sec_only"])
def test_the_product_with_the_gate_reads_it_back_whole(name: str) -> None:
    half = {(0, "down_proj"): ([4, 2], [[2] * 4, [1] * 4])}
    workload = counted_workload(6, half, m_tile=4)
    before, after = (jobs(name, workload, one) for one in (WHOLE_TILES, WHOLE_TILES | {"gate_product"}))
    whole = 6 * 8 * 2  # tokens x intermediate x bytes
    gate, up = (0, "gate_proj", "gemm"), (0, "up_proj", "gemm")
    assert moved(after[gate], "write", "output") == whole
    assert moved(before[gate], "write", "output") == (whole // 2 if name == "focus" else whole)
    assert moved(after[up], "read", "input") - moved(before[up], "read", "input") == whole
    assert moved(after[up], "write", "output") == moved(before[up], "write", "output")


@pytest.mark.parametrize("name", ["dense", "focus", "focus_sec_only"])
def test_the_residual_stream_is_read_and_where_rows_are_concentrated_written(name: str) -> None:
    workload = counted_workload(6, {}, m_tile=4, layers=2)
    names = ({"residual_stream"}, {"residual_stream", "whole_rows"})
    before, after, whole = (jobs(name, workload, WHOLE_TILES | extra) for extra in (set(), *names))
    stream = 6 * 4 * 2  # tokens x hidden x bytes
    for place in ((0, "o_proj"), (0, "down_proj"), (1, "o_proj"), (1, "down_proj")):
        one, other, third = (found[*place, "gemm"] for found in (before, after, whole))
        is_concentrated = name == "focus" and place != (1, "down_proj")  # nothing reads the last one
        assert moved(other, "read", "input") - moved(one, "read", "input") == stream
        assert moved(other, "write", "output") - moved(one, "write", "output") == stream * is_concentrated
        # RMSNorm needs whole rows: what was written is read once more, and not written twice.
        assert moved(third, "read", "input") - moved(other, "read", "input") == stream * is_concentrated
        assert moved(third, "write", "output") == moved(other, "write", "output")


def test_text_queries_meet_every_key_of_a_block_that_drops_tokens() -> None:
    workload = Workload("hand", "made", 8, 1, 8, geometry=small_decoder(2), recorded_vector_size=2)
    workload = workload.with_schedule_counts(Schedule((0,), (0.5,)))
    for name in ("focus", "focus_sec_only"):
        found = jobs(name, workload, ALL)
        assert (1, "attn", "importance") not in found
        job = found[0, "attn", "importance"]
        # 100 queries of two heads on eight keys; scores stay on chip, and a tile holds four rows.
        assert job.macs == 100 * 8 * 2 * 2
        assert job.tile_copies is not None
        assert (job.rows * job.tile_copies).sum() * job.copies == 100 * 2
        assert moved(job, "write", "output") == 0
        assert moved(job, "read", "wgt") > 0
        assert (0, "attn", "importance") not in jobs(name, workload, ALL - {"importance_rows"})
    assert (0, "attn", "importance") not in jobs("dense", workload, ALL)


def test_the_mean_of_a_group_takes_cycles_of_gather() -> None:
    workload = counted_workload(8, {}, m_tile=4)
    for fields, each in (((), 1), (("core.group_mean=8",), 8), (("core.group_mean=0",), 0)):
        job = jobs("focus", workload, ALL, *fields)[0, "o_proj", "gemm"]
        assert job.machine.gather_cycles_per_row == 8
        assert job.machine.mean_cycles_per_vector == each
    assert jobs("focus", workload, ALL)[0, "k_proj", "gemm"].machine.gather_cycles_per_row == 0


@pytest.mark.parametrize("name", ["dense", "focus", "focus_sec_only"])
def test_each_correction_of_the_engine_moves_what_it_is_about_and_nothing_it_is_not(name: str) -> None:
    accelerator, workload = build_accelerator(name), small_workload(tokens=2500)

    def run(corrections: frozenset[str]) -> CycleResult:
        return simulate_cycles(accelerator, workload, corrections=corrections)

    every = run(ALL)
    by_name = {one.name: run(ALL - {one.name}) for one in CORRECTIONS if one.name in ALL}
    assert by_name["residual_stream"].dram_bytes < every.dram_bytes
    assert by_name["gate_product"].dram_bytes < every.dram_bytes
    assert by_name["causal_triangle"].total_cycles >= every.total_cycles
    assert by_name["array_latencies"].total_cycles <= every.total_cycles
    weights = ("dram", "read", "wgt")
    assert by_name["shared_keys"].moved_bytes[weights] >= every.moved_bytes[weights]
    assert by_name["group_mean"].moved_bytes == every.moved_bytes


# --- what a run says of its layers ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "corrections", [ALL, frozenset(), ALL - {"core_energy"}, ALL - {"dram_energy", "sram_energy"}]
)
@pytest.mark.parametrize("name", ["dense", "focus"])
def test_energies_of_the_layers_sum_to_the_run(name: str, corrections: frozenset[str]) -> None:
    result = simulate_cycles(build_accelerator(name), small_workload(), corrections=corrections)
    rows = result.job_energies
    assert len(rows) == len(result.times)
    for part, whole in (("core", result.core_mj), ("sram", result.sram_mj), ("dram", result.dram_mj)):
        assert sum(row[part] for row in rows) == pytest.approx(whole, rel=1e-9)
        assert min(row[part] for row in rows) >= 0


def test_a_layer_pays_for_its_bytes_and_for_its_share_of_the_time() -> None:
    focus = build_accelerator("focus")
    result, rates = simulate_cycles(focus, small_workload()), cycle_context(focus, ALL).rates
    costs = CycleFidelity().costs(focus, "auto")
    for time, row in zip(result.times, result.job_energies, strict=True):
        seconds = result.seconds * time.total_cycles / result.total_cycles
        moved = time.job.traffic
        buffers = sum(cost.static_mw * seconds for cost in costs)
        memory = rates.background_mw * seconds
        for cost in costs:
            buffers += moved.get(("sram", "read", cost.name), 0) * cost.read_pj_per_byte * 1e-9
            buffers += moved.get(("sram", "write", cost.name), 0) * cost.write_pj_per_byte * 1e-9
        for (level, way, _), amount in moved.items():
            each = rates.read_pj_per_byte if way == "read" else rates.write_pj_per_byte
            memory += amount * each * 1e-9 * (level == "dram")
        assert row["sram"] == pytest.approx(buffers)
        assert row["dram"] == pytest.approx(memory)


def test_power_of_the_chip_is_average_of_a_run_and_peak_of_the_hardware() -> None:
    focus, level = build_accelerator("focus"), CycleFidelity()
    result = simulate_cycles(focus, small_workload())
    peak = peak_power_mw(level.components(focus), level.costs(focus, "auto"), focus.hardware.clock.value)
    assert result.average_on_chip_power_mw == pytest.approx(
        (result.core_mj + result.sram_mj) / result.seconds
    )
    assert 0 < result.average_on_chip_power_mw < peak
    core = sum(part.power.value * part.count.value for part in focus.components(ALL))
    # Input buffer: 64 B read and 64 B written a cycle, macros of 16 B at 9.3 and 10.1 uA/MHz and 0.81 V.
    one = next(cost for cost in level.costs(focus, "auto") if cost.name == "input")
    assert one.peak_mw(500e6) - one.static_mw == pytest.approx(64 / 16 * (9.3 + 10.1) * 0.81 * 500e6 * 1e-9)
    assert peak > core + one.peak_mw(500e6)
