"""Does the headline figure show ratios to dense, and the same bytes for the same rows?"""

from pathlib import Path

import pytest

from focal_common.errors import ConfigError
from focal_evaluation.exhibits.headline import bars_of, draw, geometric_mean, what_ran

DENSE_SECONDS = 8.0


def rows(name: str, seconds: float, origin: str = "measured") -> list[dict[str, str]]:
    """Return two result rows with cells as text."""
    ratios = [DENSE_SECONDS / seconds, seconds / DENSE_SECONDS] if seconds else ["", ""]
    cells = {
        "accelerator": name,
        "energy_mj": 10 * seconds,
        "core_energy_mj": 2 * seconds,
        "sram_energy_mj": 3 * seconds,
        "dram_energy_mj": 5 * seconds,
        "speedup_over_dense": ratios[0],
        "energy_over_dense": ratios[1],
        "origin": origin,
    }
    return [
        {"model": "m", "dataset": dataset} | {name: str(cell) for name, cell in cells.items()}
        for dataset in ("x", "y")
    ]


def test_bars_are_the_ratios_that_each_row_brings() -> None:
    bars, origins = bars_of([*rows("dense", 8.0), *rows("focus", 2.0, "synthetic")])
    assert bars["focus"]["m", "x"] == pytest.approx(
        {"speed-up": 4.0, "core": 0.05, "buffer": 0.075, "DRAM": 0.125}
    )
    assert bars["dense"]["m", "y"]["speed-up"] == 1.0
    assert origins == {"measured", "synthetic"}


def test_a_dense_row_of_another_run_changes_no_bar() -> None:
    bars, _ = bars_of([*rows("dense", 1000.0), *rows("focus", 2.0)])
    assert bars["focus"]["m", "x"]["speed-up"] == 4.0
    assert bars_of(rows("focus", 2.0))[0]["focus"] == bars["focus"]


def test_a_row_without_a_ratio_has_no_bar() -> None:
    assert set(bars_of([*rows("dense", 8.0), *rows("focus", 0.0)])[0]) == {"dense"}


@pytest.mark.parametrize("cell", ["fast", "0"])
def test_a_damaged_ratio_is_refused_by_the_name_of_its_row(cell: str) -> None:
    damaged = rows("focus", 2.0)
    damaged[1]["energy_over_dense"] = cell
    with pytest.raises(ConfigError, match=r"m/y on focus: a ratio or energy"):
        bars_of(damaged)


def test_equal_rows_give_equal_bytes(tmp_path: Path) -> None:
    both = [*rows("dense", 8.0), *rows("focus", 2.0)]
    for name in ("one.png", "two.png"):
        draw(both, [("m", "x"), ("m", "y")], tmp_path / name)
    one, two = ((tmp_path / name).read_bytes() for name in ("one.png", "two.png"))
    assert one == two
    assert one.startswith(b"\x89PNG")
    assert b"Software" not in one


def test_the_geometric_mean_of_reciprocals_is_the_reciprocal() -> None:
    assert geometric_mean([2.0, 8.0]) == pytest.approx(4.0)
    assert geometric_mean([0.5, 0.125]) == pytest.approx(0.25)


@pytest.mark.parametrize(
    ("origins", "words"),
    [
        ({"published"}, "prefill of the language model, visual tokens only"),
        ({"given"}, "lists of GEMMs"),
        ({"given", "measured"}, "prefill of the language model, visual tokens only; lists of GEMMs"),
    ],
)
def test_titles_say_what_ran(origins: set[str], words: str) -> None:
    assert what_ran(origins) == words
