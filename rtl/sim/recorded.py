"""Tiles that were recorded on the shipped models, as cases."""

from __future__ import annotations

import json
import zipfile
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sim.arithmetic import group_means
from sim.build import RTL
from sim.cases import Case, Grid, Machine
from sim.expected import indices_of, partners_of
from sim.semantic import SemanticCase

TILES = RTL / "tiles"
ELEMENTS = 32


@dataclass(frozen=True, eq=False)
class Tile:
    """A GEMM input as it was recorded.

    Attributes:
        name: Model, layer, GEMM.
        vectors: (rows, 2 x 32) FP16. positions: (rows,). weights: (2 x 32, 2 x 32) FP16, inputs x outputs.
        indices: (2, rows) compact indices by the kernel of Focus. grid: Layout of all tokens. threshold: Cosine.
    """

    name: str
    vectors: NDArray[np.float16]
    positions: NDArray[np.int64]
    weights: NDArray[np.float16]
    indices: NDArray[np.int64]
    grid: Grid
    threshold: float


def save_tiles(path: Path, arrays: dict[str, NDArray[np.generic]], header: str) -> None:
    """Write arrays as an npz whose bytes depend on nothing but them."""
    path.parent.mkdir(exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, array in {**arrays, "header": np.frombuffer(header.encode(), dtype=np.uint8)}.items():
            buffer = BytesIO()
            np.lib.format.write_array(buffer, np.ascontiguousarray(array), allow_pickle=False)
            entry = zipfile.ZipInfo(f"{name}.npy")
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, buffer.getvalue())


def load_tiles(model: str) -> tuple[list[Tile], list[NDArray[np.float16]]]:
    """Return the tiles of a model, and the attention that its importance was taken from."""
    with np.load(TILES / f"{model}.npz") as file:
        header = json.loads(file["header"].tobytes())
        tiles = [
            Tile(
                one["name"],
                file[f"vectors_{number}"],
                file[f"positions_{number}"].astype(np.int64),
                file[f"weights_{number}"],
                file[f"indices_{number}"].astype(np.int64),
                Grid(*one["grid"]),
                one["threshold"],
            )
            for number, one in enumerate(header["tiles"])
        ]
        return tiles, [file[f"attention_{number}"] for number in range(header["attention"])]


def compact(representatives: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return compact indices, in order of first use, of groups named by their first members."""
    _, first, inverse = np.unique(representatives, return_index=True, return_inverse=True)
    order = np.argsort(np.argsort(first))
    found: NDArray[np.int64] = order[inverse]
    return found


def kernel_maps(
    vectors: NDArray[np.float16],
    positions: NDArray[np.int64],
    grid: tuple[int, ...],
    threshold: float,
    size: int,
) -> list[tuple[NDArray[np.int64], NDArray[np.float16]]]:
    """Return compact indices and group means of every slice, by the kernel of Focus in strict mode. Needs torch."""
    import torch

    from focal_algorithm.kernels.similarity import concentrate
    from focal_traces import TokenGrid

    rows, columns, row_stride, frame_stride = grid
    frames = int(positions[-1]) // frame_stride + 1
    done = concentrate(
        torch.from_numpy(vectors.copy()),
        torch.from_numpy(positions.astype(np.int64)),
        grid=TokenGrid(
            frames=frames,
            rows=rows,
            columns=columns,
            frame_stride=frame_stride,
            row_stride=row_stride,
            column_stride=1,
        ),
        visual_tokens=max(int(positions[-1]) + 1, frames * frame_stride),
        vector_size=size,
        m_tile=1024,
        block=(2, 2, 2),
        threshold=threshold,
        is_strict=True,
    )
    found = []
    for place in range(vectors.shape[1] // size):
        index = compact(done.representative[:, place].numpy().astype(np.int64))
        first = np.unique(index, return_index=True)[1]
        found.append((index, done.values[:, place * size : (place + 1) * size].numpy()[first]))
    return found


def model_maps(tile: Tile, vectors: NDArray[np.float16], machine: Machine) -> list[NDArray[np.int64]]:
    """Return compact indices of every slice as the matcher decides them, without a limit of the window."""
    partners = partners_of(tile.positions, tile.grid, None)[0]
    w = machine.columns
    case = gather_case(tile, machine)
    return [
        indices_of(vectors[:, place * w : (place + 1) * w], partners, case)
        for place in range(vectors.shape[1] // w)
    ]


def gather_case(tile: Tile, machine: Machine, columns: int = 2) -> Case:
    """Return a GEMM with unit matrices, whose outputs are the recorded vectors, so that gather meets these."""
    w = machine.columns
    rows = len(tile.vectors)
    weights = np.zeros((columns, columns, machine.rows, w), dtype=np.float16)
    for column in range(columns):
        weights[column, column] = np.eye(machine.rows, w)
    return Case(
        machine=machine,
        rows=[rows],
        maps=[[np.arange(rows)] * columns],
        vectors=[[tile.vectors[:, k * w : (k + 1) * w] for k in range(columns)]],
        weights=weights,
        columns_per_buffer=columns,
        outputs=columns * w,
        has_gather=True,
        mean_cycles=1,
        threshold=tile.threshold,
        grid=tile.grid,
        positions=tile.positions,
        output_rows=[rows],
        name=f"{tile.name} (gather)",
    )


def scatter_case(tile: Tile, machine: Machine, maps: list[NDArray[np.int64]], columns: int = 2) -> Case:
    """Return the GEMM that follows: the means of the groups are streamed, their products restored by the maps."""
    w = machine.columns
    rows = len(tile.vectors)
    slices = [tile.vectors[:, k * w : (k + 1) * w] for k in range(columns)]
    vectors = [
        group_means(one, index, int(index.max()) + 1, is_float=True)
        for one, index in zip(slices, maps, strict=True)
    ]
    size = columns * w
    weights = tile.weights[:size, :size].reshape(columns, machine.rows, columns, w).transpose(0, 2, 1, 3)
    # The bandwidth of Table I: 64 GB/s at 500 MHz are 128 bytes a cycle.
    return Case(
        machine=machine,
        rows=[rows],
        maps=[maps],
        vectors=[vectors],
        weights=np.ascontiguousarray(weights),
        columns_per_buffer=columns,
        outputs=size,
        has_gather=True,
        mean_cycles=1,
        threshold=tile.threshold,
        grid=tile.grid,
        positions=tile.positions,
        read_numerator=1,
        write_numerator=1,
        denominator=128,
        latency=20,
        map_read_bytes=2,
        map_write_bytes=2,
        output_rows=[rows],
        name=f"{tile.name} (scatter)",
    )


def semantic_cases(model: str) -> list[SemanticCase]:
    """Return the recorded importance vectors, with the retention ratios of Focus (Table I of the paper)."""
    found = []
    for number, (rows, ratio) in enumerate(
        zip(load_tiles(model)[1], (0.4, 0.3, 0.2, 0.15, 0.1), strict=False)
    ):
        found.append(SemanticCase(rows, max(1, int(rows.shape[1] * ratio)), f"{model}, importance {number}"))
    return found
