"""Memory and CPU time of choosing among many visual tokens: is a matrix of all pairs ever held?

``python benchmarks/selection_memory.py`` gives each method random float32 operands for 11,648 visual tokens (64 frames
of 182) at the width of a 7B decoder, in a process of its own, and prints by how much the process grew over its operands
while it chose a tenth of the tokens (HoliTom's stage inside the decoder: half of them), and the CPU time. A matrix of
all pairs would be 518 MiB, a copy of the operands 159 MiB. Linux only.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from focal_algorithm.kernels.dycoke import merged_frames
from focal_algorithm.kernels.evs import frame_differences
from focal_algorithm.kernels.fastvid import frame_likeness, merge_video
from focal_algorithm.kernels.framefusion import last_query_attention
from focal_algorithm.kernels.holitom import merge_unattended, merge_windows, place_likeness, static_windows
from focal_algorithm.kernels.ordering import select_top
from focal_algorithm.methods.cdpruner import CdPruner
from focal_algorithm.methods.dart import Dart
from focal_algorithm.methods.divprune import DivPrune
from focal_algorithm.methods.fastvid import FastVid
from focal_algorithm.methods.holitom import HoliTom
from focal_algorithm.methods.prumerge import PruMerge

# Source of widths: Qwen/Qwen2-7B config.json.
WIDTH, HEADS, KV_HEADS, HEAD_DIM = 3584, 28, 4, 128
TEXT, FRAMES = 64, 64
SHARE = 0.1


def random(*axes: int) -> torch.Tensor:
    """Return operands, the same in every process."""
    return torch.randn(*axes, generator=torch.Generator().manual_seed(sum(axes)))


def choices(tokens: int) -> dict[str, Callable[[], Callable[[], Any]]]:
    """Return by method for pictures what makes its operands and returns its choice."""
    count = round(SHARE * tokens)

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


def video_choices(tokens: int) -> dict[str, Callable[[], Callable[[], Any]]]:
    """Return the same by method for videos; half of the places stand nearly still, which HoliTom merges over time."""
    each = tokens // FRAMES

    def frames() -> torch.Tensor:
        values = random(FRAMES, each, WIDTH)
        values[1:, : each // 2] = values[:1, : each // 2] + 0.1 * values[1:, : each // 2]
        return values

    def evs() -> Callable[[], Any]:
        values, count = frames(), round(SHARE * tokens)
        return lambda: select_top(frame_differences(values).flatten(), count)

    def dycoke() -> Callable[[], Any]:
        values = frames()
        return lambda: merged_frames(values, 1 - SHARE)

    def fastvid() -> Callable[[], Any]:
        values, saliency, rule = frames(), random(FRAMES, each), FastVid(retain_ratio=SHARE).rule
        return lambda: merge_video(
            values, saliency, frame_likeness(values.mean(dim=1)), [FRAMES // 4] * 4, rule
        )

    def holitom() -> Callable[[], Any]:
        values, saliency, rule = frames(), random(FRAMES, each), HoliTom().rule(SHARE)

        def choose() -> Any:
            likeness = place_likeness(values)
            return merge_windows(values, saliency, likeness, 0.8, static_windows(likeness, 0.8, FRAMES), rule)

        return choose

    def inside() -> Callable[[], Any]:
        values, attention = random(tokens, WIDTH), random(tokens)
        return lambda: merge_unattended(values, attention, tokens // 2)

    return {
        "evs": evs,
        "dycoke": dycoke,
        "fastvid": fastvid,
        "holitom": holitom,
        "holitom, inside": inside,
    }


def measure(name: str, tokens: int) -> dict[str, float]:
    """Return by how many MiB the process grew while choosing, and its CPU seconds."""
    torch.set_num_threads(1)
    choose = {**choices(tokens), **video_choices(tokens)}[name]()
    torch.randn(64, 64) @ torch.randn(64, 64)  # libraries load their buffers
    Path("/proc/self/clear_refs").write_text("5")  # forgets the peak of making the operands
    before = _status_mib("VmRSS")
    start = time.process_time()
    with torch.inference_mode():
        choose()
    spent = time.process_time() - start
    return {"mib": _status_mib("VmHWM") - before, "cpu_s": spent}


def _status_mib(name: str) -> float:
    """Return a line of Linux's account of this process."""
    lines = Path("/proc/self/status").read_text().splitlines()
    (found,) = (line.split()[1] for line in lines if line.startswith(f"{name}:"))
    return int(found) / 1024


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
    for name in (*choices(FRAMES), *video_choices(FRAMES)):
        words = [sys.executable, __file__, "--one", name, "--tokens", str(options.tokens)]
        done = json.loads(subprocess.run(words, capture_output=True, text=True, check=True).stdout)
        print(f"{name:<20} {done['mib']:7.0f} MiB  {done['cpu_s']:7.1f} s", flush=True)


if __name__ == "__main__":
    main()
