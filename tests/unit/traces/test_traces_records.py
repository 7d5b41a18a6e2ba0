"""Do records survive the disk, and is every wrong one refused?"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from focal_common.errors import TraceError
from focal_traces.files.store import write_counts
from focal_traces.files.validate import validate_file
from focal_traces.records.file import holds_records, read_records, write_records
from focal_traces.records.records import Record, RecordTrace
from traces_support import tiny_trace

MAP = Record.of("map", 1, "layer_input", [0, 0, -1, 5], 9, index=[0, 2, 4, 5])
TILE = Record.of("tile", 0, "query", [3, 0], [4, 4], head=7)


def trace() -> RecordTrace:
    header = tiny_trace().header
    return RecordTrace(header, ((TILE, MAP), *((),) * (len(header.samples) - 1)))


def test_reading_gives_back_what_was_written(tmp_path: Path) -> None:
    path, again = tmp_path / "a.records.parquet", tmp_path / "b.records.parquet"
    write_records(trace(), path)
    assert read_records(path) == trace()
    write_records(read_records(path), again)
    assert again.read_bytes() == path.read_bytes()
    assert validate_file(path).tier == "records"


def test_a_trace_without_any_record_is_a_file_too(tmp_path: Path) -> None:
    empty = replace(trace(), samples=((),) * len(trace().samples))
    write_records(empty, tmp_path / "a.records.parquet")
    assert read_records(tmp_path / "a.records.parquet") == empty


def test_kinds_of_parquet_files_are_told_apart(tmp_path: Path) -> None:
    write_counts(tiny_trace(), tmp_path / "a.counts.parquet")
    assert not holds_records(tmp_path / "a.counts.parquet")
    with pytest.raises(TraceError, match="not one of records"):
        read_records(tmp_path / "a.counts.parquet")
    with pytest.raises(TraceError, match="no such file"):
        read_records(tmp_path / "absent.records.parquet")


def test_damage_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "a.records.parquet"
    write_records(trace(), path)
    content = path.read_bytes()
    for place in range(4, len(content) - 4, 97):
        path.write_bytes(content[:place] + bytes([content[place] ^ 0x55]) + content[place + 1 :])
        try:
            assert read_records(path) == trace()  # a byte that no number depends on
        except TraceError as error:
            assert "\n" not in str(error)  # noqa: PT017


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (replace(TILE, layer=99), "expected a layer below"),
        (replace(TILE, kind="tiles"), "unknown kind"),
        (replace(TILE, value=TILE.value[:1]), "unequal length"),
        (replace(TILE, value=np.array([5, 0], dtype=np.int32)), "'value' must lie from 0 to 'total'"),
        (replace(TILE, index=np.array([1, 1], dtype=np.int32)), "'index' must rise"),
        (replace(MAP, value=np.array([0, 3, -1, 5], dtype=np.int32)), "one that is not there"),
        (replace(MAP, value=np.array([0, 4, -1, 5], dtype=np.int32)), "must stand for itself"),
    ],
)
def test_a_wrong_record_is_refused_before_writing(record: Record, message: str, tmp_path: Path) -> None:
    wrong = replace(trace(), samples=((record,), *trace().samples[1:]))
    with pytest.raises(TraceError, match=message):
        write_records(wrong, tmp_path / "a.records.parquet")
    assert not (tmp_path / "a.records.parquet").exists()
