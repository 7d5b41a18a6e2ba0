"""Text files of requests: one ``hex-address READ|WRITE earliest-cycle`` per line, as DRAMsim3 reads them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from focal_common.errors import TraceError
from focal_simulator.dram.patterns import Requests


def read_requests(path: Path) -> Requests:
    """Read a file of requests; blank lines are skipped.

    Raises:
        TraceError: Not readable, or a line that is not three such words; file and line are named.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise TraceError(f"{path}: cannot be read as a request trace ({error})") from error
    addresses, is_write, earliest = [], [], []
    for number, line in enumerate(lines, 1):
        words = line.split()
        if not words:
            continue
        try:
            if len(words) != 3 or words[1].upper() not in ("READ", "WRITE"):
                raise ValueError
            addresses.append(int(words[0], 16))
            earliest.append(int(words[2]))
        except ValueError as error:
            raise TraceError(
                f"{path}, line {number}: expected 'hex-address READ|WRITE cycle', got {line!r:.60}"
            ) from error
        is_write.append(words[1].upper() == "WRITE")
    try:
        return Requests(
            np.array(addresses, np.int64), np.array(is_write, np.bool_), np.array(earliest, np.int64)
        )
    except OverflowError as error:
        raise TraceError(f"{path}: an address or cycle does not fit in 64 bits") from error
