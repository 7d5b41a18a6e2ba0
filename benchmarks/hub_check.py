"""Do published checkpoints give here what was published?

Run ``sh benchmarks/hub_check.sh --data videos/ --device-map auto``.

For each model of a matrix (``--profile paper``, or a YAML file for `focal matrix`): its logits for a photograph clip
as transformers alone gives them, as loaded here, and with the method ``dense`` attached must be equal to the bit. Then
`focal matrix` traces ten samples of each row and asks questions of each row of accuracy; sparsity and accuracy are set
beside published figures, ``example_output/published``. ``--output`` keeps everything, ``hub_check.csv`` among it; a
repeated command goes on where it was. Exit code 1 if logits differ or a row failed: figures are for the reader.

A trace takes videos from ``--data`` (a folder for each dataset); rows without any are left out and named. Needs the
Hub, or its cache with ``--offline``, and a GPU that holds a model or several that do.
"""

from __future__ import annotations

import argparse
import csv
import gc
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import torch

from focal_algorithm.checkpoints.loading import load_model
from focal_algorithm.checkpoints.places import Place
from focal_algorithm.hooks import attach
from focal_algorithm.hooks.placement import input_device
from focal_algorithm.matrix.rows import MatrixRow, chosen_rows
from focal_algorithm.matrix.schema import ModelSpec, read_matrix
from focal_algorithm.methods.build import build_method
from focal_algorithm.models import model_location
from focal_algorithm.models.arithmetic import DTYPES
from focal_algorithm.prompts.media.media import photograph_clip
from focal_algorithm.tracing.prompting import build_prompt
from focal_common.errors import FocalError

ROOT = Path(__file__).resolve().parents[1]
PUBLISHED = ROOT / "example_output" / "published"
COLUMNS = (
    "model",
    "dataset",
    "method",
    "quantity",
    "found",
    "low",
    "high",
    "published",
    "difference",
    "of",
    "note",
)


def exactness(name: str, model: ModelSpec, options: argparse.Namespace) -> dict[str, Any]:
    """Compare the logits of a model as it is loaded here with those of transformers alone; one is held at a time."""
    place, device = model.checkpoint or model.family, options.device_map
    loaded = load_model(
        place,
        size=model.size,
        seed=0,
        dtype=model.dtype,
        attention="sdpa",
        device=device,
        is_offline=options.offline,
        trust_remote_code=model.trust_remote_code,
    )
    adapter = loaded.adapter
    frames = min(model.frames, 8) if "video" in adapter.modalities else 1
    clip = photograph_clip(0, frames, adapter.sample_pixels(loaded.model), 0)
    clip = replace(clip, is_video="video" in adapter.modalities)
    inputs = build_prompt(loaded, clip, "What is shown?").inputs

    def logits_of(one: Any) -> torch.Tensor:
        given = {key: value.to(input_device(one)) for key, value in inputs.items()}
        with torch.inference_mode():
            return one(**given).logits.cpu()

    found = [logits_of(loaded.model)]
    with attach(loaded.model, adapter, build_method("dense", {})):
        found.append(logits_of(loaded.model))
    tokens = inputs["input_ids"].shape[1]
    del loaded
    gc.collect()
    device_map = Place.read(device).device_map
    stock = type(adapter).model_class.from_pretrained(
        model_location(place),
        dtype=DTYPES[model.dtype],
        attn_implementation="sdpa",
        local_files_only=options.offline,
        **({} if device_map is None else {"device_map": device_map}),
    )
    plain = logits_of(stock if device_map is not None else stock.to(device))
    line = {"model": name, "method": "dense", "quantity": "largest difference of logits", "published": 0}
    return line | {
        "found": max(float((plain - one).abs().max()) for one in found),
        "of": f"{tokens} tokens",
        "note": "equal to the bit" if all(torch.equal(plain, one) for one in found) else "differ",
    }


def run_matrix(rows: list[MatrixRow], options: argparse.Namespace, samples: int) -> None:
    """Run rows through `focal matrix`, which keeps what an earlier command finished."""
    if not rows:
        return
    words = ["matrix", "--profile", options.profile, "--only", ",".join(row.name for row in rows), "--resume"]
    words += ["--samples", str(samples), "--device-map", options.device_map, "--output", str(options.output)]
    words += ["--offline"] * options.offline + (["--data", str(options.data)] if options.data else [])
    words += [word for pair in options.checkpoint for word in ("--checkpoint", pair)]
    words += ["--trust-remote-code"] * options.trust_remote_code
    words += ["--threads", str(options.threads)] if options.threads else []
    folders = ("", "common", "traces", "algorithm", "simulator", "evaluation_scripts")
    paths = os.pathsep.join(str(ROOT / folder) for folder in folders)
    program = [sys.executable, "-c", "from focal.commands.main import main; main()", *words]
    subprocess.run(
        program, env=os.environ | {"PYTHONPATH": paths}, check=False
    )  # failed rows are in its table


def published_figures() -> dict[tuple[str, str, str, str], float]:
    """Return published percents by model, dataset, method and quantity: sparsity of Table II, and accuracy."""
    found = {}
    with (PUBLISHED / "claims.csv").open(newline="") as source:
        for line in csv.DictReader(source):
            model, _, dataset = line["subject"].partition("/")
            method, _, quantity = line["quantity"].rpartition("_")
            if line["exhibit"] == "table_ii" and quantity == "sparsity" and dataset:
                found[model, dataset, method, "sparsity"] = float(line["value"])
    with (PUBLISHED / "accuracy.csv").open(newline="") as source:
        for line in csv.DictReader(source):
            key = (line["model"], line["dataset"], line["method"], "accuracy")
            if line["unit"] == "percent" and line["precision"] != "int8":
                found[key] = float(line["accuracy"])
    return found


def lines_of(rows: list[MatrixRow], output: Path) -> list[dict[str, Any]]:
    """Return a line for each row: what was found of it, or why there is nothing."""
    path = output / "matrix_results.csv"
    if not path.is_file():
        return [{"quantity": "rows", "note": "focal matrix wrote no results"}]
    with path.open(newline="") as source:
        table = list(csv.DictReader(source))
    published, lines = published_figures(), []
    for row in rows:
        own = [line for line in table if line["row"] == row.name]
        done = [line for line in own if line["status"] == "done"]
        line: dict[str, Any] = {
            "model": row.model_name,
            "dataset": row.dataset_name,
            "method": row.suite.method,
        }
        line["quantity"] = quantity = "sparsity" if row.suite.measure == "trace" else "accuracy"
        line["published"] = published.get((row.model_name, row.dataset_name, row.suite.method, quantity))
        if not done:
            reason = next((one["reason"] for one in own if one["reason"]), "did not run")
            lines.append(line | {"note": f"failed: {reason}"})
            continue
        if quantity == "sparsity":
            shares = sorted(100 * float(one["weighted_sparsity"]) for one in done)
            line |= {
                "found": median(shares),
                "low": shares[0],
                "high": shares[-1],
                "of": f"{len(done)} samples",
            }
        else:
            (one,) = done
            line |= {
                name: float(one[key])
                for name, key in (("found", "accuracy"), ("low", "low"), ("high", "high"))
            }
            line["of"] = f"{one['questions']} questions"
        if line["published"] is not None:
            line["difference"] = line["found"] - line["published"]
        lines.append(line)
    return lines


def written(lines: list[dict[str, Any]], output: Path) -> None:
    """Write the lines to ``hub_check.csv`` and print them."""
    with (output / "hub_check.csv").open("w", newline="") as target:
        writer = csv.DictWriter(target, COLUMNS, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(lines)
    for line in lines:
        cells = [
            f"{line[name]:.4g}" if isinstance(line.get(name), float) else str(line.get(name) or "-")
            for name in COLUMNS
        ]
        print("  ".join(cells))


def main() -> int:
    """Check the models and rows of a matrix; return 1 if logits differ or a row failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--profile", default="paper")
    parser.add_argument("--only", default="", help="suites or rows; all suites without variants")
    parser.add_argument("--samples", type=int, default=10, help="traced, of each row")
    parser.add_argument("--questions", type=int, default=100, help="asked, of each row of accuracy")
    parser.add_argument("--checkpoint", action="append", default=[], metavar="MODEL=FOLDER")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--device-map", default="auto")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--offline", action="store_true")
    parser.add_argument("--trust-remote-code", action="store_true")
    parser.add_argument("--output", type=Path, default=Path("output/hub_check"))
    options = parser.parse_args()
    matrix = read_matrix(options.profile)
    for pair in options.checkpoint:
        name, _, place = pair.partition("=")
        matrix.models[name] = matrix.models[name].model_copy(update={"checkpoint": place})
    suites = [name for name, suite in matrix.suites.items() if not suite.variants]
    rows = chosen_rows(matrix, options.only or ",".join(suites))
    options.output.mkdir(parents=True, exist_ok=True)
    lines: list[dict[str, Any]] = []
    for name in dict.fromkeys(row.model_name for row in rows):
        model = matrix.models[name]
        model = model.model_copy(
            update={"trust_remote_code": model.trust_remote_code or options.trust_remote_code}
        )
        try:
            lines.append(exactness(name, model, options))
        except FocalError as error:
            lines.append(
                {"model": name, "quantity": "largest difference of logits", "note": f"failed: {error}"}
            )
        gc.collect()
    is_without = [
        row.suite.measure == "trace" and bool(row.dataset.hub) and options.data is None for row in rows
    ]
    for row in [row for row, lacks in zip(rows, is_without, strict=True) if lacks]:
        lines.append(
            {
                "model": row.model_name,
                "dataset": row.dataset_name,
                "method": row.suite.method,
                "note": "no --data",
            }
        )
    rows = [row for row, lacks in zip(rows, is_without, strict=True) if not lacks]
    for measure, samples in (("trace", options.samples), ("accuracy", options.questions)):
        run_matrix([row for row in rows if row.suite.measure == measure], options, samples)
    lines += lines_of(rows, options.output)
    written(lines, options.output)
    return int(any(str(line.get("note", "")).startswith(("differ", "failed")) for line in lines))


if __name__ == "__main__":
    sys.exit(main())
