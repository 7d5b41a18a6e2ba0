"""Faults put in by hand, one at a time: does the check notice each? Run with ``python rtl/check.py --faults``."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

from sim.build import RTL, ToolError, Tools
from sim.cases import Case, Machine, edge_cases, random_case
from sim.core import Tally, check_cases
from sim.semantic import check_semantic, random_semantic_case
from sim.units import check_units

_CASES = 60


@dataclass(frozen=True)
class Fault:
    """One line of the RTL, and what it becomes.

    Attributes:
        what: In words. file: In `rtl/src`. line: Text that is there once. becomes: What stands there instead.
    """

    what: str
    file: str
    line: str
    becomes: str


RTL_FAULTS = (
    Fault("sums forget what was shifted out", "float_arithmetic", "shifted[0] | sticky;", "shifted[0];"),
    Fault(
        "FP16 rounds halves up, not to even", "float_arithmetic", "sticky | shifted[26]);", "sticky | 1'b1);"
    ),
    Fault("quotients of means are cut off", "mean_lane", "assign up = normal[23] &", "assign up = 1'b0 &"),
    Fault(
        "products are added in another order",
        "dot_unit",
        ".product(node[ELEMENTS+i])",
        ".product(node[ELEMENTS+(i%2)*(ELEMENTS/2)+i/2])",
    ),
    Fault(
        "the threshold itself is similar",
        "matcher",
        "(now_square << 16) > limit",
        "(now_square << 16) >= limit",
    ),
    Fault("what is read while sums are read is lost", "scatter_control", "kept <= keep;", "kept <= '0;"),
    Fault(
        "sums of another cycle are added", "focal_core", "if (reads_old) kept_old", "if (keep[0]) kept_old"
    ),
    Fault(
        "weights enter a cycle before the array has drained",
        "weight_loader",
        "ROWS + COLUMNS - 3)",
        "ROWS + COLUMNS - 4)",
    ),
    Fault(
        "scatter takes a vector a cycle before it is there",
        "scatter_control",
        "+: BITS] < arrived",
        "+: BITS] <= arrived",
    ),
    Fault(
        "neighbours that share a vector take two reads",
        "scatter_control",
        "(!has_read || map_index",
        "(lanes != 0 || map_index",
    ),
    Fault(
        "both folds use one concentrate half",
        "focal_core",
        "concentrate[{scatter_fold[0],",
        "concentrate[{collect_fold[0],",
    ),
    Fault(
        "candidates are read from the key's own column of banks",
        "layouter",
        "row_back[0], column_back[0]}",
        "row_back[0], column[0]}",
    ),
    Fault(
        "the window is not emptied between tiles",
        "layouter",
        "if (clear) is_written <= '0;",
        "if (1'b0) is_written <= '0;",
    ),
    Fault("of equal candidates the last wins", "matcher", "left > right)", "left >= right)"),
    Fault(
        "a write starts although a fetch does",
        "dram_channel",
        "is_idle && !fetch_valid && write_valid;",
        "is_idle && write_valid;",
    ),
    Fault(
        "of equal importances the later token is kept",
        "token_sorter",
        "{importance, ~token}",
        "{importance, token}",
    ),
    Fault("offsets count from token 0", "offset_encoder", "if (valid) kept_before <= token;", ""),
)


def _engine_faults() -> list[tuple[str, str, Callable[..., Any]]]:
    """Return (what, name in `fold_events`, the faulty function)."""
    from focal_simulator.engine.cycle import fold_events
    from focal_simulator.kernels import channel as at

    fold, step_cycles, ceil_ratio = fold_events.fold, fold_events.step_cycles, fold_events.ceil_ratio

    def early_weights(state: Any, causes: Any, machine: Any, *rest: Any) -> None:
        fold(state, causes, machine._replace(is_weight_double_buffered=1), *rest)

    def last_index(state: Any, causes: Any, machine: Any, *rest: Any) -> None:
        fold(state, causes, machine._replace(output_latency_cycles=0), *rest)

    def direct_read(state: Any, causes: Any, machine: Any, *rest: Any) -> None:
        fold(state, causes, machine._replace(scatter_latency_cycles=2), *rest)

    def early_scatter(state: Any, causes: Any, machine: Any, *rest: Any) -> None:
        fold(state, causes, machine, *rest)
        state[at.SCATTERED] -= machine.scatter_rows_per_cycle > 0

    def no_map(machine: Any, unique: int, rows: int, width: int) -> int:
        return int(step_cycles(machine, unique, 0, width))

    def rounds_down(amount: int, numerator: int, denominator: int) -> int:
        return int(ceil_ratio(amount - amount % denominator, numerator, denominator))

    return [
        ("the engine loads weights before the array has drained", "fold", early_weights),
        ("the engine ends a drain with SCALE-Sim's last index", "fold", last_index),
        ("the engine reads the concentrate half in the cycle in which it is written", "fold", direct_read),
        ("the engine restores rows a cycle early", "fold", early_scatter),
        ("the engine fetches no map", "step_cycles", no_map),
        ("the engine rounds columns and writes down", "ceil_ratio", rounds_down),
    ]


def _cases() -> list[Case]:
    random = np.random.default_rng(7)
    machine = Machine(is_float=False)
    return [
        random_case(random, machine, 40, f"random case {number}") for number in range(_CASES)
    ] + edge_cases(machine)


def _check_rtl(tools: Tools, fault: Fault, source: Path) -> Tally:
    if fault.file in ("token_sorter", "offset_encoder"):
        random = np.random.default_rng(7)
        cases = [random_semantic_case(random, f"random importance {number}", 300) for number in range(40)]
        return check_semantic(tools, cases, 8, 1024, with_kernels=False, source=source)
    if fault.file in ("float_arithmetic", "mean_lane", "dot_unit"):
        return check_units(tools, 7, 5000, source)
    return check_cases(tools, _cases(), source)


def try_faults(tools: Tools) -> int:
    """Try every fault; return 0 if all are noticed, else 1."""
    missed = 0

    def tell(what: str, tally: Tally | None, seconds: float) -> None:
        nonlocal missed
        if tally is None:
            print(f"    does not build: {what}", flush=True)
            missed += 1
            return
        missed += not tally.differences
        verdict = f"noticed in {len(tally.differences)} comparisons" if tally.differences else "MISSED"
        print(f"    {verdict}: {what} ({seconds:.0f} s)", flush=True)
        for line in tally.differences[:1]:
            print(f"        {line}")

    for fault in RTL_FAULTS:
        start = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="focal-fault-") as name:
            source = Path(name)
            for path in (RTL / "src").glob("*.sv"):
                shutil.copy(path, source)
            target = source / f"{fault.file}.sv"
            text = target.read_text()
            if text.count(fault.line) < 1:
                raise ToolError(
                    f"{fault.file}.sv no longer holds {fault.line!r}; mend the fault in rtl/sim/faults.py"
                )
            target.write_text(text.replace(fault.line, fault.becomes))
            try:
                found = _check_rtl(tools, fault, source)
            except ToolError:
                found = None
        tell(fault.what, found, time.monotonic() - start)
    from focal_simulator.engine.cycle import fold_events
    from sim.engine import compare_with_engine

    for what, name, faulty in _engine_faults():
        start = time.monotonic()
        tally = Tally()
        with patch.object(fold_events, name, faulty):
            for case in _cases():
                tally.add(compare_with_engine(case))
        tell(what, tally, time.monotonic() - start)
    count = len(RTL_FAULTS) + len(_engine_faults())
    print(f"{count - missed} of {count} faults noticed")
    return 1 if missed else 0
