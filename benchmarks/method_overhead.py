"""CPU time and peak memory of a prefill with each method over the untouched model, at layer shapes of a 7B decoder.

``python benchmarks/method_overhead.py`` runs a few decoder layers of Qwen2-7B width with random weights behind the
small vision tower of LLaVA-OneVision, once per method in a process of its own, and prints the ratio to the
untouched forward. The last layer of CMC keeps its fused attention, so few layers flatter it; ``--layers`` says
how many there are. ``focus_unpruned`` keeps all tokens, so it shows what similarity concentration itself costs; the
others use their defaults moved to the depth, which drops most tokens of a shallow decoder early.

``--before FOLDER`` compares with another checkout of Focal instead (``git worktree add FOLDER COMMIT``): prefill and
decode of a tiny model, where hooks weigh most, in processes that take turns. It prints the ratio of the medians, this
checkout over the other, with a 95 % bootstrap interval over rounds. The other checkout must know ``--steps``, too.

``--selection`` says what the decisions of each method cost on the shipped model ``shapes_video``, at 22.2 % of its
tokens where the method can be set to that, else at its fitted defaults: MACs by the formula of the ledger (estimated),
and the CPU milliseconds of a prefill that pass in the method's own operations (measured). Rounds pair each method with
the untouched model on the same prompt; the interval is a 95 % bootstrap of the median over rounds.
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

from focal.studies.arena.plan import DEFAULT_CANDIDATES, candidate
from focal_algorithm.checkpoints.loading import LoadedModel, load_model
from focal_algorithm.evaluation.offline.costs import costs_of
from focal_algorithm.evaluation.offline.evaluator import Evaluator
from focal_algorithm.evaluation.offline.questions import load_questions
from focal_algorithm.hooks import attach
from focal_algorithm.hooks.recorder import Recorder
from focal_algorithm.methods.base import CompressionMethod, hook_points
from focal_algorithm.methods.budgeted import with_budget
from focal_algorithm.methods.build import build_method
from focal_algorithm.models.weights import shipped_model
from focal_algorithm.prompts.media.media import photograph_clip
from focal_algorithm.tracing.prompting import build_prompt
from focal_common.errors import ConfigError

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


def selection(names: list[str], rounds: int) -> None:
    """Print, for each method, what its decisions cost beside a prefill of the untouched model."""
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    loaded = load_model(
        str(shipped_model("shapes_video")),
        size="",
        seed=0,
        dtype="fp32",
        attention="sdpa",
        device="cpu",
        is_offline=True,
    )
    evaluator = Evaluator(loaded, load_questions("shapes-video", 1, samples=1))
    media, text = evaluator.questions.samples[0].media(), evaluator.questions.asked[0].text
    prompt = build_prompt(loaded, media, text)
    dense = evaluator.method("dense")
    print(
        f"{platform.machine()}, torch {torch.__version__}, 1 thread, fp32, {prompt.layout.visual_tokens} visual tokens"
    )
    for name in names:
        one_of = candidate(name)
        try:
            method = one_of.build(evaluator, with_budget(one_of.method, {"share": 0.222}))
            note = "22.2 %"
        except ConfigError:
            method, note = one_of.build(evaluator), "defaults"
        replies = list(evaluator.replies(method, [0], {0}))
        macs = costs_of(evaluator, method, replies)[0].selection_macs
        spent = _timed_operations(type(method))
        own, whole, untouched = [], [], []
        for number in range(rounds + 2):
            pair = (dense, method) if number % 2 else (method, dense)
            for one in pair:
                spent.clear()
                with (
                    torch.inference_mode(),
                    attach(loaded.model, loaded.adapter, one, layouts=[prompt.layout]),
                ):
                    started = time.thread_time()
                    loaded.model(**prompt.inputs, logits_to_keep=1)
                    passed = (time.thread_time() - started) * 1e3
                if number >= 2:  # the first ones warm allocators
                    (untouched if one is dense else whole).append(passed)
                    if one is method:
                        own.append(sum(spent) * 1e3)
        drawn = rng.integers(rounds, size=(10_000, rounds))
        low, high = np.quantile(np.median(np.array(own)[drawn], axis=1), (0.025, 0.975))
        share, ratio = (np.median(np.array(part) / np.array(untouched)) for part in (own, whole))
        counted = "not counted" if macs is None else f"{macs / 1e6:.3g}"
        times = f"{np.median(own):.2f} ({low:.2f} to {high:.2f})"
        print(f"| `{name}` | {note} | {counted} | {times} | {100 * share:.1f} % | {ratio:.2f} |", flush=True)


def _timed_operations(method: type[CompressionMethod]) -> list[float]:
    """Make the operations of a class note their CPU seconds, outermost only, in the list returned."""
    spent: list[float] = []
    depth = [0]

    def timed(operation: Any) -> Any:
        def call(*given: Any, **named: Any) -> Any:
            depth[0] += 1
            started = time.thread_time()
            try:
                return operation(*given, **named)
            finally:
                depth[0] -= 1
                if not depth[0]:
                    spent.append(time.thread_time() - started)

        return call

    for name in ("start", *(point.value for point in hook_points(method))):
        setattr(method, name, timed(getattr(method, name)))
    return spent


def main() -> None:
    """Measure every method in its own process and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--layers", type=int, default=3)
    parser.add_argument("--frames", type=int, default=8)
    parser.add_argument("--methods", default="untouched,cmc,adaptiv,framefusion,focus,focus_unpruned")
    parser.add_argument("--before", type=Path, help="root of another checkout to compare with")
    parser.add_argument("--selection", action="store_true", help="what the decisions of each method cost")
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
    if options.selection:
        names = [one for one in DEFAULT_CANDIDATES if one != "dense" and not one.endswith("_placed")]
        selection(sorted(names), options.rounds)
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
