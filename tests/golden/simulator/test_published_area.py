"""Are area, power and buffer tables those of the Focus paper's Table III and its breakdown?"""

from dataclasses import replace

import pytest

from focal_evaluation.results import published_sweeps
from focal_evaluation.results.published_sweeps import design_row
from focal_simulator.accelerators.presets import build_accelerator
from focal_simulator.costs.buffer_costs import BufferCost
from focal_simulator.engine.parity.level import Parity, simulate
from focal_simulator.results.published_layout import published_design_row
from focal_simulator.results.rows import result_row
from focal_simulator.results.summary import accelerator_rows, component_rows
from focal_traces.counts.trace import GemmTotals
from focal_traces.header.schema import GEMMS
from simulator_support import published_table, published_workloads, with_schedule


@pytest.mark.golden
def test_the_summary_equals_table_three() -> None:
    ours = accelerator_rows({}, "auto", Parity())
    published = published_table("area_power.csv")
    assert [row["label"] for row in ours] == [row["accelerator"] for row in published]
    for mine, theirs in zip(ours, published, strict=True):
        assert mine["area_mm2"] == pytest.approx(float(theirs["area_mm2"]), rel=1e-14)
        assert mine["peak_on_chip_power_mw"] == pytest.approx(float(theirs["power_mw"]), rel=1e-14)
        assert mine["buffer_kib"] == float(theirs["buffer_kib"])


@pytest.mark.golden
def test_the_breakdown_of_focus_equals_the_published_one() -> None:
    accelerator = build_accelerator("focus")
    workload = with_schedule(published_workloads()["llava_vid", "videomme"])
    # Time and DRAM bytes of the published main run, whose masks were not released.
    seconds, dram_mj = 37.103187968, 389_639_082_816 * 99.98e-9
    result = replace(simulate(accelerator, workload), seconds=seconds, dram_mj=dram_mj)
    run = result_row("focus", workload, result, fidelity="parity")
    ours = component_rows(run, accelerator, "auto", Parity(), result)
    published = published_table("focus_breakdown.csv")
    assert [row["component"] for row in ours] == [row["component"] for row in published]
    for mine, theirs in zip(ours, published, strict=True):
        for name in ("area_mm2", "power_mw", "energy_mj"):
            assert mine[name] == pytest.approx(float(theirs[name]), rel=1e-14), (mine["component"], name)


PUBLISHED_CACTI = {
    # Buffer: area mm2, leakage mW, read pJ/B, write pJ/B, at m = 1024 and two scatter vectors.
    "output": (0.527333, 175.367, 1.139164, 1.976242),
    "layouter": (0.123224, 10.76112, 0.18365468749999998, 0.2020734375),
    "similarity_map": (0.002780, 1.07089, 0.304779, 0.356127),
    "similarity_table": (0.089271, 33.228, 0.3477890625, 1.0712359375),
}


@pytest.mark.golden
@pytest.mark.parametrize("row", published_table("vector_size.csv"), ids=lambda row: row["vector_size"])
def test_the_vector_size_layer_equals_the_published_one(
    row: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    costs = tuple(BufferCost(name, 0, *values) for name, values in PUBLISHED_CACTI.items())
    workload = with_schedule(published_workloads()["llava_vid", "mlvu"])
    counts = workload.counts
    assert counts is not None
    slices = -(-3584 // int(row["vector_size"]))
    place = GEMMS.index("o_proj")
    width = counts.slices.copy()
    width[9, place] = slices
    vectors, unique = counts.vectors.copy(), counts.unique.copy()
    vectors[9, place] = counts.tokens[9, place] * slices
    computed, stored = int(row["unique_rows"]), int(row["stored_rows"])
    unique[9, place] = computed * slices + (stored - computed)
    latent = GemmTotals(counts.tokens, vectors, unique, width, counts.visual_tokens)
    size = int(row["vector_size"])
    array = (f"core.array_rows={min(size, 32)}", f"core.array_columns={1024 // min(size, 32)}")
    focus = build_accelerator("focus", overrides=list(array))
    monkeypatch.setattr(published_sweeps, "buffer_costs", lambda accelerator, choice: costs)
    cells = design_row("dse_b_vector_size", str(size), focus, replace(workload, counts=latent), "cacti")
    ours = published_design_row({column: str(cell) for column, cell in cells.items()})
    for column in row.keys() - {"unique_rows", "stored_rows"}:
        if column.endswith("_energy"):
            assert float(ours[column]) == pytest.approx(float(row[column]), rel=1e-6), column
        else:
            assert int(ours[column]) == int(row[column]), column
