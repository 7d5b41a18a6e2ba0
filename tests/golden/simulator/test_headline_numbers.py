"""Do all published video and image rows, also those not at hand, give the paper's figures and tables?"""

import json
import math
from typing import Any

import pytest

from focal_simulator.accelerators.presets import build_accelerator
from focal_simulator.engine.base import RunResult
from focal_simulator.engine.parity.level import simulate
from simulator_support import DATA, published_workloads

NUMBERS = json.loads((DATA / "published" / "headline_numbers.json").read_text(encoding="utf-8"))
WORKLOADS = published_workloads()
NAMES = {"Adaptiv": "adaptiv", "CMC": "cmc", "SEC": "focus_sec_only"}


def run(name: str, row: str) -> RunResult:
    model, dataset = row.split("/")
    return simulate(build_accelerator(name), WORKLOADS[model, dataset], "compiler")


@pytest.fixture(scope="module")
def dense() -> dict[str, RunResult]:
    return {f"{model}/{dataset}": run("dense", f"{model}/{dataset}") for model, dataset in WORKLOADS}


@pytest.mark.golden
@pytest.mark.parametrize("label", NAMES)
def test_the_nine_video_speed_ups_are_those_of_figure_nine(label: str, dense: dict[str, RunResult]) -> None:
    ours = [dense[row].seconds / run(NAMES[label], row).seconds for row in NUMBERS["row_order"]]
    assert ours == pytest.approx(NUMBERS["speedup_vs_dense"][label], rel=1e-12)


@pytest.mark.golden
@pytest.mark.parametrize("label", ["Adaptiv", "CMC"])
def test_energy_and_sparsity_of_the_video_rows_are_published(label: str, dense: dict[str, RunResult]) -> None:
    results = [run(NAMES[label], row) for row in NUMBERS["row_order"]]
    ratios = [
        ours.total_mj / dense[row].total_mj for ours, row in zip(results, NUMBERS["row_order"], strict=True)
    ]
    assert math.prod(ratios) ** (1 / 9) == pytest.approx(NUMBERS["energy_norm_geomean"][label], rel=1e-12)
    sparsity = [100 * (1 - ours.macs / ours.dense_macs) for ours in results]
    assert sparsity == pytest.approx(NUMBERS["sparsity_percent"][label], rel=1e-11)


@pytest.mark.golden
@pytest.mark.parametrize("label", ["Adaptiv", "CMC"])
@pytest.mark.parametrize("quantity", ["total_dram_access", "total_activation"])
def test_traffic_and_activation_per_model_are_those_of_figure_twelve(
    label: str, quantity: str, dense: dict[str, RunResult]
) -> None:
    def value(result: RunResult) -> Any:
        return result.dram_bytes if quantity == "total_dram_access" else int(result.activation_bytes)

    for place, expected in enumerate(NUMBERS["fig12"][quantity][label]):
        rows = NUMBERS["row_order"][3 * place : 3 * place + 3]
        ratios = [value(run(NAMES[label], row)) / value(dense[row]) for row in rows]
        assert math.prod(ratios) ** (1 / 3) == pytest.approx(expected, rel=1e-12)


@pytest.mark.golden
def test_the_six_image_speed_ups_of_adaptiv_are_those_of_table_five(dense: dict[str, RunResult]) -> None:
    for row, expected in NUMBERS["table5_speedup"].items():
        ours = dense[row].seconds / run("adaptiv", row).seconds
        assert ours == pytest.approx(expected["AdapTiV"], rel=1e-12)
