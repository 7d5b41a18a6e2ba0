"""Does a cache count once what designs share, and anew what they do not?"""

from __future__ import annotations

from typing import Any

import pytest

from focal_simulator.accelerators import ACCELERATORS
from focal_simulator.accelerators.corrections import ALL
from focal_simulator.accelerators.presets import build_accelerator
from focal_simulator.engine.cycle import design_cache, packed
from focal_simulator.engine.cycle.design_cache import DesignCache
from focal_simulator.engine.cycle.simulate import cycle_context, lowered, simulate_cycles
from focal_simulator.jobs.lowering import GivenJobs, Lowering
from focal_simulator.workload.workload import Workload
from simulator_support import small_workload

PRICES = ["components.systolic_array.power=100", "leakage_fraction=0.5", "sram_node=0.045", "tiles.k_tile=64"]


@pytest.fixture
def workload() -> Workload:
    return small_workload()


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Calls of the expensive steps."""
    calls: list[str] = []
    for module, name in ((packed, "_group"), (packed, "packed_cycles"), (design_cache, "batch_totals")):
        kept = getattr(module, name)

        def called(*given: Any, name: str = name, kept: Any = kept) -> Any:
            calls.append(name)
            return kept(*given)

        monkeypatch.setattr(module, name, called)
    return calls


def test_what_only_prices_a_design_counts_nothing_anew(counted: list[str], workload: Workload) -> None:
    cache = DesignCache()
    simulate_cycles(build_accelerator("focus"), workload, "cacti", ALL, cache)
    before = len(counted)
    assert before > 0
    for change in PRICES:
        simulate_cycles(build_accelerator("focus", None, [change]), workload, "cacti", ALL, cache)
    assert len(counted) == before


def test_gather_lanes_leave_what_is_not_gathered_alone(counted: list[str], workload: Workload) -> None:
    cache = DesignCache()
    simulate_cycles(build_accelerator("focus"), workload, "cacti", ALL, cache)
    groups = counted.count("_group")
    counted.clear()
    simulate_cycles(build_accelerator("focus", None, ["core.gather_lanes=2"]), workload, "cacti", ALL, cache)
    assert counted.count("_group") == 0
    assert 0 < counted.count("packed_cycles") < groups


@pytest.mark.parametrize("name", list(ACCELERATORS))
def test_equal_designs_have_equal_keys(name: str, workload: Workload) -> None:
    def keys() -> Lowering:
        accelerator = build_accelerator(name)
        context = cycle_context(accelerator, ALL)
        return lowered(accelerator, workload, context)

    first, second = keys(), keys()
    assert first == second
    assert hash(first) == hash(second)
    for group in packed.batched_jobs(first.tiles.jobs()).groups:
        assert first.array.units(group.role) == second.array.units(group.role)
        assert hash(first.array.units(group.role)) == hash(second.array.units(group.role))


def test_another_workload_of_the_same_name_is_another_one(workload: Workload) -> None:
    cache, focus = DesignCache(), build_accelerator("focus")
    cycles = {
        simulate_cycles(focus, small_workload(similarity=share), "compiler", ALL, cache).total_cycles
        for share in (0.1, 0.5, 0.9)
    }
    assert len(cycles) == 3


def test_the_oldest_entries_go_first_and_results_stay(workload: Workload) -> None:
    cache = DesignCache()
    given = [GivenJobs(()) for _ in range(40)]
    ran = cache.run(
        lowered(build_accelerator("focus"), workload, cycle_context(build_accelerator("focus"), ALL))
    )
    assert list(cache._runs.values()) == [ran]
    batches = [cache.batch(one) for one in given]
    assert not cache._runs, "runs hold the counts of jobs that were let go"
    assert cache.batch(given[-1]) is batches[-1]
    assert cache.batch(given[0]) is not batches[0]
    focus = build_accelerator("focus")
    again = simulate_cycles(focus, workload, "compiler", ALL, cache)
    assert again.causes == simulate_cycles(focus, workload, "compiler").causes
