"""Is every design of a study evaluated as if it were alone, bit for bit, whatever a cache knows of the others?"""

import random
from typing import Any

import pytest

from focal_common.errors import FocalError
from focal_simulator.accelerators.presets import build_accelerator
from focal_simulator.engine.base import Fidelity, RunResult
from focal_simulator.engine.cycle import design_cache
from focal_simulator.engine.cycle.design_cache import DesignCache
from focal_simulator.results.runner import FIDELITIES, Settings
from focal_simulator.sweep.metrics import chip_metrics, run_metrics
from focal_simulator.workload.loading import load_workloads
from focal_simulator.workload.workload import Workload
from focal_traces.root.root import TraceRoot
from simulator_support import PUBLISHED_ROOT

SHARED: dict[str, list[Any]] = {
    "timing.allow_beyond": [True],
    "clock": [5e8, 7e8],
    "precision": ["fp16", "int8"],
    "dram_system": ["ddr4_4ch_1rank_interleaved", "hbm2_8ch_shipped"],
    "dataflow.is_weight_double_buffered": [False, True],
    "leakage_fraction": [0.1, 0.2],
    "sram_node": [0.028, 0.045],
    "tiles.n_tile": [96, 64, 128, 200],
    "tiles.k_tile": [32, 64],
    "components.fp16_mul.count": [8, 32],
}
SYSTOLIC: dict[str, list[Any]] = {
    "core.array_columns": [32, 16, 64],
    "core.row_limit": [1024, 512],
    "components.systolic_array.power": [100.0, 324.3681],
    "buffers.wgt.copies": [1, 2],
}
FOCUS: dict[str, list[Any]] = {
    "core.array_rows": [32, 8, 16],
    "core.scatter_vectors": [1, 2, 3, 5],
    "core.gather_lanes": [1, 2, 8],
    "core.similarity_elements": [32, 64],
    "tiles.m_tile": [1024, 2048, 512, 3072],
    "components.max_unit_sec.count": [16, 32],
    "components.cosine_similarity.count": [1, 2],
    "components.accumulator.area": [0.01, 0.02],
}
AXES = {
    "focus": SHARED | SYSTOLIC | FOCUS,
    "focus_sec_only": SHARED | SYSTOLIC | FOCUS,
    "dense": SHARED | SYSTOLIC | {"core.array_rows": [32, 16], "tiles.m_tile": [1024, 2048]},
    "cmc": SHARED
    | {"tiles.m_tile": [1024, 512], "core.array_rows": [32, 16], "core.frames_per_partition": [4, 8]},
    "adaptiv": SHARED
    | {"tiles.m_tile": [64, 128], "core.line_width": [32, 64], "tiles.n_tile": [16, 64, 100]},
}


@pytest.fixture(scope="module")
def workload() -> Workload:
    found = load_workloads(TraceRoot.open(PUBLISHED_ROOT), ["minicpm_v"], ["mvbench"])
    return next(one for one in found if one.label == "minicpm_v/mvbench")


def facts(fidelity: Fidelity, result: RunResult) -> dict[str, Any]:
    moved = {key: value for key, value in result.moved_bytes.items() if value}
    return (
        run_metrics(result)
        | dict(fidelity.columns(result))
        | {
            "moved": moved,
            "ratio": result.compression_ratio,
            "activation": result.activation_bytes,
        }
    )


def evaluated(
    name: str, fidelity: Fidelity, workload: Workload, values: dict[str, Any], sram: Any, cache: Any = None
) -> Any:
    words = [
        f"{field}={str(value).lower() if isinstance(value, bool) else value}"
        for field, value in values.items()
    ]
    try:
        accelerator = build_accelerator(name, None, words)
        costs = fidelity.costs(accelerator, sram)
        chip = chip_metrics(fidelity.components(accelerator), costs, accelerator.hardware.clock.value)
        return chip | facts(fidelity, fidelity.simulate(accelerator, workload, sram, cache))
    except FocalError as error:
        return type(error), str(error)


@pytest.mark.parametrize(
    ("name", "level", "corrections", "points"),
    [
        ("focus", "cycle", "all", 60),
        ("focus", "cycle", "-attention_scatter", 6),
        ("focus", "cycle", "none", 6),
        ("focus", "cycle", "-causal_tiles,-stored_outputs", 12),
        ("focus_sec_only", "cycle", "all", 8),
        ("focus_sec_only", "cycle", "-sec_only_unit", 8),
        ("dense", "cycle", "all", 8),
        ("cmc", "cycle", "all", 12),
        ("adaptiv", "cycle", "all", 12),
        ("focus", "parity", "all", 30),
        ("dense", "parity", "all", 12),
        ("cmc", "parity", "all", 12),
        ("adaptiv", "parity", "all", 12),
    ],
)
def test_results_are_those_of_single_runs(
    name: str, level: str, corrections: str, points: int, workload: Workload
) -> None:
    fidelity: Fidelity = FIDELITIES.load(level)(Settings(fidelity=level, corrections=corrections))
    axes, draw = AXES[name], random.Random(f"{name} {level} {corrections}")
    cache = DesignCache()
    values = {field: choices[0] for field, choices in axes.items()}
    simulated = 0
    for _ in range(points):
        # Neighbours share most fields, so that much is remembered.
        for field in draw.sample(list(axes), 2):
            values[field] = draw.choice(axes[field])
        sram = draw.choice(["cacti", "cacti", "auto"])
        found = evaluated(name, fidelity, workload, values, sram, cache)
        assert found == evaluated(name, fidelity, workload, values, sram), values
        simulated += isinstance(found, dict)
    assert simulated >= points // 6


@pytest.mark.parametrize("corrections", ["all", "-attention_scatter,-sec_only_unit"])
@pytest.mark.parametrize("name", list(AXES))
def test_every_field_that_alone_tells_two_designs_apart_tells_them_apart(
    name: str, corrections: str, workload: Workload
) -> None:
    fidelity: Fidelity = FIDELITIES.load("cycle")(Settings(corrections=corrections))
    cache = DesignCache()
    evaluated(name, fidelity, workload, {}, "cacti", cache)
    for field, choices in AXES[name].items():
        for value in choices:
            design = {field: value}
            found = evaluated(name, fidelity, workload, design, "cacti", cache)
            assert found == evaluated(name, fidelity, workload, design, "cacti"), design


def test_a_long_study_keeps_no_counts_of_jobs_that_it_has_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    class Jobs:
        def __init__(self, name: int) -> None:
            self.groups = (f"array {name}", f"attention {name}")

        def jobs(self) -> "Jobs":
            return self

    monkeypatch.setattr(design_cache, "batched_jobs", lambda jobs: jobs)
    monkeypatch.setattr(design_cache, "GroupCounts", lambda group, units: (group, units))
    cache: Any = DesignCache()
    for tiles in map(Jobs, range(40)):
        batch = cache.batch(tiles)
        for units in range(5):
            for group in batch.groups:
                cache.counts(group, units)
        kept = {group for one in cache._batches.values() for group in one.groups}
        assert {group for group, *_ in cache._groups} == kept
    assert len(cache._groups) == 16 * 2 * 5
