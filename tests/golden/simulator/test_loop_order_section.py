"""Does the section on loop orders follow from the committed rows and traces, and do its rows come from this engine?"""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from focal_common.errors import ConfigError
from focal_evaluation.better_focus_page import loop_orders, page, read_rows
from focal_evaluation.loop_order_markdown import workload_sum
from focal_evaluation.loop_order_numbers import LoopTraffic
from focal_evaluation.loop_order_split import BANK_BYTES, bank, left_over, memory_bytes, read_splits
from focal_simulator.cycle.simulate import simulate_cycles
from focal_simulator.hardware_files import build_accelerator
from focal_simulator.loading import load_workloads, with_trace
from focal_simulator.loop_orders import LOOP_ORDERS, PUBLISHED_ORDER
from focal_traces.root import TraceRoot
from simulator_support import PUBLISHED_ROOT

REPOSITORY = Path(__file__).parents[3]
FOLDER = REPOSITORY / "example_output" / "better_focus"
POINTS, SPLITS = FOLDER / "points.csv", FOLDER / "split_points.csv"


def published_row() -> pd.Series:
    rows = read_rows(POINTS)
    return rows[
        (rows["weights"] == "single")
        & (rows["core.scatter_vectors"] == 2)
        & (rows["tiles.m_tile"] == 1024)
        & (rows["tiles.n_tile"] == 96)
        & (rows["gather_lanes"] == "1")
    ].iloc[0]


def test_the_committed_page_is_the_study_and_this_section() -> None:
    committed = (REPOSITORY / "docs" / "better_focus.md").read_text(encoding="utf-8")
    rows = read_rows(POINTS)
    assert f"{page(rows)}\n{loop_orders(rows, POINTS, PUBLISHED_ROOT)}" == committed, (
        "run: focal reproduce better-focus --output docs/better_focus.md"
    )


def test_the_published_order_moves_the_bytes_of_the_study() -> None:
    datasets = ["videomme", "mlvu", "mvbench"]
    workloads = load_workloads(
        TraceRoot.open(PUBLISHED_ROOT), ["llava_vid", "llava_onevision", "minicpm_v"], datasets
    )
    traffic = LoopTraffic(build_accelerator("focus"), workloads)
    linear = traffic.by_order(0)
    assert traffic.whole_bytes(linear[PUBLISHED_ORDER]) == traffic.all_bytes
    # The study keeps the mean over its workloads.
    assert published_row()["dram_bytes"] * len(workloads) == pytest.approx(traffic.all_bytes, rel=1e-12)
    assert linear["best"] == min(linear[order] for order in LOOP_ORDERS)
    read, again = traffic.attention_refetches
    assert 0 < again < read < traffic.all_bytes


@pytest.mark.parametrize(
    ("m_tile", "n_tile", "weights"), [(1024, 96, "single"), (512, 192, "double"), (128, 768, "single")]
)
def test_split_rows_are_those_of_single_runs(m_tile: int, n_tile: int, weights: str) -> None:
    rows = read_splits(SPLITS)
    row = rows[
        (rows["m_tile"] == m_tile) & (rows["tiles.n_tile"] == n_tile) & (rows["weights"] == weights)
    ].iloc[0]
    doubled = [
        "dataflow.is_weight_double_buffered=true",
        "components.systolic_array.area=1.47666115",
        "components.systolic_array.power=330.855462",
    ]
    overrides = [
        f"tiles.m_tile={m_tile}",
        f"tiles.n_tile={n_tile}",
        *(doubled if weights == "double" else []),
    ]
    root = TraceRoot.open(PUBLISHED_ROOT)
    main = load_workloads(root, ["llava_vid"], ["videomme"])[0]
    trace = root.open_trace("llava_vid", "videomme", "m_tile_size_dse", str(m_tile))
    result = simulate_cycles(
        build_accelerator("focus", overrides=overrides), with_trace(main, trace, "m_tile_size_dse"), "cacti"
    )
    assert result.seconds == row["seconds"]
    assert result.dram_bytes == row["dram_bytes"]
    assert result.total_mj == pytest.approx(row["total_mj"], rel=1e-12)


def test_a_split_of_the_formula_moves_what_the_study_counted() -> None:
    rows = read_splits(SPLITS)
    few = rows[rows["tiles.n_tile"].isin([96, 192]) & (rows["m_tile"] >= 512)].reset_index(drop=True)
    for one in left_over(few, TraceRoot.open(PUBLISHED_ROOT)):
        own = few[(few["m_tile"] == one.m_tile) & (few["tiles.n_tile"] == one.n_tile)].iloc[0]
        assert one.counted_bytes == own["dram_bytes"]
        assert one.best_bytes <= one.counted_bytes


def test_a_memory_takes_no_more_than_the_area_it_is_given() -> None:
    assert memory_bytes(-1.0) == 0
    assert memory_bytes(bank(1 << 16).area_mm2 * 0.999) == 0
    assert memory_bytes(2 * bank().area_mm2 + bank(1 << 17).area_mm2) == 2 * BANK_BYTES + (1 << 17)


def test_sums_take_every_workload_once() -> None:
    row = pd.Series({"seconds": 9.0, "a/b:seconds": 1.0, "c/d:seconds": 2.0, "a/b:total_mj": 5.0})
    assert workload_sum(row, "seconds") == 3.0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n", "expected rows of better_focus_split"),
        (None, "not a readable table of better_focus_split"),
        (
            "m_tile,tiles.n_tile,weights,seconds,total_mj,area_mm2,dram_bytes,accuracy\n512,96,single,1,1,1,1,1\n",
            "does not hold the published design",
        ),
    ],
)
def test_another_table_is_refused_in_one_sentence(tmp_path: Path, text: str | None, message: str) -> None:
    if text is not None:
        (tmp_path / "split_points.csv").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=message):
        read_splits(tmp_path / "split_points.csv")
