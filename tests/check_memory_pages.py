"""Writes what docs/ says in numbers of memories and of several arrays: python tests/check_memory_pages.py --write.

Without ``--write`` it prints the tables. `tests/golden/test_memory_pages.py` holds the pages to them.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
for place in (ROOT, *(ROOT / name for name in ("common", "traces", "simulator", "evaluation_scripts"))):
    sys.path.insert(0, str(place))

import focal  # noqa: E402
from focal_simulator.dram import load_dram_spec, preset_names  # noqa: E402
from focal_simulator.dram.steady_rates import sequential_rates  # noqa: E402

START = "<!-- written by tests/check_memory_pages.py -->"
MEMORIES, ARRAYS = ROOT / "docs" / "dram_model.md", ROOT / "docs" / "several_arrays.md"
FIGURE = ROOT / "docs" / "images" / "several-arrays.svg"

PUBLISHED = {
    "DDR4": "20.3 (1,300 pJ per 64 bits: Jouppi et al., Ten Lessons, ISCA 2021, Table 2)",
    "HBM2": "3.92 (O'Connor et al., MICRO 2017, sec. 2)",
}
"""Published figure by the start of a device's name; "none found" where no source names what it counts."""

NUMBERS = (1, 2, 4, 8, 16, 32, 64)
SYSTEMS = {"ddr4_4ch_1rank_interleaved": "Table I, 68 GB/s", "hbm2_8ch_shipped": "HBM2, 256 GB/s"}
WORKLOAD = ("llava_vid", "videomme")


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
            ROOT / "example_output" / "published",
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


def put(page: Path, end: str, table: str) -> None:
    text = page.read_text(encoding="utf-8")
    before, rest = text.split(f"{START}\n", 1)
    _, after = rest.split(end, 1)
    page.write_text(f"{before}{START}\n{table}\n{end}{after}", encoding="utf-8")


def main() -> None:
    found = scaling()
    if "--write" in sys.argv[1:]:
        put(MEMORIES, "<!-- end energy -->", energy_table())
        put(ARRAYS, "<!-- end arrays -->", scaling_table(found))
        draw(found)
    print(energy_table(), scaling_table(found), sep="\n\n")


if __name__ == "__main__":
    main()
