"""Do the recurrences that hold the RTL also hold the engine, and are cases that contradict themselves refused?

The RTL itself is simulated where Verilator and a C++ compiler are installed (the last test); the rest needs neither.
"""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "rtl"))

from focal_simulator.accelerators import ACCELERATORS  # noqa: E402
from focal_simulator.accelerators.presets import build_accelerator  # noqa: E402
from focal_simulator.jobs.tokens import sort_cycles  # noqa: E402
from sim import build, gates, recorded, self_test  # noqa: E402
from sim.build import ToolError, find_tools  # noqa: E402
from sim.cases import Case, CaseError, Grid, Machine, edge_cases, random_case  # noqa: E402
from sim.engine import compare_with_engine, has_fields, machine_of, with_fields  # noqa: E402
from sim.expected import expected, partners_of  # noqa: E402
from sim.latencies import Latencies  # noqa: E402
from sim.maxplus import scatter_end, times_of  # noqa: E402
from sim.semantic import SemanticCase, cycles_of, random_semantic_case  # noqa: E402


def a_case(seed: int = 0, **machine: Any) -> Case:
    return random_case(np.random.default_rng(seed), Machine(**machine), 30, "a case")


def tools_or_reason() -> str:
    try:
        find_tools()
    except ToolError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("is_wavefront", [False, True])
@pytest.mark.parametrize("is_float", [False, True])
def test_every_event_of_the_engine_is_that_of_the_recurrences(is_wavefront: bool, is_float: bool) -> None:
    for seed in range(100):
        tally = compare_with_engine(a_case(seed, is_wavefront=is_wavefront, is_float=is_float))
        assert not tally.differences, tally.differences


@pytest.mark.parametrize("is_wavefront", [False, True])
def test_where_the_engine_has_fields_every_event_is_that_of_the_rtl(is_wavefront: bool) -> None:
    means = ports = 0
    for seed in range(150):
        case = with_fields(a_case(seed, is_wavefront=is_wavefront))
        assert has_fields(case)
        tally = compare_with_engine(case)
        assert not tally.differences, tally.differences
        means += case.mean_cycles > 0
        ports += case.weight_row_cycles > 1
    assert means > 20
    assert is_wavefront or ports > 20


def test_defaults_of_the_engine_are_the_latencies_of_the_rtl() -> None:
    for rows, columns in ((8, 8), (32, 32), (16, 4)):
        case = replace(a_case(2, rows=rows, columns=columns, is_wavefront=True), lanes=1, has_gather=True)
        engine, rtl = machine_of(case), Latencies.of_rtl(case.machine)
        assert engine.skew_cycles == rtl.reload_cycles
        assert engine.skew_cycles + engine.output_latency_cycles == rtl.last_output_cycles
        assert engine.skew_cycles + engine.scatter_latency_cycles == rtl.first_output_cycles
        assert engine.weight_lead_cycles == rtl.wavefront_lead_cycles
        assert engine.gather_cycles_per_row == rtl.gather_cycles
    for name in ACCELERATORS:
        core = build_accelerator(name).hardware.core
        for field, cycles in (("output_latency", 2), ("scatter_latency", 3), ("group_mean", 1)):
            assert not hasattr(core, field) or getattr(core, field).value == cycles, (name, field)


def test_the_sorter_of_the_engine_is_that_of_the_rtl() -> None:
    random = np.random.default_rng(0)
    for number in range(50):
        case = random_semantic_case(random, f"importance {number}", 300)
        tokens = case.attention.shape[1]
        if case.kept < tokens:
            assert cycles_of(case, 8)[1] == sort_cycles(tokens, case.kept, 8)


def test_the_recurrences_notice_a_cycle() -> None:
    for change in (
        {"reload_cycles": -1},
        {"first_output_cycles": -1},
        {"last_output_cycles": -1},
        {"gather_cycles": -1},
        {"wavefront_lead_cycles": 1},
    ):
        name, cycles = next(iter(change.items()))
        seen = False
        for seed in range(30):
            case = with_fields(a_case(seed, is_wavefront=name == "wavefront_lead_cycles"))
            rtl = Latencies.of_rtl(case.machine)
            other = replace(rtl, **{name: getattr(rtl, name) + cycles})
            seen |= times_of(case, rtl) != times_of(case, other)
        assert seen, name


def test_maps_make_the_rtl_wait_where_counts_do_not() -> None:
    waited = 0
    for seed in range(30):
        case = replace(a_case(seed), lanes=2, read_ports=0, is_single_ported=False, latency=0, mean_cycles=0)
        rtl, engine = (times_of(case, one(case.machine)) for one in (Latencies.of_rtl, Latencies.of_engine))
        assert all(x >= y for x, y in zip(rtl["scattered"], engine["scattered"], strict=True))
        waited += rtl["scattered"] != engine["scattered"]
    assert waited > 5


@pytest.mark.parametrize("read_ports", [0, 1, 2])
@pytest.mark.parametrize("lanes", [1, 2, 4])
def test_single_ports_restore_what_the_engine_says(lanes: int, read_ports: int) -> None:
    """A register keeps what was read of the concentrate half while the output half was read."""
    random = np.random.default_rng(3)
    machine = Machine(rows=32, columns=32, tile_rows=1024)
    case = replace(a_case(), lanes=lanes, read_ports=read_ports, is_single_ported=True)
    for share in (0.05, 0.4, 0.8, 1.0):
        numbers = np.cumsum(np.append(True, random.random(1023) < share)) - 1
        index = np.where(
            np.diff(numbers, prepend=-1) > 0, numbers, (random.random(1024) * numbers).astype(int)
        )
        rtl, engine = (
            scatter_end(case, one(machine), index, 0, 0, is_first=False)
            for one in (Latencies.of_rtl, Latencies.of_engine)
        )
        # Four lanes wait for vectors where rows are new; the engine knows no maps.
        waits = 0.12 * 1024 if lanes == 4 and read_ports != 1 else 2
        assert rtl <= engine + waits, (share, rtl, engine)


def test_at_the_threshold_itself_neither_numpy_nor_the_kernel_matches() -> None:
    machine = Machine(rows=32, columns=32)
    alike, apart = edge_cases(machine)
    for case, unique in ((alike, 1), (apart, machine.tile_rows)):
        grid = (case.grid.rows, case.grid.columns, case.grid.row_stride, case.grid.frame_stride)
        vectors = case.vectors[0][0]
        index, _ = recorded.kernel_maps(vectors, case.positions, grid, case.threshold, 32)[0]
        assert index.max() + 1 == expected(case).unique_outputs()[0][0] == unique


def test_recorded_maps_and_means_are_those_of_the_kernel() -> None:
    machine = Machine(rows=32, columns=32, tile_rows=1024)
    compared = 0
    for model in ("shapes_video", "shapes_image"):
        for tile in recorded.load_tiles(model)[0]:
            grid = (tile.grid.rows, tile.grid.columns, tile.grid.row_stride, tile.grid.frame_stride)
            theirs = recorded.kernel_maps(tile.vectors, tile.positions, grid, tile.threshold, 32)
            mine = recorded.model_maps(tile, tile.vectors, machine)
            for place, (index, (goal, means)) in enumerate(zip(mine, theirs, strict=True)):
                np.testing.assert_array_equal(index, goal, err_msg=tile.name)
                np.testing.assert_array_equal(tile.indices[place], goal, err_msg=tile.name)
                vectors = tile.vectors[:, 32 * place : 32 * (place + 1)]
                found = recorded.group_means(vectors, index, int(index.max()) + 1, is_float=True)
                np.testing.assert_array_equal(found.view(np.uint16), means.view(np.uint16), err_msg=tile.name)
            compared += 1
    assert compared >= 50


def test_any_block_of_neighbours_lies_in_eight_banks() -> None:
    places = {((f % 2) * 4 + (r % 2) * 2 + c % 2) for f in (4, 5) for r in (6, 7) for c in (2, 3)}
    assert places == set(range(8))
    # A whole frame of 14 x 14 has 49 addresses a bank: 32 of them do not hold it, 64 do.
    positions = np.arange(4 * 196)
    assert partners_of(positions, Grid(14, 14, 14, 196), 32)[1] > 0
    assert partners_of(positions, Grid(14, 14, 14, 196), 64)[1] == 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"maps": []}, "rows, maps and vectors must have the same tiles and slices"),
        ({"lanes": 5}, "lanes must be 0 to 4 on this build, got 5"),
        ({"latency": 64}, "latency must be 0 to 63 on this build, got 64"),
        ({"columns_per_buffer": 5}, "columns_per_buffer must be 1 to 4"),
        ({"outputs": 1000}, "1000 outputs do not fill"),
        ({"output_rows": []}, "output_rows has 0 entries"),
        ({"has_gather": True, "positions": np.zeros(0, np.int64)}, "gather needs the position of every row"),
    ],
)
def test_a_case_that_contradicts_itself_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(CaseError, match=message):
        replace(a_case(), **changes)


def test_a_map_that_does_not_belong_to_its_vectors_is_refused() -> None:
    case = replace(a_case(1), lanes=2)
    index = case.maps[0][0]
    with pytest.raises(CaseError, match="tile 0 has 999 rows; this build holds 1 to 128"):
        replace(case, rows=[999, *case.rows[1:]])
    for wrong, message in (
        (index[:-1], "entries for"),
        (index + 1, "the map names"),
        (index[::-1] if len(index) > 1 else index + 1, "the map names|order of first use"),
    ):
        with pytest.raises(CaseError, match=message):
            replace(case, maps=[[wrong, *case.maps[0][1:]], *case.maps[1:]])


def test_sizes_and_attention_that_the_rtl_has_not_are_refused() -> None:
    with pytest.raises(CaseError, match="rows must be a power of two from 2 to 64 in this RTL, got 1"):
        Machine(rows=1)
    with pytest.raises(CaseError, match="got 12"):
        Machine(columns=12)
    with pytest.raises(CaseError, match="finite and not negative"):
        SemanticCase(np.full((1, 4), -1, np.float16), 2, "importance")
    with pytest.raises(CaseError, match="5 of 4 tokens cannot be kept"):
        SemanticCase(np.ones((1, 4), np.float16), 5, "importance")


def run_check(**environment: str) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, str(ROOT / "rtl" / "check.py")]
    return subprocess.run(words, env=os.environ | environment, capture_output=True, text=True)


def test_without_a_compiler_the_check_says_what_to_install(tmp_path: Path) -> None:
    done = run_check(PATH=str(tmp_path), CXX="")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "install g++" in done.stderr


def test_a_compiler_that_is_not_there_is_named() -> None:
    done = run_check(CXX="g++ -m64")
    assert done.returncode == 2
    assert "CXX names 'g++ -m64', which is not on PATH" in done.stderr


def test_an_old_verilator_of_the_system_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "include").mkdir()
    (tmp_path / "include" / "verilated.cpp").touch()
    for name, text in (
        ("verilator", f'[ "$1" = --getenv ] && echo {tmp_path} || echo "Verilator 4.038 2020-07-11"'),
        ("g++", "true"),
    ):
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setattr(build, "find_spec", lambda name: None)
    with pytest.raises(
        ToolError, match=r"is 'Verilator 4.038 2020-07-11', expected Verilator 5 or newer: install"
    ):
        find_tools()


@pytest.mark.skipif(bool(tools_or_reason()), reason=f"the RTL is not simulated: {tools_or_reason()}")
@pytest.mark.parametrize("what", ["wrong sums", "no files", "no numbers"])
def test_a_simulator_that_misbehaves_is_named_before_a_case_runs(
    what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nothing(_program: Path, folder: Path, _cases: int) -> None:
        if what == "no numbers":
            (folder / "results.hex").write_text("x\n")

    if what == "wrong sums":
        monkeypatch.setattr(self_test, "_BY_HAND", ((0, 0x3C00, 0xC000, 0x40000000),))
    else:
        monkeypatch.setattr(self_test, "simulate", nothing)
    with pytest.raises(ToolError, match="misbehaves"):
        self_test.self_test(find_tools())


@pytest.mark.skipif(bool(tools_or_reason()), reason=f"the RTL is not simulated: {tools_or_reason()}")
def test_two_checks_may_build_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "BUILD", tmp_path)
    tools = find_tools()
    with ThreadPoolExecutor(2) as pool:
        programs = list(pool.map(lambda _: build.build(tools, "bench_units", {}), range(2)))
    assert programs[0] == programs[1]
    assert [path.name for path in tmp_path.iterdir() if "runtime" not in path.name] == [programs[0].name]


@pytest.mark.skipif(find_spec("pyosys") is None, reason="no yosys: pyosys is not installed")
def test_the_whole_design_synthesises_and_gates_are_counted() -> None:
    assert [gates.memories_of(*one) for one in gates.WHOLE] == [6, 6, 1]
    # An XOR is four NANDs, a register four too: a full adder is nine, so 32 bits are about 288.
    assert 200 < (gates.gates_of("add", (("IS_FLOAT", 0),)) or 0) < 1000
    assert gates.gates_of("delay_line", (("BITS", 8),)) == 32


@pytest.mark.skipif(bool(tools_or_reason()), reason=f"the RTL is not simulated: {tools_or_reason()}")
def test_the_rtl_equals_numpy_the_kernels_and_the_engine() -> None:
    done = run_check()
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.strip().endswith("all equal")
