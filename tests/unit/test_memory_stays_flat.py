"""Does a long study, or a long trace, hold no more memory at its end than after its first part?"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory cannot be asked for"),
]

HELD = """
import sys
from pathlib import Path
def held():
    return int(next(line for line in Path("/proc/self/status").open() if line.startswith("RssAnon")).split()[1])
"""

STUDY = """
import tempfile
from sweep_points import PUBLISHED, ROOT
from focal_simulator.sweep.evaluate import Evaluator
from focal_simulator.sweep.run import SweepRequest, prepare
from focal_simulator.sweep.sampling import chosen_points, grid
from focal_simulator.sweep.study import read_study
study, _ = read_study("focus_cycle_100k")
with tempfile.TemporaryDirectory() as folder:
    plan, _ = prepare(SweepRequest(study, ROOT, PUBLISHED, Path(folder) / "out"))
    points = chosen_points(plan.space, grid(plan.space, study.sampling), True)
    evaluator = Evaluator(plan)
    for number, point in enumerate(points[:: len(points) // 4500]):  # each axis takes all its values again and again
        evaluator.row(point)
        if number in (2250, 4499):
            print(held(), 1)
"""

TRACE = """
import gc, tracemalloc
import torch
from focal_algorithm.tracing.runner import run
from focal_algorithm.tracing.settings import RunSettings
torch.set_num_threads(1)
tracemalloc.start()  # of Python and numpy: a sample of so small a model is lost in what torch holds
def watched(items, total):
    for number, item in enumerate(items):
        if number in (30, 59):
            gc.collect()
            print(held(), tracemalloc.get_traced_memory()[0] // 1024)
        yield item
run(RunSettings(output=Path(sys.argv[1]), size="tiny", frames=4, samples=60, keep_masks=True), watched)
"""


@pytest.mark.parametrize("work", [STUDY, TRACE], ids=["study", "trace"])
def test_memory_stays_flat(work: str, tmp_path: Path) -> None:
    places = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", HELD + work, tmp_path], capture_output=True, text=True, env=places
    )
    assert done.returncode == 0, done.stderr
    half, half_known, whole, whole_known = map(int, done.stdout.split())
    assert whole < 1.02 * half
    assert whole_known <= half_known + 100  # KiB
