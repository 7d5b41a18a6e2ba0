"""Does the memory model agree with DRAMsim3, cycle by cycle, where it should?"""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import numpy as np
import pytest

import check_dram_reference
from dram_patterns import PATTERNS
from dram_requests import read_requests
from focal_common.errors import RunError
from focal_simulator.dram import DramModel, replay

DATA = Path(__file__).parent.parent / "data" / "dram"
KINDS = {1: "activate", 2: "precharge", 3: "read", 4: "write", 5: "refresh"}
pytestmark = pytest.mark.golden


def test_every_stored_run_is_reproduced_to_the_cycle(capsys: pytest.CaptureFixture[str]) -> None:
    assert check_dram_reference.main([str(DATA)]) == 0
    assert "8 of 8 rows equal" in capsys.readouterr().out


def test_the_commands_are_those_of_the_reference() -> None:
    requests = read_requests(DATA / "traces" / "stream_2r1w.trace")
    log = replay(
        "ddr4_1ch_shipped",
        requests.addresses,
        requests.is_write,
        is_artifact=True,
        num_logged_commands=200,
    ).commands
    lines = [line.split() for line in (DATA / "commands" / "stream_2r1w.txt").read_text().splitlines()]
    assert [(int(words[0]), words[1]) for words in lines] == [
        (int(line["cycle"]), KINDS[int(line["kind"])]) for line in log
    ]


def test_the_starvation_of_the_reference_is_reproduced_and_by_default_avoided() -> None:
    requests = read_requests(DATA / "known_livelock" / "dup_raw_mixed.trace")
    traffic = (requests.addresses, requests.is_write, requests.earliest_cycles)
    stuck = replay("ddr4_1ch_shipped", *traffic, is_artifact=True, allow_incomplete=True)
    assert (stuck.is_complete, stuck.num_completed) == (False, 2102)
    with pytest.raises(RunError, match="no progress for 200000 cycles after 2102 of 3000"):
        replay("ddr4_1ch_shipped", *traffic, is_artifact=True)
    healthy = replay("ddr4_1ch_shipped", *traffic)
    assert (healthy.is_complete, healthy.num_completed, healthy.cycles) == (True, 3000, 32959)


def reference_rows() -> list[dict[str, str]]:
    with (DATA / "all_results.csv").open(newline="") as source:
        return list(csv.DictReader(source))


def fast_errors(row: dict[str, str]) -> tuple[float, float]:
    reads, writes = int(row["reads_done"]), int(row["writes_done"])
    fast = DramModel(row["config"]).service(64 * reads, 64 * writes, PATTERNS[row["trace"]])
    return (
        fast.cycles / float(row["cycles"]) - 1,
        (fast.energy.total_pj - fast.energy.interface_pj) / float(row["total_energy_pJ"]) - 1,
    )


RANDOM = ("random_read", "reuse_read_sat", "reuse_paced16_mixed")


@pytest.mark.parametrize("config", sorted({row["config"] for row in reference_rows()}))
def test_the_fast_tier_is_within_five_percent_of_time_and_three_of_energy(config: str) -> None:
    rows = [row for row in reference_rows() if row["config"] == config and row["trace"] not in RANDOM]
    assert len(rows) == 8
    for row in rows:
        time_error, energy_error = fast_errors(row)
        assert abs(time_error) < 0.05, (row["trace"], time_error)
        assert abs(energy_error) < 0.03, (row["trace"], energy_error)


def test_the_fast_tier_is_unbiased_on_random_traffic() -> None:
    # A stored run is one draw of a few thousand requests; the fast tier gives the mean over draws.
    errors = np.array([fast_errors(row) for row in reference_rows() if row["trace"] in RANDOM[:2]])
    assert abs(errors[:, 0].mean()) < 0.02
    assert abs(errors[:, 1].mean()) < 0.02
    assert np.abs(errors[:, 0]).max() < 0.12
    assert np.abs(errors[:, 1]).max() < 0.08


def edited(tmp_path: Path) -> Path:
    folder = tmp_path / "reference"
    shutil.copytree(DATA, folder)
    return folder


def test_a_changed_completion_cycle_is_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = edited(tmp_path)
    path = folder / "completion" / "ddr4_1ch_shipped.npz"
    with np.load(path) as stored:
        arrays = {name: stored[name].copy() for name in stored.files}
    arrays["stream_2r1w__done"][17] += 1
    np.savez_compressed(path, **arrays)
    assert check_dram_reference.main([str(folder)]) == 1
    assert "DIFFERS" in capsys.readouterr().out


def test_a_missing_trace_is_counted_and_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = edited(tmp_path)
    (folder / "traces" / "stream_2r1w.trace").unlink()
    assert check_dram_reference.main([str(folder)]) == 1
    assert "4 of 8 rows equal" in (out := capsys.readouterr().out)
    assert "4 with the trace missing" in out


@pytest.mark.parametrize("missing", ["results.csv", "traces", "completion"])
def test_a_folder_of_another_kind_is_refused(
    tmp_path: Path, missing: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = edited(tmp_path)
    target = folder / missing
    shutil.rmtree(target) if target.is_dir() else target.unlink()
    assert check_dram_reference.main([str(folder)]) == 2
    assert missing in capsys.readouterr().err


def test_a_damaged_trace_is_refused_with_file_and_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = edited(tmp_path)
    (folder / "traces" / "stream_2r1w.trace").write_text("0x40 READ 0\n0x80 FETCH 1\n")
    assert check_dram_reference.main([str(folder)]) == 2
    assert "stream_2r1w.trace, line 2" in capsys.readouterr().err
