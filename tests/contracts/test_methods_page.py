"""Does the page of methods and families say what the classes and the conformance kit say?"""

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


def test_the_table_of_methods_is_what_their_docstrings_say() -> None:
    table = runpy.run_path(str(ROOT / "benchmarks" / "all_pairs.py"))["method_table"]()
    assert table in PAGE.read_text(encoding="utf-8"), f"docs/methods.md is behind; run {WRITER}"


def cells() -> dict[tuple[str, str], str]:
    text = PAGE.read_text(encoding="utf-8").partition("<!-- pairs: written by")[2].partition("<!-- end of")[0]
    lines = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("|")]
    families = [cell.strip(" `|") for cell in lines[0]]
    return {
        (line[0].strip("`"), family): cell
        for line in lines[2:]
        for family, cell in zip(families, line[1:], strict=True)
    }


def test_every_pair_is_on_the_page() -> None:
    expected = {(method, family) for method in METHODS for family in MODELS}
    assert set(cells()) == expected, f"docs/methods.md is behind; run {WRITER}"


@pytest.mark.parametrize("family", list(MODELS))
def test_the_page_refuses_what_the_kit_refuses(family: str) -> None:
    subject = next(one for one in SUBJECTS if one.startswith(f"{family}+"))
    for method in METHODS:
        assert cells()[method, family].startswith("refused") == ((method, subject) in REFUSALS)
