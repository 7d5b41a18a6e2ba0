"""Reads one sample of a trace with its pictures, and says in one sentence why it cannot."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from focal_common.console import track
from focal_common.errors import ConfigError, TraceError, UnsupportedError, near_matches
from focal_common.reading.values import whole_number
from focal_traces.files.diff import diff_headers
from focal_traces.files.store import COUNTS_SUFFIX, MASKS_SUFFIX, check_readable, open_masks, read_any
from focal_traces.frames.file import FRAMES_SUFFIX, read_frames
from focal_traces.frames.frames import FramesTrace, SampleFrames
from focal_traces.header.schema import TraceHeader
from focal_traces.masks.masks import MaskTrace
from focal_traces.records.file import RECORDS_SUFFIX, read_records
from focal_traces.records.records import Record
from focal_traces.records.token_status import (
    SampleTokenStatus,
    similar_share,
    token_status_from_masks,
    token_status_from_records,
)
from focal_traces.root.context import find_context

_SUFFIXES = (COUNTS_SUFFIX, MASKS_SUFFIX, RECORDS_SUFFIX, FRAMES_SUFFIX, ".pth")

_ONLY_MASKS = "the trace holds masks but no records: merged tokens look dropped"


@dataclass(frozen=True, eq=False)
class ShownSample:
    """What is drawn of one sample.

    Attributes:
        path: As the user wrote it.
        header: Of the trace.
        index: Sample.
        token_status: Behind each layer.
        shares: Fraction of each token's vectors that a representative replaced, axes (layers, S), float32; None
            where masks do not say.
        frames: Cells, labels, question.
        pictures: Decoded, axes (rows, columns, 3), uint8.
        notes: Sentences for the reader.
    """

    path: Path
    header: TraceHeader
    index: int
    token_status: SampleTokenStatus
    shares: NDArray[np.float32] | None
    frames: SampleFrames
    pictures: tuple[NDArray[np.uint8], ...]
    notes: tuple[str, ...]

    @property
    def sample_id(self) -> str:
        """Name of the document or file."""
        return self.header.samples[self.index].sample_id


@dataclass(frozen=True)
class _Files:
    """What lies beside a trace."""

    given: Path
    stem: str

    @classmethod
    def of(cls, path: Path) -> _Files:
        check_readable(path)
        suffix = next((one for one in _SUFFIXES if path.name.endswith(one)), path.suffix)
        return cls(path, path.name.removesuffix(suffix))

    def beside(self, suffix: str) -> Path | None:
        path = self.given.with_name(self.stem + suffix)
        return path if path.is_file() else None


def read_sample(path: Path, sample: str, frames_path: Path | None = None) -> ShownSample:
    """Read one sample.

    Args:
        path: Any file of a trace: counts, masks, records, frames, or a published one.
        sample: Its number or id; empty for the median sample.
        frames_path: Frames of another run on the same inputs; None for those beside the trace.

    Raises:
        TraceError: A file is missing, damaged or of another run, or says nothing about single tokens.
        ConfigError: There is no such sample.
    """
    files = _Files.of(path)
    frames = _frames(files, frames_path)
    header, records_path = frames.header, files.beside(RECORDS_SUFFIX)
    notes: list[str] = []
    if records_path is not None:
        records = read_records(records_path)
        header = records.header
        _check_same_inputs(header, frames, path, is_own=frames_path is None)
        index = sample_index(header, sample)
        where = f"{records_path}, sample {index}"
        layers = header.geometry.layers
        token_status = token_status_from_records(records.samples[index], header.samples[index], layers, where)
        shares, note = _shares(files, header, index)
        notes += [note] if note else []
    else:
        masks = _masks(files)
        header = masks.header
        _check_same_inputs(header, frames, path, is_own=frames_path is None)
        index = sample_index(header, sample)
        own = masks.samples[index]
        token_status = token_status_from_masks(
            own, header.samples[index].visual_tokens, header.geometry.layers
        )
        shares = _all_shares(masks, index)
        notes.append(_ONLY_MASKS)
    return _shown(path, header, index, token_status, shares, frames, notes)


def sample_in_memory(
    header: TraceHeader,
    index: int,
    records: Sequence[Record],
    masks: MaskTrace | None,
    frames: FramesTrace,
) -> ShownSample:
    """Return a sample of a trace that was just recorded, as `read_sample` returns one of a file.

    Args:
        header: Of the trace.
        index: Sample.
        records: Of that sample.
        masks: Of all samples, for the shares of merged vectors; None where they were not kept.
        frames: Of all samples.

    Raises:
        TraceError: No pictures of this sample were kept.
    """
    path = Path(f"{header.model}_{header.dataset}")
    layers = header.geometry.layers
    token_status = token_status_from_records(
        records, header.samples[index], layers, f"{path}, sample {index}"
    )
    shares = None if masks is None else _all_shares(masks, index)
    return _shown(path, header, index, token_status, shares, frames, [])


def _shown(
    path: Path,
    header: TraceHeader,
    index: int,
    token_status: SampleTokenStatus,
    shares: NDArray[np.float32] | None,
    frames: FramesTrace,
    notes: list[str],
) -> ShownSample:
    kept = frames.samples[index]
    if kept is None:
        known = [str(place) for place, one in enumerate(frames.samples) if one is not None]
        raise TraceError(
            f"{path}: no frames of sample {index} ({header.samples[index].sample_id}), which holds "
            f"{header.samples[index].visual_tokens} visual tokens; frames were kept of sample {', '.join(known)}"
        )
    notes += [kept.note] if kept.note else []
    pictures = tuple(_decoded(one.png, (one.width_pixels, one.height_pixels), path) for one in kept.pictures)
    return ShownSample(path, header, index, token_status, shares, kept, pictures, tuple(notes))


def _frames(files: _Files, frames_path: Path | None) -> FramesTrace:
    if frames_path is not None:
        check_readable(frames_path)
        return read_frames(frames_path)
    found = files.beside(FRAMES_SUFFIX)
    if found is not None:
        return read_frames(found)
    origin = _header(files).origin
    what = "" if origin == "measured" else f" (its numbers are {origin})"
    raise TraceError(
        f"{files.given}: this trace keeps no frames{what}, so there is nothing to draw on; record it again "
        f"with frames kept, or give those of a run on the same inputs (NAME{FRAMES_SUFFIX})"
    )


def _header(files: _Files) -> TraceHeader:
    if files.given.name.endswith(RECORDS_SUFFIX):
        return read_records(files.given).header
    return read_any(files.given, find_context(files.given, None))[1].header


def _masks(files: _Files) -> MaskTrace:
    """Return masks where there are no records."""
    found = files.beside(MASKS_SUFFIX) or files.beside(".pth")
    if found is None:
        raise TraceError(
            f"{files.given}: holds counts only, which do not say what became of a single token; expected "
            f"{files.stem}{RECORDS_SUFFIX} or {files.stem}{MASKS_SUFFIX} beside it"
        )
    return open_masks(found, find_context(found, None))


def _check_same_inputs(header: TraceHeader, frames: FramesTrace, path: Path, is_own: bool) -> None:
    other = frames.header
    if is_own:
        found = diff_headers(header, other)
        if found:
            raise TraceError(
                f"{path}: the frames beside it are of another run ({found[0].place} is {found[0].first} in the "
                f"trace and {found[0].second} there); record the trace again"
            )
        return
    names = ("sample_id", "visual_start", "visual_tokens", "sequence_tokens")
    if header.model != other.model or len(header.samples) != len(other.samples):
        raise TraceError(
            f"frames: of {len(other.samples)} samples on {other.model}, but {path} has {len(header.samples)} on "
            f"{header.model}; expected frames of the same inputs"
        )
    for number, (one, two) in enumerate(zip(header.samples, other.samples, strict=True)):
        for name in names:
            if getattr(one, name) != getattr(two, name):
                raise TraceError(
                    f"frames: sample {number} has {name} {getattr(two, name)!r}, but {getattr(one, name)!r} in "
                    f"{path}; expected frames of the same inputs"
                )


def sample_index(header: TraceHeader, sample: str) -> int:
    """Return the place of a sample given by number or id, of the chosen one if empty; or raise `ConfigError`."""
    if not sample:
        return header.median_index or 0
    ids = [one.sample_id for one in header.samples]
    if sample in ids:
        return ids.index(sample)
    try:
        number = whole_number(sample)
    except ValueError:
        raise ConfigError(f"sample '{sample}': no such sample; {near_matches(sample, ids)}") from None
    if not 0 <= number < len(ids):
        raise ConfigError(f"sample {sample}: the trace has samples 0 to {len(ids) - 1}")
    return number


def _shares(files: _Files, header: TraceHeader, index: int) -> tuple[NDArray[np.float32] | None, str]:
    found = files.beside(MASKS_SUFFIX)
    if found is None:
        return None, ""
    try:
        masks = open_masks(found)
    except UnsupportedError as error:
        return None, f"shares of merged vectors are not shown: {error}"
    if masks.header != header:
        return None, "shares of merged vectors are not shown: the masks beside the trace are of another run"
    return _all_shares(masks, index), ""


def _all_shares(masks: MaskTrace, index: int) -> NDArray[np.float32] | None:
    layers = masks.header.geometry.layers
    rows = [
        similar_share(masks.samples[index], layer)
        for layer in track(range(layers), "reading masks", total=layers)
    ]
    shares = np.stack(rows)
    return shares if shares.any() else None


def _decoded(png: bytes, size: tuple[int, int], path: Path) -> NDArray[np.uint8]:
    try:
        with Image.open(io.BytesIO(png), formats=["PNG"]) as source:
            if source.size != size:
                raise TraceError(f"{path}: a picture of {source.size} pixels, expected {size}")
            return np.array(source.convert("RGB"), dtype=np.uint8)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        if isinstance(error, TraceError):
            raise
        raise TraceError(f"{path}: a kept picture cannot be decoded ({error})") from error


def without_shares(shown: ShownSample) -> ShownSample:
    """Return the sample without the shade of merged vectors."""
    return replace(shown, shares=None)
