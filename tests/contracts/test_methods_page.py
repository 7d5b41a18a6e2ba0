"""Is what the page of methods and families says true? A method that is not on it yet breaks nothing."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

from contracts.conformance import REFUSALS, SUBJECTS
from focal_algorithm.methods import METHODS
from focal_algorithm.models import MODELS

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "methods.md"
WRITER = "python benchmarks/all_pairs.py --page"


def rows(table: str) -> list[str]:
    """Return the lines of a table of the page, without its two lines of heading."""
    text = PAGE.read_text(encoding="utf-8").partition(f"<!-- {table}: written by")[2]
    return [line for line in text.partition("<!-- end of")[0].splitlines() if line.startswith("|")][2:]


def test_methods_are_described_by_their_docstrings() -> None:
    written = rows("methods")
    generated = runpy.run_path(str(ROOT / "benchmarks" / "all_pairs.py"))["method_table"]().splitlines()
    assert written
    assert set(written) <= set(generated), f"docs/methods.md is behind; run {WRITER}"


@pytest.mark.parametrize("family", list(MODELS))
def test_the_page_refuses_what_the_kit_refuses(family: str) -> None:
    subject = next(one for one in SUBJECTS if one.startswith(f"{family}+"))
    families = list(MODELS)
    for row in rows("pairs"):
        method, *cells = row.strip("| ").split(" | ")
        assert len(cells) == len(families), f"docs/methods.md is behind; run {WRITER}"
        name = method.strip("`")
        assert name in METHODS
        assert cells[families.index(family)].startswith("refused") == ((name, subject) in REFUSALS)
