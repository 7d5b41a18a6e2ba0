"""What do exhibits make of results that are partial, damaged, mixed or strangely named?"""

from __future__ import annotations

import warnings
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from exhibit_support import result_row, write_table
from focal_common.errors import ConfigError, FocalError, RunError, TraceError
from focal_evaluation.claims.results import Results, open_results
from focal_evaluation.exhibits.base import DONE
from focal_evaluation.exhibits.command import make_exhibits
from focal_evaluation.exhibits.make import make_all
from focal_evaluation.exhibits.registry import EXHIBITS, chosen_names
from focal_evaluation.exhibits.shared_rows import geomean_rows, grid, relative_to_dense
from focal_evaluation.exhibits.style import short, style
from focal_evaluation.results.result_frame import read_frame
from focal_simulator.results.published_layout import DESIGN_COLUMNS, DESIGN_TABLE
from published_support import ROOT


def results(folder: Path, is_mixed: bool = False) -> Results:
    return open_results(folder, ROOT, "", is_mixed)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three workloads on three accelerators, one cell missing."""
    for method, cycles in (("dense", 4000), ("cmc", 2000), ("focus", 1000)):
        datasets = ("x", "y", "z") if method != "cmc" else ("x", "y")
        write_table(tmp_path / "run", method, [result_row("m", name, method, cycles) for name in datasets])
    return tmp_path / "run"


def test_a_cell_that_was_not_run_is_a_row_with_status(folder: Path) -> None:
    made = EXHIBITS.load("fig9a").table(results(folder))
    row = made.frame.set_index(["dataset", "method"]).loc[("z", "cmc")]
    assert row["status"] == "not run"
    assert np.isnan(row["speedup_over_dense"])
    assert any("Absent (not run): CMC m/z" in note for note in made.notes)


def test_means_stand_on_shared_workloads_only(folder: Path) -> None:
    frame = EXHIBITS.load("fig9a").table(results(folder)).frame
    mean = frame[frame["model"] == "geomean"]
    assert set(mean["dataset"]) == {"of 2"}
    assert mean.set_index("method")["speedup_over_dense"].to_dict() == pytest.approx(
        {"dense": 1.0, "cmc": 2.0, "focus": 4.0}
    )


def test_means_of_ratios_are_geometric_and_of_the_shared_workloads(tmp_path: Path) -> None:
    # Focus is 2 and 8 times as fast as dense, so 4 times: the mean of 1/2 and 1/8 must be its reciprocal. AdapTiV lacks
    # a third workload, in which Focus would be 1000 times as fast.
    cycles = {"dense": (4000, 4000, 4000), "focus": (2000, 500, 4), "adaptiv": (4000, 250)}
    for method, each in cycles.items():
        rows = [result_row("m", name, method, one) for name, one in zip("xyz", each, strict=False)]
        write_table(tmp_path, method, rows)
    frame = EXHIBITS.load("fig9a").table(results(tmp_path)).frame
    mean = frame[frame["model"] == "geomean"].set_index("method")["speedup_over_dense"]
    assert mean.to_dict() == pytest.approx({"dense": 1.0, "focus": 4.0, "adaptiv": 4.0})
    energy = EXHIBITS.load("fig9b").table(results(tmp_path)).frame
    whole = energy[energy["model"] == "geomean"].set_index("method")["total"]
    assert whole.to_dict() == pytest.approx({"dense": 1.0, "focus": 1 / 4, "adaptiv": 1 / 4})


def test_failed_and_zero_rows_keep_their_status(folder: Path) -> None:
    rows = [
        result_row("m", "x", "focus", 1000, status="failed: out of memory", seconds=""),
        result_row("m", "y", "focus", 1000, seconds=0),
        result_row("m", "z", "focus", 1000, status="ok"),
    ]
    write_table(folder, "focus", rows)
    frame = EXHIBITS.load("fig9a").table(results(folder)).frame
    status = frame[frame["method"] == "focus"].set_index("dataset")["status"]
    assert status["x"] == "failed: out of memory"
    assert status["y"] == "seconds is zero"
    assert status["z"] == DONE


def test_every_exhibit_of_partial_results_is_drawn_or_says_why_not(folder: Path, tmp_path: Path) -> None:
    made = make_all(chosen_names(["all"]), results(folder), tmp_path / "out", ("png",))
    status = {item.name: item.status for item in made}
    assert len(status) == len(chosen_names(["all"]))
    drawn = {name for name, said in status.items() if said == DONE}
    assert drawn == {"fig9a", "fig9b", "fig11", "fig12a", "fig12b", "table2", "text"}
    assert all(said for said in status.values())
    assert next(item for item in made if item.name == "fig12a").absent == 2


def test_an_exhibit_asked_for_by_name_must_be_made(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="fig13 was not made"):
        make_exhibits(["fig13"], str(folder), "", ROOT, tmp_path / "out", False, "png")


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("focal_version", "0.0.1", "different versions of Focal"),
        ("seconds", "fast", "seconds of m/x on focus is 'fast', expected a number"),
    ],
)
def test_rows_that_must_not_stand_together_are_refused(
    folder: Path, column: str, value: str, message: str
) -> None:
    write_table(folder, "focus", [result_row("m", "x", "focus", 1000, **{column: value})])
    with pytest.raises(TraceError, match=message):
        EXHIBITS.load("fig9a").table(results(folder))


def test_mixed_rows_are_shown_if_asked_for(folder: Path) -> None:
    write_table(folder, "focus", [result_row("m", "x", "focus", 1000, focal_version="0.0.1")])
    frame = EXHIBITS.load("fig9a").table(results(folder, is_mixed=True)).frame
    assert "focus" in set(frame["method"])


def test_damaged_tables_are_named(tmp_path: Path) -> None:
    path = write_table(tmp_path, "dense", [result_row("m", "x", "dense")])
    whole = path.read_text(encoding="utf-8")
    path.write_text(whole.splitlines()[0] + "\n", encoding="utf-8")
    with pytest.raises(TraceError, match="holds no rows"):
        read_frame(tmp_path)
    path.write_text("", encoding="utf-8")
    with pytest.raises(TraceError, match="is empty"):
        read_frame(tmp_path)
    path.write_text(whole.replace("energy_mj,core", "energy,core"), encoding="utf-8")
    with pytest.raises(TraceError, match="column 'energy_mj' is missing"):
        read_frame(tmp_path)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(TraceError, match="cannot be read as UTF-8 text"):
        read_frame(tmp_path)


def test_without_ratios_there_is_nothing_to_compare(tmp_path: Path) -> None:
    row = result_row("m", "x", "focus", speedup_over_dense="", energy_over_dense="")
    write_table(tmp_path, "focus", [row])
    with pytest.raises(TraceError, match="no row with a ratio over the dense array"):
        EXHIBITS.load("fig9a").table(results(tmp_path))


def test_a_ratio_needs_no_dense_row_in_the_folder_but_bytes_do(tmp_path: Path) -> None:
    write_table(tmp_path, "focus", [result_row("m", "x", "focus", 1000)])
    frame = EXHIBITS.load("fig9a").table(results(tmp_path)).frame
    assert frame["speedup_over_dense"].tolist() == [4.0]
    with pytest.raises(TraceError, match="run focal sim on dense, too"):
        EXHIBITS.load("fig12a").table(results(tmp_path))


def test_rows_beside_a_dense_row_of_another_run_are_refused(folder: Path) -> None:
    write_table(folder, "dense", [result_row("m", name, "dense", 3999) for name in ("x", "y", "z")])
    with pytest.raises(TraceError, match="rows of cmc, focus were run with other overrides or cost models"):
        results(folder)
    mixed = results(folder, is_mixed=True)
    assert "MIXED settings: cmc, focus and the dense rows." in mixed.mixed_notes
    frame = EXHIBITS.load("fig9a").table(mixed).frame.set_index(["dataset", "method"])
    assert frame.loc[("x", "focus"), "speedup_over_dense"] == 4.0


def test_a_table_of_an_older_version_is_refused(tmp_path: Path) -> None:
    path = write_table(tmp_path, "dense", [result_row("m", "x", "dense")])
    path.write_text(path.read_text(encoding="utf-8").replace("speedup_over_dense", "x"), encoding="utf-8")
    with pytest.raises(TraceError, match=r"'speedup_over_dense' is missing, .*simulate again"):
        read_frame(tmp_path)


@pytest.mark.parametrize("words", [["fig99"], ["all", "tabel2"]])
def test_unknown_exhibits_list_near_names(words: list[str]) -> None:
    with pytest.raises(ConfigError, match="did you mean"):
        chosen_names(words)


@pytest.mark.parametrize(
    ("source", "fidelity", "formats"),
    [
        ("nowhere", "", "png"),
        ("offline?", "", "png"),
        ("published", "exact", "png"),
        ("published", "", "gif"),
    ],
)
def test_wrong_words_leave_no_files(tmp_path: Path, source: str, fidelity: str, formats: str) -> None:
    with pytest.raises(FocalError):
        make_exhibits(["fig9a"], source, fidelity, ROOT, tmp_path / "out", False, formats)
    assert not (tmp_path / "out" / "index.csv").exists()


@pytest.mark.parametrize(
    "name",
    ["模型" * 10, "$^{1}_{0}$", "a" * 64, "e\u0301&amp;{b}"],
    ids=["no glyphs", "mathematics", "long", "combining"],
)
def test_strange_names_fit_and_are_drawn(tmp_path: Path, name: str) -> None:
    for method, cycles in (("dense", 4000), ("focus", 1000), (f"plug-in {name[:18]}", 3000)):
        write_table(tmp_path, method, [result_row(name, dataset, method, cycles) for dataset in ("x", name)])
    assert len(short(name)) <= 14
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        made = make_all(["fig9a", "fig9b", "fig12a"], results(tmp_path), tmp_path / "out", ("png",))
    assert [item.status for item in made] == [DONE] * 3


def test_ratios_and_means_against_plain_arithmetic(folder: Path) -> None:
    rows = read_frame(folder)
    rows["quotient"] = relative_to_dense(rows, "energy_mj")
    for column in ("quotient", "energy_over_dense"):
        frame = grid("here", rows, column)
        done = frame[frame["status"] == DONE]
        for row in done.to_dict("records"):
            assert row[column] == {"dense": 1.0, "cmc": 0.5, "focus": 0.25}[row["method"]]
        assert geomean_rows(frame[frame["dataset"] == "x"], column).empty


def test_a_single_workload_has_no_mean_and_is_drawn(tmp_path: Path) -> None:
    for method, cycles in (("dense", 4000), ("focus", 1000)):
        write_table(tmp_path, method, [result_row("m", "x", method, cycles)])
    made = make_all(["fig9a", "fig9b", "fig11"], results(tmp_path), tmp_path / "out", ("png",))
    assert [item.status for item in made] == [DONE] * 3
    assert "geomean" not in set(EXHIBITS.load("fig9b").table(results(tmp_path)).frame["model"])


def sweep_table(folder: Path, **changes: str) -> Path:
    """Write a sweep over the height of the m-tile; the second row differs in what is asked for."""
    blank = dict.fromkeys(DESIGN_COLUMNS, "") | {"study": "dse_a_m_tile", "buffer_bytes": 2**20}
    rows = [
        blank | {"value": size} | result_row("llava_vid", "videomme", "focus", cycles)
        for size, cycles in (("-1", 100), ("1024", 110))
    ]
    rows[1] |= changes
    path = folder / DESIGN_TABLE
    pd.DataFrame(rows, dtype=object).to_csv(path, index=False, lineterminator="\n")
    return path


@pytest.mark.parametrize("words", [["fig9a"], ["fig10a"], ["figures"], ["text"]])
@pytest.mark.parametrize("file", ["main", "sweep"])
def test_a_mix_in_any_file_is_refused_before_anything_is_written(
    folder: Path, tmp_path: Path, words: list[str], file: str
) -> None:
    sweep_table(folder, **({"focal_version": "0.0.1"} if file == "sweep" else {}))
    if file == "main":
        write_table(folder, "focus", [result_row("m", "x", "focus", 1000, focal_version="0.0.1")])
    with pytest.raises(TraceError, match=r"different versions of Focal \(0\.0\.1, 0\.1\.0\)") as refusal:
        make_exhibits(words, str(folder), "", ROOT, tmp_path / "out", False, "png")
    assert refusal.value.exit_code == 2
    assert not (tmp_path / "out").exists()


def test_twins_of_different_versions_are_refused(folder: Path, tmp_path: Path) -> None:
    row = result_row("m", "x", "dense", 4000, fidelity="cycle", corrections="all", focal_version="0.0.1")
    write_table(folder, "dense", [row])
    with pytest.raises(TraceError, match="different versions of Focal"):
        make_exhibits(["twin9a"], str(folder), "", ROOT, tmp_path / "out", False, "png")


def test_a_mix_that_was_asked_for_is_marked_in_the_picture(folder: Path, tmp_path: Path) -> None:
    write_table(folder, "focus", [result_row("m", "x", "focus", 1000)])
    make_exhibits(["fig9a"], str(folder), "", ROOT, tmp_path / "one", True, "png")
    write_table(folder, "focus", [result_row("m", "x", "focus", 1000, focal_version="0.0.1")] * 2)
    report = make_exhibits(["fig9a"], str(folder), "", ROOT, tmp_path / "two", True, "png")
    assert report.notes[:2] == [
        "MIXED versions of Focal: 0.0.1, 0.1.0.",
        "MIXED: of repeated rows the first is shown (1 left out).",
    ]
    one, two = ((tmp_path / name / "fig9a.png").read_bytes() for name in ("one", "two"))
    assert one != two


@pytest.mark.parametrize("cell", ["0", ""])
def test_a_sweep_whose_reference_has_no_cycles_is_refused_in_one_sentence(
    folder: Path, tmp_path: Path, cell: str
) -> None:
    path = sweep_table(folder)
    rows = pd.read_csv(path, dtype=str, keep_default_na=False)
    rows.loc[0, "cycles"] = cell
    rows.to_csv(path, index=False, lineterminator="\n")
    with pytest.raises(RunError, match=r"fig10a was not made: .* lacks cycles of the full tile"):
        make_exhibits(["fig10a"], str(folder), "", ROOT, tmp_path / "out", False, "png")
    assert not list((tmp_path / "out").glob("fig10a*"))


def test_a_zero_row_of_a_sweep_is_a_row_with_status(folder: Path) -> None:
    sweep_table(folder, cycles="0")
    found = results(folder)
    made = EXHIBITS.load("fig10a").table(found)
    row = made.frame.set_index("value").loc["1024"]
    assert row["status"] == "total_cycles is zero"
    assert np.isnan(row["latency_over_full"])
    assert any("Absent (total_cycles is zero): 1024." in note for note in made.notes)
    assert ("fig_10a", "1024", "relative_latency") not in found.numbers


@pytest.mark.parametrize("column", ["dram_bytes", "activation_bytes", "dense_macs", "macs"])
def test_zeros_anywhere_leave_no_traceback(folder: Path, tmp_path: Path, column: str) -> None:
    for method, cycles in (("dense", 4000), ("focus", 1000)):
        write_table(folder, method, [result_row("llava_vid", "videomme", method, cycles, **{column: 0})])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        report = make_exhibits(["figures", "tables"], str(folder), "", ROOT, tmp_path / "out", False, "png")
    assert {item.status for item in report.made if item.name in ("fig9a", "fig12a", "table2")} == {DONE}


LONG_NAMES = ("模型-Ünï" + "x" * 52, "w" * 64)


@pytest.fixture
def long_folder(tmp_path: Path) -> Path:
    """Ten workloads with names that no picture has room for, some of them absent on CMC."""
    for method, cycles in (("dense", 4000), ("cmc", 2000), ("focus", 1000)):
        rows = [
            result_row(model, f"{dataset}{'日本語' * 7}", method, cycles)
            for model in LONG_NAMES
            for dataset in "abcde"
            if method != "cmc" or dataset in "abcd"
        ]
        rows[1]["status"] = "failed: lost worker " + "/very/long" * 40
        write_table(tmp_path / "run", method, rows)
    return tmp_path / "run"


@pytest.mark.parametrize("name", ["fig9a", "fig9b", "fig11", "fig12a", "table2"])
def test_long_names_warn_of_nothing_and_stay_inside_the_picture(long_folder: Path, name: str) -> None:
    exhibit = EXHIBITS.load(name)
    with warnings.catch_warnings(), style():
        warnings.simplefilter("error")
        figure = exhibit.draw(exhibit.table(results(long_folder)))
        figure.draw_without_rendering()
    edges = figure.bbox
    foot = figure._supxlabel.get_window_extent()
    assert edges.x0 <= foot.x0 <= foot.x1 <= edges.x1


@pytest.mark.parametrize("name", ["fig9a", "fig9b"])
def test_labels_of_groups_stand_side_by_side(long_folder: Path, name: str) -> None:
    exhibit = EXHIBITS.load(name)
    with style():
        figure = exhibit.draw(exhibit.table(results(long_folder)))
        figure.draw_without_rendering()
        boxes = [label.get_window_extent() for label in figure.axes[0].get_xticklabels()]
    assert len(boxes) == 11
    assert all(left.x1 <= right.x0 for left, right in pairwise(boxes))
