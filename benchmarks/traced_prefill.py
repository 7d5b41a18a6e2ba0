"""Time of a traced prefill over an untraced one, in pairs that take turns, on one core.

``taskset -c 1 python benchmarks/traced_prefill.py`` prints, for each model, the median over pairs of the ratio of CPU
times, with a 95 % bootstrap interval, without masks and with them. Models: the shipped ``shapes_video`` on a question
of its benchmark, and a random ``llava_onevision`` of size ``small`` on photographs.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from focal_algorithm.checkpoints.loading import LoadedModel, load_model
from focal_algorithm.evaluation.offline.questions import load_questions
from focal_algorithm.hooks import attach
from focal_algorithm.hooks.recorder import Recorder
from focal_algorithm.methods.build import method_in_force
from focal_algorithm.prompts.media.media import photograph_clip
from focal_algorithm.tracing.prompting import Prompt, build_prompt


def shipped() -> tuple[LoadedModel, Prompt]:
    loaded = _load("shapes_video", "")
    asked = load_questions("shapes-video", 1, seed=0, split="test")
    one = asked.asked[0]
    return loaded, build_prompt(loaded, asked.samples[one.picture].media(), one.text)


def larger() -> tuple[LoadedModel, Prompt]:
    loaded = _load("llava_onevision", "small")
    size = loaded.adapter.sample_pixels(loaded.model)
    return loaded, build_prompt(loaded, photograph_clip(0, 8, size, 0), "What happens?")


def _load(name: str, size: str) -> LoadedModel:
    return load_model(name, size=size, seed=0, dtype="fp32", attention="sdpa", device="cpu", is_offline=True)


MODELS: dict[str, Callable[[], tuple[LoadedModel, Prompt]]] = {"shapes_video": shipped, "small": larger}


def spent(loaded: LoadedModel, prompt: Prompt, method: Any, keep_masks: bool | None) -> float:
    """Return the CPU seconds of one prefill; ``keep_masks`` None leaves it untraced."""
    recorder = None if keep_masks is None else Recorder(loaded.geometry, method, keep_masks)
    with torch.inference_mode(), attach(loaded.model, loaded.adapter, method, recorder, [prompt.layout]):
        started = time.process_time()
        loaded.model(**prompt.inputs, logits_to_keep=1)
        return time.process_time() - started


def main() -> None:
    """Measure every model and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=100)
    parser.add_argument("--models", default=",".join(MODELS))
    parser.add_argument("--method", default="focus")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    print(
        f"torch {torch.__version__}, 1 thread, load {os.getloadavg()[0]:.1f}, {options.method}, medians of pairs"
    )
    for name in options.models.split(","):
        loaded, prompt = MODELS[name]()
        method, _ = method_in_force(options.method, {}, loaded.adapter.family, loaded.geometry, "none")
        geometry, tokens = loaded.geometry, prompt.layout.visual_tokens
        print(
            f"{name}: {geometry.layers} layers of {geometry.hidden_elements}, {tokens} visual tokens",
            flush=True,
        )
        for keep_masks in (False, True):
            pairs = []
            for number in range(options.pairs + 3):
                order = (None, keep_masks) if number % 2 else (keep_masks, None)
                times = {which: spent(loaded, prompt, method, which) for which in order}
                if number >= 3:  # after the first ones, allocators and caches are warm
                    pairs.append((times[None], times[keep_masks]))
            plain, traced = np.array(pairs).T
            ratios = traced / plain
            low, high = np.quantile(
                np.median(rng.choice(ratios, (2000, len(ratios))), axis=1), (0.025, 0.975)
            )
            words = "counts and masks" if keep_masks else "counts"
            print(
                f"  {words:<17} {np.median(plain) * 1e3:7.1f} -> {np.median(traced) * 1e3:7.1f} ms  "
                f"{np.median(ratios):.3f} [{low:.3f}, {high:.3f}]",
                flush=True,
            )


if __name__ == "__main__":
    main()
