"""Measures parity mode: rows per second in a warm process, and the cold command's time and peak memory.

Run ``python benchmarks/parity_rows.py`` from the top folder of the repository.
"""

from __future__ import annotations

import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from focal_simulator.accelerators.presets import build_accelerator
from focal_simulator.engine.parity.level import simulate
from focal_simulator.workload.loading import load_workloads
from focal_traces.methods.cmc import SPARSITY
from focal_traces.root.root import TraceRoot

ROOT = Path(__file__).parents[1]
PUBLISHED = ROOT / "example_output" / "published"
REPEATS = 5


def machine() -> str:
    """Return processor, cores and versions."""
    model = platform.processor() or "unknown processor"
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        model = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    packages = []
    for name in ("numpy", "pydantic", "pyarrow", "matplotlib"):
        try:
            packages.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            packages.append(f"{name} absent")
    return f"{model}, {os.cpu_count()} cores, Python {platform.python_version()}, {', '.join(packages)}"


def warm() -> None:
    """Time all published rows with workloads in memory."""
    root = TraceRoot.open(PUBLISHED)
    start = time.perf_counter()
    main = load_workloads(root, [], [], "focus_main")
    int8 = [item for item in load_workloads(root, [], [], "focus_int8") if item.counts is not None]
    print(f"reading {len(main) + len(int8)} workloads: {time.perf_counter() - start:.2f} s")
    pairs = []
    for name in ("dense", "adaptiv", "cmc", "focus", "focus_sec_only"):
        accelerator = build_accelerator(name)
        for workload in main:
            if name == "cmc" and workload.row(SPARSITY) is None:
                continue
            if name == "focus" and workload.counts is None:
                continue
            pairs.append((accelerator, workload))
    pairs += [(build_accelerator("focus"), workload) for workload in int8]
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        for accelerator, workload in pairs:
            simulate(accelerator, workload)
        times.append(time.perf_counter() - start)
    middle = statistics.median(times)
    print(
        f"warm: {len(pairs)} rows in {middle:.3f} s (median of {REPEATS}) = {len(pairs) / middle:.0f} rows/s"
    )


def cold(accelerators: str, *words: str) -> None:
    """Time the whole command in a fresh process."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, str(ROOT / "simulator" / "run.py"), "--trace", str(PUBLISHED)]
        command += ["--accelerator", accelerators, "--fidelity", "parity", "--output", folder, *words]
        start = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        seconds = time.perf_counter() - start
    # Of all children so far; the largest command is the one of interest.
    peak_mib = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(f"cold: {accelerators} {' '.join(words)}: {seconds:.2f} s, peak so far {peak_mib:.0f} MiB")


if __name__ == "__main__":
    print(machine())
    warm()
    cold("dense,adaptiv,cmc,focus_sec_only", "--no-figure")
    cold("dense,adaptiv,cmc,focus_sec_only")
    cold("all")
