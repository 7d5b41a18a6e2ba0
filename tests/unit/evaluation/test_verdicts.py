"""Do verdicts say truthfully what a number rests on, whether it holds, and why not?"""

from __future__ import annotations

from pathlib import Path

import pytest

from exhibit_support import result_row, write_table
from focal_common.errors import TraceError
from focal_evaluation.claims.claim_notes import read_remarks
from focal_evaluation.claims.claims import Claim, Kind, read_claims
from focal_evaluation.claims.correction_steps import STEPS, read_steps
from focal_evaluation.claims.published import read_gpu_runs
from focal_evaluation.claims.results import Results, open_results
from focal_evaluation.claims.verdicts import Tally, rests_on, tally, verdict_frame
from focal_evaluation.exhibits.registry import EXHIBITS
from focal_evaluation.exhibits.shared_rows import _gpu_notes
from published_support import ROOT


def claim(kind: Kind, value: float, exhibit: str = "main_dense", quantity: str = "total_cycles") -> Claim:
    return Claim(exhibit, "m/x", quantity, value, "cycles", "here", 0.0, kind)


@pytest.fixture
def results(tmp_path: Path) -> Results:
    """One workload on the dense array."""
    write_table(tmp_path, "dense", [result_row("m", "x", "dense", 4000)])
    return open_results(tmp_path, ROOT, "")


def test_claims_are_counted_by_what_our_number_rests_on(results: Results) -> None:
    claims = [
        claim("formula", 4000.0),
        claim("formula", 4001.0),
        claim("calibrated", 4000.0),
        claim("calibrated", 1.0, exhibit="main_focus"),
    ]
    assert tally(claims, results) == {
        "formula": Tally(claims=2, compared=2, met=1),
        "calibrated": Tally(claims=2, compared=1, met=1),
        "published": Tally(),
    }


def root_of(folder: Path, remark: str = "", steps: str = "") -> Path:
    """Write a trace root with one claim, and what is known of it."""
    folder.mkdir()
    for name in ("accuracy.csv", "jetson_gpu.csv"):
        (folder / name).write_bytes((ROOT / name).read_bytes())
    head = "exhibit,subject,quantity,value,unit,where,tolerance,kind\n"
    line = "main_dense,m/x,total_cycles,2000,cycles,here,0.0,formula\n"
    (folder / "claims.csv").write_text(head + line, encoding="utf-8")
    if remark:
        text = f"exhibit,subject,quantity,data_value,remark\nmain_dense,m/x,total_cycles,{remark}\n"
        (folder / "claim_remarks.csv").write_text(text, encoding="utf-8")
    if steps:
        head = f"exhibit,subject,quantity,{','.join(STEPS)}\n"
        filled = steps + "," * (len(STEPS) - 1 - steps.count(","))
        (folder / "correction_steps.csv").write_text(
            f"{head}main_dense,m/x,total_cycles,{filled}\n", encoding="utf-8"
        )
    return folder


def reason(tmp_path: Path, fidelity: str = "parity", **known: str) -> str:
    row = result_row("m", "x", "dense", 4000, fidelity=fidelity)
    write_table(tmp_path / "run", "dense", [row])
    found = open_results(tmp_path / "run", root_of(tmp_path / "root", **known), "")
    (line,) = verdict_frame(found.claims, found).to_dict("records")
    assert line["met"] == "no"
    return str(line["reason"])


def test_the_paper_contradicts_itself_only_where_we_agree_with_its_data(tmp_path: Path) -> None:
    assert reason(tmp_path, remark="4001,Table II gives 4001") == (
        "the paper contradicts its own data: Table II gives 4001"
    )


def test_a_number_far_from_both_is_not_blamed_on_the_paper(tmp_path: Path) -> None:
    said = reason(tmp_path, remark="3000,Table II gives 3000")
    assert "contradicts" not in said
    assert said.startswith("neither the printed number nor the paper's own data (Table II gives 3000): ")
    assert "a defect of ours" in said


def test_the_corrections_that_move_a_number_are_named_the_largest_first(tmp_path: Path) -> None:
    # Parity 2000, the engine leaves it, then two corrections.
    said = reason(tmp_path, "cycle", steps="2000,,2100,4000")
    assert said.startswith("moved from 2000 by array_latencies +95 %, tile_lengths +5 % (docs/")


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        ("2000,,3999", "a defect of ours"),
        ("4000", "no correction moves it: a defect of ours"),
        ("", "a defect of ours"),
    ],
)
def test_what_no_correction_accounts_for_may_be_a_defect(tmp_path: Path, steps: str, said: str) -> None:
    assert said in reason(tmp_path, "cycle", steps=steps)


def test_steps_and_remarks_are_read_strictly(tmp_path: Path) -> None:
    root = root_of(tmp_path / "root", remark="4001,one", steps="2000,fast")
    with pytest.raises(TraceError, match=r"correction_steps\.csv, line 2: .* expected a finite number"):
        read_steps(root)
    path = root / "claim_remarks.csv"
    path.write_text(path.read_text(encoding="utf-8").replace("4001", "many"), encoding="utf-8")
    with pytest.raises(TraceError, match="data_value is 'many'"):
        read_remarks(root)


def test_remarks_are_about_claims_and_say_what_the_published_data_give() -> None:
    claims = {one.key: one for one in read_claims(ROOT)}
    remarks = read_remarks(ROOT)
    assert set(remarks) <= set(claims)
    assert sum(remark.contradicts for remark in remarks.values()) == 7
    for key, remark in remarks.items():
        # What contradicts the printed number must not lie within its tolerance.
        claim = claims[key]
        assert not remark.contradicts or abs(remark.data_value / claim.value - 1) > claim.tolerance
    scaled = {key for key in claims if "gpu_framefusion" in key[1]}
    assert {key for key, remark in remarks.items() if "look scaled" in remark.text} == scaled


def test_gpu_runs_that_follow_a_factor_are_not_called_measured(results: Results) -> None:
    notes = _gpu_notes(results, ["dense", "gpu", "gpu_framefusion"])
    assert notes == [
        "GPU: published measurement (Jetson Orin Nano).",
        "GPU + FrameFusion: published as measured, but 0.30 of GPU on every workload: looks scaled.",
    ]
    runs = read_gpu_runs(ROOT)
    for quantity in ("seconds", "energy_mj"):
        shares = [
            getattr(run, quantity) / getattr(runs["gpu"][pair], quantity)
            for pair, run in runs["gpu_framefusion"].items()
        ]
        assert 0.2985 < min(shares) <= max(shares) < 0.3015


def test_what_a_number_rests_on_follows_the_results(results: Results, tmp_path: Path) -> None:
    assert rests_on("calibrated", results) == "measured counts"
    assert rests_on("formula", results) == "formulas on measured inputs"
    assert rests_on("published", results) == "published data, recomputed"
    (note,) = EXHIBITS.load("text").table(results).notes
    assert "measured counts" in note
    assert "synthetic" not in note
    rows = {"dense": "published", "focus": "synthetic, calibrated"}
    for method, origin in rows.items():
        cycles = 4000 if method == "dense" else 1000
        write_table(tmp_path / "two", method, [result_row("m", "x", method, cycles, origin=origin)])
    published = open_results(tmp_path / "two", ROOT, "")
    assert rests_on("calibrated", published) == "synthetic, calibrated counts"
    assert rests_on("formula", published) == "formulas on published inputs"
