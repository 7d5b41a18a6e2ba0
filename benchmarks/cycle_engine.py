"""How long one prefill and the main table take in fidelity ``cycle``, cold and warm, and in how much memory.

The cold time is that of a new process with Numba's cache on disk. Counts are those of example_output/published
(synthetic, calibrated); times are measured.
"""

from __future__ import annotations

import platform
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numba
import numpy as np

from focal_simulator.accelerators.presets import build_accelerator
from focal_simulator.engine.cycle.simulate import simulate_cycles
from focal_simulator.workload.loading import load_workloads
from focal_traces.methods.cmc import SPARSITY
from focal_traces.root.root import TraceRoot

ROOT = Path(__file__).parents[1] / "example_output" / "published"
TABLE = ("dense", "adaptiv", "cmc", "focus")


def best(work: object, repeats: int = 5) -> float:
    """Return the shortest of a few runs in seconds."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()  # type: ignore[operator]
        times.append(time.perf_counter() - start)
    return min(times)


def main() -> None:
    """Print machine, versions, times and ratios."""
    print(f"{platform.processor() or platform.machine()}, Python {platform.python_version()}, ", end="")
    print(f"numba {numba.__version__}, numpy {np.__version__}, one core; measured")
    videos = [workload for workload in load_workloads(TraceRoot.open(ROOT), [], []) if workload.row(SPARSITY)]
    longest = next(workload for workload in videos if workload.label == "llava_vid/videomme")
    focus, dense = build_accelerator("focus"), build_accelerator("dense")
    simulate_cycles(focus, longest)
    for name, accelerator in (("dense", dense), ("focus", focus)):
        result = simulate_cycles(accelerator, longest)
        folds = sum(item.job.scaled(item.job.shape.folds) for item in result.times)
        warm = best(lambda accelerator=accelerator: simulate_cycles(accelerator, longest))
        print(
            f"{name:>6}, 28 layers, {longest.visual_tokens:,} tokens, {folds:,} folds: warm {warm:.3f} s "
            f"= {folds / warm:.3g} folds/s"
        )
    table = best(
        lambda: [simulate_cycles(build_accelerator(name), one) for name in TABLE for one in videos], 2
    )
    print(f"main table, {len(TABLE)} accelerators x {len(videos)} workloads: {table:.2f} s")
    words = ["--trace", str(ROOT), "--model", "llava_vid", "--dataset", "videomme", "--accelerator", "focus"]
    folder = tempfile.TemporaryDirectory(prefix="focal-benchmark-")
    words += ["--no-figure", "--output", folder.name]
    run = [sys.executable, str(Path(__file__).parents[1] / "simulator" / "run.py"), *words]

    def command() -> None:
        subprocess.run(run, check=True, stdout=subprocess.DEVNULL)

    command()
    print(f"command line, new process, cache on disk: {best(command, 3):.2f} s")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"peak memory of this process: {peak:.0f} MiB")


if __name__ == "__main__":
    main()
