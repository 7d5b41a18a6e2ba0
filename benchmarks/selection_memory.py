"""Memory and CPU time of choosing among many visual tokens: is a matrix of all pairs ever held?

``python benchmarks/selection_memory.py`` gives each method random float32 operands for 11,648 visual tokens (64 frames
of 182) at the width of a 7B decoder, in a process of its own, and prints by how much the process grew over its operands
while it chose a tenth of the tokens, and the CPU time. A matrix of all pairs would be 518 MiB, a copy of the operands
159 MiB.
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import torch

from focal_algorithm.kernels.framefusion import last_query_attention
from focal_algorithm.kernels.ordering import select_top
from focal_algorithm.methods.cdpruner import CdPruner
from focal_algorithm.methods.dart import Dart
from focal_algorithm.methods.divprune import DivPrune
from focal_algorithm.methods.prumerge import PruMerge

# Source of widths: Qwen/Qwen2-7B config.json.
WIDTH, HEADS, KV_HEADS, HEAD_DIM = 3584, 28, 4, 128
TEXT = 64
SHARE = 0.1


def choices(tokens: int) -> dict[str, Callable[[], Callable[[], Any]]]:
    """Return by method what makes its operands and returns its choice."""
    generator = torch.Generator().manual_seed(0)
    count = round(SHARE * tokens)

    def random(*axes: int) -> torch.Tensor:
        return torch.randn(*axes, generator=generator)

    def one_row() -> Callable[[], Any]:
        query, key = random(HEADS, 1, HEAD_DIM), random(KV_HEADS, tokens + TEXT, HEAD_DIM)
        rows = torch.arange(tokens)
        return lambda: select_top(last_query_attention(query, key, scaling=HEAD_DIM**-0.5, rows=rows), count)

    def dart() -> Callable[[], Any]:
        values, norms = random(tokens + TEXT, WIDTH), random(tokens + TEXT).abs()
        visual, text = torch.arange(tokens), torch.arange(tokens, tokens + TEXT)
        return lambda: Dart(mode="strict").choose(values, norms, visual, text, count)

    def divprune() -> Callable[[], Any]:
        values = random(tokens, WIDTH)
        return lambda: DivPrune(mode="strict").order(values, count)

    def cdpruner() -> Callable[[], Any]:
        values, relevance = random(tokens, WIDTH), random(tokens).abs()
        return lambda: CdPruner(mode="strict").order(values, relevance, count)

    def prumerge() -> Callable[[], Any]:
        values, keys, scores = random(tokens, 1024), random(tokens, 1024), random(tokens).softmax(dim=0)
        return lambda: PruMerge(is_adaptive=False).merge(values, keys, scores, count)

    return {
        "fastv, pyramiddrop": one_row,
        "dart": dart,
        "divprune": divprune,
        "cdpruner": cdpruner,
        "prumerge": prumerge,
    }


def measure(name: str, tokens: int) -> dict[str, float]:
    """Return by how many MiB the process grew while choosing, and its CPU seconds."""
    torch.set_num_threads(1)
    choose = choices(tokens)[name]()
    torch.randn(64, 64) @ torch.randn(64, 64)  # libraries load their buffers
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.process_time()
    with torch.inference_mode():
        choose()
    spent = time.process_time() - start
    return {"mib": (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024, "cpu_s": spent}


def main() -> None:
    """Measure every method in its own process and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--tokens", type=int, default=11_648)
    parser.add_argument("--one", default="", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(options.one, options.tokens)))
        return
    pairs = options.tokens**2 * 4 / 2**20
    print(f"{platform.machine()}, torch {torch.__version__}, 1 thread, fp32, {options.tokens} tokens")
    print(f"a matrix of all pairs: {pairs:.0f} MiB")
    for name in choices(2):
        words = [sys.executable, __file__, "--one", name, "--tokens", str(options.tokens)]
        done = json.loads(subprocess.run(words, capture_output=True, text=True, check=True).stdout)
        print(f"{name:<20} {done['mib']:7.0f} MiB  {done['cpu_s']:7.1f} s", flush=True)


if __name__ == "__main__":
    main()
