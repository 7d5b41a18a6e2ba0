"""From one trace file to another tier; the target's name says which.

Possible: masks or published to anything, counts to counts or CSV. Counts cannot become masks.
"""

from __future__ import annotations

import csv
import io
from pathlib import Path

from focal_common.errors import ConfigError, TraceError
from focal_common.files import atomic_write_text
from focal_traces.counts.file import COUNTS_SUFFIX, write_counts
from focal_traces.counts.trace import COLUMNS, Trace
from focal_traces.files.store import read_any
from focal_traces.header.schema import GEMMS, TraceHeader
from focal_traces.masks.file import MASKS_SUFFIX, write_masks
from focal_traces.masks.masks import MaskTrace, trace_from_masks
from focal_traces.masks.published import write_published


def convert_file(source: Path, target: Path, context: TraceHeader | None = None) -> None:
    """Read ``source`` in its tier and write ``target`` in the tier its name asks for.

    Args:
        source: Any trace file.
        target: ``NAME.counts.parquet``, ``NAME.masks.pth``, ``NAME.pth`` (published layout) or ``NAME.csv``.
        context: Header of a published source.

    Raises:
        ConfigError: The target's name fits no tier, or is the source.
        TraceError: The source cannot be read or does not hold what the target needs.
        RunError: The target cannot be written.
    """
    suffix = next((s for s in (COUNTS_SUFFIX, MASKS_SUFFIX, ".pth", ".csv") if target.name.endswith(s)), None)
    if suffix is None:
        raise ConfigError(
            f"{target}: the name must end in {COUNTS_SUFFIX}, {MASKS_SUFFIX}, .pth (published layout) or .csv"
        )
    if target.exists() and source.exists() and target.samefile(source):
        raise ConfigError(f"{target}: is the source itself; give another target")
    tier, trace = read_any(source, context)
    if suffix == COUNTS_SUFFIX:
        write_counts(_counts(trace), target)
    elif suffix == ".csv":
        write_csv(_counts(trace), target)
    elif isinstance(trace, Trace):
        raise TraceError(
            f"{source}: holds {tier}, from which the masks of {target.name} cannot be rebuilt; "
            f"give the {MASKS_SUFFIX} file"
        )
    elif suffix == MASKS_SUFFIX:
        write_masks(trace, target)
    else:
        write_published(trace, target)


def write_csv(trace: Trace, path: Path) -> None:
    """Write counts as text with the columns of the Parquet file; the header is not kept."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("sample", *COLUMNS))
    for sample, counts in enumerate(trace.samples):
        columns = [getattr(counts, name).tolist() for name in COLUMNS]
        columns[COLUMNS.index("gemm")] = [GEMMS[code] for code in counts.gemm]
        writer.writerows((sample, *row) for row in zip(*columns, strict=True))
    atomic_write_text(path, text.getvalue())


def _counts(trace: Trace | MaskTrace) -> Trace:
    return trace if isinstance(trace, Trace) else trace_from_masks(trace)
