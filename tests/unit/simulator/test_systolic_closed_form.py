"""Is the closed form of a weight-stationary fold what SCALE-Sim counts?"""

import csv
from pathlib import Path

from focal_simulator.workload.arithmetic import ceil_div, fold_cycles

GRID = Path(__file__).parents[2] / "data" / "simulator" / "scalesim_ws_grid.csv"


def test_the_closed_form_equals_scalesim_on_every_point_of_the_grid() -> None:
    with GRID.open(encoding="utf-8") as source:
        points = list(csv.DictReader(source))
    assert len(points) == 234
    for point in points:
        cycles = fold_cycles(int(point["M"]), int(point["array_h"]), int(point["array_w"]))
        assert cycles == int(point["total_cycles"]), point


def test_ceiling_division_rounds_up_on_both_sides_of_zero() -> None:
    assert [ceil_div(value, 3) for value in (-4, -3, 0, 1, 3, 4)] == [-1, -1, 0, 1, 1, 2]
