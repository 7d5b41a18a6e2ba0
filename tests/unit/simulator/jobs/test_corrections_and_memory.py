"""Do word lists turn the corrections on that they name, and do a memory's rates become cycles of the array?"""

from __future__ import annotations

import pytest

from focal_common.errors import ConfigError
from focal_simulator.accelerators.corrections import ALL, CORRECTIONS, parse_corrections
from focal_simulator.dram.steady_rates import sequential_rates
from focal_simulator.jobs.context import RATE_DENOMINATOR, CycleContext, MemoryRates, memory_rates


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("all", ALL),
        ("none", frozenset()),
        ("causal_tiles, dram_energy", {"causal_tiles", "dram_energy"}),
        ("all,-dram_energy", ALL - {"dram_energy"}),
        ("-dram_energy", ALL - {"dram_energy"}),  # what is taken away is taken away from all
        ("none,dram_energy,-dram_energy", frozenset()),
        ("causal_tiles,all", ALL),
        ("all,whole_rows", ALL | {"whole_rows"}),  # an assumption of the paper: on where it is named
    ],
)
def test_word_lists(words: str, expected: frozenset[str]) -> None:
    assert parse_corrections(words) == expected


@pytest.mark.parametrize(
    ("words", "message"), [("", "corrections is empty"), ("causal_tile", "did you mean 'causal_tiles'")]
)
def test_wrong_words_are_one_sentence(words: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_corrections(words)


def test_every_correction_says_what_was_assumed_and_what_is_modelled() -> None:
    assert {one.name for one in CORRECTIONS if not one.is_assumption} == ALL
    assert {one.name for one in CORRECTIONS if one.is_assumption} == {"whole_rows"}
    for correction in CORRECTIONS:
        assert correction.defects
        assert correction.published
        assert correction.corrected


def test_rates_are_cycles_of_the_array_and_background_is_drawn_whichever_way_data_flow() -> None:
    system = "ddr4_4ch_1rank_interleaved"
    reads, writes = sequential_rates(system)
    slow, fast = memory_rates(system, 0.5e9), memory_rates(system, 1.0e9)
    # At 0.5 GHz a cycle is 2 ns, in which twice bytes_per_ns arrive.
    assert RATE_DENOMINATOR / slow.read_numerator == pytest.approx(2 * reads.bytes_per_ns, rel=1e-3)
    assert RATE_DENOMINATOR / slow.write_numerator == pytest.approx(2 * writes.bytes_per_ns, rel=1e-3)
    assert fast.read_numerator == pytest.approx(2 * slow.read_numerator, rel=1e-3)
    assert slow.read_pj_per_byte == reads.dynamic_pj_per_byte
    assert slow.write_pj_per_byte == writes.dynamic_pj_per_byte
    assert slow.read_pj_per_byte != slow.write_pj_per_byte
    assert min(reads.background_mw, writes.background_mw) <= slow.background_mw
    assert slow.background_mw <= max(reads.background_mw, writes.background_mw)
    assert slow.background_mw > 0


def test_without_stalls_memory_takes_no_time() -> None:
    rates = MemoryRates(3, 5, 0.0, 0.0, 0.0)
    assert CycleContext(rates, frozenset({"dram_stalls"})).channel["read_cycles_numerator"] == 3
    assert CycleContext(rates, frozenset({"dram_stalls"})).channel["write_cycles_numerator"] == 5
    off = CycleContext(rates, frozenset()).channel
    assert (off["read_cycles_numerator"], off["write_cycles_numerator"]) == (0, 0)
