"""One door to a trace file of any tier, told apart by content and not by name."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from focal_common.commit import verify_file
from focal_common.errors import TraceError
from focal_common.reading.doors import open_regular
from focal_common.reading.torch_files import load_torch
from focal_common.reading.zip_files import is_zip
from focal_traces.counts.file import COUNTS_SUFFIX, read_counts, write_counts
from focal_traces.counts.trace import Trace
from focal_traces.header.schema import TraceHeader
from focal_traces.masks.file import FORMAT, MASKS_SUFFIX, masks_from_content, write_masks
from focal_traces.masks.masks import MaskTrace, trace_from_masks
from focal_traces.masks.published import looks_published, masks_from_published, write_published
from focal_traces.synthetic.calibrated import CalibratedTrace, read_recipe

__all__ = [
    "COUNTS_SUFFIX",
    "MASKS_SUFFIX",
    "Tier",
    "check_readable",
    "file_kind",
    "open_masks",
    "open_trace",
    "read_any",
    "write_counts",
    "write_masks",
    "write_published",
]

Tier = Literal["counts", "masks", "published"]

_PARQUET_MAGIC = b"PAR1"


def open_trace(path: Path, context: TraceHeader | None = None) -> Trace:
    """Read any tier as counts.

    Args:
        path: ``.counts.parquet``, ``.masks.pth`` or a published ``.pth``.
        context: Header of a published file, which has none; unused for the other tiers.

    Raises:
        TraceError: Missing, empty, truncated, damaged, malicious, from a newer Focal, or inconsistent.
        UnsupportedError: A ``.pth`` file, and torch is not installed.
    """
    _, trace = read_any(path, context)
    return trace if isinstance(trace, Trace) else trace_from_masks(trace)


def open_masks(path: Path, context: TraceHeader | None = None) -> MaskTrace:
    """Read tier 2 or a published file; see `open_trace`.

    Raises:
        TraceError: As `open_trace`, or the file holds counts only.
    """
    _, trace = read_any(path, context)
    if isinstance(trace, Trace):
        raise TraceError(
            f"{path}: holds counts, from which masks cannot be rebuilt; give the .masks.pth file"
        )
    return trace


def read_any(path: Path, context: TraceHeader | None = None) -> tuple[Tier, Trace | MaskTrace]:
    """Read a file in its own tier; see `open_trace` for errors."""
    kind = file_kind(path)
    if kind == "recipe":
        return "counts", CalibratedTrace(read_recipe(path))
    if kind == "parquet":
        return "counts", read_counts(path)
    content = load_torch(path)
    if isinstance(content, dict) and content.get("format") == FORMAT:
        return "masks", masks_from_content(content, path)
    if not looks_published(content):
        raise TraceError(
            f"{path}: a torch file but not a trace; expected a Focal mask trace or the published "
            "dictionaries mask_zero, mask_similar, group_idx"
        )
    if context is None:
        raise TraceError(
            f"{path}: the published layout has no header; keep it in a folder of a trace root "
            "(beside which meta_data.csv lies), or give a header file that says what was run",
            about=("header",),
        )
    return "published", masks_from_published(content, context, str(path))


def file_kind(path: Path) -> Literal["parquet", "torch", "recipe"]:
    """Tell Parquet, torch and calibrated recipes (JSON) apart by the first bytes.

    Raises:
        TraceError: None of them.
    """
    check_readable(path)
    with open_regular(path, TraceError) as source:
        magic = source.read(4)
    if magic == _PARQUET_MAGIC:
        return "parquet"
    if magic[:1] == b"{":
        return "recipe"
    # Files of torch before 1.6 are bare pickles, which start with the protocol mark.
    if magic[:2] == b"PK" or magic[:1] == b"\x80" or is_zip(path):
        return "torch"
    raise TraceError(
        f"{path}: not a trace; expected a Parquet file ({COUNTS_SUFFIX}) or a torch file ({MASKS_SUFFIX}, "
        ".pth)"
    )


def check_readable(path: Path) -> None:
    """Refuse a path that is no non-empty file, or not the one that its manifest names; raises `TraceError`."""
    with open_regular(path, TraceError) as source:
        if not source.read(1):
            raise TraceError(f"{path}: is empty, expected a trace")
    verify_file(path)
