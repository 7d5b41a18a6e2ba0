"""Throughput and extra memory of similarity concentration against a version that materialises all candidates.

``python benchmarks/similarity_concentration.py`` prints, for one GEMM input of LLaVA-Video size (64 frames of
13 x 14 tokens, 3584 wide, fp32), vectors per second and the peak memory beyond the input. Each version runs
in a process of its own, so neither sees the other's pages; both must give the same masks and values.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import sys
import time
from pathlib import Path

import torch
from torch import Tensor

from focal_algorithm.kernels.similarity import concentrate
from focal_algorithm.kernels.vectors import tile_of_tokens
from focal_traces import TokenGrid

ROWS, COLUMNS = 13, 14
BLOCK = (2, 2, 2)
M_TILE = 1024
THRESHOLD = 0.9


def grid_of(frames: int) -> TokenGrid:
    """Return the token layout of LLaVA-Video: 13 rows of 13 patches and a newline."""
    return TokenGrid(
        frames=frames,
        rows=ROWS,
        columns=COLUMNS,
        frame_stride=ROWS * COLUMNS,
        row_stride=COLUMNS,
        column_stride=1,
    )


def synthetic_video(frames: int, width: int, keep: float, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Return seeded rows that change slowly from frame to frame, and their positions.

    Every vector of 32 elements drifts at a pace of its own, so about half of them exceed the threshold.
    """
    generator = torch.Generator().manual_seed(0)
    tokens = ROWS * COLUMNS
    x = torch.empty(frames * tokens, width, dtype=dtype)
    frame = torch.randn(tokens, width, generator=generator)
    for index in range(frames):
        pace = torch.rand(tokens, width // 32, generator=generator).repeat_interleave(32, 1)
        frame += (torch.randn(tokens, width, generator=generator) - 0.5 * frame) * pace
        x[index * tokens : (index + 1) * tokens] = frame
    count = int(len(x) * keep)
    if count == len(x):
        return x, torch.arange(count)
    positions = torch.randperm(len(x), generator=generator)[:count].sort()[0]
    return x[positions].contiguous(), positions


def materialising(
    x: Tensor, positions: Tensor, grid: TokenGrid, visual_tokens: int, vector_size: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Do the same in the straightforward way: scatter to all tokens, one tensor of all shifted copies.

    Returns:
        Zero mask and similar mask (visual tokens, slices), values (rows, width).
    """
    full = torch.zeros(visual_tokens, x.shape[1], dtype=x.dtype)
    full[positions] = x
    vectors = full.view(visual_tokens, -1, vector_size)
    slices = vectors.shape[1]
    offsets = [
        f * grid.frame_stride + i * grid.row_stride + k * grid.column_stride
        for f in range(BLOCK[0])
        for i in range(BLOCK[1])
        for k in range(BLOCK[2])
    ]
    is_zero = vectors.abs().sum(-1) == 0
    tile = tile_of_tokens(is_zero.all(1), M_TILE)
    candidates = torch.zeros(len(offsets), *vectors.shape, dtype=torch.float32)
    for place, offset in enumerate(offsets[1:], start=1):
        is_same_tile = tile[offset:] == tile[:-offset]
        candidates[place, offset:] = vectors[:-offset] * is_same_tile[:, None, None]
    scale = vectors.norm(dim=-1).to(torch.float32) * candidates.norm(dim=-1)
    similarity = (vectors.to(torch.float32) * candidates).sum(-1) / scale
    best, winner = similarity.masked_fill_(scale == 0, 0.0).max(0)
    is_similar = best > torch.tensor(THRESHOLD, dtype=torch.float32)
    token = torch.arange(visual_tokens)[:, None].expand(-1, slices)
    pointer = torch.where(is_similar, token - torch.tensor(offsets)[winner], token)
    for _ in range(grid.frames):
        pointer = pointer.gather(0, pointer)
    group = (pointer * slices + torch.arange(slices)).flatten()
    sums = torch.zeros(len(group), vector_size).index_add_(0, group, vectors.reshape(-1, vector_size).float())
    counts = torch.zeros(len(group)).index_add_(0, group, torch.ones(len(group)))
    means = (sums / counts[:, None].clamp_min(1))[group].to(x.dtype)
    return is_zero, is_similar, means.view(visual_tokens, -1)[positions]


def memory_bytes(field: str) -> int:
    """Return ``VmRSS`` (now) or ``VmHWM`` (peak) of this process. Linux only."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(field)).split()[1]) * 1024


def forget_peak() -> None:
    """Make the kernel count the peak from now on, so that building the input does not enter it."""
    Path("/proc/self/clear_refs").write_text("5")


def measure(arguments: argparse.Namespace) -> dict[str, float | str]:
    """Run one version in this process and return seconds, extra bytes and digests."""
    torch.set_num_threads(arguments.threads)
    grid = grid_of(arguments.frames)
    visual_tokens = arguments.frames * ROWS * COLUMNS
    dtype = getattr(torch, arguments.dtype)
    x, positions = synthetic_video(arguments.frames, arguments.width, arguments.keep, dtype)

    def run() -> tuple[Tensor, Tensor, Tensor]:
        if arguments.version == "materialising":
            full = materialising(x, positions, grid, visual_tokens, arguments.vector_size)
            return full[0][positions], full[1][positions], full[2]
        found = concentrate(
            x,
            positions,
            grid=grid,
            visual_tokens=visual_tokens,
            vector_size=arguments.vector_size,
            m_tile=M_TILE,
            block=BLOCK,
            threshold=THRESHOLD,
        )
        return found.is_zero, found.is_similar, found.values

    forget_peak()
    before = memory_bytes("VmRSS")
    seconds = []
    for _ in range(arguments.repeat):
        is_zero = is_similar = values = torch.empty(0)  # frees the results of the run before
        start = time.perf_counter()
        is_zero, is_similar, values = run()
        seconds.append(time.perf_counter() - start)
    extra = memory_bytes("VmHWM") - before
    return {
        "seconds": min(seconds),
        "extra_bytes": extra,
        "similar_share": float(is_similar.sum() / (~is_zero).sum()),
        "masks": hashlib.sha256(is_zero.numpy().tobytes() + is_similar.numpy().tobytes()).hexdigest(),
        # Sums are taken in another order, so values agree to rounding: compare them coarsely.
        "values": f"{float(values.double().abs().mean()):.6g}",
    }


def main() -> int:
    """Print the comparison; exit code 1 if the two versions disagree."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=64)
    parser.add_argument("--width", type=int, default=3584)
    parser.add_argument("--vector-size", type=int, default=32)
    parser.add_argument("--keep", type=float, default=1.0, help="share of visual tokens retained")
    parser.add_argument("--dtype", default="float32", choices=["float32", "float16", "bfloat16"])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--version", choices=["materialising", "focal"], help="measure one, print JSON")
    arguments = parser.parse_args()
    if arguments.version:
        print(json.dumps(measure(arguments)))
        return 0
    results = {}
    for version in ("materialising", "focal"):
        command = [sys.executable, str(Path(__file__)), *sys.argv[1:], "--version", version]
        finished = subprocess.run(command, check=True, capture_output=True, text=True)
        results[version] = json.loads(finished.stdout)
    tokens = arguments.frames * ROWS * COLUMNS
    vectors = tokens * arguments.width // arguments.vector_size
    print(f"S={tokens} D={arguments.width} v={arguments.vector_size} {arguments.dtype} keep={arguments.keep}")
    for version, result in results.items():
        print(
            f"{version:14s} {result['seconds']:8.3f} s  {vectors / result['seconds'] / 1e6:8.2f} M vectors/s"
            f"  extra memory {result['extra_bytes'] / 2**20:8.1f} MiB"
        )
    old, new = results["materialising"], results["focal"]
    is_equal = old["masks"] == new["masks"] and old["values"] == new["values"]
    speed, memory = old["seconds"] / new["seconds"], old["extra_bytes"] / new["extra_bytes"]
    print(f"speed x{speed:.1f}, memory x{memory:.1f}, similar {new['similar_share']:.1%} of live vectors")
    print("results equal" if is_equal else "RESULTS DIFFER")
    return 0 if is_equal else 1


if __name__ == "__main__":
    sys.exit(main())
