"""Does the headline figure show ratios to dense, and the same bytes for the same tables?"""

import csv
from pathlib import Path

import pytest

from focal_common.errors import ConfigError
from focal_evaluation.exhibits.headline import draw, geometric_mean, read_bars

ENERGIES = ["total_energy", "core_energy", "sram_energy", "dram_energy"]
COLUMNS = ["model", "dataset", "accelerator", "execution_time", *ENERGIES, "origin"]


def table(path: Path, name: str, seconds: float, origin: str = "measured") -> Path:
    with path.open("w", encoding="utf-8", newline="") as target:
        writer = csv.writer(target, lineterminator="\n")
        writer.writerow(COLUMNS)
        for dataset, factor in (("x", 1.0), ("y", 4.0)):
            energies = [10 * seconds, 2 * seconds, 3 * seconds, 5 * seconds]
            writer.writerow(["m", dataset, name, factor * seconds, *energies, origin])
    return path


def test_bars_are_relative_to_the_dense_row_of_the_same_workload(tmp_path: Path) -> None:
    tables = [table(tmp_path / "a.csv", "dense", 8.0), table(tmp_path / "b.csv", "focus", 2.0, "synthetic")]
    bars, origins = read_bars(tables, {})
    assert bars["focus"]["m", "x"] == pytest.approx(
        {"speed-up": 4.0, "core": 0.05, "buffer": 0.075, "DRAM": 0.125}
    )
    assert bars["dense"]["m", "y"]["speed-up"] == 1.0
    assert origins == {"measured", "synthetic"}


def test_a_reference_stands_in_where_no_dense_table_exists(tmp_path: Path) -> None:
    reference = {("m", "x"): {"execution_time": 6.0, "total_energy": 40.0}}
    bars, _ = read_bars([table(tmp_path / "b.csv", "focus", 2.0)], reference)
    assert bars["focus"]["m", "x"]["speed-up"] == 3.0
    assert ("m", "y") not in bars["focus"]


def test_a_time_of_zero_is_refused(tmp_path: Path) -> None:
    tables = [table(tmp_path / "a.csv", "dense", 8.0), table(tmp_path / "b.csv", "focus", 0.0)]
    with pytest.raises(ConfigError, match="results of focus"):
        read_bars(tables, {})


def test_equal_tables_give_equal_bytes(tmp_path: Path) -> None:
    tables = [table(tmp_path / "a.csv", "dense", 8.0), table(tmp_path / "b.csv", "focus", 2.0)]
    for name in ("one.png", "two.png"):
        draw(tables, {}, [("m", "x"), ("m", "y")], tmp_path / name)
    one, two = ((tmp_path / name).read_bytes() for name in ("one.png", "two.png"))
    assert one == two
    assert one.startswith(b"\x89PNG")
    assert b"Software" not in one


def test_the_geometric_mean_of_reciprocals_is_the_reciprocal() -> None:
    assert geometric_mean([2.0, 8.0]) == pytest.approx(4.0)
    assert geometric_mean([0.5, 0.125]) == pytest.approx(0.25)
