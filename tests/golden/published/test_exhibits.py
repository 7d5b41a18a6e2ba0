"""Does every exhibit show the published numbers, and does the same run give the same bytes?"""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from focal_evaluation.claims.claims import read_claims
from focal_evaluation.claims.results import Results, open_results
from focal_evaluation.exhibits.base import DONE
from focal_evaluation.exhibits.make import csv_text, make_all, write_index
from focal_evaluation.exhibits.registry import EXHIBITS, GROUPS
from focal_evaluation.results.published_runs import run_parts
from published_support import ROOT

pytestmark = pytest.mark.golden

CLAIMS = {claim.key: claim for claim in read_claims(ROOT)}
METHODS = {"dense", "gpu", "adaptiv", "cmc", "gpu_framefusion", "focus"}


@pytest.fixture(scope="module")
def results(result_folder: Path) -> Results:
    """Results of the published experiments in parity."""
    run_parts(ROOT, result_folder, "parity", ("tiles",))
    return open_results(result_folder, ROOT, "parity")


def frame_of(results: Results, name: str) -> pd.DataFrame:
    frame = EXHIBITS.load(name).table(results).frame
    assert set(frame["status"]) == {DONE}
    return frame


def meets(exhibit: str, subject: str, quantity: str, ours: float) -> bool:
    """Compare with the claim; whether there was one."""
    claim = CLAIMS.get((exhibit, subject, quantity))
    if claim is None:
        return False
    assert ours == pytest.approx(claim.value, rel=claim.tolerance + 1e-12), claim
    return True


def test_figure_9a_shows_the_published_speedups(results: Results) -> None:
    frame = frame_of(results, "fig9a")
    assert set(frame["method"]) == METHODS
    assert len(frame) == 6 * 10
    mean = frame[frame["model"] == "geomean"].set_index("method")["speedup_over_dense"]
    checked = sum(
        meets(
            "fig_9a",
            f"{row['model']}/{row['dataset']}",
            f"{row['method']}_speedup",
            row["speedup_over_dense"],
        )
        for row in frame.to_dict("records")
    )
    assert checked == 27
    for other in METHODS - {"focus"}:
        assert meets("fig_9a", f"focus over {other}", "speedup_geomean", mean["focus"] / mean[other])


def test_figure_9b_shows_the_published_energies(results: Results) -> None:
    frame = frame_of(results, "fig9b")
    assert (
        sum(
            meets("fig_9b", f"{row['model']}/{row['dataset']}", f"{row['method']}_energy", row["total"])
            for row in frame.to_dict("records")
        )
        == 27
    )
    mean = frame[frame["model"] == "geomean"].set_index("method")
    for method in METHODS - {"gpu", "gpu_framefusion"}:
        assert (
            meets("fig_9b", f"{method} over dense", "energy_geomean", mean.loc[method, "total"])
            or method == "dense"
        )
        for part in ("core", "buffer", "dram"):
            share = mean.loc[method, part] / mean.loc[method, "total"]
            assert meets("fig_9b", method, f"mean_share_{part}", share)


def test_figure_9c_shows_the_published_shares(results: Results) -> None:
    frame = frame_of(results, "fig9c")
    for row in frame.to_dict("records"):
        for column, quantity in (("area_percent", "area_share"), ("power_percent", "power_share")):
            if row[column]:
                assert meets("fig_9c", row["part"], quantity, row[column])
    assert meets("fig_9c", "all", "area", frame["area_mm2"].sum())


@pytest.mark.parametrize(
    ("name", "exhibit", "columns"),
    [
        ("fig10a", "fig_10a", {"latency_over_full": "relative_latency", "buffer_mib": "buffer"}),
        (
            "fig10b",
            "fig_10b",
            {
                "array_gi_operations": "array_ops",
                "scatter_gi_operations": "scatter_ops",
                "all_gi_operations": "all_ops",
            },
        ),
        ("fig10c", "fig_10c", {"latency_over_largest": "relative_latency"}),
        ("fig10d", "fig_10d", {"latency_over_most": "relative_latency", "buffer_area_mm2": "buffer_area"}),
    ],
)
def test_figure_10_shows_the_published_sweeps(
    results: Results, name: str, exhibit: str, columns: dict[str, str]
) -> None:
    frame = frame_of(results, name)
    checked = [
        meets(exhibit, row["value"], quantity, row[column])
        for row in frame.to_dict("records")
        for column, quantity in columns.items()
    ]
    assert sum(checked) == sum(key[0] == exhibit for key in CLAIMS)
    if name != "fig10d":
        assert frame["accuracy_percent"].notna().all()


def test_figures_11_and_12_show_the_published_ratios(results: Results) -> None:
    for row in frame_of(results, "fig11").to_dict("records"):
        subject = "sec_only" if row["method"] == "focus_sec_only" else row["method"]
        has_claim = meets("fig_11", subject, "speedup_geomean", row["speedup_over_dense"])
        assert has_claim == (row["method"] != "dense")
    for name, quantity in (("fig12a", "dram_over_dense"), ("fig12b", "activation_over_dense")):
        rows = frame_of(results, name).to_dict("records")
        assert (
            sum(
                meets("fig_12", f"{row['method']} {row['model']}", quantity, row["bytes_over_dense"])
                for row in rows
            )
            == 12
        )


def test_figure_13_is_a_density_with_the_published_moments(results: Results) -> None:
    frame = frame_of(results, "fig13")
    assert (frame["density"] * (frame["bin_stop"] - frame["bin_start"])).sum() == pytest.approx(1)
    for column, quantity in (("mean_length", "mean"), ("utilisation_published", "utilisation")):
        assert meets("fig_13", "llava_vid, 3 datasets", quantity, frame[column].iloc[0])


def test_tables_show_the_published_cells(results: Results) -> None:
    two = frame_of(results, "table2")
    for row in two.to_dict("records"):
        subject = "mean" if row["model"] == "mean" else f"{row['model']}/{row['dataset']}"
        if row["method"] in ("adaptiv", "cmc", "focus"):
            assert meets("table_ii", subject, f"{row['method']}_sparsity", row["sparsity_percent"])
    accuracy = two[two["model"] == "mean"].set_index("method")["accuracy_percent"]
    # Not the paper's 1.20: its own table gives 1.28.
    assert accuracy["dense"] - accuracy["focus"] == pytest.approx(1.2822, abs=1e-3)
    for row in frame_of(results, "table3").to_dict("records"):
        for column, quantity in (
            ("area_mm2", "area"),
            ("power_mw", "on_chip_power"),
            ("buffer_kib", "buffer_size"),
        ):
            assert meets("table_iii", row["method"], quantity, row[column])
    four = frame_of(results, "table4").set_index("model")
    assert meets("table_iv", "mean", "focus_sparsity", four.loc["mean", "focus_sparsity_percent"])
    assert meets("table_iv", "mean", "accuracy_degradation", four.loc["mean", "focus_degradation_points"])
    for row in frame_of(results, "table5").to_dict("records"):
        subject = "geomean" if row["model"] == "geomean" else f"{row['model']}/{row['dataset']}"
        if row["method"] != "dense":
            assert meets("table_v", subject, f"{row['method']}_speedup", row["speedup_over_dense"])


def test_unmet_claims_are_those_in_which_the_paper_contradicts_itself(
    results: Results, tmp_path: Path
) -> None:
    write_index([], results, tmp_path)
    verdicts = pd.read_csv(tmp_path / "claims.csv", keep_default_na=False)
    assert len(verdicts) == len(CLAIMS)
    unmet = verdicts[verdicts["met"] != "yes"]
    assert len(unmet) == 7
    assert unmet["reason"].str.startswith("the paper contradicts its own data: ").all()


@pytest.mark.parametrize("name", GROUPS["all"])
def test_committed_numbers_come_from_a_run(results: Results, name: str) -> None:
    committed = (ROOT.parent / "exhibits" / "parity" / f"{name}.csv").read_text(encoding="utf-8")
    frame = EXHIBITS.load(name).table(results).frame
    assert csv_text(frame) == committed, "run: focal reproduce all --formats png, then copy the tables"


def test_two_runs_give_the_same_bytes(results: Results, tmp_path: Path) -> None:
    names = ["fig9b", "fig10d"]
    for folder in ("one", "two"):
        again = open_results(results.folder, ROOT, "parity")
        assert all(item.status == DONE for item in make_all(names, again, tmp_path / folder))
    files = sorted(path.name for path in (tmp_path / "one").iterdir())
    make_all(["fig10d"], results, tmp_path / "alone", ("png",))
    alone = (tmp_path / "alone" / "fig10d.png").read_bytes()
    assert alone == (tmp_path / "one" / "fig10d.png").read_bytes(), "a picture depends on the other formats"
    assert len(files) == 5 * len(names)
    for name in files:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes(), name


def test_all_makes_everything_but_twins() -> None:
    assert set(EXHIBITS) == set(GROUPS["all"]) | set(GROUPS["twins"])
