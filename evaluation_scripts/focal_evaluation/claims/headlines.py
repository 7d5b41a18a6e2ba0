"""Numbers of figures, tables and text of the Focus paper (HPCA 2026), recomputed from result rows."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from statistics import StatisticsError, fmean, geometric_mean

from focal_evaluation.claims.claims import Key
from focal_evaluation.claims.headline_runs import MAIN_METHODS, MainRuns, is_whole
from focal_evaluation.claims.published import read_accuracies
from focal_evaluation.claims.result_rows import AbsentCellError, PublishedRows, ResultRow

Numbers = dict[Key, float]

FRAMEFUSION_SPARSITY_PERCENT = 70.0
"""Fixed by construction (Focus, HPCA 2026, Table II)."""

_GROUPS = {"SIC": "sic", "SEC": "sec", "SFU": "sfu"}
_BUFFERS = ("input", "wgt", "concentrate_out", "output", "layouter", "similarity_map", "similarity_table")


def headline_numbers(results: PublishedRows, root: Path) -> Numbers:
    """Return the headline numbers that results hold, by exhibit, subject and quantity.

    A mean appears only where every published workload is there, a number of one workload wherever it was run. What
    divides by a cell that is zero or absent does not appear.

    Args:
        results: Rows of published experiments; tables, rows and cells may be missing.
        root: Trace root with the published accuracies and GPU runs.
    """
    runs = MainRuns(results, root)
    numbers = _single_workloads(runs)
    for part, videos, images in _PARTS:
        if runs.has(*videos) and runs.has(*images, images=True):
            numbers |= _where_defined(partial(part, runs))
    for file_part, files in _FILE_PARTS:
        whole_runs = "main" not in files or runs.has("dense", "adaptiv", "cmc", "focus")
        if "int8_focus" in files and not set(runs.video) <= set(results.get("int8_focus", {})):
            continue
        if whole_runs and all(_is_there(results, file) for file in files if file != "main"):
            numbers |= _where_defined(partial(file_part, runs, results, root))
    return numbers


def _where_defined(part: Callable[[], Numbers]) -> Numbers:
    """Return the numbers of a part; none if a cell that it needs is zero or absent, as in a row that failed."""
    try:
        return part()
    except (ZeroDivisionError, KeyError, AbsentCellError, StatisticsError):
        return {}


def _single_workloads(runs: MainRuns) -> Numbers:
    """Return what needs one workload only, for each that was run."""
    found: Numbers = {}

    def both(method: str, other: str) -> Iterator[tuple[str, ResultRow, ResultRow]]:
        for subject, row in runs.rows[method].items():
            base = runs.rows[other].get(subject)
            if base is not None and is_whole(row) and is_whole(base):
                yield subject, row, base

    for method in ("focus", "adaptiv", "cmc"):
        for subject, row, dense in both(method, "dense"):
            speedup = dense["execution_time"] / row["execution_time"]
            if subject in runs.video:
                found["fig_9a", subject, "dense_time"] = dense["execution_time"]
                found["fig_9a", subject, f"{method}_speedup"] = speedup
                found["fig_9b", subject, f"{method}_energy"] = row["total_energy"] / dense["total_energy"]
            elif subject in runs.image:
                found["table_v", subject, f"{method}_speedup"] = speedup
        for subject, row, focus in both(method, "focus"):
            if subject in runs.video and focus.numbers.get("dense_ops", 0) > 0 and "num_ops" in row.numbers:
                sparsity = 100 * (1 - row["num_ops"] / focus["dense_ops"])
                found["table_ii", subject, f"{method}_sparsity"] = sparsity
    for subject, row, pruned in both("focus", "sec_only"):
        if subject in runs.video:
            found["fig_11", subject, "similarity_speedup"] = pruned["execution_time"] / row["execution_time"]
    return found


def _is_there(results: PublishedRows, file: str) -> bool:
    rows = results.get(file, {})
    return bool(rows) and _BASES.get(file, next(iter(rows))) in rows


def _figure_9a(runs: MainRuns) -> Numbers:
    found: Numbers = {}
    others = ("dense", "adaptiv", "cmc", "gpu", "gpu_framefusion", "sec_only")
    for other in others:
        gains = runs.speedups("focus", over=other)
        found["fig_9a", f"focus over {other}", "speedup_geomean"] = geometric_mean(gains)
        found["fig_9a", f"focus over {other}", "speedup_arithmetic_mean"] = fmean(gains)
        found["abstract", f"focus over {other}", "speedup_geomean"] = geometric_mean(gains)
    for method in (*others[1:], "focus"):
        gains = runs.speedups(method, over="dense")
        subject = f"{method} over dense"
        found["fig_9a", subject, "speedup_geomean"] = geometric_mean(gains)
        found["fig_9a", subject, "speedup_min"] = min(gains)
        found["fig_9a", subject, "speedup_max"] = max(gains)
    return found


def _figure_9b(runs: MainRuns) -> Numbers:
    found: Numbers = {}
    focus = geometric_mean(runs.energies("focus"))
    for method in ("dense", "adaptiv", "cmc", "gpu", "gpu_framefusion", "sec_only", "focus"):
        mean = geometric_mean(runs.energies(method))
        found["fig_9b", f"{method} over dense", "energy_geomean"] = mean
        for exhibit in ("fig_9b", "abstract"):
            found[exhibit, f"focus over {method}", "energy_gain_geomean"] = mean / focus
    for method in MAIN_METHODS:
        rows = runs.rows[method]
        for part, column in (("core", "core_energy"), ("buffer", "sram_energy"), ("dram", "dram_energy")):
            shares = [rows[subject][column] / rows[subject]["total_energy"] for subject in runs.video]
            found["fig_9b", method, f"mean_share_{part}"] = fmean(shares)
    return found


def part_of(component: str) -> str:
    """Return the slice of Figure 9(c) that a component or buffer belongs to."""
    for mark, name in _GROUPS.items():
        if component.endswith(f"({mark})"):
            return name
    if component in _BUFFERS:
        return "buffer"
    return "dram" if component == "dram" else "systolic_array"


def _figure_9c(runs: MainRuns, results: PublishedRows, root: Path) -> Numbers:
    return _shares(results["breakdown"])


def mean_power_mw(breakdown: Mapping[str, ResultRow]) -> dict[str, float]:
    """Return the energy over time of each component, buffer and the DRAM.

    The column ``power`` says the same in fidelity parity; in fidelity cycle that of buffers is leakage alone.
    """
    dram = breakdown["dram"]
    if not (dram["power"] > 0 and dram["energy"] > 0):
        return {name: row["power"] for name, row in breakdown.items()}
    seconds = dram["energy"] / dram["power"]
    return {name: row["energy"] / seconds for name, row in breakdown.items()}


def _shares(breakdown: Mapping[str, ResultRow]) -> Numbers:
    columns = {
        "area": {name: row["area"] for name, row in breakdown.items()},
        "power": mean_power_mw(breakdown),
    }
    totals = {column: math.fsum(values.values()) for column, values in columns.items()}
    found: Numbers = {}
    for column, total in totals.items():
        for component in breakdown:
            part, here = part_of(component), columns[column][component]
            for key, value in (
                (("fig_9c", part, column), here),
                (("fig_9c", part, f"{column}_share"), 100 * here / total),
            ):
                found[key] = found.get(key, 0.0) + value
    found["fig_9c", "all", "area"] = totals["area"]
    found["fig_9c", "all", "power"] = totals["power"] / 1000
    return found


def _relative_latency(results: PublishedRows, exhibit: str, file: str) -> Numbers:
    rows = results[file]
    base = rows[_BASES[file]]["total_cycles"]
    return {
        (exhibit, subject, "relative_latency"): row["total_cycles"] / base
        for subject, row in rows.items()
        if row.numbers.get("total_cycles", 0) > 0
    }


def _figure_10a(runs: MainRuns, results: PublishedRows, root: Path) -> Numbers:
    found = _relative_latency(results, "fig_10a", "dse_m_tile")
    for subject, row in results["dse_m_tile"].items():
        found["fig_10a", subject, "buffer"] = row["total_buffer_capacity"] / 2**20
    if "1024" in results["dse_m_tile"]:
        cost = 100 * (found["fig_10a", "1024", "relative_latency"] - 1)
        found["text", "m_tile 1024", "latency_over_full"] = cost
    return found


def _figure_10b(runs: MainRuns, results: PublishedRows, root: Path) -> Numbers:
    found: Numbers = {}
    for subject, row in results["dse_vector"].items():
        array, scatter = row["layer_array_ops"] / 2**30, row["layer_scatter_ops"] / 2**30
        found["fig_10b", subject, "array_ops"] = array
        found["fig_10b", subject, "scatter_ops"] = scatter
        found["fig_10b", subject, "all_ops"] = array + scatter
    return found


def _figure_10c(runs: MainRuns, results: PublishedRows, root: Path) -> Numbers:
    return _relative_latency(results, "fig_10c", "dse_block")


def _figure_10d(runs: MainRuns, results: PublishedRows, root: Path) -> Numbers:
    found = _relative_latency(results, "fig_10d", "dse_scatter")
    for subject, row in results["dse_scatter"].items():
        found["fig_10d", subject, "buffer_area"] = row["buffer_area"]
    return found


def _figure_11(runs: MainRuns) -> Numbers:
    subjects = [subject for subject in runs.video if subject.startswith("llava_vid/")]
    mean = {
        method: geometric_mean(runs.speedups(method, "dense", subjects))
        for method in ("cmc", "sec_only", "focus")
    }
    found: Numbers = {("fig_11", method, "speedup_geomean"): value for method, value in mean.items()}
    for method, other in (("sec_only", "cmc"), ("focus", "sec_only"), ("focus", "cmc")):
        found["fig_11", f"{method} over {other}", "speedup_geomean"] = mean[method] / mean[other]
    return found


def _model_ratios(runs: MainRuns, method: str, column: str) -> dict[str, float]:
    """Return, by model, the geometric mean over datasets relative to that of dense."""
    ratios: dict[str, float] = {}
    for model in dict.fromkeys(subject.split("/")[0] for subject in runs.video):
        subjects = [subject for subject in runs.video if subject.startswith(f"{model}/")]
        ratios[model] = geometric_mean([runs.rows[method][subject][column] for subject in subjects]) / (
            geometric_mean([runs.rows["dense"][subject][column] for subject in subjects])
        )
    return ratios


def _figure_12(runs: MainRuns) -> Numbers:
    found: Numbers = {}
    for quantity, column in (("dram", "total_dram_access"), ("activation", "total_activation")):
        for method in ("adaptiv", "cmc", "focus"):
            ratios = _model_ratios(runs, method, column)
            for model, ratio in {**ratios, "mean": geometric_mean(ratios.values())}.items():
                found["fig_12", f"{method} {model}", f"{quantity}_over_dense"] = ratio
    return found


def _table_ii(runs: MainRuns) -> Numbers:
    return {
        ("table_ii", "mean", f"{method}_sparsity"): fmean(runs.sparsity_percent(method).values())
        for method in ("adaptiv", "cmc", "focus")
    }


def _table_iv(runs: MainRuns, results: PublishedRows, root: Path) -> Numbers:
    int8 = results["int8_focus"]
    sparsity = {subject: 100 * (1 - row["num_ops"] / row["dense_ops"]) for subject, row in int8.items()}
    accuracy = read_accuracies(root)
    fp16, quantised = accuracy["focus", "fp16"], accuracy["focus", "int8"]
    found: Numbers = {
        ("table_iv", subject, "focus_sparsity"): value
        for subject, value in {**sparsity, "mean": fmean(sparsity.values())}.items()
    }
    found["table_iv", "mean", "accuracy_degradation"] = fmean(
        fp16[pair] - quantised[pair] for pair in quantised
    )
    found["table_iv", "mean", "sparsity_degradation"] = (
        fmean(runs.sparsity_percent("focus").values()) - found["table_iv", "mean", "focus_sparsity"]
    )
    return found


def _table_v(runs: MainRuns) -> Numbers:
    return {
        ("table_v", "geomean", f"{method}_speedup"): geometric_mean(
            runs.speedups(method, "dense", runs.image)
        )
        for method in ("adaptiv", "focus")
    }


def _text(runs: MainRuns) -> Numbers:
    sparsity = {
        method: fmean(runs.sparsity_percent(method).values()) for method in ("focus", "adaptiv", "cmc")
    }
    traffic = {
        method: geometric_mean(_model_ratios(runs, method, "total_dram_access").values())
        for method in ("focus", "cmc")
    }
    return {
        ("text", "focus", "compute_reduction"): 1 / (1 - sparsity["focus"] / 100),
        ("text", "focus", "memory_reduction"): 1 / traffic["focus"],
        ("text", "focus", "traffic_over_dense"): 100 * traffic["focus"],
        ("text", "cmc", "traffic_over_dense"): 100 * traffic["cmc"],
        ("text", "cmc", "mean_sparsity"): sparsity["cmc"],
        ("text", "focus", "mean_sparsity_rounded"): sparsity["focus"],
        ("text", "focus", "mean_sparsity"): sparsity["focus"],
        ("text", "focus", "largest_sparsity"): max(runs.sparsity_percent("focus").values()),
        ("text", "focus over adaptiv", "sparsity_gain"): sparsity["focus"] - sparsity["adaptiv"],
        ("text", "focus over cmc", "sparsity_gain"): sparsity["focus"] - sparsity["cmc"],
        ("text", "focus over framefusion", "sparsity_gain"): sparsity["focus"] - FRAMEFUSION_SPARSITY_PERCENT,
    }


def _text_of_files(runs: MainRuns, results: PublishedRows, root: Path) -> Numbers:
    parts = {name: _shares(results["breakdown"])["fig_9c", name, "area_share"] for name in ("sec", "sic")}
    power = {name: results["table_iii"][name]["on_chip_power"] for name in ("focus", "dense")}
    with_dram = math.fsum(mean_power_mw(results["breakdown"]).values())
    added = power["focus"] - power["dense"]
    return {
        ("text", "focus over dense", "area_overhead"): math.fsum(parts.values()),
        ("text", "focus over dense", "power_overhead_with_dram"): 100 * added / with_dram,
        ("text", "focus over dense", "power_overhead_on_chip"): 100 * added / power["dense"],
    }


def _text_of_accuracies(runs: MainRuns, results: PublishedRows, root: Path) -> Numbers:
    accuracy = read_accuracies(root)
    focus, dense = accuracy["focus", "fp16"], accuracy["dense", "fp16"]
    video = [pair for pair in focus if "/".join(pair) in runs.video]
    return {
        ("text", "focus", "mean_accuracy_loss"): fmean(dense[pair] - focus[pair] for pair in video),
        ("text", "dense", "int8_accuracy_change"): fmean(
            dense[pair] - accuracy["dense", "int8"][pair] for pair in video
        ),
    }


_Part = Callable[[MainRuns], Numbers]
_FilePart = Callable[[MainRuns, PublishedRows, Path], Numbers]

_BASES = {"dse_m_tile": "-1", "dse_block": "3x3x3", "dse_scatter": "5", "table_iii": "focus"}
"""Row of a file that others are compared with."""

_ALL = ("dense", "adaptiv", "cmc", "focus", "sec_only")

_PARTS: tuple[tuple[_Part, tuple[str, ...], tuple[str, ...]], ...] = (
    (_figure_9a, _ALL, ()),
    (_figure_9b, _ALL, ()),
    (_figure_11, ("dense", "cmc", "focus", "sec_only"), ()),
    (_figure_12, MAIN_METHODS, ()),
    (_table_ii, ("adaptiv", "cmc", "focus"), ()),
    (_table_v, (), ("dense", "adaptiv", "focus")),
    (_text, MAIN_METHODS, ()),
)
"""What needs which methods on all video and on all image workloads."""

_FILE_PARTS: tuple[tuple[_FilePart, tuple[str, ...]], ...] = (
    (_figure_9c, ("breakdown",)),
    (_figure_10a, ("dse_m_tile",)),
    (_figure_10b, ("dse_vector",)),
    (_figure_10c, ("dse_block",)),
    (_figure_10d, ("dse_scatter",)),
    (_table_iv, ("main", "int8_focus")),
    (_text_of_files, ("table_iii", "breakdown")),
    (_text_of_accuracies, ()),
)
"""What needs which result files."""
