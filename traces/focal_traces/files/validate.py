"""Checking a trace file to the last number, and what to say when it passes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from focal_common.commit import manifests_beside, verify_file, verify_set
from focal_common.errors import TraceError
from focal_traces.counts.integrity import check_trace
from focal_traces.counts.sparsity import weighted_sparsity
from focal_traces.counts.trace import Trace
from focal_traces.files.store import Tier, read_any
from focal_traces.frames.file import holds_frames, read_frames
from focal_traces.header.schema import TraceHeader
from focal_traces.masks.masks import MaskTrace, trace_from_masks
from focal_traces.records.file import holds_records, read_records

_SPARSITY_TOLERANCE = 1e-5  # single precision, in which the published artifact keeps it, is good to 6e-8


@dataclass(frozen=True, slots=True)
class ValidationReport:
    """A file that passed.

    Attributes:
        path: The file.
        tier: What it holds.
        samples: Prefills.
        gemm_inputs: (layer, GEMM) pairs per sample; 0 in a file of records or frames.
        remarks: Legal but worth knowing.
        is_verified: Whether a manifest vouches for the file, and every other file that it names is whole.
    """

    path: Path
    tier: Tier | Literal["records", "frames"]
    samples: int
    gemm_inputs: int
    remarks: tuple[str, ...]
    is_verified: bool = False


def validate_file(path: Path, context: TraceHeader | None = None) -> ValidationReport:
    """Read a file of any tier with every check: checksums, schema, shapes, disjoint masks, consistent counts.

    Where a manifest names the file, every file of its set is checked against it.

    Args:
        path: Trace file.
        context: Header of a published file.

    Raises:
        TraceError: The first thing that is wrong.
        UnsupportedError: A ``.pth`` file, and torch is not installed.
    """
    is_verified = verify_file(path)
    if is_verified:
        for manifest in manifests_beside(path):
            verify_set(manifest)
    return replace(_validated(path, context), is_verified=is_verified)


def _validated(path: Path, context: TraceHeader | None) -> ValidationReport:
    if holds_frames(path):
        return ValidationReport(path, "frames", len(read_frames(path).samples), 0, ())
    if holds_records(path):
        decisions = read_records(path)
        return ValidationReport(path, "records", len(decisions.samples), 0, ())
    tier, trace = read_any(path, context)
    if isinstance(trace, Trace):
        counts = trace
    else:
        counts = trace_from_masks(trace)
        check_trace(counts, str(path))
    for sample in range(len(counts.samples)):
        _check_sparsity(counts, sample, path)
    places = len(counts.samples[0].group_starts)
    return ValidationReport(path, tier, len(counts.samples), places, tuple(_remarks(tier, trace, counts)))


def _check_sparsity(trace: Trace, sample: int, path: Path) -> None:
    weighted = trace.header.samples[sample].weighted_sparsity
    if weighted is not None and not 0 <= weighted <= 1:
        raise TraceError(
            f"{path}: sample {sample}: weighted_sparsity is {weighted}, expected a number in [0, 1]"
        )


def _sparsity_remarks(counts: Trace) -> Iterator[str]:
    for place, sample in enumerate(counts.header.samples):
        found = weighted_sparsity(counts, place)
        if (
            sample.weighted_sparsity is not None
            and abs(sample.weighted_sparsity - found) > _SPARSITY_TOLERANCE
        ):
            yield (
                f"sample {place}: the header records weighted_sparsity {sample.weighted_sparsity:.6f}, its "
                f"counts give {found:.6f}"
            )


def _remarks(tier: Tier, trace: Trace | MaskTrace, counts: Trace) -> list[str]:
    remarks = list(_sparsity_remarks(counts))
    if tier == "published":
        remarks.append(
            "the published layout has no checksum of its own; only those of the zip archive were checked"
        )
    if isinstance(trace, MaskTrace):
        verbatim = sum(packed.kind == "verbatim" for masks in trace.samples for packed in masks.gemms)
        if verbatim:
            remarks.append(
                f"group_idx of {verbatim} GEMM inputs does not point from similar vectors to earlier tokens "
                "of the same slice; it is kept as it is and no count depends on it"
            )
    empty = [sample.sample_id for sample in trace.header.samples if not sample.visual_tokens]
    if empty:
        remarks.append(f"samples without visual tokens: {', '.join(empty)}")
    return remarks
