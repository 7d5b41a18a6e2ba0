"""Does everything that was tested on CPUs and pretended devices hold on a GPU?

Run ``sh benchmarks/gpu_check.sh``: one run of under ten minutes on a machine with CUDA, any size of which will do (the
largest model has 0.4e9 random weights). Prints a line for each check and writes them to ``--output`` as JSON: what was
seen is measured. What lacks a library or a second GPU is skipped and says so. Exit code 1 if a check failed. ``--device
cpu`` rehearses it with a tiny model.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from statistics import median
from typing import Any

import torch

from focal_algorithm.checkpoints.loading import LoadedModel, load_model
from focal_algorithm.hooks import attach
from focal_algorithm.hooks.recorder import RecordedSample, Recorder
from focal_algorithm.methods import METHODS
from focal_algorithm.methods.base import CompressionMethod
from focal_algorithm.methods.build import method_in_force
from focal_algorithm.models import MODELS
from focal_algorithm.prompts.media.media import photograph_clip
from focal_algorithm.prompts.media.tokens import ByteTokenizer
from focal_algorithm.tracing.prompting import Prompt, build_prompt
from focal_common.errors import FocalError
from focal_common.provenance import package_versions

ROOT = Path(__file__).resolve().parents[1]
SECONDS = 600
"""After so many no further check starts."""

ALIKE = 0.02
"""Most that weighted sparsity may differ between a CPU and a GPU, whose sums round differently at each threshold.
Chosen here."""

PAIRS_ON_GPU, PAIRS_ON_CPU = 20, 2


class Skipped(Exception):
    """What a check would need is not here."""


@dataclass(frozen=True)
class Bench:
    """What the checks share.

    Attributes:
        device: torch device.
        folder: For checkpoints and results.
        size: Of the models.
        methods: Compression methods to run.
    """

    device: str
    folder: Path
    size: str
    methods: tuple[str, ...]

    @property
    def is_gpu(self) -> bool:
        """Whether the device is none of a CPU."""
        return self.device != "cpu"

    @cached_property
    def checkpoint(self) -> Path:
        """A sharded checkpoint with random weights."""
        folder = self.folder / "checkpoint"
        model = self.load("llava_onevision", "cpu").model
        model.save_pretrained(folder, max_shard_size="1MB" if self.size == "tiny" else "10MB")
        return folder

    def load(self, name: str | Path, device: str = "", **options: Any) -> LoadedModel:
        """Load a model; ``device`` empty for that of the checks."""
        common = {"size": self.size, "seed": 0, "dtype": "fp32", "attention": "sdpa", "is_offline": True}
        return load_model(str(name), device=device or self.device, **(common | options))


def prompt_of(loaded: LoadedModel, frames: int = 8) -> Prompt:
    clip = photograph_clip(0, frames, loaded.adapter.sample_pixels(loaded.model), 0)
    return build_prompt(loaded, clip, "What happens?")


def method_of(name: str, loaded: LoadedModel) -> CompressionMethod:
    return method_in_force(name, {}, loaded.adapter.family, loaded.geometry, "none")[0]


def traced(
    loaded: LoadedModel, name: str, prompt: Prompt | None = None
) -> tuple[RecordedSample, torch.Tensor]:
    """Return what one prefill gave, and its last logits on the host."""
    prompt = prompt_of(loaded) if prompt is None else prompt
    method = method_of(name, loaded)
    recorder = Recorder(loaded.geometry, method, True)
    with torch.inference_mode(), attach(loaded.model, loaded.adapter, method, recorder, [prompt.layout]):
        logits = loaded.model(**prompt.inputs, logits_to_keep=1).logits
    return recorder.samples[0], logits.cpu()


def sparsity(sample: RecordedSample) -> float:
    assert sample.header.weighted_sparsity is not None
    return sample.header.weighted_sparsity


def run_focal(*words: str | Path) -> None:
    command = [sys.executable, "-c", "from focal.commands.main import main; main()", *map(str, words)]
    paths = [
        str(ROOT / one) for one in ("", "common", "traces", "algorithm", "simulator", "evaluation_scripts")
    ]
    done = subprocess.run(
        command, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
    )
    assert done.returncode == 0, f"focal {' '.join(map(str, words))}: {done.stderr.strip()[-300:]}"


def the_fused_kernel_is_the_plain_one(bench: Bench) -> str:
    if not bench.is_gpu:
        raise Skipped("tests/oracles run the kernel in Triton's interpreter")
    sys.path.insert(0, str(ROOT / "tests"))
    from check_triton_matching import check  # imports Triton, which CPUs lack

    return f"{check(bench.device)} vectors matched alike"


def traces_are_those_of_a_cpu(bench: Bench) -> str:
    here, there = bench.load("llava_onevision", "cpu"), bench.load("llava_onevision")
    apart = {}
    for name in bench.methods:
        try:
            method_of(name, here).start(here.geometry, prompt_of(here).layout)
        except FocalError:
            continue  # needs another model, or more tokens
        apart[name] = abs(sparsity(traced(here, name)[0]) - sparsity(traced(there, name)[0]))
    worst = max(apart, key=lambda name: apart[name])
    assert apart[worst] <= ALIKE, f"{worst}: weighted sparsity differs by {apart[worst]:.4f}"
    return f"{len(apart)} methods; weighted sparsity differs by at most {apart[worst]:.4f} ({worst})"


def a_traced_prefill_waits_once_more(bench: Bench) -> str:
    if not bench.is_gpu:
        raise Skipped("tests/contracts count waits on a pretended device")
    loaded = bench.load("llava_onevision")
    prompt, method = prompt_of(loaded), method_of("focus", loaded)
    waits = {}
    for recorder in (None, Recorder(loaded.geometry, method, True)):
        with torch.inference_mode(), attach(loaded.model, loaded.adapter, method, recorder, [prompt.layout]):
            loaded.model(**prompt.inputs, logits_to_keep=1)
            torch.cuda.set_sync_debug_mode("warn")
            try:
                with warnings.catch_warnings(record=True) as seen:
                    warnings.simplefilter("always")
                    loaded.model(**prompt.inputs, logits_to_keep=1)
            finally:
                torch.cuda.set_sync_debug_mode("default")
            waits[recorder is not None] = sum("synchroniz" in str(one.message) for one in seen)
    assert waits[True] - waits[False] <= 4, f"{waits[True]} waits traced, {waits[False]} untraced"
    return f"{waits[True]} waits traced, {waits[False]} untraced"


def wide(bench: Bench) -> LoadedModel:
    """Return a model whose layers are as wide as those of one of 1.5e9 parameters; without weights of a checkpoint."""
    adapter = MODELS.load("llava_onevision")
    settings = adapter.random_settings(bench.size)
    text = settings["text_config"]
    if bench.is_gpu:
        text |= {
            "hidden_size": 1536,
            "intermediate_size": 8960,
            "num_attention_heads": 12,
            "num_hidden_layers": 8,
        }
    with torch.device(bench.device):
        model = adapter.model_class(adapter.model_class.config_class(**settings, attn_implementation="sdpa"))
    dtype = torch.bfloat16 if bench.is_gpu else torch.float32
    return LoadedModel(model.to(dtype).eval(), adapter(), ByteTokenizer(), "random")


def a_trace_costs_little(bench: Bench) -> str:
    loaded = wide(bench)
    prompt = prompt_of(loaded, 32 if bench.is_gpu else 2)
    method = replace(method_of("focus", loaded), selected_layers=(1, 3), alpha_list=(0.4, 0.3))  # type: ignore[call-arg]
    ratios, plain = [], []
    for pair in range((PAIRS_ON_GPU if bench.is_gpu else PAIRS_ON_CPU) + 3):
        seconds = {}
        for is_traced in (False, True) if pair % 2 else (True, False):
            recorder = Recorder(loaded.geometry, method, True) if is_traced else None
            with (
                torch.inference_mode(),
                attach(loaded.model, loaded.adapter, method, recorder, [prompt.layout]),
            ):
                started = time.perf_counter()
                loaded.model(**prompt.inputs, logits_to_keep=1)
                if bench.is_gpu:
                    torch.cuda.synchronize()
                seconds[is_traced] = time.perf_counter() - started
        if pair >= 3:  # allocators and caches are warm
            ratios.append(seconds[True] / seconds[False])
            plain.append(seconds[False])
    tokens, milliseconds = prompt.layout.visual_tokens, median(plain) * 1e3
    found = f"{median(ratios):.3f} of an untraced prefill of {milliseconds:.0f} ms, {tokens} visual tokens"
    assert not bench.is_gpu or median(ratios) <= 1.05, f"{found}; expected at most 1.05"
    return found


def a_spread_model_gives_the_bits_of_one_device(bench: Bench) -> str:
    layers = bench.load(bench.checkpoint, "cpu").geometry.layers
    host = "cpu" if bench.is_gpu else "disk"
    first = torch.device(bench.device).index or 0 if bench.is_gpu else "cpu"
    whole = ["model.vision_tower", "model.multi_modal_projector", "model.image_newline", "lm_head"]
    whole += [f"model.language_model.{name}" for name in ("embed_tokens", "norm", "rotary_emb")]
    split = dict.fromkeys(whole, first) | {
        f"model.language_model.layers.{layer}": host if layer % 3 == 1 else first for layer in range(layers)
    }
    places = {host: json.dumps(split), "auto": "auto"}
    if torch.cuda.device_count() > 1:
        places["balanced"] = "balanced"
    names = [name for name in ("focus", "visionzip", "sparsevlm") if name in bench.methods]
    one = bench.load(bench.checkpoint)
    for name in names:
        wanted, logits = traced(one, name)
        for place, device in places.items():
            found, others = traced(bench.load(bench.checkpoint, device), name)
            assert torch.equal(logits, others), f"{name}, {place}: other logits"
            assert found.masks == wanted.masks, f"{name}, {place}: other masks"
    return f"{', '.join(names)} over {', '.join(places)}: equal to the bit"


def other_arithmetic_is_traced(bench: Bench) -> str:
    ways: dict[str, dict[str, Any]] = {"bf16": {"dtype": "bf16"}, "int8": {"precision": "int8"}}
    if bench.is_gpu:
        ways |= {"fp16": {"dtype": "fp16"}, "flash": {"dtype": "bf16", "attention": "flash_attention_2"}}
    ways["nf4"] = {"precision": "nf4", "dtype": "bf16"}
    said, wanted = [], sparsity(traced(bench.load(bench.checkpoint), "focus")[0])
    for word, options in ways.items():
        try:
            loaded = bench.load(bench.checkpoint, **options)
        except FocalError as error:
            said.append(f"{word} skipped ({error})")
            continue
        if word == "nf4" and bench.size == "tiny":
            said.append("nf4 skipped (layers narrower than a block)")
            continue
        found = sparsity(traced(loaded, "focus")[0])
        assert abs(found - wanted) <= 0.2, f"{word}: weighted sparsity {found:.3f}, {wanted:.3f} in fp32"
        said.append(f"{word} {found:.3f}")
    return f"weighted sparsity: fp32 {wanted:.3f}, " + ", ".join(said)


def batches_answer_as_one_by_one(bench: Bench) -> str:
    answers = []
    for batch in ("1", "auto"):
        output = bench.folder / f"eval{batch}"
        words = [
            "eval",
            "--model",
            "llava",
            "--model_args",
            f"size=tiny,device={bench.device}",
            "--batch",
            batch,
        ]
        run_focal(
            *words, "--tasks", "shapes-pope", "--limit", "12", "--method", "dense", "--output_path", output
        )
        (samples,) = output.rglob("samples.jsonl")
        answers.append(samples.read_bytes())
    assert answers[0] == answers[1], "other answers in batches"
    return f"{len(answers[0].splitlines())} answers"


def workers_give_the_bytes_of_one(bench: Bench) -> str:
    matrix = bench.folder / "matrix.yaml"
    matrix.write_text(
        f"device: {bench.device}\nmodels: {{one: {{family: llava_onevision, frames: 2, size: tiny}}}}\n"
        "datasets: {photographs: {modality: video}}\n"
        "suites: {fastv: {models: [one], datasets: [photographs], method: fastv, samples: 4}}\n"
    )
    count = torch.cuda.device_count()
    spread = ["--devices", f"0-{count - 1}" if count > 1 else "0"] if bench.is_gpu else ["-j", "2"]
    for name, words in (("whole", []), ("spread", spread)):
        output = bench.folder / name
        run_focal("matrix", "--profile", matrix, "--threads", "1", "--output", output, *words)
    for path in (bench.folder / "whole").rglob("*"):
        if path.is_file() and "manifest" not in path.name:
            other = bench.folder / "spread" / path.relative_to(bench.folder / "whole")
            assert other.read_bytes() == path.read_bytes(), f"{other.name}: other bytes"
    return f"{' '.join(spread)}: equal"


CHECKS: tuple[Callable[[Bench], str], ...] = (
    the_fused_kernel_is_the_plain_one,
    traces_are_those_of_a_cpu,
    a_traced_prefill_waits_once_more,
    a_trace_costs_little,
    a_spread_model_gives_the_bits_of_one_device,
    other_arithmetic_is_traced,
    batches_answer_as_one_by_one,
    workers_give_the_bytes_of_one,
)


def result_of(check: Callable[[Bench], str], bench: Bench, left_s: float) -> tuple[str, str]:
    """Return whether a check passed, failed or was skipped, and what it saw."""
    if left_s <= 0:
        return "failed", f"not run: {SECONDS} s are over"
    try:
        return "passed", check(bench)
    except Skipped as reason:
        return "skipped", str(reason)
    except (AssertionError, FocalError, RuntimeError, ValueError) as error:
        return "failed", " ".join(str(error).split())[:400] or type(error).__name__


def main() -> int:
    """Run the checks, print a line for each, and return 1 if one failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--methods", default=",".join(METHODS))
    parser.add_argument("--only", default="", help="checks whose name holds this")
    parser.add_argument("--output", type=Path, default=Path("output/gpu_check.json"))
    options = parser.parse_args()
    is_gpu = options.device != "cpu"
    if is_gpu and not torch.cuda.is_available():
        print(
            f"error: torch {torch.__version__} finds no CUDA device; --device cpu rehearses", file=sys.stderr
        )
        return 2
    device = torch.cuda.get_device_name() if is_gpu else "cpu"
    print(f"{device}, torch {torch.__version__}", flush=True)
    started, results = time.monotonic(), []
    with tempfile.TemporaryDirectory() as folder:
        size = "small" if is_gpu else "tiny"
        bench = Bench(options.device, Path(folder), size, tuple(options.methods.split(",")))
        for check in CHECKS:
            if options.only in (name := check.__name__.replace("_", " ")):
                began = time.monotonic()
                status, seen = result_of(check, bench, SECONDS - (began - started))
                seconds = round(time.monotonic() - began, 1)
                results.append({"check": name, "status": status, "seen": seen, "seconds": seconds})
                print(f"{status:<8} {seconds:6.1f} s  {name}: {seen}", flush=True)
    facts = {
        "device": device,
        "versions": package_versions("torch", "transformers", "accelerate"),
        "checks": results,
    }
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(facts, indent=1) + "\n")
    return int(any(one["status"] == "failed" for one in results))


if __name__ == "__main__":
    sys.exit(main())
