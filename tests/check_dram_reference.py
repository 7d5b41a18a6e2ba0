"""Compare the memory model with a folder of DRAMsim3 runs: python tests/check_dram_reference.py FOLDER.

The folder holds results.csv (config, trace, issue_width, cycles, total_energy_pJ, ...), traces/TRACE.trace
and completion/CONFIG.npz (TRACE__accept, TRACE__done). Prints one line per row of results.csv. Exit code 0:
every row agrees (0 cycles, 0 completions, energy within 1e-6; DRAMsim3 has no I/O energy, so ours is left out);
1: some row differs or could not be compared; 2: not such a folder.
"""

from __future__ import annotations

import argparse
import csv
import sys
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / name) for name in ("common", "simulator")]

from dram_requests import read_requests  # noqa: E402
from focal_common.errors import FocalError  # noqa: E402
from focal_simulator.dram.curves import ServiceCurve, _curve  # noqa: E402
from focal_simulator.dram.patterns import Requests  # noqa: E402
from focal_simulator.dram.replay import replay  # noqa: E402
from focal_simulator.dram.service import service_of_curve  # noqa: E402
from focal_simulator.dram.specs import load_dram_spec, preset_names  # noqa: E402

ENERGY_TOLERANCE = 1e-6
COLUMNS = ("config", "trace", "requests", "req_bytes", "channels", "issue_width", "cycles", "total_energy_pJ")
COUNTS = {
    "rd_cmds": "reads",
    "wr_cmds": "writes",
    "act_cmds": "activates",
    "pre_cmds": "precharges",
    "ref_cmds": "refreshes",
    "row_hits": "row_hits",
}


class BadFolderError(Exception):
    """The folder is not in the expected format."""


@dataclass(frozen=True)
class Row:
    """Differences of one row, model minus reference; ``problem`` says why a row could not be compared."""

    config: str
    trace: str
    problem: str = ""
    cycles: int = 0
    accepts: int = 0
    completions: int = 0
    commands: int = 0
    energy: float = 0.0
    fast_time: float | None = None
    fast_energy: float | None = None

    @property
    def is_equal(self) -> bool:
        """Whether the row meets the targets."""
        differences = (self.cycles, self.accepts, self.completions, self.commands)
        return not self.problem and not any(differences) and abs(self.energy) < ENERGY_TOLERANCE


def sorted_completions(requests: Requests, done: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return completions sorted within each (address, operation): merged requests are interchangeable."""
    return done[np.lexsort((done, requests.is_write, requests.addresses))]


def _number(line: dict[str, str], column: str) -> float:
    try:
        return float(line[column])
    except (TypeError, ValueError) as error:
        raise BadFolderError(
            f"results.csv: column '{column}' holds {line[column]!r}, expected a number"
        ) from error


def relative(ours: float, theirs: float) -> float:
    """Return the relative difference; 0 if both are 0, infinite if only the reference is."""
    if theirs == 0:
        return 0.0 if ours == 0 else float("inf")
    return ours / theirs - 1


def _curve_of_requests(spec: Any, requests: Requests, max_requests: int, issue_width: int) -> ServiceCurve:
    """Measure a curve on the first ``max_requests`` of the given requests."""
    limit = min(max_requests, requests.addresses.size)
    # the last step is a doubling, so that the extrapolated slope spans half the sample
    lengths = sorted({1 << power for power in range(limit.bit_length()) if 1 << power < limit / 2})
    lengths = sorted({*lengths, -(-limit // 2), limit})

    def take(length: int) -> list[Requests]:
        part = slice(0, length)
        return [Requests(requests.addresses[part], requests.is_write[part], requests.earliest_cycles[part])]

    return _curve(spec, lengths, take, issue_width, np.inf)


def _fast_tier(spec: Any, requests: Requests, width: int, reference: dict[str, str]) -> tuple[float, float]:
    """Measure on the first three quarters, extrapolate; return relative errors of time and energy."""
    curve = _curve_of_requests(spec, requests, max(2, requests.addresses.size * 3 // 4), width)
    fast = service_of_curve(spec, curve, requests.addresses.size)
    return (
        relative(fast.cycles, _number(reference, "cycles")),
        relative(fast.energy.total_pj - fast.energy.interface_pj, _number(reference, "total_energy_pJ")),
    )


def compare(folder: Path, line: dict[str, str], completions: dict[str, Any], with_fast: bool) -> Row:
    """Replay one row of results.csv and return the differences."""
    config, trace = line["config"], line["trace"]
    path = folder / "traces" / f"{trace}.trace"
    if not path.is_file():
        return Row(config, trace, "trace missing")
    if config not in preset_names():
        return Row(config, trace, "no preset of this name")
    stored = completions.get(config)
    if stored is None or f"{trace}__accept" not in stored or f"{trace}__done" not in stored:
        return Row(config, trace, "completion cycles missing")
    spec = load_dram_spec(config)
    if (spec.request_bytes, spec.channels) != (_number(line, "req_bytes"), _number(line, "channels")):
        return Row(config, trace, "request size or channels differ from the preset")
    requests = read_requests(path)
    accept, done = stored[f"{trace}__accept"].astype(np.int64), stored[f"{trace}__done"].astype(np.int64)
    if not requests.addresses.size == accept.size == done.size == _number(line, "requests"):
        return Row(config, trace, "trace, completion and results.csv disagree on the number of requests")
    width = int(_number(line, "issue_width"))
    result = replay(
        spec,
        requests.addresses,
        requests.is_write,
        requests.earliest_cycles,
        issue_width=width,
        is_artifact=True,
        allow_incomplete=True,
    )
    ours, theirs = sorted_completions(requests, result.done_cycles), sorted_completions(requests, done)
    fast = _fast_tier(spec, requests, width, line) if with_fast else (None, None)
    return Row(
        config,
        trace,
        "" if result.is_complete else "stopped by the watchdog",
        cycles=result.cycles - int(_number(line, "cycles")),
        accepts=int((result.accept_cycles != accept).sum()),
        completions=int((ours != theirs).sum()),
        commands=sum(
            abs(getattr(result.counts, name) - int(_number(line, column)))
            for column, name in COUNTS.items()
            if column in line
        ),
        energy=relative(
            result.energy.total_pj - result.energy.interface_pj, _number(line, "total_energy_pJ")
        ),
        fast_time=fast[0],
        fast_energy=fast[1],
    )


def read_folder(folder: Path) -> tuple[list[dict[str, str]], dict[str, Any]]:
    """Return the rows of results.csv and the completion arrays by configuration."""
    results = folder / "results.csv"
    for path in (results, folder / "traces", folder / "completion"):
        if not path.exists():
            raise BadFolderError(f"{path}: missing; expected results.csv, traces/ and completion/")
    with results.open(encoding="utf-8", newline="") as source:
        lines = list(csv.DictReader(source))
    if not lines:
        raise BadFolderError(f"{results}: holds no rows")
    for column in COLUMNS:
        if line_without := next((n for n, line in enumerate(lines, 2) if line.get(column) in (None, "")), 0):
            raise BadFolderError(f"{results}, line {line_without}: column '{column}' is missing or empty")
    completions = {}
    for path in sorted((folder / "completion").glob("*.npz")):
        try:
            with np.load(path, allow_pickle=False) as stored:
                completions[path.stem] = {name: stored[name] for name in stored.files}
        except (ValueError, OSError, zipfile.BadZipFile) as error:
            raise BadFolderError(f"{path}: not a readable npz file ({error})") from error
    return lines, completions


def _describe(row: Row) -> str:
    start = f"{row.config:<28}{row.trace:<24}"
    if row.problem:
        return f"{start}{row.problem}"
    text = (
        f"{start}{row.cycles:>7}{row.accepts:>8}{row.completions:>12}{row.commands:>9}  {row.energy:+.1e}  "
        f"{'ok' if row.is_equal else 'DIFFERS'}"
    )
    if row.fast_time is not None and row.fast_energy is not None:
        text += f"   fast tier {100 * row.fast_time:+.2f} % time {100 * row.fast_energy:+.2f} % energy"
    return text


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare a folder; return the exit code."""
    parser = argparse.ArgumentParser(description="Compare the memory model with a folder of DRAMsim3 runs.")
    parser.add_argument("folder", type=Path)
    parser.add_argument(
        "--fast", action="store_true", help="also show the error of the fast tier's extrapolation"
    )
    chosen = parser.parse_args(arguments)
    try:
        lines, completions = read_folder(chosen.folder)
        print(
            f"{'config':<28}{'trace':<24}{'cycles':>7}{'accepts':>8}"
            f"{'completions':>12}{'commands':>9}  energy"
        )
        rows = []
        for line in lines:
            rows.append(compare(chosen.folder, line, completions, chosen.fast))
            print(_describe(rows[-1]))
    except (BadFolderError, FocalError, OSError, UnicodeDecodeError, csv.Error) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    equal = sum(row.is_equal for row in rows)
    missing = sum(row.problem == "trace missing" for row in rows)
    other = sum(bool(row.problem) for row in rows) - missing
    print(
        f"{equal} of {len(rows)} rows equal (0 cycles, energy within {ENERGY_TOLERANCE:g}); "
        f"{len(rows) - equal - missing - other} differ, "
        f"{missing} with the trace missing, {other} not comparable"
    )
    return 0 if equal == len(rows) else 1


if __name__ == "__main__":
    sys.exit(main())
