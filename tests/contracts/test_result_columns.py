"""Does the page of result tables list exactly the columns that are written?"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from focal_simulator.results.published_layout import DESIGN_COLUMNS
from focal_simulator.results.rows import RESULT_COLUMNS
from focal_simulator.results.summary import ACCELERATOR_COLUMNS, COMPONENT_COLUMNS

PAGE = Path(__file__).parents[2] / "docs" / "simulation_results.md"


def listed(after: str) -> list[str]:
    """Return the names in the first column of the first column table after a text."""
    text = PAGE.read_text(encoding="utf-8").split(after, 1)[1]
    table = text.split("| column | unit | meaning |\n", 1)[1].split("\n\n", 1)[0]
    cells = [line.split("|")[1] for line in table.splitlines()[1:]]
    return [name for cell in cells for name in re.findall(r"`([^`]+)`", cell)]


@pytest.mark.parametrize(
    ("after", "columns"),
    [
        ("## Columns of `results.csv`", RESULT_COLUMNS),
        ("\n`accelerators.csv`:", ACCELERATOR_COLUMNS),
        ("\n`components.csv`:", COMPONENT_COLUMNS),
        ("\n`published_designs.csv` has", DESIGN_COLUMNS),
    ],
)
def test_the_page_lists_the_columns_in_their_order(after: str, columns: tuple[str, ...]) -> None:
    assert listed(after) == list(columns)


def test_numbers_say_their_unit() -> None:
    units = ("cycles", "seconds", "_mj", "_bytes", "macs", "_over_dense", "_mm2", "_ratio", "_mw", "_kib")
    texts = {"model", "dataset", "accelerator", "fidelity", "corrections", "variant", "origin"}
    texts |= {"sram_model", "hardware", "focal_version", "label", "component"}
    for name in {*RESULT_COLUMNS, *ACCELERATOR_COLUMNS, *COMPONENT_COLUMNS} - texts:
        assert name.endswith(units), name
