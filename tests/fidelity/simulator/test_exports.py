"""Do files for other tools read as their documentation says, and hold the bytes and actions of the run?"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ruamel.yaml import YAML

import focal
from focal_common.errors import ConfigError, UnsupportedError
from focal_simulator.accelerators import ACCELERATORS
from focal_simulator.dram import load_dram_spec, replay
from focal_simulator.results import requests
from focal_simulator.results.exports import export_run
from focal_simulator.results.runner import Settings, run_all
from focal_simulator.results.timeline import find_job
from focal_simulator.workload.arithmetic import ceil_div
from simulator_support import small_workload

GEMMS = [("q", 300, 200, 160), ("up", 300, 128, 96), ("one", 1, 64, 2048)]
SYSTEM = "ddr4_4ch_1rank_interleaved"


def dramsim3(text: str) -> list[tuple[int, bool, int]]:
    """By README and trace generator of DRAMsim3: address in hexadecimal, READ or WRITE, cycle."""
    found = []
    for line in text.splitlines():
        address, way, cycle = line.split()
        assert re.fullmatch(r"0x[0-9a-f]+", address)
        assert way in ("READ", "WRITE")
        found.append((int(address, 16), way == "WRITE", int(cycle)))
    return found


def ramulator2(text: str) -> list[tuple[int, bool]]:
    """By the load-store traces that ship with Ramulator 2: LD or ST, address in hexadecimal."""
    found = []
    for line in text.splitlines():
        way, address = line.split()
        assert way in ("LD", "ST")
        found.append((int(address, 16), way == "ST"))
    return found


def bytes_of(result: Any) -> dict[str, int]:
    return {
        way: sum(
            int(value)
            for (level, one, _), value in result.moved_bytes.items()
            if (level, one) == ("dram", way)
        )
        for way in ("read", "write")
    }


@pytest.mark.parametrize("name", ["dense", "focus"])
def test_request_traces_hold_the_bytes_of_the_run(tmp_path: Path, name: str) -> None:
    results = focal.simulate(GEMMS, name)
    moved = bytes_of(results.runs[0].result)
    path = results.export("dramsim3", tmp_path / "requests.trace")
    found = dramsim3(path.read_text(encoding="utf-8"))
    for is_write, way in enumerate(("read", "write")):
        places = sorted(address for address, written, _ in found if written == bool(is_write))
        assert len(places) == ceil_div(moved[way], 64)
        # Each burst once, one after the other.
        assert np.diff(places).tolist() == [64] * (len(places) - 1)
    cycles = [cycle for _, _, cycle in found]
    assert cycles == sorted(cycles)
    seconds = results.runs[0].result.seconds
    assert cycles[-1] * load_dram_spec(SYSTEM).device.timing.clock_ns * 1e-9 <= seconds
    again = ramulator2(results.export("ramulator2", tmp_path / "other.trace").read_text(encoding="utf-8"))
    assert again == [(address, written) for address, written, _ in found]


@pytest.mark.parametrize("name", list(ACCELERATORS))
def test_traces_of_layers_of_every_accelerator_hold_their_bytes(tmp_path: Path, name: str) -> None:
    """Heads, causal tiles, similarity maps and what units beside the array fetch are in the total."""
    outcome = run_all(Settings(accelerators=(name,)), [small_workload(300)])
    path, result = tmp_path / "requests.trace", outcome.runs[0].result
    for layer in ("0.k_proj", "0.attn.scores", "0.attn.values"):
        export_run("dramsim3", path, outcome.runs, outcome.fidelity, layer)
        found = dramsim3(path.read_text(encoding="utf-8"))
        job = find_job(result.times, layer)[1].job
        moved = {"read": 0, "write": 0}
        for (level, way, _), value in job.traffic.items():
            if level == "dram":
                moved[way] += int(value)
        written = sum(is_write for _, is_write, _ in found)
        assert (len(found) - written, written) == (ceil_div(moved["read"], 64), ceil_div(moved["write"], 64))


def test_one_layer_alone(tmp_path: Path) -> None:
    results = focal.simulate(GEMMS, "dense")
    path = results.export("dramsim3", tmp_path / "one.trace", layer="2.one")
    found = dramsim3(path.read_text(encoding="utf-8"))
    time = results.runs[0].result.times[2]
    read = sum(
        value for (level, way, _), value in time.job.traffic.items() if (level, way) == ("dram", "read")
    )
    assert sum(not written for _, written, _ in found) == ceil_div(read, 64)
    assert found[0][2] == 0


def test_a_trace_replayed_takes_the_time_of_the_run_where_memory_bounds_it(tmp_path: Path) -> None:
    """A GEMM of one row is all fetches: the bank-level model, request by request, needs what the engine says."""
    results = focal.simulate([(1, 1536, 1536)], "dense")
    found = dramsim3(results.export("dramsim3", tmp_path / "requests.trace").read_text(encoding="utf-8"))
    addresses, writes, cycles = (np.array(column) for column in zip(*found, strict=True))
    spec = load_dram_spec(SYSTEM)
    done = replay(spec, addresses, writes, cycles).done_cycles.max() * spec.device.timing.clock_ns * 1e-9
    assert done == pytest.approx(results.runs[0].result.seconds, rel=0.05)


@pytest.mark.parametrize("arrays", [1, 4])
def test_action_counts_are_those_of_the_run(tmp_path: Path, arrays: int) -> None:
    results = focal.simulate(GEMMS, "focus", overrides={"arrays": arrays})
    path = results.export("accelergy", tmp_path / "counts.yaml")
    read = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    # By Accelergy's documentation: a version, and under local a list of components, each with a list of actions.
    assert set(read) == {"action_counts"}
    assert set(read["action_counts"]) == {"version", "local"}
    found = {
        one["name"]: {action["name"]: action["counts"] for action in one["action_counts"]}
        for one in read["action_counts"]["local"]
    }
    run = results.runs[0]
    assert found["focus.multipliers"]["compute"] == run.result.macs == sum(m * n * k for _, m, n, k in GEMMS)
    assert found["focus.systolic_array"]["leak"] == run.result.total_cycles
    assert found["focus.systolic_array"]["compute"] == next(
        item.actions for item in run.result.breakdown if item.name == "Systolic Array"
    )
    for need in run.accelerator.buffers(frozenset()):
        for way in ("read", "write"):
            amount = run.result.moved_bytes.get(("sram", way, need.name), 0)
            if f"focus.{need.name}" in found:
                assert found[f"focus.{need.name}"][way] == -(-amount // need.port_bytes)
    assert found["focus.dram"] == {way: -(-amount // 64) for way, amount in bytes_of(run.result).items()}


def test_what_cannot_be_exported_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "out"
    one, two = focal.simulate(GEMMS, "dense"), focal.simulate(GEMMS, ["dense", "focus"])
    with pytest.raises(ConfigError, match=r"export 'dramsim': did you mean 'dramsim3'"):
        one.export("dramsim", path)
    with pytest.raises(ConfigError, match="export accelergy: shows one run, got 2; choose accelerator"):
        two.export("accelergy", path)
    with pytest.raises(ConfigError, match="export accelergy: is of the whole run; a layer needs dramsim3 or"):
        one.export("accelergy", path, layer="0.q")
    with pytest.raises(ConfigError, match=r"no layer '0.z' in this run; .*0\.q"):
        one.export("ramulator2", path, layer="0.z")
    with pytest.raises(UnsupportedError, match="export dramsim3: shows one array, got arrays=2; expected 1"):
        focal.simulate(GEMMS, "dense", overrides={"arrays": 2}).export("dramsim3", path)
    monkeypatch.setattr(requests, "MOST_REQUESTS", 10)
    with pytest.raises(ConfigError, match=r"requests of 64 B, expected at most 10; choose one GEMM"):
        one.export("dramsim3", path)
    assert not path.exists()
