"""Numbers of figures, tables and text of the Focus paper (HPCA 2026), recomputed from result rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from statistics import fmean, geometric_mean

from focal_evaluation.claims import Key
from focal_evaluation.published import GpuRun, Pair, read_accuracies, read_gpu_runs
from focal_evaluation.result_rows import ResultRow, Results

__all__ = ["headline_numbers"]

Numbers = dict[Key, float]

_FRAMEFUSION_SPARSITY_PERCENT = 70.0
"""Fixed by construction (Focus, HPCA 2026, Table II)."""

_METHODS = ("dense", "adaptiv", "cmc", "focus")
_GROUPS = {"SIC": "sic", "SEC": "sec", "SFU": "sfu"}
_BUFFERS = ("input", "wgt", "concentrate_out", "output", "layouter", "similarity_map", "similarity_table")


class _Runs:
    """Rows of the main experiments by method, over the nine video workloads."""

    def __init__(self, results: Results, gpu: Mapping[str, Mapping[Pair, GpuRun]]) -> None:
        self.rows = {
            **{name: results[f"main_{name}"] for name in _METHODS},
            "sec_only": results["main_focus_sec_only"],
        }
        self.video = list(results["main_cmc"])
        self.image = [subject for subject in results["main_focus"] if subject not in self.video]
        self.gpu = {name: {"/".join(pair): run for pair, run in runs.items()} for name, runs in gpu.items()}

    def seconds(self, method: str, subject: str) -> float:
        if method in self.gpu:
            return self.gpu[method][subject].seconds
        return self.rows[method][subject]["execution_time"]

    def energy_mj(self, method: str, subject: str) -> float:
        if method in self.gpu:
            return self.gpu[method][subject].energy_mj
        return self.rows[method][subject]["total_energy"]

    def speedups(self, method: str, over: str, subjects: Iterable[str] | None = None) -> list[float]:
        return [
            self.seconds(over, subject) / self.seconds(method, subject)
            for subject in (self.video if subjects is None else subjects)
        ]

    def energies(self, method: str) -> list[float]:
        return [self.energy_mj(method, subject) / self.energy_mj("dense", subject) for subject in self.video]

    def sparsity_percent(self, method: str) -> dict[str, float]:
        dense = self.rows["focus"]
        return {
            subject: 100 * (1 - self.rows[method][subject]["num_ops"] / dense[subject]["dense_ops"])
            for subject in self.video
        }


def headline_numbers(results: Results, root: Path) -> Numbers:
    """Return every headline number by exhibit, subject and quantity.

    Args:
        results: Rows of all published experiments.
        root: Trace root with the published accuracies and GPU runs.
    """
    runs = _Runs(results, read_gpu_runs(root))
    numbers: Numbers = {}
    parts: tuple[Callable[[_Runs], Numbers], ...] = (
        _figure_9a,
        _figure_9b,
        _figure_11,
        _figure_12,
        _table_ii,
        _table_v,
        _text,
    )
    for part in parts:
        numbers |= part(runs)
    numbers |= _figure_9c(results["breakdown"]) | _figure_10(results)
    numbers |= _table_iv(runs, results["int8_focus"], root) | _text_of_files(runs, results, root)
    return numbers


def _figure_9a(runs: _Runs) -> Numbers:
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
    for place, subject in enumerate(runs.video):
        found["fig_9a", subject, "dense_time"] = runs.seconds("dense", subject)
        for method in ("focus", "adaptiv", "cmc"):
            found["fig_9a", subject, f"{method}_speedup"] = runs.speedups(method, "dense")[place]
            found["fig_9b", subject, f"{method}_energy"] = runs.energies(method)[place]
    return found


def _figure_9b(runs: _Runs) -> Numbers:
    found: Numbers = {}
    focus = geometric_mean(runs.energies("focus"))
    for method in ("dense", "adaptiv", "cmc", "gpu", "gpu_framefusion", "sec_only", "focus"):
        mean = geometric_mean(runs.energies(method))
        found["fig_9b", f"{method} over dense", "energy_geomean"] = mean
        for exhibit in ("fig_9b", "abstract"):
            found[exhibit, f"focus over {method}", "energy_gain_geomean"] = mean / focus
    for method in _METHODS:
        rows = runs.rows[method]
        for part, column in (("core", "core_energy"), ("buffer", "sram_energy"), ("dram", "dram_energy")):
            shares = [rows[subject][column] / rows[subject]["total_energy"] for subject in runs.video]
            found["fig_9b", method, f"mean_share_{part}"] = fmean(shares)
    return found


def _part_of(component: str) -> str:
    for mark, name in _GROUPS.items():
        if component.endswith(f"({mark})"):
            return name
    if component in _BUFFERS:
        return "buffer"
    return "dram" if component == "dram" else "systolic_array"


def _figure_9c(breakdown: Mapping[str, ResultRow]) -> Numbers:
    totals = {column: sum(row[column] for row in breakdown.values()) for column in ("area", "power")}
    found: Numbers = {}
    for column, total in totals.items():
        for component, row in breakdown.items():
            part = _part_of(component)
            for key, value in (
                (("fig_9c", part, column), row[column]),
                (("fig_9c", part, f"{column}_share"), 100 * row[column] / total),
            ):
                found[key] = found.get(key, 0.0) + value
    found["fig_9c", "all", "area"] = totals["area"]
    found["fig_9c", "all", "power"] = totals["power"] / 1000
    return found


def _figure_10(results: Results) -> Numbers:
    found: Numbers = {}
    bases = (
        ("fig_10a", "dse_m_tile", "-1"),
        ("fig_10c", "dse_block", "3x3x3"),
        ("fig_10d", "dse_scatter", "5"),
    )
    for exhibit, file, base in bases:
        rows = results[file]
        for subject, row in rows.items():
            relative = row["total_cycles"] / rows[base]["total_cycles"]
            found[exhibit, subject, "relative_latency"] = relative
    for subject, row in results["dse_m_tile"].items():
        found["fig_10a", subject, "buffer"] = row["total_buffer_capacity"] / 2**20
    for subject, row in results["dse_scatter"].items():
        found["fig_10d", subject, "buffer_area"] = row["buffer_area"]
    for subject, row in results["dse_vector"].items():
        array, scatter = row["layer_array_ops"] / 2**30, row["layer_scatter_ops"] / 2**30
        found["fig_10b", subject, "array_ops"] = array
        found["fig_10b", subject, "scatter_ops"] = scatter
        found["fig_10b", subject, "all_ops"] = array + scatter
    return found


def _figure_11(runs: _Runs) -> Numbers:
    subjects = [subject for subject in runs.video if subject.startswith("llava_vid/")]
    mean = {
        method: geometric_mean(runs.speedups(method, "dense", subjects))
        for method in ("cmc", "sec_only", "focus")
    }
    found: Numbers = {("fig_11", method, "speedup_geomean"): value for method, value in mean.items()}
    for method, other in (("sec_only", "cmc"), ("focus", "sec_only"), ("focus", "cmc")):
        found["fig_11", f"{method} over {other}", "speedup_geomean"] = mean[method] / mean[other]
    for subject, gain in zip(runs.video, runs.speedups("focus", over="sec_only"), strict=True):
        found["fig_11", subject, "similarity_speedup"] = gain
    return found


def _model_ratios(runs: _Runs, method: str, column: str) -> dict[str, float]:
    """Return, by model, the geometric mean over datasets relative to that of dense."""
    ratios: dict[str, float] = {}
    for model in dict.fromkeys(subject.split("/")[0] for subject in runs.video):
        subjects = [subject for subject in runs.video if subject.startswith(f"{model}/")]
        ratios[model] = geometric_mean([runs.rows[method][subject][column] for subject in subjects]) / (
            geometric_mean([runs.rows["dense"][subject][column] for subject in subjects])
        )
    return ratios


def _figure_12(runs: _Runs) -> Numbers:
    found: Numbers = {}
    for quantity, column in (("dram", "total_dram_access"), ("activation", "total_activation")):
        for method in ("adaptiv", "cmc", "focus"):
            ratios = _model_ratios(runs, method, column)
            for model, ratio in {**ratios, "mean": geometric_mean(ratios.values())}.items():
                found["fig_12", f"{method} {model}", f"{quantity}_over_dense"] = ratio
    return found


def _table_ii(runs: _Runs) -> Numbers:
    found: Numbers = {}
    for method in ("adaptiv", "cmc", "focus"):
        sparsity = runs.sparsity_percent(method)
        for subject, value in {**sparsity, "mean": fmean(sparsity.values())}.items():
            found["table_ii", subject, f"{method}_sparsity"] = value
    return found


def _table_iv(runs: _Runs, int8: Mapping[str, ResultRow], root: Path) -> Numbers:
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


def _table_v(runs: _Runs) -> Numbers:
    found: Numbers = {}
    for method in ("adaptiv", "focus"):
        gains = runs.speedups(method, "dense", runs.image)
        for subject, gain in zip([*runs.image, "geomean"], [*gains, geometric_mean(gains)], strict=True):
            found["table_v", subject, f"{method}_speedup"] = gain
    return found


def _text(runs: _Runs) -> Numbers:
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
        ("text", "focus over framefusion", "sparsity_gain"): sparsity["focus"]
        - _FRAMEFUSION_SPARSITY_PERCENT,
    }


def _text_of_files(runs: _Runs, results: Results, root: Path) -> Numbers:
    parts = {name: _figure_9c(results["breakdown"])["fig_9c", name, "area_share"] for name in ("sec", "sic")}
    power = {name: results["table_iii"][name]["on_chip_power"] for name in ("focus", "dense")}
    with_dram = sum(row["power"] for row in results["breakdown"].values())
    accuracy = read_accuracies(root)
    focus, dense = accuracy["focus", "fp16"], accuracy["dense", "fp16"]
    video = [pair for pair in focus if "/".join(pair) in runs.video]
    m_tile = results["dse_m_tile"]
    return {
        ("text", "focus over dense", "area_overhead"): sum(parts.values()),
        ("text", "focus over dense", "power_overhead_with_dram"): 100
        * (power["focus"] - power["dense"])
        / with_dram,
        ("text", "focus", "mean_accuracy_loss"): fmean(dense[pair] - focus[pair] for pair in video),
        ("text", "dense", "int8_accuracy_change"): fmean(
            dense[pair] - accuracy["dense", "int8"][pair] for pair in video
        ),
        ("text", "m_tile 1024", "latency_over_full"): 100
        * (m_tile["1024"]["total_cycles"] / m_tile["-1"]["total_cycles"] - 1),
    }
