"""How many tile steps (folds) a second the cycle kernel times, where n-buffer tiles repeat and where none does.

One linear layer of Qwen2-7B (gate_proj, 11,648 tokens in 12 m-tiles) with random unique counts (synthetic).
"""

from __future__ import annotations

import platform
import time

import numba
import numpy as np
from numpy.typing import NDArray

from focal_simulator.kernels.pipeline import CAUSES, Pipeline
from focal_simulator.kernels.steady import PackedGemms, packed_cycles

MACHINE = Pipeline(
    slice_elements=32,
    array_columns=32,
    skew_cycles=61,
    output_latency_cycles=0,
    scatter_latency_cycles=0,
    row_lanes=1,
    cycles_per_pass=1,
    columns_per_buffer=3,
    weight_load_cycles=32,
    key_load_cycles=32,
    weight_lead_cycles=32,
    is_weight_double_buffered=1,
    is_weight_wavefront=0,
    scatter_rows_per_cycle=2,
    concentrate_reads_per_cycle=0,
    accumulate_cycles=1,
    gather_cycles_per_row=8,
    mean_cycles_per_vector=1,
    input_bits=16,
    weight_bits=16,
    output_bits=16,
    sum_bits=16,
    score_bits=16,
    map_read_bytes=0,
    map_write_bytes=0,
    read_cycles_numerator=1,
    write_cycles_numerator=1,
    cycles_denominator=34,
)


def packed(rows: NDArray[np.int64], unique: NDArray[np.int64], outputs: int) -> PackedGemms:
    """Return one GEMM; axes (m_tiles) and (m_tiles, slices), no slice is 0."""
    return PackedGemms(
        first=np.array([0, len(rows)]),
        is_independent=np.array([0]),
        rows=rows,
        output_rows=rows,
        outputs=np.full(len(rows), outputs),
        copies=np.ones(len(rows), dtype=np.int64),
        unique=unique.ravel(),
        offsets=np.arange(len(rows) + 1) * unique.shape[1],
    )


def main() -> None:
    random = np.random.default_rng(0)
    tiles, slices, outputs = 12, 112, 18944
    rows = np.full(tiles, 1024)
    unique = random.integers(10, 946, (tiles, slices))
    print(f"{platform.processor() or platform.machine()}, Python {platform.python_version()}, ", end="")
    print(f"numba {numba.__version__}, numpy {np.__version__}, one thread; measured")
    start = time.perf_counter()
    packed_cycles(MACHINE, packed(rows[:1], unique[:1], 96))
    print(f"first call (compile, or load from the cache): {time.perf_counter() - start:.2f} s")
    # With one n-buffer tile for each m-tile nothing can repeat.
    narrow = MACHINE.array_columns * MACHINE.columns_per_buffer
    for name, width in (("repeating tiles", outputs), ("no repetition", narrow)):
        gemm, best = packed(rows, unique, width), float("inf")
        for _ in range(5):
            start = time.perf_counter()
            causes = packed_cycles(MACHINE, gemm)[0]
            best = min(best, time.perf_counter() - start)
        folds, total = tiles * slices * width // 32, int(causes.sum())
        shares = ", ".join(f"{name} {value / total:.1%}" for name, value in zip(CAUSES, causes, strict=True))
        print(
            f"{name:>15}: {best * 1e3:8.3f} ms, {folds / best:.3g} folds/s; {total} cycles simulated: {shares}"
        )


if __name__ == "__main__":
    main()
