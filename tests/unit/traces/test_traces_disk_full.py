"""When the system refuses to write on, is it one sentence, and is the earlier file whole?"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

_PROGRAM = """
import resource, signal, sys
from pathlib import Path
import torch  # before the limit: its import may write caches
from focal_common.errors import RunError
from focal_traces.masks.masks import trace_from_masks
from focal_traces.files.convert import write_csv
from focal_traces.files.store import write_counts, write_masks, write_published
from traces_support import tiny_masks

masks = tiny_masks(samples=1, seed=7)
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (700, 700))
write, name = sys.argv[1], Path(sys.argv[2])
try:
    if write == "counts":
        write_counts(trace_from_masks(masks), name)
    elif write == "csv":
        write_csv(trace_from_masks(masks), name)
    elif write == "masks":
        write_masks(masks, name)
    else:
        write_published(masks, name)
except RunError as error:
    assert "\\n" not in str(error)
    sys.exit(f"{error}")
"""


@pytest.mark.parametrize("kind", ["counts", "csv", "masks", "published"])
def test_a_write_the_system_cuts_short_leaves_the_earlier_file(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "trace"
    path.write_bytes(b"earlier")
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, kind, str(path)],
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": ":".join(sys.path), "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 1, done.stderr
    assert "any earlier file is untouched" in done.stderr
    assert "Traceback" not in done.stderr
    assert path.read_bytes() == b"earlier"
    assert [entry.name for entry in tmp_path.iterdir()] == ["trace"]
