"""Start-up, and reading a 28 MB mask file, of this tree against another one, in turn: run on an idle machine.

``python benchmarks/guarded_readers.py OTHER_TREE [--pairs 15]``, OTHER_TREE a checkout of the commit to compare with.
Each pair runs both, in random order, in fresh processes with the same interpreter.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
_FOLDERS = (".", "common", "traces", "algorithm", "simulator", "evaluation_scripts")
_MASKS = """
import sys, time
from pathlib import Path
from focal_traces.files.store import read_any
import torch
start = time.perf_counter()
read_any(Path(sys.argv[1]))
print(time.perf_counter() - start)
"""
_START = """
import subprocess, sys, time
words = [sys.executable, "-c", "from focal.commands.main import main; main()", *sys.argv[1:]]
start = time.perf_counter()
subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
print(time.perf_counter() - start)
"""


def seconds(tree: Path, program: str, *words: str) -> float:
    """Return what a program prints, run with the packages of a tree."""
    paths = os.pathsep.join(str(tree / name) for name in _FOLDERS)
    done = subprocess.run(
        [sys.executable, "-c", program, *words],
        env={**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    return float(done.stdout.split()[-1])


def write_masks_file(path: Path) -> None:
    """Write masks of the size of a published trace: 28 layers, 11,648 tokens, random similarity."""
    sys.path.insert(0, str(ROOT / "tests"))
    from focal_traces.header.schema import QWEN2_7B, TokenGrid
    from focal_traces.masks.file import write_masks
    from focal_traces.synthetic.schedule import Schedule
    from synthetic_traces import SyntheticInput, synthetic_masks

    grid = TokenGrid(frames=16, rows=14, columns=14, frame_stride=196, row_stride=14, column_stride=1)
    given = SyntheticInput(QWEN2_7B, grid, Schedule((3, 9, 18), (0.6, 0.4, 0.2)))
    write_masks(synthetic_masks(given), path)


def main() -> None:
    """Print the median of the ratios, ours over the other's, with the middle half of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("other", type=Path)
    parser.add_argument("--pairs", type=int, default=15)
    parser.add_argument("--masks", type=Path, default=None, help="mask file; one is made if absent")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        masks = given.masks or Path(folder) / "a.masks.pth"
        if not masks.is_file():
            write_masks_file(masks)
        print(f"{masks.stat().st_size / 1e6:.1f} MB of masks, {given.pairs} pairs")
        cases = {
            "focal --help": (_START, "--help"),
            "focal sim --help": (_START, "sim", "--help"),
            "reading masks": (_MASKS, str(masks)),
        }
        for name, words in cases.items():
            ratios = []
            for _ in range(given.pairs):
                order = random.sample((ROOT, given.other.resolve()), 2)
                took = {tree: seconds(tree, *words) for tree in order}
                ratios.append(took[ROOT] / took[given.other.resolve()])
            low, middle, high = statistics.quantiles(ratios, n=4)
            print(f"{name:18} {middle:.3f} times the other ({low:.3f} to {high:.3f})")


if __name__ == "__main__":
    main()
