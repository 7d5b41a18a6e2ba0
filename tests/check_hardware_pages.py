"""Writes prices, memories and arrays into docs/: python tests/check_hardware_pages.py --write.

Without ``--write`` it prints the tables; with it, it draws their figures as well. `tests/golden/test_hardware_pages.py`
holds the pages to the tables.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
for place in (ROOT, *(ROOT / name for name in ("common", "traces", "simulator", "evaluation_scripts"))):
    sys.path.insert(0, str(place))

import focal  # noqa: E402
from focal_evaluation.exhibits.sweep import draw_all  # noqa: E402
from focal_simulator.accelerators.base import Accelerator  # noqa: E402
from focal_simulator.accelerators.presets import build_accelerator  # noqa: E402
from focal_simulator.dram import load_dram_spec, preset_names  # noqa: E402
from focal_simulator.dram.steady_rates import sequential_rates  # noqa: E402
from focal_simulator.engine.cycle.simulate import simulate_cycles  # noqa: E402
from focal_simulator.hardware.specs import Component  # noqa: E402
from focal_simulator.sweep.run import SweepRequest, SweepResult, run_sweep  # noqa: E402
from focal_simulator.sweep.study import read_study  # noqa: E402
from focal_simulator.sweep.summary import write_files  # noqa: E402
from focal_simulator.workload.loading import load_workloads  # noqa: E402
from focal_simulator.workload.workload import Workload  # noqa: E402
from focal_traces.root.root import TraceRoot  # noqa: E402

START = "<!-- written by tests/check_hardware_pages.py -->"
MEMORIES, ARRAYS = ROOT / "docs" / "dram_model.md", ROOT / "docs" / "several_arrays.md"
PRICES, SWEEPS, IMAGES = (
    ROOT / "docs" / "hardware_prices.md",
    ROOT / "docs" / "sweeps.md",
    ROOT / "docs" / "images",
)
FIGURE = IMAGES / "several-arrays.svg"
TRACES = ROOT / "example_output" / "published"

SIZES = (8, 16, 32, 64, 128, 256)
RANGES = {"fp16": (0.50, 2.0), "int8": (0.10, 0.30)}
"""Published energy of a multiplication and an addition, in pJ, at 7 nm and at 45 nm: docs/hardware_prices.md."""

STUDIES = {"priced_knobs": "priced-knobs.png", "array_sizes": "array-sizes.png"}
"""Packaged study to the file of its front under docs/images."""

PUBLISHED = {
    "DDR4": "20.3 (1,300 pJ per 64 bits: Jouppi et al., Ten Lessons, ISCA 2021, Table 2)",
    "HBM2": "3.92 (O'Connor et al., MICRO 2017, sec. 2)",
}
"""Published figure by the start of a device's name; "none found" where no source names what it counts."""

NUMBERS = (1, 2, 4, 8, 16, 32, 64)
SYSTEMS = {"ddr4_4ch_1rank_interleaved": "Table I, 68 GB/s", "hbm2_8ch_shipped": "HBM2, 256 GB/s"}
WORKLOAD = ("llava_vid", "videomme")


def sized(size: int, precision: str) -> tuple[Accelerator[Any], Component]:
    """A dense array with the tiles that its slices and columns need, and its multipliers."""
    fields = {
        "core.array_rows": size,
        "core.array_columns": size,
        "tiles.n_tile": max(96, size),
        "tiles.k_tile": max(32, size),
        "precision": precision,
    }
    accelerator = build_accelerator("dense", None, [f"{name}={value}" for name, value in fields.items()])
    return accelerator, next(part for part in accelerator.components() if part.label == "Systolic Array")


def prices_table(workload: Workload | None = None) -> str:
    """Energy of a multiply-accumulate and area of the dense array by size; of a run if there is a workload."""
    lines = [
        f"| dense, one multiply-accumulate of the array (pJ) | {' | '.join(f'{n}x{n}' for n in SIZES)} "
        "| published range |",
        "|---|" + "---:|" * len(SIZES) + "---|",
    ]

    def line(said: str, numbers: Sequence[float], close: str) -> None:
        cells = (f"{one:.3f}" if one < 2 else f"{one:.3g}" for one in numbers)
        lines.append(f"| {said} | {' | '.join(cells)} | {close} |")

    for precision, (low, high) in RANGES.items():
        arrays = [sized(size, precision) for size in SIZES]
        close = f"{low:.2f} to {high:.{1 if high >= 1 else 2}f}"
        full = [
            part.power.value / (size**2 * one.hardware.clock.value) * 1e9
            for size, (one, part) in zip(SIZES, arrays, strict=True)
        ]
        line(f"{precision}, at full activity", full, close)
        if workload is not None:
            results = [simulate_cycles(one, workload, "cacti") for one, _ in arrays]
            spent = [
                next(item.energy_mj for item in result.breakdown if item.name == "Systolic Array")
                / result.macs
                * 1e9
                for result in results
            ]
            said = "LLaVA-Video / MVBench, idle leakage included" if precision == "fp16" else "the same run"
            line(f"{precision}, {said}", spent, close)
    areas = [sized(size, "fp16")[1].area.value for size in SIZES]
    line("area of the fp16 array (mm2)", areas, "")
    return "\n".join(lines)


def mvbench() -> Workload:
    return load_workloads(TraceRoot.open(TRACES), ["llava_vid"], ["mvbench"])[0]


def swept(name: str, folder: Path) -> SweepResult:
    """A packaged study, run anew."""
    study, base = read_study(name)
    return run_sweep(SweepRequest(study, base, TRACES, folder / name))


def numbers(rows: Sequence[Mapping[str, Any]], metric: str, scale: float = 1.0) -> str:
    return " / ".join(f"{row[metric] * scale:#.3g}".rstrip(".") for row in rows)


def knobs_table(result: SweepResult) -> str:
    """The front of `priced_knobs` by clock and vectors a cycle; it lies at the smallest legal k-tile."""
    clocks = sorted({row["clock"] for row in result.front.rows})
    by_clock = [[row for row in result.front.rows if row["clock"] == clock] for clock in clocks]
    for rows in by_clock:
        rows.sort(key=lambda row: row["core.scatter_vectors"])
    lanes, tiles = (
        sorted({row[name] for row in result.front.rows}) for name in ("core.scatter_vectors", "tiles.k_tile")
    )
    vectors = " / ".join(map(str, lanes))
    lines = [
        f"| front, k-tile {', '.join(map(str, tiles))} | {' | '.join(f'{clock / 1e6:.0f} MHz' for clock in clocks)} |",
        "|---|" + "---:|" * len(clocks),
    ]
    for said, metric, scale in (
        (f"time (s), {vectors} vectors a cycle", "seconds", 1.0),
        ("energy (J)", "total_mj", 1e-3),
        ("power (W)", "power_mw", 1e-3),
    ):
        lines.append(f"| {said} | {' | '.join(numbers(rows, metric, scale) for rows in by_clock)} |")
    areas = [numbers(rows, "area_mm2") for rows in by_clock]
    same = ["as left" if one == areas[0] else one for one in areas[1:]]
    lines.append(f"| area (mm2) | {' | '.join([areas[0], *same])} |")
    return "\n".join(lines)


def sizes_table(result: SweepResult) -> str:
    """The front of `array_sizes`."""
    lines = ["| array | weights | time (s) | energy (J) | area (mm2) |", "|---|---|---:|---:|---:|"]
    for size in SIZES:
        rows = [row for row in result.front.rows if row["array"] == f"{size}x{size}"]
        rows.sort(key=lambda row: str(row["dataflow.is_weight_double_buffered"]))
        said = ["double" if row["dataflow.is_weight_double_buffered"] == "true" else "single" for row in rows]
        cells = (numbers(rows, "seconds"), numbers(rows, "total_mj", 1e-3), numbers(rows, "area_mm2"))
        lines.append(f"| {size}x{size} | {' / '.join(said)} | {' | '.join(cells)} |")
    return "\n".join(lines)


def energy_table() -> str:
    """Energy of a streamed bit of every preset beside a published figure."""
    lines = [
        "| preset | read pJ/bit | write pJ/bit | of it I/O | published pJ/bit |",
        "|---|---|---|---|---|",
    ]
    for name in preset_names():
        spec = load_dram_spec(name)
        read, write = (
            (way.dynamic_pj_per_byte + way.background_mw / way.bytes_per_ns) / 8
            for way in sequential_rates(name)
        )
        wires = f"{spec.interface.pj_per_bit:.2f}" if spec.interface else "none"
        known = next(
            (said for start, said in PUBLISHED.items() if spec.device.name.startswith(start)), "none found"
        )
        lines.append(f"| `{name}` | {read:.2f} | {write:.2f} | {wires} | {known} |")
    return "\n".join(lines)


def speedups(system: str, accelerator: str, numbers: Sequence[int] = NUMBERS) -> list[float]:
    """Time of one array over time of N, each on the memory."""
    taken = []
    for arrays in numbers:
        results = focal.simulate(
            TRACES,
            accelerator,
            dram=system,
            overrides={"arrays": arrays},
            models=WORKLOAD[0],
            datasets=WORKLOAD[1],
        )
        taken.append(float(results.frame()["seconds"].iloc[0]))
    return [taken[0] / one for one in taken]


def scaling() -> dict[tuple[str, str], list[float]]:
    return {(system, name): speedups(system, name) for system in SYSTEMS for name in ("dense", "focus")}


def scaling_table(found: dict[tuple[str, str], list[float]]) -> str:
    lines = [
        "| memory | design | " + " | ".join(map(str, NUMBERS)) + " |",
        "|---|---|" + "---|" * len(NUMBERS),
    ]
    for (system, name), gains in found.items():
        lines.append(f"| {SYSTEMS[system]} | {name} | " + " | ".join(f"{gain:.2f}" for gain in gains) + " |")
    return "\n".join(lines)


def draw(found: dict[tuple[str, str], list[float]]) -> None:
    """The same as a figure."""
    from focal_evaluation.exhibits.style import new_figure, save, style

    with style():
        figure = new_figure(4.6, 3.2)
        axis = figure.subplots()
        axis.plot(NUMBERS, NUMBERS, color="0.75", linewidth=1)
        axis.annotate("N times one array", (20, 20), (7.5, 26), fontsize=7, color="0.45")
        for (system, name), gains in found.items():
            dash = "-" if system == "hbm2_8ch_shipped" else "--"
            colour = "#3b6ea5" if name == "dense" else "#c1542f"
            axis.plot(
                NUMBERS,
                gains,
                dash,
                marker="o",
                markersize=3,
                color=colour,
                label=f"{name}, {SYSTEMS[system]}",
            )
        axis.set_xscale("log", base=2)
        axis.set_yscale("log", base=2)
        axis.set_xticks(NUMBERS, [str(number) for number in NUMBERS])
        axis.set_yticks(NUMBERS, [str(number) for number in NUMBERS])
        axis.set_xlabel("arrays on one memory")
        axis.set_ylabel("times as fast as one array")
        axis.legend(fontsize=7, frameon=False, loc="upper left")
        save(figure, FIGURE.with_suffix(""), ("svg",))


def written(page: Path, end: str) -> str:
    """The table that stands on a page before an end mark."""
    return page.read_text(encoding="utf-8").split(end, 1)[0].rsplit(f"{START}\n", 1)[1].strip()


def put(page: Path, end: str, table: str) -> None:
    before, after = page.read_text(encoding="utf-8").split(end, 1)
    page.write_text(f"{before.rsplit(START, 1)[0]}{START}\n{table}\n{end}{after}", encoding="utf-8")


def main() -> None:
    is_writing = "--write" in sys.argv[1:]
    with tempfile.TemporaryDirectory() as place:
        results = {name: swept(name, Path(place)) for name in STUDIES}
        if is_writing:
            for name, result in results.items():
                write_files(result, draw_all)
                shutil.copyfile(result.folder.path / "pareto.png", IMAGES / STUDIES[name])
    found = scaling()
    tables = (
        (PRICES, "<!-- end prices -->", prices_table(mvbench())),
        (SWEEPS, "<!-- end knobs -->", knobs_table(results["priced_knobs"])),
        (SWEEPS, "<!-- end sizes -->", sizes_table(results["array_sizes"])),
        (MEMORIES, "<!-- end energy -->", energy_table()),
        (ARRAYS, "<!-- end arrays -->", scaling_table(found)),
    )
    if is_writing:
        draw(found)
    for page, end, table in tables:
        if is_writing:
            put(page, end, table)
        print(table, end="\n\n")


if __name__ == "__main__":
    main()
