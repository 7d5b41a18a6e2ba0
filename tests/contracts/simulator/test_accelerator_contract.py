"""Is every accelerator plug-in lawful? One class, run over the registry."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from focal_common.errors import UnsupportedError
from focal_simulator.accelerators import ACCELERATORS
from focal_simulator.accelerators.base import Accelerator, PublishedFormulas
from focal_simulator.accelerators.presets import build_accelerator
from focal_simulator.costs.buffer_costs import buffer_costs
from focal_simulator.engine.base import Fidelity
from focal_simulator.engine.cycle.simulate import cycle_context
from focal_simulator.engine.parity.run import core_power_mw, simulate, summed
from focal_simulator.results.runner import FIDELITIES, Settings
from focal_simulator.workload.layer_table import LAYERS, LINEAR_LAYERS, LinearShapes
from focal_simulator.workload.workload import Workload
from focal_traces.header.schema import DecoderGeometry
from page_support import register
from simulator_support import small_workload, with_schedule

SMALL_DECODER = DecoderGeometry(
    layers=12,
    hidden_elements=256,
    intermediate_elements=704,
    heads=6,
    kv_heads=2,
    head_dim_elements=64,
)


PUBLISHED = [name for name in ACCELERATORS if issubclass(ACCELERATORS.load(name), PublishedFormulas)]
PAGE = "the documented one"


@pytest.fixture(params=[*ACCELERATORS, PAGE])
def accelerator(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Accelerator[Any]:
    return build_accelerator(register(tmp_path, monkeypatch) if request.param == PAGE else request.param)


@pytest.fixture(params=PUBLISHED)
def published(request: pytest.FixtureRequest) -> Any:
    return build_accelerator(request.param)


def peak(accelerator: Accelerator[Any]) -> float:
    """Multiply-accumulates a cycle that the array can do at most."""
    machine = accelerator.array(cycle_context(accelerator, frozenset())).machine(1 << 12)
    return machine.slice_elements * machine.array_columns * machine.row_lanes / machine.cycles_per_pass


class TestEveryAccelerator:
    def test_it_names_its_paper_and_its_deviations(self, accelerator: Accelerator[Any]) -> None:
        text = type(accelerator).__doc__ or ""
        assert "Paper:" in text
        assert "Deviations:" in text

    def test_every_number_of_its_hardware_has_a_unit_and_a_source(
        self, accelerator: Accelerator[Any]
    ) -> None:
        def quantities(node: Any) -> list[dict[str, Any]]:
            if isinstance(node, dict):
                found = [node] if "value" in node else []
                return found + [item for value in node.values() for item in quantities(value)]
            return []

        tree = accelerator.hardware.model_dump()
        found = quantities(tree)
        assert found
        assert all(item["unit"] and item["source"] for item in found)

    def test_it_refuses_a_workload_without_visual_tokens(self, accelerator: Accelerator[Any]) -> None:
        empty = Workload("none", "text", 0, 1, 0)
        with pytest.raises(UnsupportedError, match="no visual tokens"):
            accelerator.accepts(empty)

    def test_one_token_takes_time_on_every_layer(self, published: Any) -> None:
        table = published.layers(small_workload(tokens=1, frames=1, similarity=0.0))
        assert table.compute_cycles.shape[1] == len(LAYERS)
        assert (table.compute_cycles > 0).all()

    def test_arrays_share_one_shape_and_repeats_cover_the_decoder(self, published: Any) -> None:
        workload = small_workload()
        table = published.layers(workload)
        shape = table.compute_cycles.shape
        assert shape[0] * table.repeats == workload.geometry.layers
        for name in ("stall_cycles", "macs", "dense_macs", "activation_bytes"):
            assert getattr(table, name).shape == shape, name
        assert all(values.shape == shape for values in table.moved_bytes.values())

    def test_more_tokens_never_cost_fewer_cycles_or_operations(self, published: Any) -> None:
        before = summed(published.layers(small_workload(tokens=8)))
        for tokens in (64, 512, 1024, 1032, 2048, 4096):
            after = summed(published.layers(small_workload(tokens=tokens)))
            for name in ("compute_cycles", "macs", "dense_macs", "activation_bytes"):
                assert after[name] >= before[name], (name, tokens)
            before = after

    def test_dense_operations_are_those_of_the_decoder(self, published: Any) -> None:
        for geometry in (small_workload().geometry, SMALL_DECODER):
            workload = with_schedule(replace(small_workload(), counts=None, geometry=geometry))
            table = published.layers(workload)
            shapes = LinearShapes.of(geometry)
            linear = workload.visual_tokens * shapes.inputs * shapes.outputs
            tokens, width = workload.visual_tokens, geometry.heads * geometry.head_dim_elements
            assert table.dense_macs[0, : len(LINEAR_LAYERS)].tolist() == linear.tolist()
            assert table.dense_macs[0, -1] == tokens * tokens * width
            assert (table.macs <= table.dense_macs).all()

    def test_cycles_are_at_least_operations_over_multipliers(self, published: Any) -> None:
        total = summed(published.layers(small_workload(tokens=2048)))
        assert total["compute_cycles"] >= total["macs"] / peak(published)

    def test_parts_of_energy_sum_to_the_total(self, published: Any) -> None:
        result = simulate(published, small_workload(), "compiler")
        assert result.total_mj == pytest.approx(result.dram_mj + result.sram_mj + result.core_mj, rel=1e-15)
        assert result.core_mj == pytest.approx(core_power_mw(published) * result.seconds, rel=1e-15)
        assert result.total_cycles == result.compute_cycles + result.stall_cycles

    def test_counted_buffers_exist_and_are_priced(self, published: Any) -> None:
        names = {cost.name for cost in buffer_costs(published, "compiler")}
        table = published.layers(small_workload())
        counted = {buffer for level, _, buffer in table.moved_bytes if level == "sram"}
        assert counted <= names

    def test_two_calls_give_equal_results(self, published: Any) -> None:
        first, second = (published.layers(small_workload()) for _ in range(2))
        assert np.array_equal(first.compute_cycles, second.compute_cycles)
        assert first.moved_bytes.keys() == second.moved_bytes.keys()


@pytest.fixture(params=["all", "none"])
def cycle(request: pytest.FixtureRequest) -> Fidelity:
    level: Fidelity = FIDELITIES.load("cycle")(Settings(corrections=request.param))
    return level


class TestEveryAcceleratorInCycleFidelity:
    def test_causes_sum_and_energy_closes(self, accelerator: Accelerator[Any], cycle: Fidelity) -> None:
        result = cycle.simulate(accelerator, small_workload(tokens=2048), "auto")
        columns = cycle.columns(result)
        causes = [int(value) for name, value in columns.items() if name.endswith("_cycles")]
        assert sum(causes) == result.total_cycles
        assert result.total_mj == pytest.approx(result.dram_mj + result.sram_mj + result.core_mj, rel=1e-9)
        assert min(result.dram_mj, result.sram_mj, result.core_mj) > 0

    def test_cycles_are_at_least_operations_over_multipliers(
        self, accelerator: Accelerator[Any], cycle: Fidelity
    ) -> None:
        result = cycle.simulate(accelerator, small_workload(tokens=2048), "auto")
        assert result.total_cycles >= result.macs / peak(accelerator)
        assert result.macs <= result.dense_macs

    def test_moved_sram_bytes_are_priced(self, accelerator: Accelerator[Any]) -> None:
        level = FIDELITIES.load("cycle")(Settings())
        names = {cost.name for cost in level.costs(accelerator, "auto")}
        result = level.simulate(accelerator, small_workload(), "auto")
        assert {buffer for place, _, buffer in result.moved_bytes if place == "sram"} <= names

    def test_more_tokens_never_cost_fewer_cycles(self, accelerator: Accelerator[Any]) -> None:
        level = FIDELITIES.load("cycle")(Settings())
        totals = [
            level.simulate(accelerator, small_workload(tokens=tokens), "auto").total_cycles
            for tokens in (8, 64, 512, 1024, 1032, 2048, 4096)
        ]
        assert totals == sorted(totals)

    def test_layer_rows_hold_every_cycle(self, accelerator: Accelerator[Any], cycle: Fidelity) -> None:
        result = cycle.simulate(accelerator, small_workload(), "auto")
        assert sum(row["cycles"] for row in cycle.layer_rows(result)) == result.total_cycles

    def test_two_calls_give_equal_results(self, accelerator: Accelerator[Any], cycle: Fidelity) -> None:
        first, second = (cycle.simulate(accelerator, small_workload(), "auto") for _ in range(2))
        assert cycle.columns(first) == cycle.columns(second)
        assert first.total_mj == second.total_mj
