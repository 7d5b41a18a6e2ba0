"""Can another distribution add tables of a trace root, corrections and kinds of units, by entry points alone?"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

MODULE = """
from focal_simulator.jobs.corrections import Correction
from focal_traces.tables.table import PairTable

TABLE = PairTable(
    "mine.csv", ("Model", "Dataset", "share"), lambda cells: cells.sparsity("share"), lambda share: (str(share),)
)
CORRECTIONS = (Correction("mine_overlap", (), "free", "beside the array"),)
UNIT = "blocks searched / lanes"
"""
ENTRY_POINTS = """
[focal.root_tables]
mine = mine:TABLE
[focal.corrections]
mine = mine:CORRECTIONS
[focal.units]
searcher = mine:UNIT
"""
CODE = """
from pathlib import Path
from focal_simulator.accelerators.corrections import ALL, CORRECTIONS, parse_corrections
from focal_simulator.accelerators.presets import build_accelerator
from focal_simulator.engine.cycle.level import CycleFidelity
from focal_simulator.jobs.jobs import CAUSES
from focal_simulator.results.explain import explain
from focal_simulator.workload.loading import load_workloads
from focal_traces.root.root import TraceRoot
from mine import TABLE

assert CORRECTIONS[-1].name == "mine_overlap"
assert "mine_overlap" not in parse_corrections("-mine_overlap") < ALL
assert CAUSES[-1] == "searcher"
build_accelerator("dense", overrides=["components.fp16_exp.active_with=searcher"])

root = Path("root")
(root / "focus_main").mkdir(parents=True)
(root / "meta_data.csv").write_text(
    "Model,Dataset,Sequence length,Num frames,Num patches,Median index\\na,x,8,2,4,0\\na,y,8,2,4,0\\n"
)
TABLE.upsert(root, "a", "x", 0.25)
first, second = load_workloads(TraceRoot.open(root), [], [])
assert (first.row(TABLE), second.row(TABLE)) == (0.25, None)

level = CycleFidelity()
result = level.simulate(build_accelerator("dense"), first, "auto")
assert level.columns(result)["searcher_cycles"] == 0
assert level.columns(result)["corrections"] == "all"
row = level.layer_rows(result)[0] | {"model": "a", "dataset": "x", "before_searcher": 7}
assert ("searcher (before the array)", "blocks searched / lanes", 7) in explain(row, "dense").units
"""


def test_entry_points_are_enough(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(MODULE, encoding="utf-8")
    info = tmp_path / "mine-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mine\nVersion: 1.0\n", encoding="utf-8")
    (info / "entry_points.txt").write_text(ENTRY_POINTS, encoding="utf-8")
    paths = os.pathsep.join([str(tmp_path), *(entry for entry in sys.path if entry)])
    done = subprocess.run(
        [sys.executable, "-c", CODE],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
