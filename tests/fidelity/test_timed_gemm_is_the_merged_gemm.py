"""Is what the engine times the GEMM it claims: gather, multiply unique vectors, scatter, accumulate?"""

from __future__ import annotations

import numpy as np
import torch

from focal_algorithm.kernels.similarity import concentrate
from focal_simulator.accelerators.presets import build_accelerator
from focal_simulator.engine.cycle.packed import GroupCounts, batched_jobs
from focal_simulator.jobs.context import CycleContext, memory_rates
from focal_simulator.jobs.jobs import GemmJob
from focal_simulator.jobs.systolic import SystolicUnits, systolic_machine
from focal_traces import TokenGrid
from focal_traces.counts.tiles import count_tiles

VECTOR, TILE, OUTPUTS = 32, 64, 80
GRID = TokenGrid(frames=4, rows=5, columns=8, frame_stride=40, row_stride=8, column_stride=1)
TOKENS = 160


def merged_input() -> torch.Tensor:
    random = torch.Generator().manual_seed(3)
    frame = torch.randn(40, 128, generator=random, dtype=torch.float64)
    noise = 0.4 * torch.randn(4, 40, 128, generator=random, dtype=torch.float64)
    return (frame + noise).reshape(TOKENS, 128)


def test_gather_multiply_scatter_equals_the_gemm_on_merged_activations() -> None:
    found = concentrate(
        merged_input(),
        torch.arange(TOKENS),
        grid=GRID,
        visual_tokens=TOKENS,
        vector_size=VECTOR,
        m_tile=TILE,
        block=(2, 2, 2),
        threshold=0.85,
    )
    weights = torch.randn(128, OUTPUTS, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    expected = found.values @ weights
    tiles = count_tiles(found.is_zero.numpy(), found.is_similar.numpy(), TILE)
    output = torch.zeros(TOKENS, OUTPUTS, dtype=torch.float64)
    streamed = 0
    for tile, start in enumerate(range(0, TOKENS, TILE)):
        rows = torch.arange(start, min(start + TILE, TOKENS))
        for place in range(128 // VECTOR):
            part = slice(place * VECTOR, (place + 1) * VECTOR)
            kept = rows[~found.is_similar[rows, place]]
            assert len(kept) == tiles.unique[tile, place]
            compact = {int(token): index for index, token in enumerate(kept)}
            similarity_map = [compact[int(found.representative[row, place])] for row in rows]
            output[rows] += (found.values[kept, part] @ weights[part])[similarity_map]
            streamed += len(kept)
    assert 0 < streamed < TOKENS * 4
    torch.testing.assert_close(output, expected)
    hardware = build_accelerator("focus").hardware
    rates = memory_rates(hardware.dram_system, hardware.clock.value)
    machine = systolic_machine(hardware, CycleContext(rates, frozenset()))._replace(scatter_rows_per_cycle=2)
    lengths = tiles.rows.astype(np.int32)
    job = GemmJob(0, "q_proj", "gemm", machine, lengths, tiles.unique, lengths, OUTPUTS, 0, 0, 0)
    counts = GroupCounts(batched_jobs([job]).groups[0], SystolicUnits(machine))
    # Each unique vector enters the array once per array column of outputs: the multiplications done above.
    assert counts.total_causes[0] == streamed * -(-OUTPUTS // 32) == counts.shape.streamed_rows[0]
