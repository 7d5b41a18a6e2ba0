"""The smooth prior behind a calibrated stand-in, and the published row that a candidate would give.

Prior. The share of vectors that stay unique follows, for each recorded GEMM g and layer l,

    share = CEILING * sigmoid(level_g + slope_g * depth(l) + early_g * exp(-l / EARLY_LAYERS))

with depth running from -1 to 1. Three numbers per GEMM: how similar its input is, how that drifts with depth,
and how different the first layers are, in which neighbouring frames have hardly been mixed. The published
scalars fix six combinations of the fifteen; a weak pull towards equal GEMMs and no drift fixes the rest.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from focal_simulator.accelerators.focus.accelerator import Focus
from focal_simulator.workload.workload import Workload
from focal_traces.counts.trace import GemmTotals
from focal_traces.header.schema import GEMMS, QWEN2_7B, slices_per_token
from focal_traces.synthetic.schedule import Schedule, tokens_per_gemm

PRIOR_TERMS = ("level", "slope", "early")
PARAMETERS = len(PRIOR_TERMS) * len(GEMMS)

CEILING = 946 / 971
"""Largest share of unique vectors: the longest published tile over the longest possible one, which is
ceil(11648 / 12) rows (Focus, HPCA 2026, Fig. 13)."""

_EARLY_LAYERS = 3.0
"""Layers over which the similarity of the input embeddings fades; assumed, as the first pruning comes at 2
or 3."""

_LAYERS = QWEN2_7B.layers
_BASIS = np.stack(
    [np.ones(_LAYERS), np.linspace(-1, 1, _LAYERS), np.exp(-np.arange(_LAYERS) / _EARLY_LAYERS)], axis=1
)


@dataclass(frozen=True)
class Row:
    """The scalars of a published row that depend on the counts.

    Attributes:
        macs: num_ops.
        compute_cycles: total_compute_cycles.
        stall_cycles: total_stall_cycles.
        dram_bytes: total_dram_access.
        activation_bytes: total_activation.
        compression_ratio: total_compression_ratio, mean of tokens over unique rows.
    """

    macs: float
    compute_cycles: float
    stall_cycles: float
    dram_bytes: float
    activation_bytes: float
    compression_ratio: float

    def over(self, published: Row) -> NDArray[np.float64]:
        """Return the relative differences from the published row, in the order of the fields."""
        ours, theirs = (np.array(list(vars(row).values()), dtype=np.float64) for row in (self, published))
        return ours / theirs - 1


@dataclass(frozen=True)
class Case:
    """One published row to stand in for.

    Attributes:
        model: Model family.
        dataset: Dataset.
        folder: Trace folder, such as ``focus_main``.
        swept: Value of the swept parameter; empty in the main and INT8 runs.
        visual_tokens: S.
        frames: F.
        patches: P.
        schedule: When tokens are pruned, and how far.
        similarity_threshold: Cosine threshold.
        m_tile: Tokens per m-tile.
        block: Concentration block.
        accelerator: Focus as the published run configured it.
        target: The published row.
        source: Where the row stands.
        scatter_sweep: Focus with other scatter widths on the same counts, and the published stalls of each.
    """

    model: str
    dataset: str
    folder: str
    swept: str
    visual_tokens: int
    frames: int
    patches: int
    schedule: Schedule
    similarity_threshold: float
    m_tile: int
    block: str
    accelerator: Focus
    target: Row
    source: str
    scatter_sweep: tuple[tuple[Focus, float], ...] = ()

    @property
    def tokens(self) -> NDArray[np.int64]:
        """T by (layer, GEMM)."""
        return tokens_per_gemm(self.schedule, _LAYERS, self.visual_tokens)


def shares(parameters: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the share of unique vectors, axes (layers, GEMMS), of parameters in the order term, GEMM."""
    logits = _BASIS @ parameters.reshape(len(PRIOR_TERMS), len(GEMMS))
    result: NDArray[np.float64] = CEILING / (1 + np.exp(-logits))
    return result


def rounded_totals(case: Case, share: NDArray[np.float64], vector_size: int = 32) -> GemmTotals:
    """Return integer counts: unique rows per slice whose running sum over depth follows the real one.

    The published formulas use the unique count rounded down and up. Real counts are hardly ever multiples of
    the slices, so half a slice is added where a vector is similar at all.
    """
    tokens = case.tokens
    slices = np.array([slices_per_token(QWEN2_7B.input_elements(gemm), vector_size) for gemm in GEMMS])
    running = np.floor(np.cumsum(share * tokens, axis=0) + 0.5).astype(np.int64)
    rows = np.clip(np.diff(running, axis=0, prepend=0), 1, tokens)
    vectors = tokens * slices
    unique = np.minimum(rows * slices + slices // 2, vectors)
    return GemmTotals(tokens, vectors, unique, np.broadcast_to(slices, tokens.shape), case.visual_tokens)


def simulated(case: Case, counts: GemmTotals) -> Row:
    """Return the row that the parity formulas give for some counts."""
    table = case.accelerator.layers(_workload(case, counts))
    ratios = table.compression_ratios
    moved = math.fsum(
        float(np.sum(values)) for (level, _, _), values in table.moved_bytes.items() if level == "dram"
    )
    return Row(
        macs=float(table.macs.sum()),
        compute_cycles=float(table.compute_cycles.sum()),
        stall_cycles=float(table.stall_cycles.sum()),
        dram_bytes=moved,
        activation_bytes=float(table.activation_bytes.sum()),
        compression_ratio=float(np.nanmean(ratios)) if ratios is not None else 1.0,
    )


def swept_stalls(case: Case, counts: GemmTotals) -> list[float]:
    """Return the relative differences of the stalls from those of the published scatter sweep."""
    workload = _workload(case, counts)
    return [
        float(accelerator.layers(workload).stall_cycles.sum()) / published - 1
        for accelerator, published in case.scatter_sweep
    ]


def _workload(case: Case, counts: GemmTotals) -> Workload:
    return Workload(case.model, case.dataset, case.visual_tokens, case.frames, case.patches, counts=counts)
