"""Are stored macros exact, interpolated ones within the stated error, and others refused?"""

import csv
from pathlib import Path

import numpy as np
import pytest

from focal_common.errors import ConfigError
from focal_simulator.costs.sram import SramTable
from focal_simulator.costs.sram_data import METRICS, embedded_points

BUFFERS = Path(__file__).parents[3] / "data" / "simulator" / "cacti_buffers.csv"


def test_every_published_buffer_is_an_exact_hit() -> None:
    table = SramTable.embedded()
    with BUFFERS.open(encoding="utf-8", newline="") as source:
        rows = list(csv.DictReader(source))
    assert len(rows) == 84
    for row in rows:
        macro = table.macro(*(int(row[name]) for name in ("size_bytes", "port_bytes", "extra_read_ports")))
        copies = int(row["copies"])
        assert macro.source == "exact"
        assert macro.area_mm2 * copies == pytest.approx(float(row["area_mm2"]), rel=1e-14)
        assert macro.leakage_mw * copies == pytest.approx(float(row["leakage_mw"]), rel=1e-14)
        assert macro.read_pj_per_byte == pytest.approx(float(row["read_pj_per_byte"]), rel=1e-14)
        assert macro.write_pj_per_byte == pytest.approx(float(row["write_pj_per_byte"]), rel=1e-14)


@pytest.mark.parametrize(
    ("scatter", "area_mm2"),
    [
        (1, 0.807253521281),
        (2, 0.891077630292),
        (3, 1.163592979896),
        (4, 1.565470819320),
        (5, 2.066154074732),
    ],
)
def test_the_published_scatter_sweep_areas_come_out(scatter: int, area_mm2: float) -> None:
    # Focus, HPCA 2026, Fig. 10d: concentrate_out and output buffer at m = 1024.
    table = SramTable.embedded()
    both = table.macro(131072, 64, scatter - 1).area_mm2 + table.macro(393216, 64 * scatter).area_mm2
    assert both == pytest.approx(area_mm2, rel=1e-12)


def held_out_errors() -> tuple[np.ndarray, np.ndarray]:
    """Relative errors (macros, METRICS) of points no grid was built from, and which ports are powers of 2."""
    points = embedded_points()
    table = SramTable.embedded()
    chosen = np.flatnonzero(points.is_check & (points.size_bytes >= 64 * points.port_bytes))
    errors = np.empty((len(chosen), len(METRICS)))
    for place, row in enumerate(chosen):
        asked = (points.size_bytes[row], points.port_bytes[row], points.extra_read_ports[row])
        figures = table.interpolated(*map(int, asked), float(points.node_um[row]))
        errors[place] = np.abs(figures / points.values[row] - 1)
    ports = points.port_bytes[chosen]
    return errors, (ports & (ports - 1)) == 0


def test_interpolation_errs_no_more_than_the_page_says() -> None:
    errors, is_power_of_two = held_out_errors()
    assert len(errors) == 444
    assert np.median(errors[is_power_of_two], axis=0).max() <= 0.005
    assert np.percentile(errors[is_power_of_two], 90, axis=0).max() <= 0.06
    assert np.median(errors, axis=0).max() <= 0.025
    assert np.percentile(errors, 90, axis=0).max() <= 0.18


def test_leakage_grows_with_each_doubling_of_the_size() -> None:
    # Area does not for wide ports with few rows: the tool changes the organisation there.
    points = embedded_points()
    is_doubling = (points.size_bytes & (points.size_bytes - 1)) == 0
    keys = np.column_stack([points.node_um, points.extra_read_ports, points.port_bytes])
    for key in np.unique(keys, axis=0):
        column = np.flatnonzero((keys == key).all(axis=1) & is_doubling)
        ordered = points.values[column[np.argsort(points.size_bytes[column])], METRICS.index("leakage_mw")]
        assert (np.diff(ordered) > 0).all(), key


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ((1024, 64), r"size_bytes 1024 with port_bytes 64 has 16 rows; .* size_bytes >= 1984"),
        ((131072, 64, 5), r"extra_read_ports must be 0 to 4 at node_um 0\.028, got 5"),
        ((131072, 64, 1, 0.032), r"extra_read_ports must be 0 to 0 at node_um 0\.032, got 1"),
        ((131072, 64, 0, 0.014), r"node_um 0\.014 is not in the table; expected one of 0\.022, 0\.028"),
        ((0, 64), r"size_bytes must be at least 1, got 0"),
        ((131072, 0), r"port_bytes must be at least 1, got 0"),
        ((10**9, 64), r"size_bytes 1000000000 with port_bytes 64 is outside the table \(\d+ to \d+ B"),
        ((10**6, 1024), r"port_bytes 1024 is outside the table \(2 to 512 B\)"),
        ((10**5, 1), r"port_bytes 1 is outside the table"),
    ],
)
def test_what_the_table_cannot_answer_is_refused(asked: tuple[float, ...], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        SramTable.embedded().macro(*asked)  # type: ignore[arg-type]
