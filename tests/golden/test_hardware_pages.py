"""Did the tables of prices, memories and arrays in docs/ move? And does theory allow what they say?"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import check_hardware_pages as page


def test_every_preset_stands_beside_a_published_figure() -> None:
    assert page.written(page.MEMORIES, "<!-- end energy -->") == page.energy_table()


def test_the_price_of_a_multiplication_is_that_of_the_page() -> None:
    lines = page.written(page.PRICES, "<!-- end prices -->").splitlines()
    runs = ("fp16, LLaVA", "int8, the same run")
    assert [line for line in lines if not line[2:].startswith(runs)] == page.prices_table().splitlines()
    for line in lines:
        if line[2:].startswith(runs):
            low, high = map(float, line.split("|")[-2].split(" to "))
            assert all(low <= float(cell) <= high for cell in line.split("|")[2:-2])


def test_fronts_of_the_page_are_those_of_the_studies(tmp_path: Path) -> None:
    knobs = page.swept("priced_knobs", tmp_path)
    assert page.written(page.SWEEPS, "<!-- end knobs -->") == page.knobs_table(knobs)
    # No free lunch: no clock, no width and no size is beaten in everything.
    for name, field in (
        ("priced_knobs", "clock"),
        ("priced_knobs", "core.scatter_vectors"),
        ("array_sizes", "array"),
    ):
        result = knobs if name == "priced_knobs" else page.swept(name, tmp_path)
        on_front, tried = ({row[field] for row in rows} for rows in (result.front.rows, result.rows))
        assert on_front == tried, field
    assert page.written(page.SWEEPS, "<!-- end sizes -->") == page.sizes_table(result)


def test_io_is_in_the_energy_of_hbm2() -> None:
    lines = [line.split("|") for line in page.energy_table().splitlines() if "`hbm2" in line]
    for _, _, read, _, wires, published, _ in lines:
        # A stream opens a row once for 2 KB, so the 1.21 pJ/bit of activations in the published figure hardly count.
        assert 3.92 - 1.21 <= float(read) <= 3.92
        assert wires.strip() == "0.80"
        assert "3.92" in published


def test_the_scaling_table_holds_and_is_within_its_bounds() -> None:
    text = page.written(page.ARRAYS, "<!-- end arrays -->")
    rows = [line.split("|")[1:-1] for line in text.splitlines()[2:]]
    for system, name, *gains in rows:
        found = [float(gain) for gain in gains]
        assert found[0] == 1
        assert all(gain <= number for gain, number in zip(found, page.NUMBERS, strict=True))
        assert all(before <= after for before, after in pairwise(found))
        key = next(one for one, said in page.SYSTEMS.items() if said == system.strip())
        again = page.speedups(key, name.strip(), (1, 8, 64))
        assert [f"{gain:.2f}" for gain in again] == [gains[0].strip(), gains[3].strip(), gains[6].strip()]
