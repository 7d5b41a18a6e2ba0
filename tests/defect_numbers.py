"""The numbers in the sentences of ``focal/studies/published/defects.yaml``, computed from the published experiments."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from defect_models import DefectModels
from focal_evaluation.claims.claims import read_claims
from focal_evaluation.claims.published import read_gpu_runs
from focal_evaluation.claims.result_rows import PublishedRows
from focal_simulator.results.tile_lengths import lengths_of_file
from focal_traces.root.root import TraceRoot

__all__ = ["defect_numbers"]

_PUBLISHED_OVERHEAD, _FOLD_OVERHEAD, _SCATTER_CYCLES = 32, 93, 512


def defect_numbers(results: PublishedRows, root: Path) -> dict[str, float]:
    """Return the numbers that the sentences of ``defects.yaml`` name; shares are in percent.

    Args:
        results: Rows of all published experiments.
        root: Trace root with the published tables, claims and stand-ins.
    """
    models = DefectModels(root)
    numbers = _of_runs(models, results, root)
    for stem, (low, high) in {
        "d1_traffic": models.sec_only_dram_gap(),
        "d4_stalls": models.attention_stall_share("focus_sec_only"),
        "d18_dense": models.utilisation("dense"),
        "d18_focus": models.utilisation("focus"),
        "d21_softmax": models.softmax_share(),
        "d22_maps": models.map_share(),
        "d26_excess": models.causal_excess(),
    }.items():
        numbers |= {f"{stem}_min": 100 * low, f"{stem}_max": 100 * high}
    slowest, fastest = models.motion_search_cost()
    numbers |= {"d9_search_min": 100 * (slowest - 1), "d9_search_max": 100 * (fastest - 1)}
    least, most = models.adaptiv_attention_gain()
    numbers |= {"d10_gain_min": 100 * (1 - most), "d10_gain_max": 100 * (1 - least)}
    for name in ("dense", "adaptiv", "cmc", "focus"):
        numbers[f"d2_{name}"] = models.bandwidth_slowdown(name)
    numbers["d5_leakage_mw"], numbers["d5_charged_mw"] = models.leakage_and_charged_mw()
    numbers["d7_tile_cost"] = 100 * (models.sec_only_tile_cost() - 1)
    area, overhead, energy = models.dense_without_concentration()
    numbers |= {
        "d8_dense_mm2": area,
        "d8_energy_saved": 100 * (1 - energy),
        "d8_focus_larger": 100 * (overhead - 1),
    }
    numbers["d19_port"], numbers["d19_port_max"] = models.weight_port_slowdown()
    moved, once = models.dense_traffic()
    numbers |= {"d20_moved_tb": moved / 1e12, "d20_once_gb": once / 1e9}
    weights, numbers["d21_decode_seconds"] = models.decode_step()
    numbers["d21_decode_gb"] = weights / 1e9
    numbers["d23_adaptiv_mw"], numbers["d23_focus_mw"] = models.core_powers_mw()
    return numbers


def _of_runs(models: DefectModels, results: PublishedRows, root: Path) -> dict[str, float]:
    """Return what result rows, traces and published GPU runs say."""
    published = {claim.key: claim.value for claim in read_claims(root)}
    traces = TraceRoot.open(root)
    lengths = np.concatenate(
        [
            lengths_of_file(traces.trace_path(workload.model, workload.dataset)).lengths
            for workload in models.videos
            if workload.model == "llava_vid"
        ]
    )
    short = _SCATTER_CYCLES - _FOLD_OVERHEAD - lengths
    focus = results["main_focus"]["llava_vid/videomme"]
    dense = results["main_dense"]["llava_vid/videomme"]
    cacti, vector = results["dse_scatter"]["2"], results["dse_vector"]["32"]
    gpu = read_gpu_runs(root)
    fusion = [run.seconds / gpu["gpu"][pair].seconds for pair, run in gpu["gpu_framefusion"].items()]
    watts = [run.energy_mj / 1000 / run.seconds for run in gpu["gpu"].values()]
    block = published["dse_block", "2x2x2", "total_cycles"]
    main = published["main_focus", "llava_vid/videomme", "total_cycles"]
    return {
        "d3_short_tiles": 100 * float((short > 0).mean()),
        "d3_lost_cycles": float(short.clip(min=0).mean()),
        "d6_compiler_mj": focus["sram_energy"],
        "d6_cacti_mj": cacti["sram_energy"],
        "d6_ratio": cacti["sram_energy"] / focus["sram_energy"],
        "d11_sram_share": 100 * vector["sram_energy"] / vector["total_energy"],
        "d12_gap": 100 * (block / main - 1),
        "d17_published": float((lengths / (lengths + _PUBLISHED_OVERHEAD)).mean()),
        "d17_corrected": float((lengths / (lengths + _FOLD_OVERHEAD)).mean()),
        "d18_speedup": dense["execution_time"] / focus["execution_time"],
        "d18_macs_ratio": focus["dense_ops"] / focus["num_ops"],
        "d24_time_min": min(fusion),
        "d24_time_max": max(fusion),
        "d24_watts_min": min(watts),
        "d24_watts_max": max(watts),
    }
