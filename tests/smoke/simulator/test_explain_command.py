"""Does ``focal explain`` give an arithmetic that can be checked by hand, and one sentence otherwise?"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import pytest

from focal.commands.main import main as focal
from focal.commands.sim import main
from focal_simulator.results.explain import explain, find_row, layer_sums, read_layers, workload_rows
from simulator_support import PUBLISHED_ROOT


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("result")
    words = ["run.py", "--trace", str(PUBLISHED_ROOT), "--model", "llava_vid", "--no-figure"]
    patch = pytest.MonkeyPatch()
    patch.setattr(sys, "argv", [*words, "--accelerator", "focus,adaptiv", "--output", str(folder)])
    assert main() == 0
    patch.undo()
    return folder


def test_units_follow_from_the_numbers_shown(result: Path) -> None:
    path, rows = read_layers(result, "focus")
    row = find_row(rows, path, "llava_vid", "videomme", "9.o_proj")
    found = explain(row)
    units = {unit: cycles for unit, _, cycles in found.units}
    # 3,494 tokens stay from block 6 on (30 % of 11,648); 112 slices x 112 columns x 4 tiles.
    assert row["folds"] == 4 * 112 * 112
    assert units["array"] == row["streamed_rows"] + row["folds"] * 93
    assert units["scatter"] == 3494 * 112 * 112 // 2
    # Eight candidates a row, and the mean of each group that is written.
    vectors = row["gathered_vectors"]
    assert 0 < vectors < 3494 * 112
    assert vectors % 112 == 0
    assert units["gather"] == 3494 * 112 * 8 + vectors
    words = f"3,494 rows x 112 array columns x 8 cycles + {vectors:,} vectors x 1"
    assert ("gather", words, units["gather"]) in found.units
    # The special functions beside it are those of this layer: the residual addition of 3,494 x 3,584 elements.
    (words,) = [formula for unit, formula, _ in found.units if unit.startswith("sfu")]
    assert words == f"attention_residual: {3494 * 3584:,} add / 192 + 16"
    assert units["sfu (beside the array)"] == -(-3494 * 3584 // 192) + 16
    assert found.bound == max(units, key=lambda unit: units[unit])
    assert sum(cycles for _, cycles in found.causes) == found.total_cycles
    assert found.total_cycles >= max(units.values())


def test_without_a_layer_the_command_sums_the_blocks(
    result: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        focal(["explain", str(result), "--model", "llava_vid", "--dataset", "mlvu"])
    assert end.value.code == 0
    shown = capsys.readouterr().out
    for name in ("q_proj", "attn.scores", "attn.importance", "down_proj"):
        assert name in shown
    path, rows = read_layers(result, "focus")
    sums = layer_sums(workload_rows(rows, path, "llava_vid", "mlvu"))
    with (result / "results.csv").open(encoding="utf-8", newline="") as source:
        (run,) = [
            row for row in csv.DictReader(source) if (row["accelerator"], row["dataset"]) == ("focus", "mlvu")
        ]
    assert sum(one["cycles"] for one in sums) == int(run["cycles"])
    assert sum(one["energy_mj"] for one in sums) == pytest.approx(float(run["energy_mj"]))
    assert sum(one["share"] for one in sums) == pytest.approx(1)
    assert all(0 < one["utilisation"] <= 1 for one in sums)


def test_the_command_prints_bound_and_total(result: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["explain", str(result), "--layer", "9.attn", "--model", "llava_vid", "--dataset", "mlvu"]
    with pytest.raises(SystemExit) as end:
        focal(words)
    assert end.value.code == 0
    shown = capsys.readouterr().out
    assert "9.attn.scores" in shown
    assert "bound:" in shown


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--layer", "9.o_prj", "--dataset", "mlvu"), "did you mean '9.o_proj'"),
        (("--layer", "9.o_proj"), "choose one by model and dataset"),
        (("--layer", "9.o_proj", "--accelerator", "cmc"), "has no cycle result of 'cmc'"),
        (("--layer", "9.o_proj", "--dataset", "mvbnch"), "no workload '/mvbnch'"),
    ],
)
def test_wrong_use_is_one_sentence(
    words: tuple[str, ...], message: str, result: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        focal(["explain", str(result), *words])
    assert end.value.code == 2
    error = " ".join(capsys.readouterr().err.split())
    assert message in error
    assert "Traceback" not in error
