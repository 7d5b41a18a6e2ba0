"""Do N arrays on one memory cost N times one, and gain what roofline and bandwidth allow?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import focal
from focal_simulator.accelerators import ACCELERATORS
from focal_simulator.accelerators.presets import build_accelerator
from focal_simulator.sweep.run import SweepRequest, run_sweep
from focal_simulator.sweep.study import Study
from simulator_support import PUBLISHED_ROOT

WORK = {"models": "llava_vid", "datasets": "mvbench"}

ARRAY = """\
accelerator: pair
base: systolic_array
arrays: 2
dram: {bandwidth: {value: 400.0e+9, unit: B/s, source: "assumed: a test"}, energy: {value: 4, unit: pJ/bit,
  source: "assumed: a test"}, background: {value: 0, unit: mW, source: "assumed: a test"}}
"""


def rows(accelerators: Any, arrays: int | None, **more: Any) -> Any:
    changed = {} if arrays is None else {"arrays": arrays}
    results = focal.simulate(PUBLISHED_ROOT, accelerators, overrides=changed, **WORK, **more)
    return results.frame().set_index("accelerator")


def test_one_array_is_what_it_was_and_64_cost_64_times_one() -> None:
    names = list(ACCELERATORS)
    before, one, many = rows(names, None), rows(names, 1), rows(names, 64)
    same = [name for name in before.columns if name != "hardware"]
    assert before[same].equals(one[same])
    assert (many["area_mm2"] / one["area_mm2"]).tolist() == pytest.approx([64.0] * len(names))
    assert (one["cycles"] / many["cycles"]).between(1, 64).all()
    # No product is done twice, and what a cut by columns fetches again is read, not written.
    assert many["macs"].equals(one["macs"])
    assert (many["dram_bytes"] >= one["dram_bytes"]).all()
    assert many["dram_write_energy_mj"].tolist() == pytest.approx(one["dram_write_energy_mj"].tolist())


def test_work_costs_what_it_did_and_leakage_runs_on_every_array() -> None:
    """Without leakage and standby, energy follows work alone; cuts move no more bytes where bandwidth is endless."""
    free = {"leakage_fraction": 0, "dram_system": "ddr4_4ch_1rank_interleaved"}
    off = "all,-dram_stalls"
    one, many = (
        focal.simulate(
            PUBLISHED_ROOT, "dense", corrections=off, overrides=free | {"arrays": number}, **WORK
        ).frame().iloc[0]
        for number in (1, 2)
    )  # fmt: skip
    assert many["core_energy_mj"] == pytest.approx(one["core_energy_mj"], rel=1e-12)
    leaking = focal.simulate(PUBLISHED_ROOT, "dense", overrides={"arrays": 8}, **WORK).frame().iloc[0]
    alone = focal.simulate(PUBLISHED_ROOT, "dense", **WORK).frame().iloc[0]
    core = build_accelerator("dense").components()
    power_mw = sum(part.power.value * part.count.value for part in core)
    idle = 0.1 * power_mw * (8 * leaking["seconds"] - alone["seconds"])
    assert leaking["core_energy_mj"] - alone["core_energy_mj"] == pytest.approx(idle, rel=1e-9)


@pytest.mark.parametrize("arrays", [3, 64])
def test_no_number_of_arrays_beats_roofline(arrays: int) -> None:
    found = rows(["dense", "focus"], arrays)
    hardware = build_accelerator("dense").hardware
    multipliers = hardware.core.array_rows.value * hardware.core.array_columns.value * arrays
    assert (found["cycles"] >= found["macs"].loc["focus"] / multipliers).all()
    assert found["cycles"].loc["dense"] >= found["macs"].loc["dense"] / multipliers
    # 65.1 GB/s of reads at 500 MHz: docs/dram_model.md.
    assert (found["cycles"] >= found["dram_bytes"] / (68.1e9 / hardware.clock.value)).all()


def test_the_explanation_of_a_layer_says_how_it_was_cut() -> None:
    results = focal.simulate(PUBLISHED_ROOT, "dense", overrides={"arrays": 4}, **WORK)
    found = results.explain("9.o_proj", "dense")
    assert "arrays" in found.title
    busy = {unit: (formula, cycles) for unit, formula, cycles in found.units}
    assert busy["array"][0].endswith("4 arrays")
    assert "arrays" not in busy["DRAM read"][0]
    # No unit works longer than the layer takes.
    assert max(cycles for _, cycles in busy.values()) <= found.total_cycles


def test_an_array_from_yaml_alone_comes_in_numbers_too(tmp_path: Path) -> None:
    path = tmp_path / "pair.yaml"
    path.write_text(ARRAY, encoding="utf-8")
    pair, single = rows([str(path)], None), rows([str(path)], 1)
    gain = single["cycles"].loc["pair"] / pair["cycles"].loc["pair"]
    assert 1.9 < gain <= 2
    assert pair["area_mm2"].loc["pair"] == pytest.approx(2 * single["area_mm2"].loc["pair"])


def test_a_study_over_numbers_of_arrays_equals_single_runs(tmp_path: Path) -> None:
    study = Study.model_validate(
        {
            "name": "scaling", "kind": "grid", "accelerator": "focus", "fidelity": "cycle",
            "traces": {"root": str(PUBLISHED_ROOT)}, "workloads": ["llava_vid/mvbench"],
            "axes": [{"field": "arrays", "values": [1, 4, 6]}, {"field": "clock", "values": [2.5e8, 5.0e8]}],
            "objectives": [{"metric": "seconds"}, {"metric": "area_mm2"}],
        }
    )  # fmt: skip
    result = run_sweep(SweepRequest(study, tmp_path, None, tmp_path / "sweep"))
    assert [row["status"] for row in result.rows] == ["ok"] * 6
    for row in result.rows:
        alone = focal.simulate(
            PUBLISHED_ROOT, "focus", overrides={"arrays": int(row["arrays"]), "clock": row["clock"]}, **WORK
        )
        own = alone.frame().iloc[0]
        assert (row["total_cycles"], row["total_mj"], row["area_mm2"]) == (
            own["cycles"], own["energy_mj"], own["area_mm2"],
        )  # fmt: skip
