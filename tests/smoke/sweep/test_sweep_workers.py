"""Does a study give the same table with one process, two, or a Dask cluster, whoever is killed meanwhile?"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from focal_common.spreading.dask import DaskEngine
from focal_common.spreading.engines import ProcessEngine
from focal_simulator.sweep.run import run_sweep
from focal_simulator.sweep.store import Chunk
from simulator_support import PUBLISHED_ROOT
from sweep_support import grid_study, request_for, run_study, study_text

ROOT = Path(__file__).parents[3]
MANY = [
    {"field": "core.scatter_vectors", "values": [1, 2, 3, 4]},
    {"field": "tiles.n_tile", "range": {"start": 32, "stop": 256, "step": 8}},
    {"field": "core.gather_block", "range": {"start": 1, "stop": 20, "step": 1}},
]


def table(folder: Path) -> bytes:
    return (folder / "results.parquet").read_bytes()


def test_one_process_two_processes_and_dask_write_the_same_bytes(tmp_path: Path) -> None:
    study = grid_study()
    run_study(study, tmp_path / "one")
    run_study(study, tmp_path / "two", engine=ProcessEngine(2))
    run_study(study, tmp_path / "dask", engine=DaskEngine(2))
    assert table(tmp_path / "one") == table(tmp_path / "two") == table(tmp_path / "dask")


def test_a_killed_worker_changes_nothing_but_time(tmp_path: Path) -> None:
    study = grid_study()
    run_study(study, tmp_path / "one")
    engine = ProcessEngine(2)
    killed: list[int] = []

    def kill_one(chunks: Iterable[Chunk], total: int) -> Iterator[Chunk]:
        for number, chunk in enumerate(chunks):
            if number == 5:
                victim = engine.process_ids[0]
                os.kill(victim, signal.SIGKILL)
                killed.append(victim)
            yield chunk

    run_study(study, tmp_path / "killed", engine=engine, progress=kill_one)
    assert killed
    assert table(tmp_path / "killed") == table(tmp_path / "one")


@pytest.mark.slow
def test_a_killed_dask_worker_changes_nothing_but_time(tmp_path: Path) -> None:
    study = grid_study()
    run_study(study, tmp_path / "one")
    engine = DaskEngine(2)
    killed: list[int] = []

    def kill_one(chunks: Iterable[Chunk], total: int) -> Iterator[Chunk]:
        for number, chunk in enumerate(chunks):
            if number == 3:
                killed.extend(engine._client.run(os.getpid).values())
                os.kill(killed[0], signal.SIGKILL)
            yield chunk

    run_study(study, tmp_path / "killed", engine=engine, progress=kill_one)
    assert killed
    assert table(tmp_path / "killed") == table(tmp_path / "one")


def test_a_killed_command_loses_nothing_and_repeats_nothing(tmp_path: Path) -> None:
    file = tmp_path / "study.yaml"
    file.write_text(study_text(axes=MANY), encoding="utf-8")
    out = tmp_path / "out"
    words = ["sweep", file, "--trace", PUBLISHED_ROOT, "--output", out, "--no-figures", "-j", "2"]
    code = "from focal.commands.main import main; main()"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = subprocess.Popen(
        [sys.executable, "-c", code, *map(str, words)],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    deadline = time.monotonic() + 60
    while not list((out / "parts").glob("*.parquet")):
        assert command.poll() is None, command.stderr.read() if command.stderr else ""
        assert time.monotonic() < deadline
        time.sleep(0.02)
    command.send_signal(signal.SIGKILL)
    command.wait()
    if command.stderr:
        # Ends when the last orphan has closed it: workers leave with their command.
        command.stderr.read()
        command.stderr.close()
    study = grid_study(axes=MANY)
    lines = sum(place.read_bytes().count(b"\n") for place in (out / "parts").glob("*.jsonl"))
    size = -(-len(range(32, 257, 8)) * 4 * 20 // 128)
    kept = lines + size * len(list((out / "parts").glob("*.parquet")))
    assert 0 < kept < 4 * 29 * 20
    result = run_sweep(request_for(study, out))
    assert len(result.rows) - result.evaluated == kept
    assert [row["index"] for row in result.rows] == list(range(4 * 29 * 20))
