"""Does a result table hold each row once, in an order that does not depend on who came first?"""

import csv
from pathlib import Path

import pytest

from focal.commands.running import run_command
from focal.commands.sim import app as sim
from focal_common.errors import ConfigError, TraceError
from focal_simulator.results.output import export_published, read_manifest
from focal_simulator.results.rows import RESULT_COLUMNS, RESULTS, RUN_KEY, Row, merge_table, read_results
from simulator_support import PUBLISHED_ROOT

ORDER = {("a", "x"): 0, ("a", "y"): 1, ("b", "x"): 2}


def row(model: str, dataset: str, cycles: int = 1) -> Row:
    return {
        "model": model,
        "dataset": dataset,
        "accelerator": "dense",
        "variant": "focus_main",
        "fidelity": "parity",
        "cycles": cycles,
    }


def test_running_again_replaces_and_never_duplicates(tmp_path: Path) -> None:
    path = tmp_path / "results.csv"
    merge_table(path, [row("a", "x", 1), row("a", "y", 2)], RUN_KEY, ORDER)
    merge_table(path, [row("a", "x", 7)], RUN_KEY, ORDER)
    lines = path.read_text(encoding="utf-8").splitlines()
    assert [line.split(",")[-1] for line in lines] == ["cycles", "7", "2"]


def test_the_file_does_not_depend_on_the_order_of_runs(tmp_path: Path) -> None:
    rows = [row("b", "x"), row("a", "y"), row("z", "new"), row("a", "x")]
    for name, sequence in (("one", rows), ("two", rows[::-1])):
        for item in sequence:
            merge_table(tmp_path / name, [item], RUN_KEY, ORDER)
    one, two = ((tmp_path / name).read_bytes() for name in ("one", "two"))
    assert one == two
    assert [line.split(b",")[0] for line in one.splitlines()] == [b"model", b"a", b"a", b"b", b"z"]


def test_a_table_with_other_columns_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "results.csv"
    path.write_text("model,dataset\na,x\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"results\.csv: has other columns .*'accelerator'"):
        merge_table(path, [row("a", "x")], RUN_KEY, ORDER)
    assert path.read_text(encoding="utf-8") == "model,dataset\na,x\n"


def test_a_folder_of_version_0_1_is_refused_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "cycle_main_focus.csv").write_text("model,dataset,execution_time\na,x,1\n", encoding="utf-8")
    with pytest.raises(
        TraceError, match=r"holds cycle_main_focus\.csv, .* 0\.1, and no results\.csv, .* again"
    ):
        read_results(tmp_path)
    words = ["--trace", str(PUBLISHED_ROOT), "--accelerator", "cmc", "--model", "llava_vid", "--no-figure"]
    assert run_command(sim, [*words, "--output", str(tmp_path)]) == 2
    assert [path.name for path in tmp_path.glob("*.csv")] == ["cycle_main_focus.csv"]


def test_published_tables_are_kept_up_to_date_once_they_are_there(tmp_path: Path) -> None:
    cells = dict.fromkeys(RESULT_COLUMNS, "1") | {"model": "a", "dataset": "x", "corrections": ""}
    cells |= {"accelerator": "dense", "variant": "focus_main", "fidelity": "parity", "compression_ratio": ""}
    merge_table(tmp_path / RESULTS, [cells | {"accelerator": "focus"}, cells], RUN_KEY, ORDER)
    assert {path.name for path in export_published(tmp_path)} == {
        "main_dense.csv",
        "main_focus.csv",
        "manifest.json",
    }
    (dense,) = csv.DictReader((tmp_path / "main_dense.csv").open(encoding="utf-8"))
    (focus,) = csv.DictReader((tmp_path / "main_focus.csv").open(encoding="utf-8"))
    assert dense["mem_counter_total"] == "mem_counter"
    # As published: the dense array states no operations.
    assert (dense["num_ops"], focus["num_ops"]) == ("0", "1")
    assert read_manifest(tmp_path)["published_layout"] is True
