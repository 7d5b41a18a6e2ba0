"""Does the headline figure show ratios to dense, and the same bytes for the same tables?"""

import csv
from pathlib import Path

import pytest

from focal_common.errors import ConfigError
from focal_evaluation.exhibits.headline import draw, geometric_mean, read_bars

ENERGIES = ["total_energy", "core_energy", "sram_energy", "dram_energy"]
RATIOS = ["speedup_over_dense", "energy_over_dense"]
COLUMNS = ["model", "dataset", "accelerator", *ENERGIES, *RATIOS, "origin"]
DENSE_SECONDS = 8.0


def table(path: Path, name: str, seconds: float, origin: str = "measured") -> Path:
    with path.open("w", encoding="utf-8", newline="") as target:
        writer = csv.writer(target, lineterminator="\n")
        writer.writerow(COLUMNS)
        for dataset in ("x", "y"):
            energies = [10 * seconds, 2 * seconds, 3 * seconds, 5 * seconds]
            ratios = [DENSE_SECONDS / seconds, seconds / DENSE_SECONDS] if seconds else ["", ""]
            writer.writerow(["m", dataset, name, *energies, *ratios, origin])
    return path


def test_bars_are_the_ratios_that_each_row_brings(tmp_path: Path) -> None:
    tables = [table(tmp_path / "a.csv", "dense", 8.0), table(tmp_path / "b.csv", "focus", 2.0, "synthetic")]
    bars, origins = read_bars(tables)
    assert bars["focus"]["m", "x"] == pytest.approx(
        {"speed-up": 4.0, "core": 0.05, "buffer": 0.075, "DRAM": 0.125}
    )
    assert bars["dense"]["m", "y"]["speed-up"] == 1.0
    assert origins == {"measured", "synthetic"}


def test_a_dense_row_of_another_run_changes_no_bar(tmp_path: Path) -> None:
    focus = table(tmp_path / "b.csv", "focus", 2.0)
    bars, _ = read_bars([table(tmp_path / "a.csv", "dense", 1000.0), focus])
    assert bars["focus"]["m", "x"]["speed-up"] == 4.0
    assert read_bars([focus])[0]["focus"] == bars["focus"]


def test_a_row_without_a_ratio_has_no_bar(tmp_path: Path) -> None:
    tables = [table(tmp_path / "a.csv", "dense", 8.0), table(tmp_path / "b.csv", "focus", 0.0)]
    assert set(read_bars(tables)[0]) == {"dense"}


@pytest.mark.parametrize(("old", "new"), [("speedup_over_dense", "speedup"), (",0.25,", ",fast,")])
def test_a_damaged_ratio_is_refused_by_the_name_of_its_file(tmp_path: Path, old: str, new: str) -> None:
    path = table(tmp_path / "b.csv", "focus", 2.0)
    path.write_text(path.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
    with pytest.raises(ConfigError, match=r"b\.csv: a ratio or energy"):
        read_bars([path])


def test_equal_tables_give_equal_bytes(tmp_path: Path) -> None:
    tables = [table(tmp_path / "a.csv", "dense", 8.0), table(tmp_path / "b.csv", "focus", 2.0)]
    for name in ("one.png", "two.png"):
        draw(tables, [("m", "x"), ("m", "y")], tmp_path / name)
    one, two = ((tmp_path / name).read_bytes() for name in ("one.png", "two.png"))
    assert one == two
    assert one.startswith(b"\x89PNG")
    assert b"Software" not in one


def test_the_geometric_mean_of_reciprocals_is_the_reciprocal() -> None:
    assert geometric_mean([2.0, 8.0]) == pytest.approx(4.0)
    assert geometric_mean([0.5, 0.125]) == pytest.approx(0.25)
