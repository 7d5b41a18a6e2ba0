"""Do the sentences about defects name numbers that a run gives, and does the page say the same?"""

from __future__ import annotations

import re

import pytest

from defect_numbers import defect_numbers
from focal.studies.published.parity import defect_table
from focal_common.reading.yaml_files import read_yaml
from focal_evaluation.claims.result_rows import PublishedRows
from published_support import REPOSITORY, ROOT

pytestmark = pytest.mark.golden

_DEFECTS = REPOSITORY / "focal/studies/published/defects.yaml"


def test_the_page_tells_of_every_defect() -> None:
    page = (REPOSITORY / "docs" / "parity.md").read_text(encoding="utf-8")
    table = defect_table()
    assert list(table["defect"]) == [f"D{number}" for number in range(1, 28)]
    for row in table.itertuples():
        assert f"| {row.defect} | {row.what} | {row.effect} | {row.basis} |" in page


def test_every_stored_number_is_told_and_is_what_a_run_gives(results: PublishedRows) -> None:
    entries = read_yaml(_DEFECTS).values()
    stored = {name: value for entry in entries for name, value in entry.get("numbers", {}).items()}
    assert set(stored) == set(re.findall(r"{(\w+):", _DEFECTS.read_text(encoding="utf-8")))
    assert stored == pytest.approx(defect_numbers(results, ROOT), rel=1e-7)
