"""Are traces made on demand once for each set of method parameters, and are failures rows?"""

import sys
from pathlib import Path

import pytest

from focal_simulator.sweep.study import Study
from sweep_support import run_study

SCRIPT = """
import sys
from pathlib import Path
from focal_traces.synthetic.schedule import Schedule
from focal_traces.header.schema import DecoderGeometry, GEMMS, TokenGrid
from focal_traces.files.store import write_counts
from synthetic_traces import SyntheticInput, synthetic_counts

words = sys.argv[1:]
settings = dict(words[i + 1].split("=", 1) for i, word in enumerate(words) if word == "--set")
root = Path(words[words.index("--output") + 1])
log = Path(words[words.index("--log") + 1])
with log.open("a") as target:
    target.write(f"{settings}\\n")
threshold = float(settings.get("similarity_threshold", "0.9"))
if threshold > 1:
    sys.exit("error: similarity_threshold must lie in (0, 1]")
tiny = DecoderGeometry(
    layers=4, hidden_elements=128, intermediate_elements=352, heads=4, kv_heads=2, head_dim_elements=32
)
grid = TokenGrid(frames=4, rows=5, columns=6, frame_stride=30, row_stride=6, column_stride=1)
similarity = dict.fromkeys(GEMMS, 1 - threshold)
given = SyntheticInput(tiny, grid, schedule=Schedule((1, 2), (0.6, 0.3)), similarity=similarity)
trace = synthetic_counts(given)
header = trace.header
(root / "meta_data.csv").write_text(
    "Model,Dataset,Sequence length,Num frames,Num patches,Median index\\n"
    f"{header.model},{header.dataset},120,4,30,0\\n"
)
folder = root / "focus_main"
folder.mkdir()
write_counts(trace, folder / f"{header.model}_{header.dataset}.counts.parquet")
"""


def study(tmp_path: Path, thresholds: list[float]) -> Study:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT, encoding="utf-8")
    options = {"command": [sys.executable, str(script)], "arguments": ["--log", str(tmp_path / "log")]}
    axes = [
        {"field": "method.similarity_threshold", "values": thresholds},
        {"field": "core.scatter_vectors", "values": [1, 2]},
    ]
    fields = {"name": "made", "kind": "grid", "sram": "cacti", "axes": axes}
    return Study.model_validate(fields | {"traces": {"provider": "command", "options": options}})


def test_each_set_of_parameters_is_traced_once_and_kept_for_other_studies(tmp_path: Path) -> None:
    result = run_study(study(tmp_path, [0.5, 0.9]), tmp_path / "out" / "a")
    assert [row["status"] for row in result.rows] == ["ok"] * 4
    assert result.rows[0]["macs"] < result.rows[2]["macs"]
    assert result.rows[0]["origin"] == "synthetic"
    log = tmp_path / "log"
    assert log.read_text(encoding="utf-8").splitlines() == [
        "{'similarity_threshold': '0.5'}",
        "{'similarity_threshold': '0.9'}",
    ]
    run_study(study(tmp_path, [0.5, 0.7]), tmp_path / "out" / "b")
    assert len(log.read_text(encoding="utf-8").splitlines()) == 3
    assert not list((tmp_path / "out" / "trace_cache").glob(".*.work"))


def test_a_trace_that_cannot_be_made_is_asked_for_once_and_gives_failed_rows(tmp_path: Path) -> None:
    result = run_study(study(tmp_path, [0.5, 1.5]), tmp_path / "out" / "a")
    assert [row["status"] for row in result.rows] == ["ok", "ok", "failed", "failed"]
    assert result.rows[2]["reason"].endswith("code 1: similarity_threshold must lie in (0, 1]")
    assert len((tmp_path / "log").read_text(encoding="utf-8").splitlines()) == 2


@pytest.mark.slow
def test_focal_trace_itself_can_be_swept(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    words = ["--size", "tiny", "--samples", "1", "--frames", "4", "--no-masks", "--new-tokens", "1"]
    fields = {
        "name": "traced",
        "kind": "one_at_a_time",
        "sram": "cacti",
        "axes": [{"field": "method.similarity_threshold", "values": [0.6, 0.95, 2.0]}],
        "traces": {"provider": "command", "options": {"arguments": words}},
    }
    result = run_study(Study.model_validate(fields), tmp_path / "out" / "a")
    assert [row["status"] for row in result.rows] == ["ok", "ok", "failed"]
    assert result.rows[0]["macs"] < result.rows[1]["macs"]
    assert "similarity_threshold" in result.rows[2]["reason"]
