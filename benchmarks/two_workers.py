"""How much faster two workers are than one, for a matrix of small runs on two idle cores.

``python benchmarks/two_workers.py`` runs the matrix in one process and with ``-j 2`` in turns, each with one thread a
worker, checks that the bytes are equal, and prints the median ratio of wall times: measured, worth something on an
idle machine alone, so the load is printed, too.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from kill_runs import MATRIX, contents

PROGRAM = (sys.executable, "-c", "from focal.commands.main import main; main()")


def seconds(profile: Path, output: Path, jobs: int) -> float:
    """Return the wall time of the matrix, starting the program included."""
    shutil.rmtree(output, ignore_errors=True)
    words = ["matrix", "--profile", str(profile), "--threads", "1", "-j", str(jobs), "--output", str(output)]
    places = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    started = time.perf_counter()
    subprocess.run([*PROGRAM, *words], env=places, check=True, capture_output=True)
    return time.perf_counter() - started


def main() -> None:
    """Measure in turns and print the ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=120, help="of each of two rows")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        profile, one, two = (Path(folder) / name for name in ("matrix.yaml", "one", "two"))
        profile.write_text(MATRIX.format(samples=options.samples))
        pairs = []
        for number in range(options.rounds):
            load = os.getloadavg()[0]
            pairs.append((seconds(profile, one, 1), seconds(profile, two, 2)))
            assert contents(one) == contents(two), "two workers gave other bytes"
            first, second = pairs[-1]
            print(f"round {number + 1}: {first:.1f} s and {second:.1f} s, load before {load:.1f}", flush=True)
    print(
        f"{median(first / second for first, second in pairs):.2f} times as fast with two workers; bytes equal"
    )


if __name__ == "__main__":
    main()
