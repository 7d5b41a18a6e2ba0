"""Size and speed of each trace tier for one prefill of 28 layers x 11,648 visual tokens.

Run from the repository root with the packages installed: ``python benchmarks/trace_sizes.py``. Needs torch,
4 GB of memory and 2.2 GB of disk for a minute; ``--without-published``: 1 GB of memory and 100 MB of disk.

Masks are synthetic (similarity 0.6, winners uniform among the candidates that exist), which compresses worse
than activations do, because nothing about a vector's winner can be guessed from its neighbours.
"""

from __future__ import annotations

import argparse
import platform
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from focal_common.provenance import package_versions
from focal_traces.files.store import open_masks, open_trace, write_counts, write_masks, write_published
from focal_traces.header.schema import GEMMS, QWEN2_7B, TokenGrid
from focal_traces.masks.masks import MaskTrace, trace_from_masks
from focal_traces.synthetic.schedule import Schedule

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from synthetic_traces import SyntheticInput, synthetic_masks

GIVEN = SyntheticInput(
    geometry=QWEN2_7B,
    grid=TokenGrid(frames=64, rows=13, columns=14, frame_stride=182, row_stride=14, column_stride=1),
    schedule=Schedule((3, 6, 9, 18, 26), (0.4, 0.3, 0.2, 0.15, 0.1)),  # Focus, HPCA 2026, LLaVA-Video
    similarity=dict.fromkeys(GEMMS, 0.6),
)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    arguments.add_argument("--without-published", action="store_true", help="skip the 2 GB published layout")
    arguments.add_argument("--folder", type=Path, help="where to write; a temporary folder if not given")
    options = arguments.parse_args()
    print(f"machine: {_processor()}, {platform.system()} {platform.machine()}")
    print(f"versions: {package_versions('focal-vlm', 'numpy', 'pyarrow', 'torch')}")
    masks = _timed("draw synthetic masks", lambda: synthetic_masks(GIVEN))
    counts = _timed("reduce masks to counts", lambda: trace_from_masks(masks))
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        path = folder / "a.counts.parquet"
        _timed("write counts", lambda: write_counts(counts, path), path)
        _timed("read counts, first time", lambda: open_trace(path))
        _timed("read counts, again", lambda: open_trace(path))
        packed = folder / "a.masks.pth"
        _timed("write masks", lambda: write_masks(masks, packed), packed)
        _timed("read masks", lambda: open_masks(packed))
        if not options.without_published:
            _published(masks, folder)


def _published(masks: MaskTrace, folder: Path) -> None:
    dense, imported = folder / "a.pth", folder / "imported.masks.pth"
    _timed("write published layout", lambda: write_published(masks, dense), dense)
    again = _timed("read published layout", lambda: open_masks(dense, masks.header))
    _timed("write it as masks", lambda: write_masks(again, imported), imported)


def _timed(what: str, action: Callable[[], Any], path: Path | None = None) -> Any:
    start = time.perf_counter()
    result = action()
    seconds = time.perf_counter() - start
    size = f"{path.stat().st_size:>14,} bytes" if path else ""
    print(f"{what:<28} {seconds:8.3f} s {size}")
    return result


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), "unknown")


if __name__ == "__main__":
    main()
