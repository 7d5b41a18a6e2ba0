"""Does the catalogue find the right file, and does each wrong table cell name file, row and expectation?"""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest

from focal_common.errors import RunError, TraceError
from focal_traces.files.store import write_counts, write_masks
from focal_traces.masks.published import write_published
from focal_traces.methods import adaptiv, cmc
from focal_traces.methods.cmc import CmcSparsity
from focal_traces.methods.focus import SCHEDULES
from focal_traces.root.context import context_of_published
from focal_traces.root.root import TraceRoot
from focal_traces.synthetic.schedule import Schedule
from focal_traces.tables.table import WORKLOADS, Workload
from traces_support import TINY, tiny_masks, tiny_trace

META = "Model,Dataset,Sequence length,Num frames,Num patches,Median index\n"


def _root(folder: Path, rows: str = "tiny,none,18,3,6,0\n", **tables: str) -> TraceRoot:
    (folder / "meta_data.csv").write_text(META + rows)
    for name, text in tables.items():
        (folder / f"{name}.csv").write_text(text)
    return TraceRoot.open(folder)


def test_workloads_keep_the_order_of_the_file(tmp_path: Path) -> None:
    root = _root(tmp_path, "b,y,18,3,6,4\nb,x,402,6,67,7\na,x,3149,16,196,\n")
    assert list(root.workloads) == [("b", "y"), ("b", "x"), ("a", "x")]
    assert root.workload("b", "x") == Workload("b", "x", 402, 6, 67, 7)
    assert root.workload("a", "x").median_index is None


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("a,x,18,3,7,0\n", r"row 1: 'Sequence length' is 18, expected at least .* = 21"),
        ("a,x,18,3,6,0\na,x,18,3,6,1\n", r"row 2: second row of model 'a', dataset 'x' \(first is row 1\)"),
        ("a,x,eighteen,3,6,0\n", "'Sequence length' is 'eighteen', expected a whole number"),
        ("a,x,0,1,1,0\n", "'Sequence length' is '0', expected a whole number from 1"),
        ("a,x,18,3,6,-1\n", "'Median index' is '-1'"),
        ("a,x,18,3\n", "row 1: 4 cells, expected 6"),
    ],
)
def test_a_wrong_row_of_meta_data_is_named(tmp_path: Path, rows: str, message: str) -> None:
    with pytest.raises(TraceError, match=message) as caught:
        _root(tmp_path, rows)
    assert "meta_data.csv" in str(caught.value)


def test_a_missing_column_or_table_is_named(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match=r"meta_data\.csv: no such file"):
        TraceRoot.open(tmp_path)
    (tmp_path / "meta_data.csv").write_text("Model,Dataset,Num frames\n")
    with pytest.raises(TraceError, match="column 'Sequence length' is missing"):
        TraceRoot.open(tmp_path)


def test_extra_columns_and_a_byte_order_mark_do_no_harm(tmp_path: Path) -> None:
    (tmp_path / "meta_data.csv").write_text(
        "\ufeff" + META.strip() + ",Documents\na,x,18,3,6,0,doc-7\n", encoding="utf-8"
    )
    assert TraceRoot.open(tmp_path).workload("a", "x").frames == 3


def test_a_missing_row_lists_near_matches(tmp_path: Path) -> None:
    with pytest.raises(
        TraceError, match=r"no row of model 'tinny', dataset 'none'; did you mean 'tiny/none'"
    ):
        _root(tmp_path).workload("tinny", "none")


def test_sparsities_are_read_and_bounded(tmp_path: Path) -> None:
    shares = "Model,Dataset,linear_sparsity,query_sparsity,attn_score_sparsity\ntiny,none,0.5,0.25,0\n"
    root = _root(tmp_path, adaptiv_sparsity="Model,Dataset,Sparsity\ntiny,none,1.5\n", cmc_sparsity=shares)
    assert root.row(cmc.SPARSITY, "tiny", "none") == CmcSparsity(0.5, 0.25, 0.0)
    with pytest.raises(
        TraceError, match=r"adaptiv_sparsity\.csv, row 1: 'Sparsity' is '1.5', expected a number in"
    ):
        root.row(adaptiv.SPARSITY, "tiny", "none")


@pytest.mark.parametrize("cell", ["nan", "", "-0.1", "1", "inf", "half"])
def test_a_sparsity_that_is_no_fraction_is_refused(tmp_path: Path, cell: str) -> None:
    root = _root(tmp_path, adaptiv_sparsity=f"Model,Dataset,Sparsity\ntiny,none,{cell}\n")
    with pytest.raises(TraceError, match=r"expected a number in \[0, 1\)"):
        root.row(adaptiv.SPARSITY, "tiny", "none")


def test_schedules_fall_back_to_the_default_row(tmp_path: Path) -> None:
    heading = "model,dataset,selected_layers,alpha_list,similarity_threshold\n"
    rows = 'tiny,none,"[0, 2]","[0.7, 0.4]",0.9\ndefault,,"[1]","[0.5]",0.95\n'
    root = _root(tmp_path, schedules=heading + rows)
    own, other = root.row(SCHEDULES, "tiny", "none"), root.row(SCHEDULES, "other", "set")
    assert own is not None
    assert own.schedule == Schedule((0, 2), (0.7, 0.4))
    assert other is not None
    assert other.similarity_threshold == 0.95


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ('a,x,"[1, 2]","[0.5]",0.9', "2 entries but alpha_list 1"),
        ('a,x,"[1]","[1.5]",0.9', r"must lie in \(0, 1\]"),
        ('a,x,"[1]","[0.5]",0', r"'similarity_threshold' is '0', expected a number in \(0, 1\]"),
        ("a,x,one,[0.5],0.9", "expected a list such as"),
        ('a,x,"[1.5]","[0.5]",0.9', "must be whole numbers"),
    ],
)
def test_a_wrong_schedule_is_named(tmp_path: Path, row: str, message: str) -> None:
    heading = "model,dataset,selected_layers,alpha_list,similarity_threshold\n"
    with pytest.raises(TraceError, match=message) as caught:
        _root(tmp_path, schedules=heading + row + "\n").row(SCHEDULES, "a", "x")
    assert "schedules.csv, row 1" in str(caught.value)


def test_counts_are_preferred_to_masks_to_published(tmp_path: Path) -> None:
    root = _root(tmp_path)
    masks = tiny_masks(samples=1)
    place = tmp_path / "focus_main"
    assert root.find_trace("tiny", "none") is None
    write_published(masks, place / "tiny_none.pth")
    assert root.trace_path("tiny", "none").name == "tiny_none.pth"
    write_masks(masks, place / "tiny_none.masks.pth")
    assert root.trace_path("tiny", "none").name == "tiny_none.masks.pth"
    write_counts(tiny_trace(samples=1), place / "tiny_none.counts.parquet")
    assert root.trace_path("tiny", "none").name == "tiny_none.counts.parquet"
    with pytest.raises(TraceError, match=r"expected tiny_none_8\.counts\.parquet or"):
        root.trace_path("tiny", "none", "m_tile_size_dse", "8")


def test_published_files_take_tile_and_vector_size_from_their_names(tmp_path: Path) -> None:
    root = _root(tmp_path)
    wide = TINY.model_copy(
        update={"hidden_elements": 64, "intermediate_elements": 96, "head_dim_elements": 32}
    )
    write_published(
        tiny_masks(samples=1, vector_size=8, geometry=wide), tmp_path / "vector_size_dse/tiny_none_8.pth"
    )
    write_published(
        tiny_masks(samples=1, vector_size=32, geometry=wide), tmp_path / "m_tile_size_dse/tiny_none_-1.pth"
    )
    assert root.open_trace("tiny", "none", "vector_size_dse", "8", wide).header.vector_size == 8
    assert root.open_trace("tiny", "none", "m_tile_size_dse", "-1", wide).header.m_tile == 0
    assert root.variants("m_tile_size_dse", "tiny", "none") == ["-1"]


def test_a_trace_of_another_length_than_its_row_is_refused(tmp_path: Path) -> None:
    root = _root(tmp_path, "tiny,none,20,3,6,0\n")
    write_counts(tiny_trace(), tmp_path / "focus_main" / "tiny_none.counts.parquet")
    with pytest.raises(TraceError, match=r"has 18 visual tokens, expected 20 \('Sequence length'"):
        root.open_trace("tiny", "none")


def test_a_lone_trace_is_a_root_of_one_workload(tmp_path: Path) -> None:
    path = tmp_path / "a.counts.parquet"
    write_counts(tiny_trace(), path)
    root = TraceRoot.open(path)
    assert list(root.workloads.values()) == [Workload("synthetic", "synthetic", 18, 3, 6, None)]
    assert root.open_trace("synthetic", "synthetic").header.method == "focus"
    assert root.trace_path("synthetic", "synthetic") == path


def test_the_longest_dataset_name_claims_a_published_file(tmp_path: Path) -> None:
    _root(tmp_path, "a,x,18,3,6,0\na,x_1,18,3,6,0\n")
    (tmp_path / "focus_main").mkdir()
    context = context_of_published(tmp_path / "focus_main" / "a_x_1.pth")
    assert context is not None
    assert context.dataset == "x_1"
    assert context_of_published(tmp_path / "focus_main" / "b_x.pth") is None


def test_rows_are_replaced_in_place_and_others_stay_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "meta_data.csv"
    path.write_text(META.strip() + ",Documents\na,x,18,3,6,0,first\nb,x,18,3,6,0,second\n")
    WORKLOADS.upsert(tmp_path, "a", "x", Workload("a", "x", 36, 6, 6, None))
    WORKLOADS.upsert(tmp_path, "c", "x", Workload("c", "x", 36, 6, 6, 2), extra={"Documents": "third"})
    assert path.read_text().splitlines()[1:] == [
        "a,x,36,6,6,,first",
        "b,x,18,3,6,0,second",
        "c,x,36,6,6,2,third",
    ]


def test_sparsities_are_written_to_the_last_digit(tmp_path: Path) -> None:
    adaptiv.SPARSITY.upsert(tmp_path, "a", "x", 0.1 + 0.2)
    cmc.SPARSITY.upsert(tmp_path, "a", "x", CmcSparsity(1 / 3, 0.5, 0.0))
    assert (
        tmp_path / "adaptiv_sparsity.csv"
    ).read_text() == "Model,Dataset,Sparsity\na,x,0.30000000000000004\n"
    assert (tmp_path / "cmc_sparsity.csv").read_text().endswith("a,x,0.3333333333333333,0.5,0.0\n")


def _write_rows(folder: Path, worker: int) -> None:
    for dataset in range(4):
        adaptiv.SPARSITY.upsert(folder, f"model-{worker}", f"set-{dataset}", worker / 16)
        adaptiv.SPARSITY.upsert(folder, "shared", "row", worker / 16)


def test_sixteen_processes_lose_no_row(tmp_path: Path) -> None:
    with ProcessPoolExecutor(16, mp_context=get_context("fork")) as pool:
        list(pool.map(_write_rows, [tmp_path] * 16, range(16)))
    (tmp_path / "meta_data.csv").write_text(META + "tiny,none,18,3,6,0\n")
    root = TraceRoot.open(tmp_path)
    found = {
        (f"model-{w}", f"set-{d}"): root.row(adaptiv.SPARSITY, f"model-{w}", f"set-{d}")
        for w in range(16)
        for d in range(4)
    }
    assert found == {(f"model-{w}", f"set-{d}"): w / 16 for w in range(16) for d in range(4)}
    assert len((tmp_path / "adaptiv_sparsity.csv").read_text().splitlines()) == 1 + 64 + 1


def test_a_full_disk_leaves_the_earlier_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    adaptiv.SPARSITY.upsert(tmp_path, "a", "x", 0.5)
    before = (tmp_path / "adaptiv_sparsity.csv").read_bytes()

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(RunError, match="No space left"):
        adaptiv.SPARSITY.upsert(tmp_path, "b", "x", 0.5)
    assert (tmp_path / "adaptiv_sparsity.csv").read_bytes() == before
