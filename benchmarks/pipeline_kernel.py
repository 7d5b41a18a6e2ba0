"""How many tile steps (folds) a second the cycle kernel times, shortened and un-shortened.

One linear layer of Qwen2-7B (gate_proj, 11,648 tokens in 12 m-tiles) with random unique counts (synthetic).
"""

from __future__ import annotations

import platform
import time

import numba
import numpy as np

from focal_simulator.kernels.pipeline import CAUSES, Pipeline, gemm_cycles

MACHINE = Pipeline(
    slice_elements=32,
    array_columns=32,
    skew_cycles=61,
    row_lanes=1,
    cycles_per_pass=1,
    columns_per_buffer=3,
    weight_load_cycles=32,
    is_weight_double_buffered=1,
    scatter_rows_per_cycle=2,
    gather_cycles_per_row=8,
    element_bytes=2,
    map_read_bytes=0,
    map_write_bytes=0,
    read_cycles_numerator=1,
    write_cycles_numerator=1,
    cycles_denominator=34,
)


def main() -> None:
    random = np.random.default_rng(0)
    tiles, slices, outputs = 12, 112, 18944
    rows = np.full(tiles, 1024, dtype=np.int32)
    unique = random.integers(10, 946, (tiles, slices)).astype(np.int32)
    folds = tiles * slices * outputs // 32
    print(f"{platform.processor() or platform.machine()}, Python {platform.python_version()}, ", end="")
    print(f"numba {numba.__version__}, numpy {np.__version__}, one thread; measured")
    start = time.perf_counter()
    gemm_cycles(MACHINE, rows[:1], unique[:1], rows[:1], 96, True)
    print(f"first call (compile, or load from the cache): {time.perf_counter() - start:.2f} s")
    rates = {}
    for is_shortened in (False, True):
        best = float("inf")
        for _ in range(5):
            start = time.perf_counter()
            causes, stepped = gemm_cycles(MACHINE, rows, unique, rows, outputs, is_shortened)
            best = min(best, time.perf_counter() - start)
        rates[is_shortened] = folds / best
        name = "shortened" if is_shortened else "un-shortened"
        print(f"{name:>13}: {best * 1e3:8.3f} ms, {folds / best:.3g} folds/s, {stepped} n-tiles stepped")
    total = int(causes.sum())
    shares = ", ".join(f"{name} {value / total:.1%}" for name, value in zip(CAUSES, causes, strict=True))
    print(f"ratio {rates[True] / rates[False]:.1f}x; {total} cycles simulated: {shares}")


if __name__ == "__main__":
    main()
