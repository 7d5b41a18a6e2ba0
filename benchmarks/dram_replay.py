"""How many requests per second the memory model replays on one core: python benchmarks/dram_replay.py."""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / name) for name in ("common", "simulator")]

from focal_common.provenance import package_versions  # noqa: E402
from focal_simulator.dram import AccessPattern, replay  # noqa: E402
from focal_simulator.dram.patterns import pattern_requests  # noqa: E402

PATTERNS = {"sequential": AccessPattern.strided(64), "random": AccessPattern.random(1 << 32)}
CONFIGS = ("ddr4_1ch_shipped", "ddr4_4ch_interleaved", "lpddr4_1ch_shipped", "hbm2_8ch_shipped")


def processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), "unknown")


def main() -> None:
    parser = argparse.ArgumentParser(description="Saturated reads replayed per second, one core, best of N.")
    parser.add_argument("--requests", type=int, default=200_000)
    parser.add_argument("--repeats", type=int, default=5)
    chosen = parser.parse_args()
    print(f"{processor()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    print(
        ", ".join(f"{name} {text}" for name, text in package_versions("numpy", "numba", "llvmlite").items())
    )
    start = time.perf_counter()
    replay(CONFIGS[0], [0], [False])
    print(f"first call, compiled or read from the JIT cache: {time.perf_counter() - start:.2f} s")
    for kind, pattern in PATTERNS.items():
        for config in CONFIGS:
            requests = pattern_requests(pattern, chosen.requests, 0.0, 64)
            seconds = np.inf
            for _ in range(chosen.repeats):
                start = time.perf_counter()
                result = replay(config, requests.addresses, requests.is_write)
                seconds = min(seconds, time.perf_counter() - start)
            print(
                f"{kind:<11}{config:<22}{chosen.requests / seconds / 1e6:6.2f} M requests/s "
                f"{result.cycles * result.spec.channels / seconds / 1e6:7.1f} M channel cycles/s"
            )


if __name__ == "__main__":
    main()
