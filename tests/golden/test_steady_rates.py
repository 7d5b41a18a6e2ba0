"""Is the table of steady rates what the memory model measures, and is it left alone once the model changes?"""

import pytest

from focal_simulator.dram import steady_rates
from focal_simulator.dram.specs import preset_names
from focal_simulator.dram.steady_rates import measured_rates, sequential_rates, sources_sha256


def test_every_memory_system_is_in_the_table_of_these_sources() -> None:
    known = {system for system, digest in steady_rates._table() if digest == sources_sha256()}
    assert known == set(preset_names()), "run: python -m focal_simulator.dram.steady_rates"


@pytest.mark.golden
@pytest.mark.parametrize("system", preset_names())
def test_the_table_is_what_the_model_measures_bit_for_bit(system: str) -> None:
    assert sequential_rates(system) == measured_rates(system), (
        "run: python -m focal_simulator.dram.steady_rates"
    )


def test_a_changed_model_is_measured_again(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(steady_rates, "sources_sha256", lambda: "of a changed model")
    monkeypatch.setattr(steady_rates, "measured_rates", asked.append)
    sequential_rates("ddr4_1ch_shipped")
    assert asked == ["ddr4_1ch_shipped"]
