"""Do partial results give the numbers they hold, and no mean over fewer workloads?"""

from __future__ import annotations

from dataclasses import replace

import pytest

from focal_evaluation.claims.headlines import headline_numbers
from focal_evaluation.claims.result_rows import PublishedRows
from published_support import ROOT

pytestmark = pytest.mark.golden


def test_one_workload_gives_its_rows_and_no_mean(results: PublishedRows) -> None:
    subject = "minicpm_v/mvbench"
    one = {name: {key: row for key, row in rows.items() if key == subject} for name, rows in results.items()}
    found = headline_numbers({name: rows for name, rows in one.items() if rows}, ROOT)
    whole = headline_numbers(results, ROOT)
    rows = {key: value for key, value in found.items() if key[0] != "text"}
    assert len(rows) == 1 + 3 + 3 + 3 + 1
    assert {key[1] for key in rows} == {subject}
    assert rows == pytest.approx({key: whole[key] for key in rows}, rel=1e-12)
    assert {key[2] for key in found if key[0] == "text"} == {"mean_accuracy_loss", "int8_accuracy_change"}


@pytest.mark.parametrize("numbers", [{}, {"execution_time": 0.0, "total_energy": 1.0}])
def test_a_failed_row_gives_no_number_and_no_mean(results: PublishedRows, numbers: dict[str, float]) -> None:
    subject = "llava_vid/mlvu"
    row = replace(results["main_focus"][subject], numbers=numbers)
    broken = {**results, "main_focus": {**results["main_focus"], subject: row}}
    found = headline_numbers(broken, ROOT)
    assert ("fig_9a", subject, "focus_speedup") not in found
    assert ("fig_9a", "focus over dense", "speedup_geomean") not in found
    assert ("fig_9a", "llava_vid/videomme", "focus_speedup") in found
