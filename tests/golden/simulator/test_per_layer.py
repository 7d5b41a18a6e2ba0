"""Do layers still count what the published functions count, to the last byte?"""

from collections.abc import Mapping
from typing import Any

import pytest

from focal_simulator.accelerators.presets import build_accelerator
from focal_simulator.workload.layer_table import LAYERS, LayerTable
from focal_simulator.workload.workload import Workload
from focal_traces.methods.cmc import CmcSparsity
from simulator_support import golden, golden_totals

BASELINES = golden("baseline_per_layer.json")
FOCUS = golden("focus_per_layer.json.xz")


def assert_bytes(table: LayerTable, block: int, layer: int, expected: Mapping[str, Any]) -> None:
    flat = {
        (*level_direction.split("_"), buffer): value
        for level_direction, buffers in expected.items()
        for buffer, value in buffers.items()
    }
    for key in flat.keys() | table.moved_bytes.keys():
        ours = table.moved_bytes[key][block, layer] if key in table.moved_bytes else 0
        assert float(ours) == float(flat.get(key, 0.0)), (LAYERS[layer], key)


@pytest.mark.golden
@pytest.mark.parametrize("name", BASELINES)
def test_baseline_layers_equal_the_published_functions_bit_for_bit(name: str) -> None:
    case = BASELINES[name]
    accelerator, model, dataset = name.split("/")
    sparsity = case["sparsity"]
    workload = Workload(
        model=model,
        dataset=dataset,
        visual_tokens=case["seq_len"],
        frames=case["num_frames"],
        patches=case["num_patches"],
        tables={f"{accelerator}_sparsity.csv": CmcSparsity(*sparsity) if accelerator == "cmc" else sparsity},
    )
    table = build_accelerator(accelerator).layers(workload)
    assert table.repeats == case["blocks"]
    assert [row["layer"] for row in case["layers"]] == list(LAYERS)
    for layer, row in enumerate(case["layers"]):
        assert float(table.compute_cycles[0, layer]) == row["cycles_per_block"]
        assert float(table.activation_bytes[0, layer]) == row["activation_bytes_per_block"]
        if row["num_ops"] is not None:
            assert float(table.macs[0, layer]) == row["num_ops"]
            assert float(table.dense_macs[0, layer]) == row["dense_ops"]
        assert_bytes(table, 0, layer, row["bytes"])


@pytest.mark.golden
@pytest.mark.parametrize("name", FOCUS)
def test_focus_layers_equal_the_published_functions_bit_for_bit(name: str) -> None:
    case = FOCUS[name]
    overrides = [
        f"tiles.m_tile={case['m_tile']}",
        f"core.gather_block={case['block_size']}",
        f"core.scatter_vectors={case['num_scatter_vectors']}",
    ]
    accelerator = build_accelerator("focus_sec_only" if case["SEC_only"] else "focus", overrides=overrides)
    tokens = case["seq_len"]
    workload = Workload("case", name, tokens, 1, tokens, counts=golden_totals(case))
    table = accelerator.layers(workload)
    columns = {
        "compute_cycles": table.compute_cycles,
        "scatter_cycles": table.scatter_cycles,
        "gather_cycles": table.gather_cycles,
        "stall_cycles": table.stall_cycles,
        "num_ops": table.macs,
        "dense_ops": table.dense_macs,
        "activation_bytes": table.activation_bytes,
    }
    assert len(case["rows"]) >= 48
    for row in case["rows"]:
        block, layer = row["block"], LAYERS.index(row["layer"])
        for column, values in columns.items():
            assert float(values[block, layer]) == row[column], (block, row["layer"], column)
        assert_bytes(table, block, layer, row["bytes"])
    total = case["totals"]
    assert table.compute_cycles.sum() + table.stall_cycles.sum() == total["total_cycles"]
    dram = sum(values.sum() for key, values in table.moved_bytes.items() if key[0] == "dram")
    assert dram == total["total_dram_access"]
    ratios = table.compression_ratios
    assert ratios is not None
    assert ratios.mean() == pytest.approx(total["total_compression_ratio"], rel=1e-12)
