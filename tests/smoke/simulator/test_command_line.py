"""Does ``focal sim`` do what it says, and fail with one sentence?"""

import csv
import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from focal.commands.sim import main
from focal_traces.files.store import write_counts, write_masks
from focal_traces.header.schema import DecoderGeometry, TokenGrid
from focal_traces.synthetic.schedule import Schedule
from simulator_support import PUBLISHED_ROOT
from synthetic_traces import SyntheticInput, synthetic_counts, synthetic_masks

ROOT = Path(__file__).parents[3]
TINY = DecoderGeometry(
    layers=4, hidden_elements=128, intermediate_elements=352, heads=4, kv_heads=2, head_dim_elements=32
)
GIVEN = SyntheticInput(
    TINY,
    TokenGrid(frames=4, rows=5, columns=6, frame_stride=30, row_stride=6, column_stride=1),
    schedule=Schedule((1, 2), (0.6, 0.3)),
)


def run(monkeypatch: pytest.MonkeyPatch, *words: object) -> int:
    monkeypatch.setattr(sys, "argv", ["run.py", *map(str, words)])
    return main()


def table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8") as source:
        return list(csv.DictReader(source))


def test_the_published_root_runs_on_the_baselines_and_runs_again_to_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--trace", PUBLISHED_ROOT, "--accelerator", "dense,adaptiv,cmc", "--output", tmp_path)
    assert run(monkeypatch, *words) == 0
    shown = capsys.readouterr()
    assert "speed-up" in shown.out
    assert f"wrote {tmp_path / 'results.csv'}" in shown.out
    assert "cmc: qwen2_5_vl/mme has no CMC sparsity" in " ".join(shown.err.split())
    counts = Counter(row["accelerator"] for row in table(tmp_path / "results.csv"))
    assert counts == {"dense": 15, "adaptiv": 15, "cmc": 9}
    assert not list(tmp_path.glob("*main_*.csv"))
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert before["cycle_main_headline.png"].startswith(b"\x89PNG")
    (tmp_path / "cycle_main_headline.png").unlink()
    assert run(monkeypatch, *words) == 0
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_lone_trace_file_is_a_workload_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "mine.counts.parquet"
    write_counts(synthetic_counts(GIVEN), path)
    words = ("--trace", path, "--accelerator", "dense,focus", "--output", tmp_path / "out", "--json")
    assert run(monkeypatch, *words, "--no-figure") == 0
    report = json.loads(capsys.readouterr().out)
    assert [row["accelerator"] for row in report["rows"]] == ["dense", "focus"]
    assert {row["origin"] for row in report["rows"]} == {"synthetic"}
    assert all(Path(written).is_file() for written in report["paths"])
    dense, focus = report["rows"]
    assert focus["macs"] < focus["dense_macs"]
    assert dense["cycles"] > 0


def test_tile_lengths_of_counts_are_those_recorded_and_the_command_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    counts, masks = tmp_path / "mine.counts.parquet", tmp_path / "mine.masks.pth"
    write_counts(synthetic_counts(GIVEN), counts)
    write_masks(synthetic_masks(GIVEN), masks)
    out = ("--output", tmp_path / "out", "--tile-lengths")
    assert run(monkeypatch, "--trace", counts, *out) == 0
    assert "holds counts only" in capsys.readouterr().err
    assert run(monkeypatch, "--trace", masks, *out) == 0
    assert "counts only" not in capsys.readouterr().err
    rows = table(tmp_path / "out" / "tile_lengths.csv")
    assert [row["tiling"] for row in rows] == ["interleaved"] * 50 + ["recorded"] * 50
    rows = rows[:50]
    width = float(rows[0]["bin_stop"]) - float(rows[0]["bin_start"])
    assert sum(float(row["density"]) for row in rows) * width == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--accelerator", "focux"), "unknown accelerator 'focux'; did you mean 'focus'"),
        (("--accelerator", "dense", "--set", "core.array_row=3"), "did you mean 'array_rows'"),
        (
            ("--accelerator", "dense", "--model", "llava_vid", "--dataset", "mlvv"),
            "no row of model 'llava_vid'",
        ),
        (("--accelerator", "cmc", "--model", "qwen2_5_vl"), "has no CMC sparsity"),
        (("--accelerator", "dense", "--fidelity", "exact"), "unknown fidelity 'exact'"),
        (("--accelerator", "dense", "--sram", "cactii"), "did you mean 'cacti'"),
        (("--sweep", "scatter"), "expected 'focal sweep dse_d_scatter'"),
        (
            ("--tile-lengths", "--set", "core.array_rows=4"),
            "expected no hardware and no overrides (--hardware, --set)",
        ),
        (("--tile-lengths", "--fidelity", "exact"), "exist in parity only"),
        (("--tile-lengths", "--accelerator", "cmc"), "expected accelerator focus (--accelerator)"),
        (("--accelerator", "dense", "--variant", "focus_int4"), "did you mean 'focus_int8'"),
        (("--nonsense",), "--nonsense"),
    ],
)
def test_wrong_use_gives_one_sentence_and_code_two_and_writes_nothing(
    words: tuple[str, ...],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(monkeypatch, "--trace", PUBLISHED_ROOT, "--output", tmp_path / "out", *words) == 2
    error = capsys.readouterr().err
    assert message in " ".join(error.split())
    assert "Traceback" not in error
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_written_gives_code_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("kept", encoding="utf-8")
    words = ("--trace", PUBLISHED_ROOT, "--accelerator", "dense", "--output", tmp_path / "file")
    assert run(monkeypatch, *words) == 1
    assert "cannot be written" in capsys.readouterr().err
    assert (tmp_path / "file").read_text(encoding="utf-8") == "kept"


def test_runs_started_at_once_into_one_folder_leave_the_bytes_of_runs_in_turn(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}

    def start(folder: Path, accelerator: str, model: str) -> subprocess.Popen[bytes]:
        words = [
            "--trace",
            PUBLISHED_ROOT,
            "--accelerator",
            accelerator,
            "--model",
            model,
            "--output",
            folder,
        ]
        return subprocess.Popen(
            [sys.executable, ROOT / "simulator" / "run.py", *words, "--no-figure"],
            env=environment,
            stdout=subprocess.DEVNULL,
        )

    jobs = [(name, model) for name in ("dense", "adaptiv") for model in ("minicpm_v", "llava_vid")]
    together = [start(tmp_path / "together", *job) for job in jobs]
    assert [process.wait(timeout=60) for process in together] == [0] * len(jobs)
    for job in reversed(jobs):
        assert start(tmp_path / "in_turn", *job).wait(timeout=60) == 0
    one, two = (
        {path.name: path.read_bytes() for path in (tmp_path / name).iterdir()}
        for name in ("together", "in_turn")
    )
    assert one == two
    assert len(table(tmp_path / "together" / "cycle_main_dense.csv")) == 6


def test_the_simulator_imports_neither_torch_nor_pandas_nor_the_algorithm() -> None:
    code = (
        "import sys, focal_simulator.results.run, focal_simulator.sweep.study, focal.commands.sim\n"
        "heavy = {'torch', 'pandas', 'matplotlib', 'focal_algorithm', 'focal_evaluation'}\n"
        "heavy &= set(sys.modules)\n"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
