"""Are frames written and read without loss, in equal bytes, and is a wrong file refused in one sentence?"""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from focal_common.errors import TraceError
from focal_traces.files.validate import validate_file
from focal_traces.frames.file import read_frames, write_frames
from focal_traces.frames.frames import FramesTrace, KeptPicture, SampleFrames
from focal_traces.header.schema import SampleHeader, TokenGrid, TraceHeader
from traces_support import tiny_trace

GRID = TokenGrid(frames=1, rows=2, columns=2, frame_stride=4, row_stride=2, column_stride=1)


def png(seed: int = 0) -> bytes:
    sink = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 255, (8, 8, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(sink, format="PNG")
    return sink.getvalue()


def header() -> TraceHeader:
    samples = tuple(
        SampleHeader(sample_id=name, sequence_tokens=9, visual_start=1, visual_tokens=4, grid=GRID)
        for name in ("one", "two")
    )
    return tiny_trace().header.model_copy(update={"samples": samples, "median_index": 0})


def frames() -> FramesTrace:
    cells = np.array(
        [[0, 4 * c, 4 * r, 4 * c + 4, 4 * r + 4] for r in (0, 1) for c in (0, 1)], dtype=np.int32
    )
    picture = KeptPicture("frame 0", 8, 8, png())
    return FramesTrace(header(), (None, SampleFrames("two", "Wer da, 什么?", (picture,), cells, "a note")))


def test_what_is_written_is_read(tmp_path: Path) -> None:
    write_frames(frames(), tmp_path / "a.frames.zip")
    found = read_frames(tmp_path / "a.frames.zip")
    one, two = frames().samples[1], found.samples[1]
    assert found.header == header()
    assert found.samples[0] is None
    assert one is not None
    assert two is not None
    assert (one.pictures, one.question, one.note, one.sample_id) == (
        two.pictures,
        two.question,
        two.note,
        two.sample_id,
    )
    np.testing.assert_array_equal(one.cells, two.cells)


def test_equal_frames_give_equal_bytes_that_any_tool_opens(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_frames(frames(), tmp_path / f"{name}.frames.zip")
    assert (tmp_path / "a.frames.zip").read_bytes() == (tmp_path / "b.frames.zip").read_bytes()
    with zipfile.ZipFile(tmp_path / "a.frames.zip") as archive:
        assert archive.testzip() is None
        assert archive.read("pictures/0001-0000.png") == png()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"cells": np.zeros((3, 5), dtype=np.int32)}, r"axes \(3, 5\), expected \(4, 5\)"),
        ({"cells": np.tile(np.int32([1, 0, 0, 1, 1]), (4, 1))}, "a number below 1"),
        ({"cells": np.tile(np.int32([0, 2, 0, 2, 1]), (4, 1))}, "left < right"),
        ({"cells": np.tile(np.int32([0, 0, 0, 999, 1]), (4, 1))}, "further than 16 sides"),
        ({"sample_id": "three"}, "expected those of 'two'"),
    ],
)
def test_a_table_that_does_not_fit_is_not_written(
    tmp_path: Path, change: dict[str, object], words: str
) -> None:
    sample = frames().samples[1]
    assert sample is not None
    wrong = FramesTrace(header(), (None, replace(sample, **change)))  # type: ignore[arg-type]
    with pytest.raises(TraceError, match=words):
        write_frames(wrong, tmp_path / "a.frames.zip")
    assert not list(tmp_path.iterdir())


def edited(tmp_path: Path, name: str, content: bytes) -> Path:
    """Return a file of frames with one member exchanged."""
    write_frames(frames(), tmp_path / "a.frames.zip")
    target = tmp_path / "b.frames.zip"
    with zipfile.ZipFile(tmp_path / "a.frames.zip") as source, zipfile.ZipFile(target, "w") as sink:
        for member in source.namelist():
            sink.writestr(member, content if member == name else source.read(member))
    return target


def test_wrong_files_are_refused_in_one_sentence(tmp_path: Path) -> None:
    cases = {
        "SHA-256": edited(tmp_path, "pictures/0001-0000.png", png(1)),
    }
    for words, path in cases.items():
        with pytest.raises(TraceError, match=words):
            read_frames(path)
    with pytest.raises(TraceError, match="schema version 2"):
        read_frames(
            edited(
                tmp_path, "frames.json", json.dumps({"format": "focal.frames", "schema_version": 2}).encode()
            )
        )
    with pytest.raises(TraceError, match="expected a JSON object"):
        read_frames(edited(tmp_path, "frames.json", b"[]"))
    with pytest.raises(TraceError, match="no such file"):
        read_frames(tmp_path / "none.frames.zip")


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_damage_never_escapes_as_another_error(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("damage")
    write_frames(frames(), folder / "a.frames.zip")
    content = bytearray((folder / "a.frames.zip").read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] ^= data.draw(st.integers(1, 255))
    (folder / "b.frames.zip").write_bytes(content[: data.draw(st.integers(1, len(content)))])
    try:
        found = read_frames(folder / "b.frames.zip")
    except TraceError:
        return
    # Damage to time stamps and other fields no reader looks at changes nothing that is read.
    assert found.samples[1] is not None
    assert found.samples[1].pictures == frames().samples[1].pictures  # type: ignore[union-attr]


def test_validate_knows_frames_by_their_content(tmp_path: Path) -> None:
    write_frames(frames(), tmp_path / "renamed.bin")
    report = validate_file(tmp_path / "renamed.bin")
    assert (report.tier, report.samples) == ("frames", 2)
