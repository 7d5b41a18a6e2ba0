"""Does the page of methods and families say what the conformance kit allows?"""

from __future__ import annotations

from pathlib import Path

import pytest

from contracts.conformance import REFUSALS, SUBJECTS
from focal_algorithm.methods import METHODS
from focal_algorithm.models import MODELS

PAGE = Path(__file__).parents[2] / "docs" / "methods.md"


def cells() -> dict[tuple[str, str], str]:
    text = PAGE.read_text(encoding="utf-8").partition("<!-- written by")[2].partition("<!-- end of")[0]
    lines = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("|")]
    families = [cell.strip(" `|") for cell in lines[0]]
    return {
        (line[0].strip("`"), family): cell
        for line in lines[2:]
        for family, cell in zip(families, line[1:], strict=True)
    }


def test_every_pair_is_on_the_page() -> None:
    assert set(cells()) == {(method, family) for method in METHODS for family in MODELS}


@pytest.mark.parametrize("family", list(MODELS))
def test_the_page_refuses_what_the_kit_refuses(family: str) -> None:
    subject = next(one for one in SUBJECTS if one.startswith(f"{family}+"))
    for method in METHODS:
        assert cells()[method, family].startswith("refused") == ((method, subject) in REFUSALS)
