"""Mutated files of every kind on demand: ``python tests/run_hostile.py --cases 20000 --seed 1``; see --help."""

import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent / "hostile")]

from harness import command  # noqa: E402

if __name__ == "__main__":
    command()
