"""Records GEMM inputs, similarity maps and attention of the shipped models for `rtl/check.py`.

Run where torch is installed. Inputs and attention are rounded to FP16, and -0 becomes 0, which is what sums from 0
on give. The maps are
those of `focal_algorithm.kernels.similarity.concentrate` in strict mode on the rounded inputs.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

RTL = Path(__file__).resolve().parent
sys.path[:0] = [
    str(RTL),
    *(
        str(RTL.parent / room)
        for room in ("", "common", "traces", "algorithm", "simulator", "evaluation_scripts")
    ),
]

import focal  # noqa: E402
import focal_algorithm.kernels.importance as kernel  # noqa: E402
import focal_algorithm.methods.focus as method  # noqa: E402
from sim.recorded import kernel_maps, save_tiles  # noqa: E402

ELEMENTS = 32
SLICES = 2
ATTENTION_ROWS = 8
MODELS = {"shapes_video": ("shapes-video", (0, 1, 3, 5, 7), 3), "shapes_image": ("shapes-mme", range(8), 5)}
"""Task of the sample, layers that are kept, and GEMM inputs of layer 0 that are kept."""


def rounded(values: torch.Tensor) -> NDArray[np.float16]:
    """Return a tensor as FP16 without negative zeros."""
    found: NDArray[np.float16] = values.detach().to(torch.float16).numpy() + np.float16(0)
    return found


def record(model_name: str) -> None:
    """Run one sample and store what Focus was given."""
    task, layers, most = MODELS[model_name]
    model, processor = focal.load_model(model_name)
    sample = focal.samples(task, 1)[0]
    inputs: list[tuple[torch.Tensor, torch.Tensor, dict[str, Any]]] = []
    attention: list[NDArray[np.float16]] = []
    concentrate, importance = method.concentrate, kernel.importance_of_probabilities

    def watched(x: torch.Tensor, positions: torch.Tensor, **words: Any) -> Any:
        inputs.append((x.clone(), positions.clone(), words))
        return concentrate(x, positions, **words)

    def seen(
        probabilities: torch.Tensor, *, first_visual: int, visual_count: int, name: str = ""
    ) -> torch.Tensor:
        visual = probabilities[..., first_visual : first_visual + visual_count]
        attention.append(rounded(visual.flatten(0, 1)[:ATTENTION_ROWS]))
        return importance(probabilities, first_visual=first_visual, visual_count=visual_count, name=name)

    method.concentrate, kernel.importance_of_probabilities = watched, seen
    try:
        with focal.compress(model, "focus"):
            model.generate(**processor(sample.question, **sample.media), max_new_tokens=1)
    finally:
        method.concentrate, kernel.importance_of_probabilities = concentrate, importance
    weights = dict(model.named_parameters())
    arrays: dict[str, NDArray[np.generic]] = {}
    tiles: list[dict[str, Any]] = []
    for x, positions, words in inputs:
        where, gemm = words["name"].split(", ")
        layer = int(where.split()[1])
        same = sum(one["layer"] == layer for one in tiles)
        if layer not in layers or (layer == 0 and same >= most):
            continue
        number = len(tiles)
        vectors = rounded(x[:, : SLICES * ELEMENTS])
        grid = words["grid"]
        part = gemm if gemm.endswith("_proj") else "k_proj"  # queries meet keys, which no file holds
        matrix = next(
            value
            for name, value in weights.items()
            if f"language_model.layers.{layer}." in name and name.endswith(f"{part}.weight")
        )
        block = rounded(matrix[: SLICES * ELEMENTS, : SLICES * ELEMENTS].T)
        arrays[f"vectors_{number}"] = vectors
        arrays[f"positions_{number}"] = positions.numpy().astype(np.uint16)
        arrays[f"weights_{number}"] = block
        tiles.append(
            {
                "name": f"{model_name}, {words['name']}",
                "layer": layer,
                "grid": [grid.rows, grid.columns, grid.row_stride, grid.frame_stride],
                "threshold": words["threshold"],
            }
        )
        found = kernel_maps(
            vectors, positions.numpy(), tuple(tiles[-1]["grid"]), words["threshold"], ELEMENTS
        )
        arrays[f"indices_{number}"] = np.stack([index for index, _ in found]).astype(np.uint16)
    for number, rows in enumerate(attention):
        arrays[f"attention_{number}"] = rows
    save_tiles(
        RTL / "tiles" / f"{model_name}.npz", arrays, json.dumps({"tiles": tiles, "attention": len(attention)})
    )
    print(f"{model_name}: {len(tiles)} tiles, {len(attention)} importance vectors")


if __name__ == "__main__":
    torch.set_num_threads(1)
    for one in MODELS:
        record(one)
