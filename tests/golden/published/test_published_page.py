"""Do the sentences about defects name numbers that a run gives, and does the page say the same?"""

from __future__ import annotations

import re

import pytest

from focal.studies.published.defects import defect_numbers, defect_table
from focal_evaluation.claims.result_rows import PublishedRows
from published_support import REPOSITORY, ROOT

pytestmark = pytest.mark.golden


def test_the_page_tells_of_every_defect_what_a_run_gives(results: PublishedRows) -> None:
    page = (REPOSITORY / "docs" / "parity.md").read_text(encoding="utf-8")
    table = defect_table(results, ROOT)
    assert list(table["defect"]) == [f"D{number}" for number in range(1, 28)]
    for row in table.itertuples():
        assert f"| {row.defect} | {row.what} | {row.effect} | {row.basis} |" in page


def test_every_computed_number_is_told(results: PublishedRows) -> None:
    source = (REPOSITORY / "focal/studies/published/defects.yaml").read_text(encoding="utf-8")
    assert set(defect_numbers(results, ROOT)) == set(re.findall(r"{(\w+):", source))
