"""A workload that every accelerator accepts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from focal_simulator.workload.workload import Workload
from focal_traces.header.schema import QWEN2_7B, DecoderGeometry
from focal_traces.methods.cmc import CmcSparsity
from focal_traces.methods.focus import ScheduleRow
from focal_traces.synthetic.schedule import Schedule


def small_workload(
    tokens: int = 600, frames: int = 4, similarity: float = 0.5, geometry: DecoderGeometry = QWEN2_7B
) -> Workload:
    """Return a prefill with a schedule, vector counts and the sparsities of the published baselines.

    Args:
        tokens: Visual tokens, a multiple of ``frames``.
        frames: Of the video.
        similarity: Share of the vectors that stand for others.
        geometry: Of the decoder, ten layers or more; Qwen2-7B by default.
    """
    schedule = Schedule(layers=(2, 9), alphas=(0.5, 0.25))
    workload = Workload(
        model="small",
        dataset="made",
        visual_tokens=tokens,
        frames=frames,
        patches=tokens // frames,
        geometry=geometry,
        tables={
            "schedules.csv": ScheduleRow(schedule, 0.9),
            "adaptiv_sparsity.csv": 0.4,
            "cmc_sparsity.csv": CmcSparsity(linear=0.5, query=0.6, attention_score=0.3),
        },
        origin="synthetic",
        table_origin="synthetic",
    ).with_schedule_counts(schedule)
    counts = workload.counts
    assert counts is not None
    unique = np.maximum(counts.unique - (counts.unique * similarity).astype(np.int64), counts.slices)
    return replace(workload, counts=replace(counts, unique=unique))
