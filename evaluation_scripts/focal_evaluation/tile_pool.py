"""Statistics of unique vectors per tile, pooled over workloads (Focus, HPCA 2026, Figure 13)."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from focal_evaluation.claims import Key
from focal_simulator.tile_lengths import TileLengths, lengths_of_file
from focal_traces.root import TraceRoot

__all__ = ["pooled_lengths", "tile_numbers"]

_MODEL, _DATASETS = "llava_vid", ("videomme", "mlvu", "mvbench")


def pooled_lengths(root: Path) -> TileLengths:
    """Return the pool of the three published workloads.

    Raises:
        TraceError: A trace is absent or unreadable.
    """
    traces = TraceRoot.open(root)
    parts = [lengths_of_file(traces.trace_path(_MODEL, dataset)).lengths for dataset in _DATASETS]
    return TileLengths(np.concatenate(parts))


def tile_numbers(root: Path) -> dict[Key, float]:
    """Return the pooled statistics as numbers of ours."""
    pool = pooled_lengths(root)
    lengths = pool.lengths
    subject = f"{_MODEL}, {len(_DATASETS)} datasets"
    return {
        ("fig_13", subject, "mean"): float(lengths.mean()),
        ("fig_13", subject, "standard_deviation"): float(lengths.std()),
        ("fig_13", subject, "minimum"): float(lengths.min()),
        ("fig_13", subject, "maximum"): float(lengths.max()),
        ("fig_13", subject, "utilisation"): pool.utilisation(),
    }
