"""Did the tables of docs/dram_model.md and docs/several_arrays.md move? And does theory allow what they say?"""

from __future__ import annotations

from itertools import pairwise

import check_memory_pages as page


def between(text: str, end: str) -> str:
    return text.split(f"{page.START}\n", 1)[1].split(end, 1)[0].strip()


def test_every_preset_stands_beside_a_published_figure() -> None:
    assert between(page.MEMORIES.read_text(encoding="utf-8"), "<!-- end energy -->") == page.energy_table()


def test_io_is_in_the_energy_of_hbm2() -> None:
    lines = [line.split("|") for line in page.energy_table().splitlines() if "`hbm2" in line]
    for _, _, read, _, wires, published, _ in lines:
        # A stream opens a row once for 2 KB, so the 1.21 pJ/bit of activations in the published figure hardly count.
        assert 3.92 - 1.21 <= float(read) <= 3.92
        assert wires.strip() == "0.80"
        assert "3.92" in published


def test_the_scaling_table_holds_and_is_within_its_bounds() -> None:
    text = between(page.ARRAYS.read_text(encoding="utf-8"), "<!-- end arrays -->")
    rows = [line.split("|")[1:-1] for line in text.splitlines()[2:]]
    for system, name, *gains in rows:
        found = [float(gain) for gain in gains]
        assert found[0] == 1
        assert all(gain <= number for gain, number in zip(found, page.NUMBERS, strict=True))
        assert all(before <= after for before, after in pairwise(found))
        key = next(one for one, said in page.SYSTEMS.items() if said == system.strip())
        again = page.speedups(key, name.strip(), (1, 8, 64))
        assert [f"{gain:.2f}" for gain in again] == [gains[0].strip(), gains[3].strip(), gains[6].strip()]
