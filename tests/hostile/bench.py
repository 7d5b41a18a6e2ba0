"""One valid file of every kind, small, made once; each case gets a copy of a few of them."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from evaluation_support import answered
from focal.commands.main import main
from focal_algorithm.checkpoints.loading import random_model
from focal_algorithm.evaluation.lmms.answering import AnswerLog
from focal_algorithm.evaluation.lmms.run_files import write_samples
from focal_algorithm.matrix.progress import RowProgress, RowState
from focal_algorithm.models import MODELS
from focal_algorithm.tasks.store import load_split
from focal_traces.counts.file import write_counts
from focal_traces.frames.file import write_frames
from focal_traces.frames.frames import FramesTrace, KeptPicture, SampleFrames
from focal_traces.header.schema import DecoderGeometry
from focal_traces.masks.file import write_masks
from focal_traces.masks.masks import MaskTrace, trace_from_masks
from focal_traces.masks.published import write_published
from focal_traces.records.file import write_records
from focal_traces.records.records import Record, RecordTrace
from traces_support import tiny_masks

REPOSITORY = Path(__file__).resolve().parents[2]
STEM = "synthetic_drawn"
GEOMETRY = DecoderGeometry(
    layers=3, hidden_elements=64, intermediate_elements=128, heads=2, kv_heads=1, head_dim_elements=32
)
STUDY = """name: tiny
kind: grid
accelerator: focus
fidelity: parity
traces: {root: root, folder: focus_main}
overrides: {core.gather_block: 8}
axes:
  - {field: core.scatter_vectors, values: [1, 2]}
  - name: array
    choices:
      - {label: 32x32, set: {core.array_rows: 32, core.array_columns: 32}}
constraints: [{metric: area_mm2, at_most: 100.0}]
objectives: [{metric: seconds}, {metric: total_mj}]
"""
MATRIX = """hub: false
device: cpu
new_tokens: 1
models:
  small: {family: llava_onevision, size: tiny, frames: 2}
datasets:
  photographs: {modality: video}
suites:
  focus: {models: [small], datasets: [photographs], method: focus, samples: 2}
  sweep:
    models: [small]
    datasets: [photographs]
    method: focus
    samples: 1
    variants: [{name: "32", folder: vector_size_dse, parameters: {vector_size: 32}}]
"""


def quiet(words: list[str]) -> None:
    """Run a command that must succeed."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said), contextlib.suppress(SystemExit):
        main(words)
    if "error:" in said.getvalue():
        raise RuntimeError(f"{words}: {said.getvalue()[-2000:]}")


def make(folder: Path) -> Path:
    """Make all files below ``folder``, which may hold those of an earlier call."""
    if (folder / "whole").is_file():
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    root = folder / "root"
    (root / "focus_main").mkdir(parents=True)
    trace_files(root)
    published = folder / "published"
    (published / "focus_main").mkdir(parents=True)
    shipped = REPOSITORY / "example_output" / "published"
    for table in ("meta_data", "adaptiv_sparsity", "cmc_sparsity", "schedules"):
        shutil.copy(shipped / f"{table}.csv", published)
    shutil.copy(shipped / "focus_main" / "llava_vid_mvbench.calibrated.json", published / "focus_main")
    for name in ("focus", "dense", "adaptiv", "cmc"):
        place = REPOSITORY / "simulator" / "focal_simulator" / "accelerators" / name / "hardware.yaml"
        shutil.copy(place, folder / f"{name}.yaml")
    (folder / "study.yaml").write_text(STUDY)
    (folder / "matrix.yaml").write_text(MATRIX)
    (folder / "layers.csv").write_text("Layer, M, N, K\nfc1, 64, 128, 96\nfc2, 64, 96, 128\n")
    (folder / "array.yaml").write_text("accelerator: mine\nbase: systolic_array\ncore: {array_rows: 16}\n")
    counts = str(root / "focus_main" / f"{STEM}.counts.parquet")
    quiet(
        [
            "sim",
            "--trace",
            counts,
            "--accelerator",
            "focus,dense",
            "--no-figure",
            "--output",
            str(folder / "sim"),
        ]
    )
    quiet(["sweep", str(folder / "study.yaml"), "--output", str(folder / "swept"), "--no-figures"])
    learned_files(folder)
    (folder / "whole").touch()
    return folder


def trace_files(root: Path) -> None:
    """Write a trace of two samples in all its files, a published one, and the table of the root."""
    masks = tiny_masks(geometry=GEOMETRY, vector_size=32, m_tile=1024)
    header = masks.header.model_copy(update={"model": "synthetic", "dataset": "drawn", "median_index": 0})
    stem = root / "focus_main" / STEM
    masks = MaskTrace(header, masks.samples)
    write_masks(masks, stem.with_name(f"{STEM}.masks.pth"))
    write_counts(trace_from_masks(masks), stem.with_name(f"{STEM}.counts.parquet"))
    one = header.model_copy(update={"samples": header.samples[:1]})
    write_published(MaskTrace(one, masks.samples[:1]), stem.with_name(f"{STEM}.pth"))
    tokens = header.samples[0].visual_tokens
    record = Record.of("map", 1, "layer_input", [0, 0, -1, 5], tokens, index=[0, 2, 4, 5])
    tile = Record.of("tile", 0, "query", [3, 0], [4, 4], head=1)
    write_records(RecordTrace(header, ((tile, record), ())), stem.with_name(f"{STEM}.records.parquet"))
    sink = io.BytesIO()
    Image.fromarray(np.zeros((8, 8, 3), dtype=np.uint8)).save(sink, format="PNG")
    cells = np.array(
        [[0, 4 * (k % 2), 4 * (k // 2 % 2), 4 * (k % 2) + 4, 4 * (k // 2 % 2) + 4] for k in range(tokens)]
    )
    shown = SampleFrames(
        header.samples[0].sample_id,
        "What?",
        (KeptPicture("0", 8, 8, sink.getvalue()),),
        cells.astype(np.int32),
        "",
    )
    write_frames(FramesTrace(header, (shown, None)), stem.with_name(f"{STEM}.frames.zip"))
    (root / "meta_data.csv").write_text(
        f"Model,Dataset,Sequence length,Num frames,Num patches,Median index\nsynthetic,drawn,{tokens},3,6,0\n"
    )
    for table in ("adaptiv_sparsity", "cmc_sparsity"):
        lines = (REPOSITORY / "example_output" / "published" / f"{table}.csv").read_text().splitlines()
        first = lines[1].split(",")
        (root / f"{table}.csv").write_text(
            "\n".join([lines[0], ",".join(["synthetic", "drawn", *first[2:]])]) + "\n"
        )


def learned_files(folder: Path) -> None:
    """Write what evaluations, matrices, benchmarks and trainings leave behind, and a checkpoint."""
    import torch

    for run in ("one", "two"):
        write_samples(
            folder / "runs" / run, [answered("t", number, float(number % 2)) for number in range(6)]
        )
    log = AnswerLog(folder / "answers" / "a.jsonl", {"model": "x"})
    for number in range(4):
        log.put(f"key{number}", "yes", 0.5)
    log.close()
    results: tuple[dict[str, Any], ...] = ({"sample": 0, "answer": "yes", "sparsity": 0.5},)
    RowProgress(folder / "row", "identity").write(RowState("running", "", results))
    load_split("shapes-video", seed=0, split="test", samples=1, cache=folder / "cache")
    weights = {
        "step": 1,
        "steps": 3,
        "seconds": 1.0,
        "rows": [],
        "model": {"a": torch.zeros(4)},
        "probes": {},
    }
    (folder / "train").mkdir()
    torch.save(weights | {"optimizers": [{}, {}], "recipe": "video"}, folder / "train" / "checkpoint.pt")
    torch.save({"a": torch.zeros(3), "b": torch.ones(2)}, folder / "train" / "pytorch_model.bin")
    model = random_model(MODELS.load("llava_onevision"), "tiny", "sdpa")
    model.save_pretrained(folder / "checkpoint")
    for place in (REPOSITORY / "algorithm/focal_algorithm/models/weights/shapes_video").glob("*token*"):
        shutil.copy(place, folder / "checkpoint")
    shutil.copytree(REPOSITORY / "tests" / "data" / "media", folder / "media")
    (folder / "header.json").write_text(json.dumps({}))
