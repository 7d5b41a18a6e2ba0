"""Do verdicts say truthfully what a number rests on, whether it holds, and why not?"""

from __future__ import annotations

from pathlib import Path

import pytest

from exhibit_support import result_row, write_table
from focal_evaluation.claims import Claim, Kind
from focal_evaluation.material import Material, read_material
from focal_evaluation.verdicts import Tally, tally
from published_support import ROOT


def claim(kind: Kind, value: float, exhibit: str = "main_dense", quantity: str = "total_cycles") -> Claim:
    return Claim(exhibit, "m/x", quantity, value, "cycles", "here", 0.0, kind)


@pytest.fixture
def material(tmp_path: Path) -> Material:
    """One workload on the dense array."""
    write_table(tmp_path, "dense", [result_row("m", "x", "dense", 4000)])
    return read_material(tmp_path, ROOT, "")


def test_claims_are_counted_by_what_our_number_rests_on(material: Material) -> None:
    claims = [
        claim("formula", 4000.0),
        claim("formula", 4001.0),
        claim("calibrated", 4000.0),
        claim("calibrated", 1.0, exhibit="main_focus"),
    ]
    assert tally(claims, material) == {
        "formula": Tally(claims=2, compared=2, met=1),
        "calibrated": Tally(claims=2, compared=1, met=1),
        "published": Tally(),
    }
