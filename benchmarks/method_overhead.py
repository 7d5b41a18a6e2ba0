"""CPU time and peak memory of a prefill with each method over the untouched model, at layer shapes of a 7B decoder.

``python benchmarks/method_overhead.py`` runs a few decoder layers of Qwen2-7B width with random weights behind the
small vision tower of LLaVA-OneVision, once per method in a process of its own, and prints the ratio to the
untouched forward. The last layer of CMC keeps its fused attention, so few layers flatter it; ``--layers`` says
how many there are. ``focus_unpruned`` keeps all tokens, so it shows what similarity concentration itself costs; the
others use their defaults moved to the depth, which drops most tokens of a shallow decoder early.

``--before FOLDER`` compares with another checkout of Focal instead (``git worktree add FOLDER COMMIT``): prefill and
decode of a tiny model, where hooks weigh most, in processes that take turns. It prints the ratio of the medians, this
checkout over the other, with a 95 % bootstrap interval over rounds. The other checkout must know ``--steps``, too.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import LlavaOnevisionForConditionalGeneration

from focal_algorithm.checkpoints.loading import LoadedModel, load_model
from focal_algorithm.hooks import attach
from focal_algorithm.hooks.recorder import Recorder
from focal_algorithm.methods.build import build_method
from focal_algorithm.prompts.media.media import photograph_clip
from focal_algorithm.tracing.prompting import build_prompt

# Qwen/Qwen2-7B config.json
WIDTHS = {
    "hidden_size": 3584,
    "intermediate_size": 18944,
    "num_attention_heads": 28,
    "num_key_value_heads": 4,
}


VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "focus_unpruned": ("focus", {"selected_layers": (), "alpha_list": ()})
}
"""Methods with other parameters than their defaults."""


def wide_model(layers: int) -> LoadedModel:
    """Return LLaVA-OneVision with the small tower and some wide decoder layers."""
    small = load_model(
        "llava_onevision",
        size="small",
        seed=0,
        dtype="fp32",
        attention="sdpa",
        device="cpu",
        is_offline=True,
    )
    config = small.model.config
    config.text_config.update(
        {**WIDTHS, "num_hidden_layers": layers, "layer_types": ["full_attention"] * layers}
    )
    torch.manual_seed(0)
    model = LlavaOnevisionForConditionalGeneration(config).eval()
    return LoadedModel(model, small.adapter, small.tokenizer, "random:0")


def measure(name: str, layers: int, frames: int) -> dict[str, float]:
    """Return CPU seconds of one prefill and the peak memory; ``name+trace`` records counts and masks, too."""
    name, plus, _ = name.partition("+")
    is_recorded = bool(plus)
    torch.set_num_threads(1)
    loaded = wide_model(layers)
    prompt = build_prompt(loaded, photograph_clip(0, frames, 378, 0), "What happens?")
    geometry = loaded.geometry
    start = time.process_time()
    with torch.inference_mode():
        if name == "untouched":
            loaded.model(**prompt.inputs, logits_to_keep=1)
        else:
            registered, changed = VARIANTS.get(name, (name, {}))
            fitted = build_method(registered, {}).study.fitted(geometry)
            method = build_method(registered, {**fitted, **changed})
            recorder = Recorder(geometry, method, True) if is_recorded else None
            with attach(loaded.model, loaded.adapter, method, recorder, layouts=[prompt.layout]):
                loaded.model(**prompt.inputs, logits_to_keep=1)
    peak_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"cpu_s": time.process_time() - start, "peak_gib": peak_kib / 2**20}


def measure_steps(name: str, repeats: int = 25, new_tokens: int = 16) -> dict[str, float]:
    """Return the median CPU milliseconds of a prefill and of a decode step of a tiny model under a method."""
    torch.set_num_threads(1)
    loaded = load_model(
        "llava_onevision", size="tiny", seed=0, dtype="fp32", attention="sdpa", device="cpu", is_offline=True
    )
    prompt = build_prompt(loaded, photograph_clip(0, 4, 70, 0), "What happens?")
    method = build_method(name, build_method(name, {}).study.fitted(loaded.geometry))
    prefill, decode = [], []

    def spent(tokens: int) -> float:
        started = time.process_time()
        loaded.model.generate(**prompt.inputs, max_new_tokens=tokens, min_new_tokens=tokens, do_sample=False)
        return (time.process_time() - started) * 1e3

    with torch.inference_mode(), attach(loaded.model, loaded.adapter, method, layouts=[prompt.layout]):
        for repeat in range(repeats + 3):
            first, all_steps = spent(1), spent(1 + new_tokens)
            if repeat >= 3:  # after the first ones, allocators and caches are warm
                prefill.append(first)
                decode.append((all_steps - first) / new_tokens)
    return {"prefill": statistics.median(prefill), "decode": statistics.median(decode)}


def compare(before: Path, methods: list[str], rounds: int) -> None:
    """Print, for each method, this checkout's time over that of another."""
    trees = {"before": before.resolve(), "after": Path(__file__).resolve().parents[1]}
    rooms = (".", "common", "traces", "algorithm", "simulator", "evaluation_scripts")
    rng = np.random.default_rng(0)
    for name in methods:
        found: dict[str, list[dict[str, float]]] = {"before": [], "after": []}
        for number in range(rounds):
            for which in ("before", "after") if number % 2 else ("after", "before"):
                path = os.pathsep.join(str(trees[which] / room) for room in rooms)
                # Modules move between versions, so that each checkout runs its own script.
                script = str(trees[which] / "benchmarks" / "method_overhead.py")
                words = [sys.executable, script, "--one", name, "--steps"]
                done = subprocess.run(
                    words, capture_output=True, text=True, check=True, env=os.environ | {"PYTHONPATH": path}
                )
                found[which].append(json.loads(done.stdout.splitlines()[-1]))
        for part in ("prefill", "decode"):
            old, new = (np.array([one[part] for one in found[which]]) for which in ("before", "after"))
            drawn = rng.integers(rounds, size=(10_000, rounds))
            ratios = np.median(new[drawn], axis=1) / np.median(old[drawn], axis=1)
            low, high = np.quantile(ratios, (0.025, 0.975))
            print(
                f"{name:<14} {part:<8} {np.median(old):7.2f} -> {np.median(new):7.2f} ms  "
                f"{np.median(new) / np.median(old):.3f} [{low:.3f}, {high:.3f}]",
                flush=True,
            )


def main() -> None:
    """Measure every method in its own process and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--layers", type=int, default=3)
    parser.add_argument("--frames", type=int, default=8)
    parser.add_argument("--methods", default="untouched,cmc,adaptiv,framefusion,focus,focus_unpruned")
    parser.add_argument("--before", type=Path, help="root of another checkout to compare with")
    parser.add_argument("--rounds", type=int, default=15, help="processes of each checkout and method")
    parser.add_argument("--one", default="", help=argparse.SUPPRESS)
    parser.add_argument("--steps", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one and options.steps:
        print(json.dumps(measure_steps(options.one)))
        return
    if options.before is not None:
        compare(
            options.before, [one for one in options.methods.split(",") if one != "untouched"], options.rounds
        )
        return
    if options.one:
        print(json.dumps(measure(options.one, options.layers, options.frames)))
        return
    print(f"{platform.machine()}, torch {torch.__version__}, 1 thread, fp32")
    print(f"{options.layers} layers of Qwen2-7B width, {options.frames} frames of 196 tokens")
    reference = 0.0
    for name in options.methods.split(","):
        words = [sys.executable, __file__, "--one", name, "--layers", str(options.layers)]
        done = subprocess.run(
            [*words, "--frames", str(options.frames)], capture_output=True, text=True, check=True
        )
        found = json.loads(done.stdout.splitlines()[-1])
        reference = reference or found["cpu_s"]
        ratio = found["cpu_s"] / reference
        print(f"{name:<14} {found['cpu_s']:7.1f} s  {ratio:5.2f} x  {found['peak_gib']:5.2f} GiB", flush=True)


if __name__ == "__main__":
    main()
