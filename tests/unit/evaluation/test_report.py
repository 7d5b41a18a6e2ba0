"""Is a report one self-contained page with the right numbers, and does it say what is absent?"""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from exhibit_support import cycle_folder, result_row, write_table
from focal_common.errors import ConfigError, FocalError, TraceError
from focal_evaluation.report.charts import cause_chart, cdf_chart, energy_chart, roofline_chart, speedup_chart
from focal_evaluation.report.html import report_html, write_report
from focal_evaluation.report.layers import heat_maps, roofline, roofs, utilisation_cdf
from focal_evaluation.report.pdf import write_pdf
from focal_evaluation.report.runs import ratio_frames, read_runs
from focal_simulator.results import rows as result_rows
from focal_simulator.results.published_layout import DESIGN_COLUMNS, DESIGN_TABLE
from published_support import ROOT

HOSTILE = "</script><img src=x onerror=alert(1)>\"'&{{7*7}}<a href='http://evil.example'>"


class Page(HTMLParser):
    """Collects what a browser would load, the ids, and the data of scripts."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.resources: list[str] = []
        self.targets: list[str] = []
        self.ids: list[str] = []
        self.data: dict[str, str] = {}
        self.cells: list[str] = []
        self._open: str | None = None
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.tags.append(tag)
        if found.get("id"):
            self.ids.append(str(found["id"]))
        for name in ("src", "srcset", "data", "poster", "action"):
            if name in found:
                self.resources.append(str(found[name]))
        if tag == "link":
            self.resources.append(str(found.get("href")))
        if tag == "a":
            self.targets.append(str(found.get("href")))
        for name in ("data-chart", "for", "data-table"):
            if name in found:
                self.targets.append(f"#{found[name]}")
        if tag == "td":
            self.cells.append(str(found.get("data-value")))
        self._open = str(found["id"]) if tag == "script" and found.get("type") == "application/json" else None

    def handle_data(self, data: str) -> None:
        if self._open:
            self.data[self._open] = self.data.get(self._open, "") + data

    def handle_endtag(self, tag: str) -> None:
        if tag == "script":
            self._open = None


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A run of two accelerators on two workloads in fidelity cycle."""
    return cycle_folder(tmp_path / "run")


def page_of(folder: Path, **options: bool) -> tuple[str, Page]:
    text = report_html(read_runs([folder], "", **options), ROOT, folder)
    return text, Page(text)


def test_nothing_is_loaded_and_every_reference_resolves(folder: Path) -> None:
    (folder / "a:b timeline#1.json").write_text("{}", encoding="utf-8")
    text, page = page_of(folder)
    assert page.resources == ["data:,"]
    assert "default-src 'none'" in text
    assert len(page.ids) == len(set(page.ids))
    inside = {target[1:] for target in page.targets if target.startswith("#")}
    assert inside <= set(page.ids)
    outside = [target for target in page.targets if not target.startswith("#")]
    assert outside == ["./a%3Ab%20timeline%231.json"]
    assert set(page.data) == {
        *(f"{name}-data" for name in ("speedup", "energy", "roofline", "causes", "utilisation")),
        "map-data",
    }
    for content in page.data.values():
        json.loads(content)


def test_scripts_ask_for_ids_that_exist(folder: Path) -> None:
    text, page = page_of(folder)
    ours = text[text.rindex("<script>") :]
    asked = set(re.findall(r'getElementById\("([^"]+)"\)', ours)) | set(re.findall(r'heat\("([^"]+)"', ours))
    assert asked
    assert asked <= set(page.ids)


def test_hostile_names_stay_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = cycle_folder(tmp_path / "run", model=HOSTILE, datasets=("x", "日本語" * 200))
    with pytest.raises(TraceError, match=r"row 1: 'model': .* holds '<'"):
        page_of(folder)
    # The second line of defence: whatever a name holds, the page shows it.
    monkeypatch.setattr(result_rows, "check_names", lambda row, where: None)
    _, page = page_of(folder)
    assert "img" not in page.tags
    assert "49" not in {cell[:2] for cell in page.cells}
    assert f"x {HOSTILE}" in page.cells
    assert not any("evil.example" in target for target in page.targets)
    charts = [json.loads(page.data[f"{name}-data"]) for name in ("speedup", "energy", "causes", "roofline")]
    for chart in charts:
        for trace in chart["data"]:
            assert not any("<a" in name or "<img" in name for name in trace.get("text", []))
    maps = json.loads(page.data["map-data"])
    assert {entry["workload"] for entry in maps["entries"]} == {f"{HOSTILE}/x", f"{HOSTILE}/{'日本語' * 200}"}
    assert all(trace["type"] in ("bar", "scatter") for chart in charts for trace in chart["data"])


def test_cut_names_that_look_equal_stay_apart(tmp_path: Path) -> None:
    names = tuple(f"{'a' * 31}{middle}{'b' * 31}" for middle in "xy")
    chart = json.loads(page_of(cycle_folder(tmp_path / "run", datasets=names))[1].data["speedup-data"])
    for trace in chart["data"]:
        # Two workloads and their mean.
        assert len(set(trace["x"])) == 3


def test_the_same_folder_gives_the_same_bytes(tmp_path: Path) -> None:
    folder = cycle_folder(tmp_path / "run", datasets=("x",))
    for name in ("one", "two"):
        write_report(read_runs([folder]), ROOT, tmp_path / name / "report.html")
        write_pdf(read_runs([folder]), tmp_path / name / "report.pdf")
    for name in ("report.html", "report.pdf"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_charts_are_lawful_plotly(folder: Path) -> None:
    graph_objects = pytest.importorskip("plotly.graph_objects")
    found = read_runs([folder])
    frames = ratio_frames(found)
    assert frames is not None
    for chart in (
        speedup_chart(frames[0], "speedup_over_dense"),
        energy_chart(frames[1]),
        cause_chart(found.rows),
        roofline_chart(found.layers),
        cdf_chart(found.layers),
    ):
        graph_objects.Figure(chart)
        assert chart["layout"]["xaxis"]["title"]["text"]


def test_layer_numbers_against_plain_loops(folder: Path) -> None:
    layers = read_runs([folder]).layers
    maps = {(one["method"], one["dataset"]): one for one in heat_maps(layers)}
    assert set(maps) == {(method, name) for method in ("dense", "focus") for name in ("x", "y")}
    one = maps["focus", "x"]
    assert one["layers"] == ["q_proj", "attn.scores", "down_proj"]
    assert one["sparsity"] == [[75.0] * 3] * 3
    assert one["stalls"] == [[20.0] * 3] * 3
    assert set(one["causes"]) == {"stream", "fill_drain", "scatter"}
    points = roofline(layers)
    for row in points.to_dict("records"):
        macs = moved = cycles = 0
        for gemm in layers.to_dict("records"):
            name = gemm["layer"] if gemm["part"] == "gemm" else f"{gemm['layer']}.{gemm['part']}"
            if (gemm["method"], gemm["dataset"], name) == (row["method"], row["dataset"], row["layer"]):
                macs += gemm["macs"]
                moved += gemm["dram_read_bytes"] + gemm["dram_write_bytes"]
                cycles += gemm["cycles"]
        assert row["macs_per_byte"] == pytest.approx(macs / moved)
        assert row["macs_per_cycle"] == pytest.approx(macs / cycles)
    assert roofs(layers) == (1024.0, 128.0)


def test_work_that_the_dense_model_lacks_has_no_sparsity(folder: Path) -> None:
    layers = read_runs([folder]).layers
    maps = heat_maps(layers.assign(dense_macs=0))  # such as the rows of importance
    assert {cell for one in maps for row in one["sparsity"] for cell in row} == {None}


def test_the_distribution_of_tiles_against_counting_each(folder: Path) -> None:
    generator = np.random.default_rng(7)
    layers = read_runs([folder]).layers.copy()
    layers["stream_cycles"] = generator.integers(1, 900, len(layers))
    part = layers[layers["method"] == "focus"]
    inside = part["stream_cycles"] + part["fill_drain_cycles"] + part["weight_cycles"]
    each = np.sort(np.repeat(100 * part["stream_cycles"] / inside, part["folds"]).to_numpy())
    values, shares = utilisation_cdf(layers)["focus"]
    assert np.all(np.diff(values) >= 0)
    for value, share in zip(values, shares, strict=True):
        if 0 < share < 100:
            assert np.mean(each < value - 1e-9) <= share / 100 + 1e-9 <= np.mean(each <= value + 1e-9) + 1e-8


def test_what_is_absent_makes_the_report_partial(folder: Path) -> None:
    path = folder / "results.csv"
    rows = pd.read_csv(path, dtype=str, keep_default_na=False)
    rows["status"] = ["", "", "failed: lost worker", ""]
    rows = rows.drop(index=3)
    rows.to_csv(path, index=False)
    (folder / "cycle_main_dense_layers.parquet").unlink()
    text, page = page_of(folder)
    assert "partial" in page.ids
    assert "(partial)</title>" in text
    for gap in (
        "no manifest.json",
        "no cycle_main_dense_layers.parquet",
        "m/x on focus: failed: lost worker",
        "not run on focus: m/y",
    ):
        assert gap in text
    assert "failed: lost worker" in page.cells


def test_a_table_changed_after_its_run_is_named(folder: Path) -> None:
    (folder / "manifest.json").write_text('{"tables": {"results.csv": "0"}}', encoding="utf-8")
    assert any("is not the table that the manifest describes" in gap for gap in read_runs([folder]).gaps)


def test_parity_results_have_a_report_without_layers(tmp_path: Path) -> None:
    for method, cycles in (("dense", 4000), ("focus", 1000)):
        write_table(tmp_path, method, [result_row("m", "x", method, cycles)])
    text, page = page_of(tmp_path)
    assert set(page.data) == {"speedup-data", "energy-data"}
    assert "fidelity parity has no timed layers" in text


def test_a_run_without_dense_is_never_compared_with_that_of_another_folder(tmp_path: Path) -> None:
    one = cycle_folder(tmp_path / "one")
    row = result_row("m", "x", "focus", 500, fidelity="cycle", corrections="all", speedup_over_dense=3.0)
    write_table(tmp_path / "two", "focus", [row])
    both = read_runs([one, tmp_path / "two"], is_mixed=True)
    frames = ratio_frames(both)
    assert frames is not None
    found = frames[0].set_index(["dataset", "method"])["speedup_over_dense"]
    assert found["x", "focus (two)"] == 3.0
    assert found["x", "focus (one)"] == 4.0


def test_without_ratios_the_table_remains(tmp_path: Path) -> None:
    row = result_row("m", "x", "focus", speedup_over_dense="", energy_over_dense="")
    write_table(tmp_path, "focus", [row])
    text, page = page_of(tmp_path)
    assert "no row has a ratio over the dense array" in text
    assert "speedup-data" not in page.data


def test_folders_that_must_not_stand_together_are_refused(tmp_path: Path) -> None:
    one, two = cycle_folder(tmp_path / "one"), cycle_folder(tmp_path / "two")
    with pytest.raises(TraceError, match="two rows of m/x"):
        read_runs([one, two])
    both = read_runs([one, two], is_mixed=True)
    assert set(both.rows["method"]) == {
        f"{name} ({run})" for name in ("dense", "focus") for run in ("one", "two")
    }
    frames = ratio_frames(both)
    assert frames is not None
    means = frames[0][frames[0]["model"] == "geomean"].set_index("method")["speedup_over_dense"]
    assert means.to_dict() == pytest.approx(
        {"dense (one)": 1.0, "dense (two)": 1.0, "focus (one)": 4.0, "focus (two)": 4.0}
    )
    write_table(one, "dense", [result_row("m", "x", "dense")])
    with pytest.raises(TraceError, match="different fidelities"):
        read_runs([one])
    assert set(read_runs([one], "cycle").rows["fidelity"]) == {"cycle"}


@pytest.mark.parametrize("content", ["[]", "{", "\x00"])
def test_damaged_manifests_are_named(folder: Path, content: str) -> None:
    (folder / "manifest.json").write_text(content, encoding="utf-8")
    with pytest.raises(FocalError, match=r"manifest\.json"):
        read_runs([folder])


def test_folders_without_results_are_named(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(TraceError, match="no such result folder"):
        read_runs([tmp_path / "absent"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(TraceError, match=r"holds no results\.csv"):
        read_runs([folder, tmp_path / "empty"])
    (folder / "cycle_main_focus_layers.parquet").write_bytes(b"PAR1")
    with pytest.raises(TraceError, match="damaged Parquet file"):
        read_runs([folder])


def test_a_mix_in_the_rows_that_claims_read_is_refused_or_marked(tmp_path: Path) -> None:
    write_table(tmp_path, "dense", [result_row("m", "x", "dense")])
    row = dict.fromkeys(DESIGN_COLUMNS, "") | {"study": "dse_c_block_size", "value": "3x3x3"}
    row |= result_row("m", "x", "focus", focal_version="0.0.1")
    pd.DataFrame([row], dtype=object).to_csv(tmp_path / DESIGN_TABLE, index=False)
    with pytest.raises(TraceError, match="different versions of Focal"):
        read_runs([tmp_path])
    text, _ = page_of(tmp_path, is_mixed=True)
    assert "MIXED versions of Focal: 0.0.1, 0.1.0." in text


def test_groups_with_unmet_claims_stand_open(tmp_path: Path) -> None:
    # The published time of this workload is another one, and so is its energy.
    for method, cycles in (("dense", 4000), ("focus", 1000)):
        write_table(tmp_path, method, [result_row("llava_vid", "videomme", method, cycles)])
    text, _ = page_of(tmp_path)
    assert "<details open><summary>" in text
    assert "measured counts" in text
    assert "synthetic" not in text[text.index('<section id="claims">') :].split("</section>")[0]


def test_overlays_elsewhere_are_linked(folder: Path, tmp_path: Path) -> None:
    shown = tmp_path / "pictures" / "layer view.html"
    shown.parent.mkdir()
    shown.write_text("<p>", encoding="utf-8")
    found = read_runs([folder], overlays=[shown, shown])
    page = Page(report_html(found, ROOT, folder))
    assert [one for one in page.targets if not one.startswith("#")] == ["./../pictures/layer%20view.html"]
    with pytest.raises(ConfigError, match=r"absent\.html: no such file"):
        read_runs([folder], overlays=[tmp_path / "absent.html"])
