"""Pictures on disk: ``NAME.frames.zip``, which any tool opens, checked when we read it."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, PositiveInt

from focal_common.commit import verify_file
from focal_common.config import StrictModel, validated
from focal_common.errors import ConfigError, TraceError
from focal_common.files import atomic_write_bytes
from focal_common.places import PlainPath
from focal_common.reading.json_files import parse_line
from focal_common.reading.npy_files import parse_npy
from focal_common.reading.zip_files import ZipMembers, open_zip
from focal_traces.frames.frames import CELL_FIELDS, FramesTrace, KeptPicture, SampleFrames, check_frames
from focal_traces.header.text import header_to_text, text_to_header

FRAMES_SUFFIX = ".frames.zip"

_CONTENTS = "frames.json"
_MOST_SIDE_PIXELS = 1 << 14


class _Picture(StrictModel):
    file: PlainPath
    label: str
    width_pixels: Annotated[int, Field(gt=0, le=_MOST_SIDE_PIXELS)]
    height_pixels: Annotated[int, Field(gt=0, le=_MOST_SIDE_PIXELS)]


class _Sample(StrictModel):
    sample: Annotated[int, Field(ge=0)]
    sample_id: PlainPath
    question: str
    note: str
    cells: PlainPath
    visual_tokens: PositiveInt
    pictures: tuple[_Picture, ...]


class _Contents(StrictModel):
    format: Literal["focal.frames"]
    schema_version: Literal[1]
    header: str
    samples: tuple[_Sample, ...]
    sha256: dict[PlainPath, str]


def write_frames(trace: FramesTrace, path: Path) -> None:
    """Write all pictures and cell tables in one step; the same frames give the same bytes.

    Raises:
        TraceError: The frames break an invariant of the format.
        RunError: The disk is full or the folder cannot be written; an earlier file is untouched.
    """
    check_frames(trace, str(path))
    members: dict[str, bytes] = {}
    samples = []
    for number, sample in enumerate(trace.samples):
        if sample is None:
            continue
        pictures = []
        for place, picture in enumerate(sample.pictures):
            file = f"pictures/{number:04d}-{place:04d}.png"
            members[file] = picture.png
            pictures.append(
                _Picture(
                    file=file,
                    label=picture.label,
                    width_pixels=picture.width_pixels,
                    height_pixels=picture.height_pixels,
                )
            )
        cells = f"cells/{number:04d}.npy"
        members[cells] = _npy(sample.cells)
        samples.append(
            _Sample(
                sample=number,
                sample_id=sample.sample_id,
                question=sample.question,
                note=sample.note,
                cells=cells,
                visual_tokens=len(sample.cells),
                pictures=tuple(pictures),
            )
        )
    contents = _Contents(
        format="focal.frames",
        schema_version=1,
        header=header_to_text(trace.header),
        samples=tuple(samples),
        sha256={name: hashlib.sha256(content).hexdigest() for name, content in members.items()},
    )
    text = json.dumps(contents.model_dump(mode="json"), indent=1, ensure_ascii=False) + "\n"
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive:
        for name, content in {_CONTENTS: text.encode(), **members}.items():
            _add(archive, name, content)
    atomic_write_bytes(path, sink.getvalue())


def _add(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    # Time and system are part of the bytes; PNG is compressed already.
    entry = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
    entry.create_system, entry.external_attr = 3, 0o644 << 16
    kind = zipfile.ZIP_STORED if name.endswith(".png") else zipfile.ZIP_DEFLATED
    archive.writestr(entry, content, compress_type=kind)


def holds_frames(path: Path) -> bool:
    """Return whether a file is one of frames, told by its content."""
    try:
        with open_zip(path) as archive:
            return _CONTENTS in archive.names
    except TraceError:
        return False


def read_frames(path: Path) -> FramesTrace:
    """Read and check frames; pictures stay encoded.

    Raises:
        TraceError: Missing, truncated, damaged, not a file of frames, from a newer Focal, or inconsistent.
    """
    verify_file(path)
    with open_zip(path) as archive:
        contents = _contents(archive, path)
        header = text_to_header(contents.header, str(path))
        samples: list[SampleFrames | None] = [None] * len(header.samples)
        for one in contents.samples:
            if one.sample >= len(samples) or samples[one.sample] is not None:
                raise TraceError(
                    f"{path}: 'sample' is {one.sample}, expected numbers below {len(samples)}, each once"
                )
            samples[one.sample] = _sample(archive, contents, one, path)
    trace = FramesTrace(header, tuple(samples))
    check_frames(trace, str(path))
    return trace


def _contents(archive: ZipMembers, path: Path) -> _Contents:
    tree = parse_line(archive.read(_CONTENTS), f"{path}: {_CONTENTS}", TraceError)
    if tree.get("format") != "focal.frames":
        raise TraceError(f"{path}: a zip file but not one of frames (*{FRAMES_SUFFIX})")
    version = tree.get("schema_version")
    if version != 1:
        raise TraceError(f"{path}: frames of schema version {version!r:.40}; this Focal reads version 1")
    try:
        return validated(_Contents, tree, f"{path}: {_CONTENTS}")
    except ConfigError as error:
        raise TraceError(str(error)) from error


def _sample(archive: ZipMembers, contents: _Contents, one: _Sample, path: Path) -> SampleFrames:
    def checked(name: str) -> bytes:
        content = archive.read(name)
        if hashlib.sha256(content).hexdigest() != contents.sha256.get(name):
            raise TraceError(f"{path}: damaged: {name} does not have the SHA-256 that the file records")
        return content

    pictures = tuple(
        KeptPicture(picture.label, picture.width_pixels, picture.height_pixels, checked(picture.file))
        for picture in one.pictures
    )
    if len({picture.file for picture in one.pictures}) != len(one.pictures):
        raise TraceError(f"{path}: sample {one.sample} names a picture twice")
    cells = _cells(checked(one.cells), f"{path}: {one.cells}")
    return SampleFrames(one.sample_id, one.question, pictures, cells, one.note)


def _npy(cells: NDArray[np.int32]) -> bytes:
    sink = io.BytesIO()
    np.save(sink, np.ascontiguousarray(cells, dtype="<i4"), allow_pickle=False)
    return sink.getvalue()


def _cells(content: bytes, where: str) -> NDArray[np.int32]:
    cells = parse_npy(content, where)
    if cells.dtype != np.dtype("<i4") or cells.ndim != 2 or cells.shape[1] != len(CELL_FIELDS):
        raise TraceError(
            f"{where}: expected int32 with axes (visual tokens, {len(CELL_FIELDS)}), got {cells.dtype} "
            f"{cells.shape}"
        )
    return np.asarray(cells, dtype=np.int32)
