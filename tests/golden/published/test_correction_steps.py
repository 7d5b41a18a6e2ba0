"""Do the committed steps from parity to cycle lead to the numbers of a run?"""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from focal_evaluation.claims.correction_steps import read_steps
from focal_evaluation.claims.results import open_results
from focal_evaluation.claims.verdicts import verdict_frame
from focal_evaluation.results.published_runs import run_parts
from published_support import ROOT

pytestmark = pytest.mark.golden

AGAIN = "run: focal reproduce corrections --output FOLDER --steps FILE"
SMALL = "minicpm_v/mvbench"


def test_the_first_step_is_parity(result_folder: Path) -> None:
    ours = open_results(result_folder, ROOT, "parity").numbers
    for key, values in read_steps(ROOT).items():
        assert ours[key].value == pytest.approx(values[0], rel=1e-8), (key, AGAIN)


def test_the_last_step_is_cycle_and_each_reason_names_what_moved(tmp_path: Path) -> None:
    run_parts(ROOT, tmp_path, "cycle", ("main",))
    results = open_results(tmp_path, ROOT, "cycle")
    steps = read_steps(ROOT)
    for key, values in steps.items():
        if key in results.numbers and not key[0].startswith("int8"):
            assert results.numbers[key].value == pytest.approx(values[-1], rel=1e-8), (key, AGAIN)
    verdicts = verdict_frame(
        [one for one in results.claims if one.subject == SMALL and one.key in results.numbers], results
    )
    unmet = verdicts[verdicts["met"] == "no"]
    assert len(unmet) > 10
    assert unmet["reason"].str.startswith("moved from ").all()
    focus = unmet.set_index(["exhibit", "quantity"])["reason"]
    assert "tile_lengths" in focus["main_focus", "total_cycles"]
    assert "adaptiv_attention" in focus["fig_9a", "adaptiv_speedup"]
    assert "adaptiv_attention" not in focus["main_focus", "total_cycles"]


def test_no_committed_verdict_of_cycle_is_unexplained() -> None:
    path = ROOT.parent / "exhibits" / "cycle" / "claims.csv"
    verdicts = pd.read_csv(path, keep_default_na=False, na_values={"ours": [""]})
    unmet = verdicts[verdicts["met"] == "no"]
    unexplained = unmet[unmet["reason"].str.contains("a defect of ours")]
    assert unexplained.empty, unexplained
    blamed = unmet[unmet["reason"].str.startswith("the paper contradicts its own data")]
    # These rest on token numbers and accuracies, which no correction moves far.
    assert ((blamed["ours"] / blamed["published"] - 1).abs() < 0.25).all()
    assert "power_overhead_on_chip" not in set(blamed["quantity"])
