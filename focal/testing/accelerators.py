"""What every accelerator must fulfil, whatever its array."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import pytest

from focal.testing.workloads import small_workload
from focal_common.errors import UnsupportedError
from focal_simulator.accelerators.base import Accelerator, published_formulas
from focal_simulator.accelerators.corrections import parse_corrections
from focal_simulator.accelerators.presets import build_accelerator
from focal_simulator.costs.buffer_costs import SramChoice, buffer_costs
from focal_simulator.engine.cycle.level import CycleFidelity
from focal_simulator.engine.cycle.packed import placed_jobs
from focal_simulator.engine.cycle.simulate import CycleResult, cycle_context, simulate_cycles
from focal_simulator.engine.parity.level import core_power_mw, simulate, summed
from focal_simulator.kernels.pipeline import Pipeline
from focal_simulator.workload.layer_table import LAYERS, LINEAR_LAYERS, LinearShapes
from focal_simulator.workload.workload import Workload
from focal_traces.header.schema import DecoderGeometry
from focal_traces.methods.focus import SCHEDULES

_TOKENS = (8, 64, 512, 1024, 1032, 2048, 4096)

_SMALL_DECODER = DecoderGeometry(
    layers=12,
    hidden_elements=256,
    intermediate_elements=704,
    heads=6,
    kv_heads=2,
    head_dim_elements=64,
)


def _macs_per_cycle(machine: Pipeline) -> float:
    return machine.slice_elements * machine.array_columns * machine.row_lanes / machine.cycles_per_pass


class AcceleratorContract:
    """Tests of an accelerator with a cycle model; inherit it and name the accelerator.

    Attributes:
        accelerator: Name under which it is registered.
        overrides: ``dotted.field=value`` of its hardware file, to test another size of it.
        sram: Buffer cost model.
        corrections: Word lists; every cycle test runs with each.
    """

    accelerator: ClassVar[str]
    overrides: ClassVar[tuple[str, ...]] = ()
    sram: ClassVar[SramChoice] = "auto"
    corrections: ClassVar[tuple[str, ...]] = ("all",)

    def build(self) -> Accelerator[Any]:
        """Return the accelerator under test."""
        return build_accelerator(self.accelerator, overrides=list(self.overrides))

    def workload(self, tokens: int = 600) -> Workload:
        """Return a prefill that it accepts, with so many visual tokens in four frames."""
        return small_workload(tokens)

    def run(self, words: str, tokens: int = 600) -> CycleResult:
        """Return the result of a prefill with corrections as a word list."""
        return simulate_cycles(self.build(), self.workload(tokens), self.sram, parse_corrections(words))

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Run a test that asks for ``words`` with each word list of `corrections`."""
        if "words" in metafunc.fixturenames:
            metafunc.parametrize("words", self.corrections)

    def test_it_names_its_paper_and_its_deviations(self) -> None:
        text = type(self.build()).__doc__ or ""
        assert "Paper:" in text
        assert "Deviations:" in text

    def test_every_number_of_its_hardware_has_a_unit_and_a_source(self) -> None:
        def quantities(node: Any) -> list[Mapping[str, Any]]:
            if isinstance(node, dict):
                found = [node] if "value" in node else []
                return found + [item for value in node.values() for item in quantities(value)]
            return []

        found = quantities(self.build().hardware.model_dump())
        assert found
        assert all(item["unit"] and item["source"] for item in found)

    def test_it_refuses_a_workload_without_visual_tokens(self) -> None:
        with pytest.raises(UnsupportedError, match="no visual tokens"):
            self.build().accepts(Workload("none", "text", 0, 1, 0))

    def test_causes_sum_and_energy_closes(self, words: str) -> None:
        result = self.run(words, tokens=2048)
        assert sum(result.causes.values()) == result.total_cycles
        assert result.total_cycles == result.compute_cycles + result.stall_cycles
        assert result.total_mj == pytest.approx(result.dram_mj + result.sram_mj + result.core_mj, rel=1e-9)
        assert min(result.dram_mj, result.sram_mj, result.core_mj) > 0

    def test_every_gemm_takes_at_least_its_operations_over_the_multipliers(self, words: str) -> None:
        result = self.run(words, tokens=2048)
        assert 0 < result.macs <= result.dense_macs
        least = sum(time.job.macs / _macs_per_cycle(time.job.machine) for time in result.times)
        assert result.total_cycles >= least

    def test_moved_sram_bytes_are_priced(self, words: str) -> None:
        names = {cost.name for cost in self._level(words).costs(self.build(), self.sram)}
        moved = self.run(words).moved_bytes
        assert {buffer for place, _, buffer in moved if place == "sram"} <= names

    def test_more_tokens_never_cost_fewer_cycles(self) -> None:
        totals = [self.run("all", tokens).total_cycles for tokens in _TOKENS]
        assert totals[0] > 0
        assert totals == sorted(totals)

    def test_layer_rows_hold_every_cycle(self, words: str) -> None:
        result = self.run(words)
        assert sum(row["cycles"] for row in self._level(words).layer_rows(result)) == result.total_cycles

    def test_two_runs_give_equal_results(self, words: str) -> None:
        first, second = self.run(words), self.run(words)
        assert self._level(words).columns(first) == self._level(words).columns(second)
        assert first.total_mj == second.total_mj

    def _level(self, words: str) -> CycleFidelity:
        return CycleFidelity(parse_corrections(words))


class ParityContract(AcceleratorContract):
    """Tests of an accelerator that repeats the formulas of a published simulator as well (`layers`)."""

    corrections: ClassVar[tuple[str, ...]] = ("all", "none")

    def test_one_token_takes_time_on_every_layer(self) -> None:
        table = published_formulas(self.build()).layers(small_workload(tokens=1, frames=1, similarity=0.0))
        assert table.compute_cycles.shape[1] == len(LAYERS)
        assert (table.compute_cycles > 0).all()

    def test_arrays_share_one_shape_and_repeats_cover_the_decoder(self) -> None:
        workload = self.workload()
        table = published_formulas(self.build()).layers(workload)
        shape = table.compute_cycles.shape
        assert shape[0] * table.repeats == workload.geometry.layers
        for name in ("stall_cycles", "macs", "dense_macs", "activation_bytes"):
            assert getattr(table, name).shape == shape, name
        assert all(values.shape == shape for values in table.moved_bytes.values())

    def test_formulas_never_charge_less_for_more_tokens(self) -> None:
        formulas = published_formulas(self.build())
        totals = [summed(formulas.layers(self.workload(tokens))) for tokens in _TOKENS]
        for name in ("compute_cycles", "macs", "dense_macs", "activation_bytes"):
            each = [total[name] for total in totals]
            assert each == sorted(each), name

    def test_dense_operations_are_those_of_the_decoder(self) -> None:
        for geometry in (self.workload().geometry, _SMALL_DECODER):
            workload = replace(self.workload(), counts=None, geometry=geometry)
            row = workload.row(SCHEDULES)
            assert row is not None
            workload = workload.with_schedule_counts(row.schedule)
            table = published_formulas(self.build()).layers(workload)
            shapes = LinearShapes.of(geometry)
            linear = workload.visual_tokens * shapes.inputs * shapes.outputs
            tokens, width = workload.visual_tokens, geometry.heads * geometry.head_dim_elements
            assert table.dense_macs[0, : len(LINEAR_LAYERS)].tolist() == linear.tolist()
            assert table.dense_macs[0, -1] == tokens * tokens * width
            assert (table.macs <= table.dense_macs).all()

    def test_formulas_charge_at_least_operations_over_multipliers(self) -> None:
        accelerator, workload = self.build(), self.workload(2048)
        total = summed(published_formulas(accelerator).layers(workload))
        jobs = placed_jobs(accelerator.jobs(workload, cycle_context(accelerator, frozenset())))
        assert total["compute_cycles"] >= total["macs"] / max(_macs_per_cycle(job.machine) for job in jobs)

    def test_parts_of_the_published_energy_sum_to_the_total(self) -> None:
        accelerator = self.build()
        result = simulate(accelerator, self.workload(), self.sram)
        assert result.total_mj == pytest.approx(result.dram_mj + result.sram_mj + result.core_mj, rel=1e-15)
        assert result.core_mj == pytest.approx(core_power_mw(accelerator) * result.seconds, rel=1e-15)
        assert result.total_cycles == result.compute_cycles + result.stall_cycles

    def test_counted_buffers_exist_and_are_priced(self) -> None:
        accelerator = self.build()
        names = {cost.name for cost in buffer_costs(accelerator, self.sram)}
        moved = published_formulas(accelerator).layers(self.workload()).moved_bytes
        assert {buffer for level, _, buffer in moved if level == "sram"} <= names

    def test_two_calls_of_the_formulas_give_equal_results(self) -> None:
        first, second = (published_formulas(self.build()).layers(self.workload()) for _ in range(2))
        assert np.array_equal(first.compute_cycles, second.compute_cycles)
        assert first.moved_bytes.keys() == second.moved_bytes.keys()
