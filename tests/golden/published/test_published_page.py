"""Is the committed page the one that a run gives?"""

from __future__ import annotations

import pytest

from focal_evaluation.parity_page import page
from focal_evaluation.result_rows import Results
from published_support import REPOSITORY, ROOT

pytestmark = pytest.mark.golden


def test_the_committed_page_comes_from_a_run(results: Results) -> None:
    committed = (REPOSITORY / "docs" / "parity.md").read_text(encoding="utf-8")
    assert page(results, ROOT) == committed, "run: focal reproduce parity --output docs/parity.md"


def test_the_page_lists_every_known_defect(results: Results) -> None:
    text = page(results, ROOT)
    assert [f"| D{number} |" in text for number in range(1, 28)] == [True] * 27
