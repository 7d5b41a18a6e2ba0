"""Do the pictures of a study show all they say: headings within the page, legends beside the points?"""

from pathlib import Path
from typing import Any

import pytest

from focal_evaluation.exhibits.sweep import draw_all
from focal_simulator.sweep.study import read_study
from sweep_support import grid_study, run_study

FIGURES = ("sweep_effects", "sweep_fronts")


def drawn(study: Any, folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The figures of a study by name, laid out."""
    found: dict[str, Any] = {}

    def keep(figure: Any, folder: Path, name: str) -> list[Path]:
        figure.canvas.draw()
        found[name] = figure
        return []

    for module in FIGURES:
        monkeypatch.setattr(f"focal_evaluation.exhibits.{module}.save", keep)
    monkeypatch.setattr("focal_evaluation.exhibits.sweep.write_page", lambda result, folder: folder)
    draw_all(run_study(study, folder), folder)
    return found


@pytest.mark.parametrize("name", ["dse_c_block_size", "dse_d_scatter", "small"])
def test_headings_lie_within_the_page_and_legends_hide_no_point(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = grid_study() if name == "small" else read_study(name)[0]
    figures = drawn(study, tmp_path / "out", monkeypatch)
    assert "pareto" in figures
    for figure in figures.values():
        heading = figure._suptitle
        assert "synthetic, calibrated" in " ".join(heading.get_text().split())
        extent = heading.get_window_extent()
        assert extent.x0 >= 0
        assert extent.x1 <= figure.bbox.x1
        for legend in figure.legends:
            for panel in figure.axes:
                assert not legend.get_window_extent().overlaps(panel.get_window_extent())
        assert all(panel.get_legend() is None for panel in figure.axes)
