"""Does a study survive being killed, changed, shared and damaged?"""

import json
from pathlib import Path
from typing import Any

import pytest

from focal_common.errors import ConfigError, RunError, TraceError
from focal_common.files import file_lock
from focal_simulator.sweep.axes import Point
from focal_simulator.sweep.evaluate import Evaluator
from focal_simulator.sweep.rows import Row
from focal_simulator.sweep.run import SweepResult, prepare, run_sweep
from focal_simulator.sweep.store import Chunk
from sweep_support import AXES, grid_study, request_for, run_study


class Killed(BaseException):
    """Stands for kill -9: nothing after it runs, not even handlers of errors."""


def test_a_chunk_goes_on_after_a_kill_with_a_torn_line_and_repeats_nothing(tmp_path: Path) -> None:
    plan, folder = prepare(request_for(grid_study(), tmp_path / "out"))
    folder.begin(plan)
    evaluator = Evaluator(plan)
    chunk = Chunk("000000", tuple(Point(index, (index, 0, 0)) for index in range(4)))
    asked: list[int] = []

    def until(last: int, point: Point) -> Row:
        if point.index == last:
            raise Killed
        asked.append(point.index)
        return evaluator.row(point)

    with pytest.raises(Killed):
        folder.run_chunk(chunk, lambda point: until(2, point), plan)
    journal = folder.parts / "000000.jsonl"
    whole = journal.read_bytes()
    assert whole.count(b"\n") == len(chunk.points) - len(folder.unfinished_points([chunk])) == 2
    # A write cut off by the kill.
    journal.write_bytes(whole + b'{"index": 2, "sta')
    assert len(chunk.points) - len(folder.unfinished_points([chunk])) == 2
    assert folder.run_chunk(chunk, lambda point: until(-1, point), plan) == 2
    assert asked == [0, 1, 2, 3]
    assert not journal.exists()
    assert [row["index"] for row in folder.rows([chunk])] == [0, 1, 2, 3]
    assert folder.run_chunk(chunk, lambda point: until(0, point), plan) == 0


def test_a_stopped_study_goes_on_and_ends_with_the_same_bytes(tmp_path: Path) -> None:
    run_study(grid_study(), tmp_path / "whole")

    def stop_at_tenth(chunks: object, total: int) -> object:
        for number, chunk in enumerate(chunks):  # type: ignore[arg-type]
            if number == 10:
                raise Killed
            yield chunk

    with pytest.raises(Killed):
        run_study(grid_study(), tmp_path / "stopped", progress=stop_at_tenth)
    result = run_study(grid_study(), tmp_path / "stopped")
    assert result.evaluated == 24 - 11
    names = ["results.parquet", "study.json"]
    whole, stopped = (
        [(tmp_path / folder / name).read_bytes() for name in names] for folder in ("whole", "stopped")
    )
    assert whole == stopped
    assert run_study(grid_study(), tmp_path / "stopped").evaluated == 0


def test_a_changed_study_is_refused_and_a_fork_keeps_what_still_holds(tmp_path: Path) -> None:
    run_study(grid_study(), tmp_path / "out")
    changed = grid_study(constraints=[{"metric": "area_mm2", "at_most": 3.2}])
    with pytest.raises(ConfigError, match=r"first difference: constraints.*fork it"):
        run_study(changed, tmp_path / "out")
    fork = run_sweep(request_for(changed, tmp_path / "out", fork=True))
    assert fork.folder.path.parent == tmp_path
    assert fork.folder.path != tmp_path / "out"
    fresh = run_study(changed, tmp_path / "fresh")
    keep = [name for name in fresh.rows[0] if name not in ("index",)]
    # Points that would not be simulated now were simulated before: all other rows are equal.
    pairs = zip(fork.rows, fresh.rows, strict=True)
    assert all(
        [one[name] for name in keep] == [two[name] for name in keep]
        for one, two in pairs
        if one["status"] == "ok"
    )
    assert fork.counts == fresh.counts
    assert len(fork.folder.inherited_rows) == 24


def test_a_fork_simulates_only_what_is_new(tmp_path: Path) -> None:
    first, second, _ = AXES
    run_study(grid_study(axes=[first, second]), tmp_path / "out")

    def forked(*axes: dict[str, Any]) -> SweepResult:
        return run_sweep(request_for(grid_study(axes=list(axes)), tmp_path / "out", fork=True))

    wider = forked({**first, "values": [1, 2, 3, 4, 5]}, second)
    assert (wider.evaluated, wider.taken_over, len(wider.rows)) == (3, 12, 15)
    # The base value of a new axis is what the rows had before.
    added = forked(first, second, {"field": "tiles.k_tile", "values": [32, 64]})
    assert (added.evaluated, added.taken_over, len(added.rows)) == (12, 12, 24)
    fresh = run_study(
        grid_study(axes=[first, second, {"field": "tiles.k_tile", "values": [32, 64]}]), tmp_path / "b"
    )
    assert added.rows == fresh.rows
    # Called again, nothing is left to do or to take over.
    again = forked(first, second, {"field": "tiles.k_tile", "values": [32, 64]})
    assert (again.evaluated, again.taken_over) == (0, 0)


def test_a_fork_without_an_axis_keeps_none_of_its_columns(tmp_path: Path) -> None:
    run_study(grid_study(), tmp_path / "out")
    less = grid_study(axes=AXES[:2])
    fork = run_sweep(request_for(less, tmp_path / "out", fork=True))
    assert (fork.evaluated, fork.taken_over) == (0, 12)
    assert fork.rows == run_study(less, tmp_path / "fresh").rows


def test_a_study_another_command_works_on_is_left_alone(tmp_path: Path) -> None:
    with (
        file_lock(tmp_path / "out" / ".focal.lock"),
        pytest.raises(RunError, match=r"another sweep is working on this study"),
    ):
        run_study(grid_study(), tmp_path / "out")


def test_damaged_files_are_named(tmp_path: Path) -> None:
    run_study(grid_study(), tmp_path / "out")
    (tmp_path / "out" / "results.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(
        TraceError,
        match=r"results\.parquet: truncated or damaged Parquet file.*remove it to make its rows again",
    ):
        run_study(grid_study(), tmp_path / "out")
    (tmp_path / "out" / "study.json").write_text("{", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"study\.json: not JSON.*move the folder away"):
        run_study(grid_study(), tmp_path / "out")


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("kept", encoding="utf-8")
    with pytest.raises(RunError, match=r"cannot be written"):
        run_study(grid_study(), tmp_path / "file")
    assert (tmp_path / "file").read_text(encoding="utf-8") == "kept"


def test_the_record_of_a_study_holds_no_machine_path(tmp_path: Path) -> None:
    run_study(grid_study(), tmp_path / "out")
    text = (tmp_path / "out" / "study.json").read_text(encoding="utf-8")
    assert str(tmp_path) not in text
    assert "/" not in json.loads(text)["hardware_file"]
