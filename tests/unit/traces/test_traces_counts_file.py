"""Is tier 1 written and read without loss, and is every damaged file refused with one sentence?"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from focal_common.errors import RunError, TraceError
from focal_traces.counts.trace import COLUMNS, Trace
from focal_traces.files.store import open_trace, write_counts
from focal_traces.header.schema import GEMMS
from focal_traces.synthetic.schedule import Schedule
from synthetic_traces import counts_from_schedule
from traces_support import tiny_trace


def _write(trace: Trace, folder: Path) -> Path:
    path = folder / "tiny.counts.parquet"
    write_counts(trace, path)
    return path


def _same(one: Trace, two: Trace) -> bool:
    return one.header == two.header and all(
        np.array_equal(getattr(a, name), getattr(b, name))
        and getattr(a, name).dtype == getattr(b, name).dtype
        for a, b in zip(one.samples, two.samples, strict=True)
        for name in COLUMNS
    )


def _rewritten(path: Path, **metadata: bytes) -> None:
    table = pq.read_table(path)
    changed = {f"focal.{name}".encode(): value for name, value in metadata.items()}
    pq.write_table(table.replace_schema_metadata((table.schema.metadata or {}) | changed), path)


def test_counts_come_back_equal_with_their_types(tmp_path: Path) -> None:
    trace = tiny_trace()
    assert _same(open_trace(_write(trace, tmp_path)), trace)


def test_the_same_trace_gives_the_same_bytes(tmp_path: Path) -> None:
    first, second = tmp_path / "a.counts.parquet", tmp_path / "b.counts.parquet"
    write_counts(tiny_trace(), first)
    write_counts(tiny_trace(), second)
    assert first.read_bytes() == second.read_bytes()


def test_pandas_reads_long_rows_with_gemm_names(tmp_path: Path) -> None:
    trace = tiny_trace()
    frame = pytest.importorskip("pandas").read_parquet(_write(trace, tmp_path))
    assert list(frame.columns) == ["sample", *COLUMNS]
    assert list(frame["gemm"].unique()) == list(GEMMS)
    total = frame[(frame["sample"] == 0) & (frame["layer"] == 2) & (frame["gemm"] == "down_proj")][
        "unique"
    ].sum()
    assert total == trace.totals(0).unique[2, GEMMS.index("down_proj")]


def test_a_reader_without_focal_finds_the_header_as_json(tmp_path: Path) -> None:
    metadata = pq.read_schema(_write(tiny_trace(), tmp_path)).metadata
    assert json.loads(metadata[b"focal.header"])["geometry"]["layers"] == 3
    assert metadata[b"focal.schema_version"] == b"1"


@pytest.mark.parametrize("kept", [0, 3, 4, 40, 0.5, 0.9, 0.999])
def test_a_truncated_file_is_one_sentence(tmp_path: Path, kept: float) -> None:
    path = _write(tiny_trace(), tmp_path)
    content = path.read_bytes()
    path.write_bytes(content[: kept if isinstance(kept, int) else int(len(content) * kept)])
    with pytest.raises(TraceError, match=r"tiny\.counts\.parquet") as caught:
        open_trace(path)
    assert "\n" not in str(caught.value)


def test_no_flipped_byte_goes_unseen(tmp_path: Path) -> None:
    trace = tiny_trace(samples=1)
    path = _write(trace, tmp_path)
    content = path.read_bytes()
    for place in range(4, len(content), 97):
        path.write_bytes(content[:place] + bytes([content[place] ^ 0x55]) + content[place + 1 :])
        try:
            found = open_trace(path)
        except TraceError:
            continue
        # Bytes that Parquet itself does not use (statistics, padding) may change without effect.
        assert _same(found, trace), f"byte {place} changed the content silently"


def test_changed_counts_fail_the_checksum(tmp_path: Path) -> None:
    path = _write(tiny_trace(), tmp_path)
    table = pq.read_table(path)
    unique = table["unique"].to_numpy().copy()
    unique[np.argmax(unique)] -= 1
    pq.write_table(table.set_column(7, "unique", pa.array(unique)), path)
    with pytest.raises(TraceError, match="SHA-256"):
        open_trace(path)


def test_a_newer_file_says_which_schema_it_needs(tmp_path: Path) -> None:
    path = _write(tiny_trace(), tmp_path)
    _rewritten(path, schema_version=b"7")
    with pytest.raises(TraceError, match=r"trace schema 7, but Focal .* reads schemas up to 2"):
        open_trace(path)


def test_a_newer_header_alone_is_refused_too(tmp_path: Path) -> None:
    path = _write(tiny_trace(), tmp_path)
    header = json.loads(pq.read_schema(path).metadata[b"focal.header"])
    _rewritten(path, header=json.dumps(header | {"schema_version": 3, "added": 1}).encode())
    with pytest.raises(TraceError, match="trace schema 3"):
        open_trace(path)


def test_a_foreign_parquet_file_is_named_as_such(tmp_path: Path) -> None:
    path = tmp_path / "other.parquet"
    pq.write_table(pa.table({"a": [1]}), path)
    with pytest.raises(TraceError, match="not a Focal trace"):
        open_trace(path)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("unique", lambda a: a + 9, "unique cannot be more"),
        ("unique", lambda a: a - 9, "expected at least 0"),
        ("vectors", lambda a: a + 9, "vectors cannot be more"),
        ("k_slice", lambda a: a[::-1].copy(), "expected m_tile"),
        ("layer", lambda a: np.where(a == 1, 0, a).astype(a.dtype), "no counts of layer 1, q_proj"),
    ],
)
def test_counts_that_contradict_themselves_are_never_written(
    tmp_path: Path, name: str, change: Callable[[Any], Any], message: str
) -> None:
    trace = tiny_trace()
    wrong = replace(trace.samples[1], **{name: change(getattr(trace.samples[1], name))})
    path = tmp_path / "wrong.counts.parquet"
    with pytest.raises(TraceError, match=message) as caught:
        write_counts(Trace(trace.header, (trace.samples[0], wrong)), path)
    assert "sample 1 (synthetic-1)" in str(caught.value)
    assert not path.exists()


def test_tiles_longer_than_the_header_says_are_refused(tmp_path: Path) -> None:
    trace = tiny_trace()
    header = trace.header.model_copy(update={"m_tile": 3})
    with pytest.raises(TraceError, match="expected at most m_tile = 3"):
        write_counts(Trace(header, trace.samples), tmp_path / "x.counts.parquet")


def test_more_tokens_than_the_sample_has_are_refused(tmp_path: Path) -> None:
    trace = tiny_trace(samples=1)
    short = trace.header.samples[0].model_copy(update={"visual_tokens": 10})
    header = trace.header.model_copy(update={"samples": (short,)})
    with pytest.raises(TraceError, match="expected at most visual_tokens = 10"):
        write_counts(Trace(header, trace.samples), tmp_path / "x.counts.parquet")


def test_a_full_disk_leaves_the_earlier_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = _write(tiny_trace(), tmp_path)
    before = path.read_bytes()

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(RunError, match="No space left on device"):
        write_counts(tiny_trace(seed=2), path)
    monkeypatch.undo()
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


def test_a_sample_without_visual_tokens_is_legal(tmp_path: Path) -> None:
    trace = tiny_trace(samples=1)
    header = trace.header.model_copy(
        update={"samples": (trace.header.samples[0].model_copy(update={"visual_tokens": 0, "grid": None}),)}
    )
    empty = Trace(header, (counts_from_schedule(header, 0, Schedule((1,), (0.5,))),))
    assert open_trace(_write(empty, tmp_path)).totals(0).tokens.sum() == 0


@pytest.mark.parametrize("content", [b"hello", b"\x00" * 100, "grüße".encode()])
def test_a_file_that_is_no_trace_is_named_as_such(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "größe.pth"
    path.write_bytes(content)
    with pytest.raises(TraceError, match="not a trace"):
        open_trace(path)


def test_missing_file_folder_and_empty_file_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "empty.pth").touch()
    for path, message in (
        (tmp_path / "absent", "no such file"),
        (tmp_path, "is a folder"),
        (tmp_path / "empty.pth", "is empty"),
    ):
        with pytest.raises(TraceError, match=message):
            open_trace(path)
