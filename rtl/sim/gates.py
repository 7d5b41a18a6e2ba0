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
import tempfile
import time
from dataclasses import dataclass
from importlib.util import find_spec

from sim.build import RTL, ToolError, sources_of

TIMEOUT_SECONDS = 600
"""For each module."""
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
    Unit("scatter", "scatter_control", (("LANES", 2),)),
    Unit("similarity and norm", "fp16_multiply", (), 32),
    Unit("similarity and norm", "fp32_add", (), 31),
    Unit("similarity and norm", "matcher"),
    Unit("similarity and norm", "fp32_to_fp16", (), 32),
    Unit("semantic concentrator", "sorter_cell", (), 32),
    Unit("semantic concentrator", "offset_encoder"),
    Unit("similarity and norm", "position_decoder"),
    Unit("group mean, sums", "fp32_add", (), 32),
    Unit("group mean, quotients side by side", "mean_lane", (), 32),
    Unit("what single ports deliver a cycle early", "delay_line", (("BITS", 1024),), 3),
)

PUBLISHED_UM2 = {
    "array": 1_411_125.15,
    "scatter": 2 * 2530.45,
    "similarity and norm": 15896.91 + 3475.58 + 56.39,
    "group mean, sums": 1231.39,
    "semantic concentrator": 32 * 56.39,
}
"""Published synthesis (component table of the Focus artifact, which Table III sums up)."""


_PYOSYS = "import sys; from pyosys import libyosys as y; y.run_pass(sys.argv[1], y.Design())"


def find_yosys() -> list[str]:
    """Return the words that run a script of yosys: the wheel of the `rtl` extra, else a yosys on PATH.

    Raises:
        ToolError: There is none.
    """
    if find_spec("pyosys") is not None:
        return [sys.executable, "-c", _PYOSYS]
    if shutil.which("yosys"):
        return ["yosys", "-Q", "-T", "-p"]
    raise ToolError(
        'no yosys is found: install the extra (pip install -e ".[rtl]"), or yosys from your system'
    )


def run_yosys(module: str, parameters: tuple[tuple[str, int], ...], passes: str) -> str | None:
    """Return what yosys prints about a module, or None where it takes longer than `TIMEOUT_SECONDS`.

    Raises:
        ToolError: yosys fails; the sentence holds its last line.
    """
    script = f"read_verilog -sv {' '.join(f'src/{path.name}' for path in sources_of(RTL / 'src'))}; "
    if parameters:
        script += f"chparam{''.join(f' -set {name} {value}' for name, value in parameters)} {module}; "
    with tempfile.TemporaryFile("w+") as output:
        try:
            done = subprocess.run(
                [*find_yosys(), f"{script}{passes.replace('TOP', module)}"],
                cwd=RTL,
                stdout=output,
                stderr=output,
                timeout=TIMEOUT_SECONDS,
            )
        except subprocess.TimeoutExpired:
            return None
        output.seek(0)
        text = output.read()
    lines = text.strip().splitlines() or ["no output"]
    if done.returncode:
        error = next((line for line in reversed(lines) if "ERROR" in line), lines[-1])
        raise ToolError(f"yosys fails on {module}: {error}")
    return text


def gates_of(module: str, parameters: tuple[tuple[str, int], ...] = ()) -> float | None:
    """Return the gates of one module, or None where synthesis takes longer than `TIMEOUT_SECONDS`.

    Raises:
        ToolError: yosys fails or ends without a count.
    """
    # Registers become plain ones, for which the count has a figure; what enables them becomes gates. Modules stay
    # apart, so that one that is there five times is mapped once.
    text = run_yosys(
        module,
        parameters,
        "synth -top TOP; dfflegalize -cell $_DFF_P_ x; abc -g AND,NAND,OR,NOR,XOR,XNOR; opt_clean; stat -tech cmos",
    )
    if text is None:
        return None
    found = re.findall(r"Estimated number of transistors: +(\d+)", text)
    if not found:
        raise ToolError(f"yosys ends without a count of {module}: {text.strip().splitlines()[-1:]}")
    return int(found[-1]) / 4


WHOLE = (
    ("focal_core", (("ROWS", 4), ("COLUMNS", 4), ("TILE_ROWS", 16), ("WINDOW", 4))),
    ("focal_core", (("ROWS", 4), ("COLUMNS", 4), ("TILE_ROWS", 16), ("IS_FLOAT", 0), ("IS_WAVEFRONT", 1))),
    ("semantic_concentrator", (("LANES", 4), ("TOKENS", 64))),
)
"""The design as a whole, in small sizes."""


def memories_of(module: str, parameters: tuple[tuple[str, int], ...]) -> int:
    """Return the memories of a module that yosys turns into registers, logic and memories, and into nothing else.

    Raises:
        ToolError: It holds a latch, a loop without a register, a wire with two drivers or none, or cannot be read.
    """
    text = run_yosys(
        module,
        parameters,
        "hierarchy -check -top TOP; proc; check -assert; select -assert-none t:$dlatch t:$adlatch t:$sr t:$dlatchsr; "
        "flatten; opt -fast; memory -nomap; stat",
    )
    found = re.findall(r"(?:(\d+) +\$mem_v2|\$mem_v2 +(\d+))", text or "")
    return int("".join(found[-1])) if found else 0


def gates() -> int:
    """Print gates and areas of all units; return the exit code."""
    for module, parameters in WHOLE:
        words = ", ".join(f"{name} {value}" for name, value in parameters)
        print(
            f"{module} ({words}): no latch, no loop, {memories_of(module, parameters)} memories", flush=True
        )
    counts: dict[tuple[str, tuple[tuple[str, int], ...]], float | None] = {}
    print("| part | module | copies | gates each | seconds |\n|---|---|---:|---:|---:|")
    for unit in UNITS:
        key = (unit.module, unit.parameters)
        seconds = 0.0
        if key not in counts:
            start = time.monotonic()
            counts[key] = gates_of(unit.module, unit.parameters)
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
