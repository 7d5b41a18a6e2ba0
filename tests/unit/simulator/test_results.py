"""Does a result table hold each row once, in an order that does not depend on who came first?"""

from pathlib import Path

import pytest

from focal_common.errors import ConfigError
from focal_simulator.results.rows import KEY_COLUMNS, Row, merge_table

ORDER = {("a", "x"): 0, ("a", "y"): 1, ("b", "x"): 2}


def row(model: str, dataset: str, cycles: int = 1) -> Row:
    return {
        "model": model,
        "dataset": dataset,
        "accelerator": "dense",
        "variant": "focus_main",
        "fidelity": "parity",
        "total_cycles": cycles,
    }


def test_running_again_replaces_and_never_duplicates(tmp_path: Path) -> None:
    path = tmp_path / "main_dense.csv"
    merge_table(path, [row("a", "x", 1), row("a", "y", 2)], KEY_COLUMNS, ORDER)
    merge_table(path, [row("a", "x", 7)], KEY_COLUMNS, ORDER)
    lines = path.read_text(encoding="utf-8").splitlines()
    assert [line.split(",")[-1] for line in lines] == ["total_cycles", "7", "2"]


def test_the_file_does_not_depend_on_the_order_of_runs(tmp_path: Path) -> None:
    rows = [row("b", "x"), row("a", "y"), row("z", "new"), row("a", "x")]
    for name, sequence in (("one", rows), ("two", rows[::-1])):
        for item in sequence:
            merge_table(tmp_path / name, [item], KEY_COLUMNS, ORDER)
    one, two = ((tmp_path / name).read_bytes() for name in ("one", "two"))
    assert one == two
    assert [line.split(b",")[0] for line in one.splitlines()] == [b"model", b"a", b"a", b"b", b"z"]


def test_a_table_with_other_columns_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "main_dense.csv"
    path.write_text("model,dataset\na,x\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"main_dense\.csv: has other columns .*'accelerator'"):
        merge_table(path, [row("a", "x")], KEY_COLUMNS, ORDER)
    assert path.read_text(encoding="utf-8") == "model,dataset\na,x\n"
