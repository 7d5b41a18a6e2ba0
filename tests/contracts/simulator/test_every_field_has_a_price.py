"""Does every field that ``--set`` or a study can change cost something, or is it refused, or on the closed list?

Every field of every accelerator is moved up and down, a little and far. What makes time, traffic, energy or area better
must make one of them worse by the end of its way, or be refused at once; what changes nothing is no field. The others
stand in docs/hardware_prices.md, which this test reads, each with a reason and a source.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest

from focal.testing.workloads import small_workload
from focal_common.errors import FocalError
from focal_simulator.accelerators import ACCELERATORS
from focal_simulator.accelerators.base import Accelerator
from focal_simulator.accelerators.corrections import ALL
from focal_simulator.accelerators.presets import base_tree, build_accelerator
from focal_simulator.dram.specs import preset_names
from focal_simulator.engine.cycle.design_cache import DesignCache
from focal_simulator.engine.cycle.level import CycleFidelity
from focal_simulator.hardware.specs import FORMAT_BITS, UNITS
from focal_simulator.sweep.metrics import chip_metrics
from focal_simulator.workload.workload import Workload
from focal_traces.header.schema import DecoderGeometry
from published_support import REPOSITORY

PAGE = REPOSITORY / "docs" / "hardware_prices.md"
NODES = (0.022, 0.028, 0.032, 0.045, 0.065, 0.09)
TINY = DecoderGeometry(
    layers=10, hidden_elements=32, intermediate_elements=32, heads=1, kv_heads=1, head_dim_elements=32
)
"""Little work for the array, so that units beside it are what a run waits for."""

WORKLOADS = (small_workload(tokens=2048), small_workload(tokens=512, geometry=TINY))
DESCRIBED = {
    "plain": "accelerator: plain\nbase: systolic_array\n",
    "given_memory": """accelerator: given_memory
base: token_array
dram:
  bandwidth: {value: 2.0e+10, unit: B/s, source: a test}
  energy: {value: 20.0, unit: pJ/bit, source: a test}
  background: {value: 500.0, unit: mW, source: a test}
""",
    # 0 ports mean those of the published timing; stated ones are what a design can trade.
    "ported": """accelerator: ported
base: focus
core: {weight_port: 16, output_ports: 2, concentrate_ports: 2}
dataflow: {is_weight_wavefront: true}
""",
}
KINDS = {"plain": ("files",), "given_memory": ("files",), "ported": ("files", "focus")}
"""Whose rows of the page hold for a described accelerator."""

FIDELITY = CycleFidelity()
Measured = tuple[float, float, float, float]


@lru_cache(maxsize=1)
def listed() -> tuple[tuple[tuple[str, ...], tuple[str, ...]], ...]:
    """Return (field patterns, accelerators) of each row of the page."""
    rows = []
    for line in PAGE.read_text(encoding="utf-8").partition("## The closed list")[2].splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if line.startswith("| `"):
            fields, of, reason, source = cells
            assert len(reason) > 10, line
            assert len(source) > 5, line
            rows.append((tuple(re.findall("`([^`]+)`", fields)), tuple(of.split(", "))))
    return tuple(rows)


def is_listed(name: str, field: str) -> bool:
    return any(_matches(row, name, field) for row in listed())


def _matches(row: tuple[tuple[str, ...], tuple[str, ...]], name: str, field: str) -> bool:
    patterns, of = row
    return bool({"all", *KINDS.get(name, (name,))} & set(of)) and any(
        fnmatchcase(field, one) for one in patterns
    )


def leaves(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every field that an override can name, with its value; a number without unit and source."""
    for key, value in tree.items():
        path = f"{prefix}{key}"
        if isinstance(value, dict) and "value" in value:
            yield path, value["value"]
        elif isinstance(value, dict):
            yield from leaves(value, f"{path}.")
        else:
            yield path, value


def ways(field: str, value: Any) -> list[list[Any]]:
    """Return the directions in which a field can be moved, each as steps from near to far."""
    if isinstance(value, bool):
        return [[not value]]
    if field == "sram_node":
        return [[one for one in NODES if one < value], [one for one in NODES if one > value]]
    if value == 0 and isinstance(value, int):
        return [[1, 2, 8]]
    if isinstance(value, int):
        down = {max(value - 1, 1), max(value // 2, 1), max(value // 8, 1), 1} - {value}
        return [[value + 1, value * 2, value * 8], sorted(down, reverse=True)]
    if isinstance(value, float):
        return [[value * 1.25, value * 2, value * 8], [value / 1.25, value / 2, value / 8]]
    if isinstance(value, list):
        return [[[]]]
    words = {"dram_system": preset_names(), "active_with": UNITS}.get(field.rpartition(".")[2], ())
    if value in FORMAT_BITS:
        words = tuple(FORMAT_BITS)
    return [[one] for one in words if one != value] or [["another"]]


def measured(
    name: str, overrides: list[str], cache: DesignCache, workloads: tuple[Workload, ...]
) -> list[Measured]:
    """Return time, traffic, energy and area on each workload; raises what refuses the design."""
    FIDELITY.check_fields([one.partition("=")[0] for one in overrides], "field")
    accelerator: Accelerator[Any] = build_accelerator(name, None, overrides)
    # Macros stand for sizes that were published, CACTI for any.
    sram = "auto" if any("macros" in one for one in overrides) else "cacti"
    parts, costs = accelerator.components(ALL), FIDELITY.costs(accelerator, sram)
    area = chip_metrics(parts, costs, accelerator.hardware.clock.value)["area_mm2"]
    found = []
    for workload in workloads:
        FIDELITY.check_trace(accelerator, workload)
        result = FIDELITY.simulate(accelerator, workload, sram, cache)
        found.append((result.seconds, float(result.dram_bytes), result.total_mj, area))
    return found


def is_free(name: str, field: str, steps: list[Any], base: list[Measured], cache: DesignCache) -> bool:
    """Return whether a direction makes something better and nothing worse, or changes nothing at all."""
    is_better = is_worse = is_refused = False
    for value in steps:
        try:
            found = measured(name, [f"{field}={json.dumps(value)}"], cache, WORKLOADS)
        except FocalError:
            is_refused = True
            continue
        for before, after in zip(base, found, strict=True):
            is_better |= any(b < a * (1 - 1e-12) for a, b in zip(before, after, strict=True))
            is_worse |= any(b > a * (1 + 1e-12) for a, b in zip(before, after, strict=True))
    if is_worse:
        return False
    return is_better or not is_refused


def free_fields(name: str) -> set[str]:
    """Return the fields of an accelerator, or of the file that describes one, that have no price."""
    cache = DesignCache()
    base = measured(name, [], cache, WORKLOADS)
    return {
        field
        for field, value in leaves(base_tree(name)[0])
        for steps in ways(field, value)
        if steps and is_free(name, field, steps, base, cache)
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("described")
    for name, text in DESCRIBED.items():
        (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def found(folder: Path) -> dict[str, set[str]]:
    return {name: free_fields(name) for name in ACCELERATORS} | {
        name: free_fields(str(folder / f"{name}.yaml")) for name in DESCRIBED
    }


@pytest.mark.parametrize("name", [*ACCELERATORS, *DESCRIBED])
def test_every_field_is_priced_refused_or_listed(name: str, found: dict[str, set[str]]) -> None:
    assert {field for field in found[name] if not is_listed(name, field)} == set()


def test_every_row_of_the_list_is_needed(found: dict[str, set[str]]) -> None:
    for patterns, of in listed():
        for pattern in patterns:
            for one in of:
                needed = [
                    name
                    for name in found
                    if any(_matches(((pattern,), (one,)), name, f) for f in found[name])
                ]
                assert needed, (pattern, one)


def test_a_price_that_is_taken_away_is_noticed(folder: Path) -> None:
    text = "accelerator: cheap\nbase: focus\ncomponents:\n"
    for part in ("cosine_similarity", "max_unit_sic"):
        text += f"  {part}: {{follows: {{core.gather_lanes: 1.0e+12}}}}\n"
    (folder / "cheap.yaml").write_text(text, encoding="utf-8")
    name, cache = str(folder / "cheap.yaml"), DesignCache()
    base = measured(name, [], cache, WORKLOADS)
    assert is_free(name, "core.gather_lanes", [2, 8], base, cache)
    base = measured("focus", [], cache, WORKLOADS)
    assert not is_free("focus", "core.gather_lanes", [2, 8], base, cache)


def test_a_field_that_nothing_looks_at_is_noticed(folder: Path) -> None:
    text = """accelerator: idle
base: systolic_array
components:
  idle:
    label: idle
    count: {value: 4, unit: "1", source: a test}
    area: {value: 0.0, unit: mm2, source: a test}
    power: {value: 0.0, unit: mW, source: a test}
"""
    (folder / "idle.yaml").write_text(text, encoding="utf-8")
    name, cache = str(folder / "idle.yaml"), DesignCache()
    base = measured(name, [], cache, WORKLOADS)
    assert is_free(name, "components.idle.count", [5, 8], base, cache)
