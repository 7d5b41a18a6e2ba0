"""One GEMM with its tiles, counts, maps and options: what a bench runs, a model times and numpy computes."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

LANES = 4
MEAN_GROUPS = 1024


class CaseError(ValueError):
    """A case contradicts itself, or asks for what the RTL does not have."""


@dataclass(frozen=True)
class Machine:
    """Parameters of a build of the core.

    Attributes:
        rows: h. columns: w. is_float: FP16 with FP32 sums, else INT8. is_wavefront: Weights follow the activations.
        tile_rows: Most rows of an m-tile. window: Vectors of a layouter bank.
    """

    rows: int = 8
    columns: int = 8
    is_float: bool = True
    is_wavefront: bool = False
    tile_rows: int = 128
    buffer_columns: int = 4
    window: int = 64

    def __post_init__(self) -> None:
        for name in ("rows", "columns", "tile_rows", "window"):
            value = getattr(self, name)
            most = {"rows": 64, "columns": 64, "tile_rows": MEAN_GROUPS, "window": 1024}[name]
            if value not in [2**power for power in range(1, 11)] or value > most:
                raise CaseError(f"{name} must be a power of two from 2 to {most} in this RTL, got {value}")

    @property
    def element_bytes(self) -> int:
        """Bytes of an element of inputs and weights."""
        return 2 if self.is_float else 1

    def parameters(self) -> dict[str, int]:
        """Return the parameters of the bench."""
        return {
            "ROWS": self.rows,
            "COLUMNS": self.columns,
            "IS_FLOAT": int(self.is_float),
            "IS_WAVEFRONT": int(self.is_wavefront),
            "TILE_ROWS": self.tile_rows,
            "BUFFER_COLUMNS": self.buffer_columns,
            "WINDOW": self.window,
        }


@dataclass(frozen=True)
class Grid:
    """Layout of the visual tokens: tokens a row, rows a frame, and the tokens from row to row and frame to frame."""

    rows: int = 4
    columns: int = 4
    row_stride: int = 4
    frame_stride: int = 16


@dataclass(frozen=True, eq=False)
class Case:
    """One GEMM.

    Attributes:
        machine: The build it runs on.
        rows: Rows of each m-tile.
        maps: Of each m-tile and k-slice, the unique vector of every row; unique vectors are numbered in order of
        first use.
        vectors: Of each m-tile and k-slice, (unique, h) elements.
        weights: (slices, columns, h, w) elements.
        columns_per_buffer: Array columns of an n-buffer tile.
        outputs: N; the last column may be cut. Its cut weights count all the same.
        lanes: n_s, 0 for an array that accumulates directly.
        read_ports: Different vectors read from the concentrate half a cycle; 0 for any number.
        is_single_ported: Output halves read in one cycle and write in the next.
        has_gather: Whether outputs are matched.
        mean_cycles: Cycles to read out the mean of a group; 0 for no means.
        weight_row_cycles: Cycles to bring a row of weights through the weight port.
        threshold: Cosine that must be exceeded.
        shift: Of requantisation to INT8.
        grid: Of all visual tokens. positions: Of each row, all tiles after one another; increasing.
        read_numerator, write_numerator, denominator: A transfer of b bytes takes ceil(b numerator / denominator)
        cycles; 0 for none.
        latency: Cycles from the end of a fetch to its data.
        map_read_bytes: Of a row and slice. map_write_bytes: Of a row and array column.
        output_rows: Rows written of each m-tile.
    """

    machine: Machine
    rows: list[int]
    maps: list[list[NDArray[np.int64]]]
    vectors: list[list[NDArray[np.generic]]]
    weights: NDArray[np.generic]
    columns_per_buffer: int = 3
    outputs: int = 0
    lanes: int = 2
    read_ports: int = 0
    is_single_ported: bool = False
    has_gather: bool = False
    mean_cycles: int = 0
    weight_row_cycles: int = 1
    threshold: float = 0.9
    shift: int = 4
    grid: Grid = field(default_factory=Grid)
    positions: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    read_numerator: int = 0
    write_numerator: int = 0
    denominator: int = 1
    latency: int = 0
    map_read_bytes: int = 0
    map_write_bytes: int = 0
    output_rows: list[int] = field(default_factory=list)
    name: str = "case"

    def __post_init__(self) -> None:
        check(self)

    @property
    def tiles(self) -> int:
        """m-tiles."""
        return len(self.rows)

    @property
    def slices(self) -> int:
        """k-slices, the same of every tile."""
        return len(self.maps[0])

    @property
    def columns(self) -> int:
        """Array columns of the GEMM."""
        return int(self.weights.shape[1])

    def unique(self, tile: int, place: int) -> int:
        """Return how many vectors of a tile and slice are streamed."""
        return len(self.vectors[tile][place])

    @property
    def groups(self) -> list[tuple[int, int, int]]:
        """(tile, first array column, array columns) of each n-buffer tile, in order."""
        steps = range(0, self.columns, self.columns_per_buffer)
        return [
            (t, first, min(self.columns_per_buffer, self.columns - first))
            for t in range(self.tiles)
            for first in steps
        ]

    def width(self, first: int) -> int:
        """Return the outputs of the n-buffer tile that starts at an array column."""
        w = self.machine.columns
        return min(self.columns_per_buffer * w, self.outputs - first * w)

    def fetch_bytes(self, tile: int, place: int, first: int) -> int:
        """Return the bytes that a step fetches: rows, weights, map."""
        elements = (self.unique(tile, place) + self.width(first)) * self.machine.rows
        return elements * self.machine.element_bytes + self.rows[tile] * self.map_read_bytes

    def write_bytes(self, tile: int, first: int, columns: int) -> int:
        """Return the bytes that a group writes: rows and maps."""
        amount = self.output_rows[tile] * self.width(first) * self.machine.element_bytes
        return amount + self.rows[tile] * columns * self.map_write_bytes

    def threshold_word(self) -> int:
        """Return the squared threshold as the RTL takes it: FP32 bits, or units of 2^-16."""
        square = np.float32(np.float32(self.threshold) * np.float32(self.threshold))
        return int(square.view(np.uint32)) if self.machine.is_float else round(self.threshold**2 * 65536)


def check(case: Case) -> None:
    """Refuse a case whose counts and maps do not belong together, or that the RTL cannot run.

    Raises:
        CaseError: One sentence that names the tile, the slice or the field.
    """
    slices = {len(one) for one in case.maps} | {len(one) for one in case.vectors}
    if len(case.maps) != case.tiles or len(case.vectors) != case.tiles or len(slices) != 1:
        raise CaseError(f"{case.name}: rows, maps and vectors must have the same tiles and slices")
    for tile, rows in enumerate(case.rows):
        most = case.machine.tile_rows
        if not 1 <= rows <= most:
            raise CaseError(f"{case.name}: tile {tile} has {rows} rows; this build holds 1 to {most}")
        for place, (index, vectors) in enumerate(zip(case.maps[tile], case.vectors[tile], strict=True)):
            _check_map(case, f"{case.name}: tile {tile}, slice {place}", rows, index, vectors)
    _check_shapes(case)
    _check_options(case)


def _check_map(
    case: Case, where: str, rows: int, index: NDArray[np.int64], vectors: NDArray[np.generic]
) -> None:
    if len(index) != rows:
        raise CaseError(f"{where}: the map has {len(index)} entries for {rows} rows")
    if vectors.ndim != 2 or vectors.shape[1] != case.machine.rows or not len(vectors):
        expected = f"(1 or more, {case.machine.rows})"
        raise CaseError(f"{where}: vectors have shape {vectors.shape}, expected {expected}")
    if not np.isfinite(vectors.astype(np.float32)).all():
        raise CaseError(f"{where}: a vector is not finite; the matcher orders finite numbers alone")
    first_use = np.unique(index, return_index=True)[1]
    if int(index.max()) + 1 != len(vectors) or len(first_use) != len(vectors):
        raise CaseError(
            f"{where}: the map names {len(first_use)} vectors up to {int(index.max())}, "
            f"{len(vectors)} are streamed"
        )
    if not (np.diff(first_use) > 0).all():
        raise CaseError(f"{where}: unique vectors must be numbered in order of first use")
    if case.lanes == 0 and len(vectors) != rows:
        raise CaseError(f"{where}: {len(vectors)} of {rows} rows are streamed, which lanes 0 cannot restore")


def _check_shapes(case: Case) -> None:
    machine, name = case.machine, case.name
    shape = (case.slices, case.columns, machine.rows, machine.columns)
    if case.weights.shape != shape:
        raise CaseError(f"{name}: weights have shape {case.weights.shape}, expected {shape}")
    if not (case.columns - 1) * machine.columns < case.outputs <= case.columns * machine.columns:
        raise CaseError(
            f"{name}: {case.outputs} outputs do not fill {case.columns} array columns of {machine.columns}"
        )
    if len(case.output_rows) != case.tiles:
        raise CaseError(f"{name}: output_rows has {len(case.output_rows)} entries for {case.tiles} tiles")
    if case.has_gather and (len(case.positions) != sum(case.rows) or (np.diff(case.positions) <= 0).any()):
        raise CaseError(f"{name}: gather needs the position of every row, increasing")
    if len(case.positions) and not 0 <= case.positions[0] <= case.positions[-1] < 2**16:
        raise CaseError(f"{name}: positions must be 0 to {2**16 - 1}")


def _check_options(case: Case) -> None:
    limits = {
        "columns_per_buffer": (1, case.machine.buffer_columns),
        "lanes": (0, LANES),
        "read_ports": (0, LANES),
        "latency": (0, 63),
        "weight_row_cycles": (1, 1 if case.machine.is_wavefront else 1024),
        "read_numerator": (0, 2**16 - 1),
        "write_numerator": (0, 2**16 - 1),
        "denominator": (1, 2**16 - 1),
    }
    for name, (least, most) in limits.items():
        value = getattr(case, name)
        if not least <= value <= most:
            raise CaseError(f"{case.name}: {name} must be {least} to {most} on this build, got {value}")


def random_map(random: np.random.Generator, rows: int, kind: str) -> NDArray[np.int64]:
    """Return a map of some kind: new vectors at random, all at the front, all at the back, none twice."""
    index = np.zeros(rows, dtype=np.int64)
    unique = 0
    share = random.random()
    for row in range(rows):
        is_new = {"front": row < (rows + 1) // 2, "back": row >= rows // 2, "all": True}.get(
            kind, random.random() < share
        )
        if is_new or not unique:
            index[row], unique = unique, unique + 1
        else:
            near = kind == "near"
            index[row] = (
                max(0, unique - 1 - int(random.integers(0, min(unique, 3))))
                if near
                else random.integers(0, unique)
            )
    return index


def elements(random: np.random.Generator, shape: tuple[int, ...], machine: Machine) -> NDArray[np.generic]:
    """Return random elements; FP16 of very different sizes, subnormals and zeros among them."""
    if not machine.is_float:
        return random.integers(-128, 128, shape).astype(np.int8)
    values = random.standard_normal(shape) * 2.0 ** random.integers(-6, 4, shape)
    values = np.where(random.random(shape) < 0.02, values * 2.0**-18, values)
    return np.where(random.random(shape) < 0.05, 0, values).astype(np.float16)


def resembling(random: np.random.Generator, unique: int, machine: Machine) -> NDArray[np.generic]:
    """Return vectors of which many resemble one another, so that gather has something to find."""
    kinds = elements(random, (max(1, unique // 4), machine.rows), machine)
    picked = kinds[random.integers(0, len(kinds), unique)]
    if machine.is_float:
        noise = 1 + random.standard_normal((unique, machine.rows)) * random.choice([0, 0.05, 0.3])
        return (picked.astype(np.float32) * noise).astype(np.float16)
    return np.clip(picked.astype(np.int64) + random.integers(-9, 10, picked.shape), -128, 127).astype(np.int8)


def random_case(random: np.random.Generator, machine: Machine, most_rows: int, name: str) -> Case:
    """Return a case in which any option may be set."""
    tiles, slices, columns = (int(random.integers(1, most)) for most in (4, 5, 6))
    lanes = int(random.choice([0, 1, 2, 2, 3, 4]))
    rows = [int(random.integers(1, most_rows + 1)) for _ in range(tiles)]
    kinds = ["all"] if lanes == 0 else ["any", "any", "near", "front", "back", "all"]
    maps = [[random_map(random, one, str(random.choice(kinds))) for _ in range(slices)] for one in rows]
    vectors = [[resembling(random, int(index.max()) + 1, machine) for index in tile] for tile in maps]
    has_gather = bool(random.random() < 0.6)
    grid_rows, grid_columns = (int(random.integers(1, 7)) for _ in range(2))
    row_stride = grid_columns + int(random.integers(0, 2))
    grid = Grid(grid_rows, grid_columns, row_stride, grid_rows * row_stride + int(random.integers(0, 2)))
    gaps = np.where(random.random(sum(rows)) < random.random(), 1, random.integers(1, 6, sum(rows)))
    is_dram = random.random() < 0.6
    case = Case(
        machine=machine,
        rows=rows,
        maps=maps,
        vectors=vectors,
        weights=elements(random, (slices, columns, machine.rows, machine.columns), machine),
        columns_per_buffer=int(random.integers(1, machine.buffer_columns + 1)),
        outputs=columns * machine.columns - int(random.integers(0, machine.columns)),
        lanes=lanes,
        read_ports=int(random.choice([0, 0, 1, 2])),
        is_single_ported=bool(random.random() < 0.3),
        has_gather=has_gather,
        mean_cycles=int(random.choice([0, 1, 1, 8])) if has_gather else 0,
        weight_row_cycles=1 if machine.is_wavefront else int(random.choice([1, 1, 1, 4])),
        threshold=float(random.choice([0.8, 0.9, 0.95])),
        shift=int(random.integers(4, 9)),
        grid=grid,
        positions=np.cumsum(gaps) - int(random.integers(0, gaps[0] + 1)),
        read_numerator=int(random.integers(1, 9)) if is_dram else 0,
        write_numerator=int(random.integers(1, 9)) if is_dram else 0,
        denominator=int(random.choice([4, 16, 64, 100, 128])) if is_dram else 1,
        latency=int(random.choice([0, 0, 7, 40])) if is_dram else 0,
        map_read_bytes=int(random.choice([0, 2])),
        map_write_bytes=int(random.choice([0, 2])),
        output_rows=[int(random.integers(1, one + 1)) for one in rows],
        name=name,
    )
    return replace(case, is_single_ported=False, read_ports=0) if lanes == 0 else case


def edge_cases(machine: Machine) -> list[Case]:
    """Return what no random case meets: cosines that are the threshold itself, and a full tile of one group."""
    rows = machine.tile_rows
    unit = np.zeros((rows, machine.rows), dtype=np.float16 if machine.is_float else np.int8)
    unit[:, 0] = 1
    halves = unit.copy()
    halves[::2, :4] = 1  # its cosine with a unit vector is 1 / 2
    weights = np.eye(machine.rows, machine.columns, dtype=unit.dtype)[None, None]
    plain = Case(
        machine=machine,
        rows=[rows],
        maps=[[np.arange(rows)]],
        vectors=[[unit]],
        weights=weights,
        columns_per_buffer=1,
        outputs=machine.columns,
        has_gather=True,
        mean_cycles=1,
        threshold=0.5,
        shift=0,
        grid=Grid(1, rows, rows, rows),
        positions=np.arange(rows),
        output_rows=[rows],
        name="a full tile of one group",
    )
    return [plain, replace(plain, vectors=[[halves]], name="cosines at the threshold")]


def _hex(values: NDArray[np.generic], machine: Machine) -> list[str]:
    """Return rows of elements as words, element 0 in the lowest bits."""
    raw = np.ascontiguousarray(values[:, ::-1])
    big = raw.astype(">f2") if machine.is_float else raw
    text = big.tobytes().hex()
    width = values.shape[1] * machine.element_bytes * 2
    return [text[at : at + width] for at in range(0, len(text), width)]


def write_cases(cases: list[Case], folder: Path) -> None:
    """Write what `bench_core` reads."""
    machine = cases[0].machine
    files: dict[str, list[str]] = {
        name: []
        for name in ("cases", "rows", "written", "unique", "base", "map", "offsets", "vectors", "weights")
    }
    for case in cases:
        grid = case.grid
        fields = [
            getattr(case, name) for name in ("tiles", "slices", "columns", "columns_per_buffer", "outputs")
        ]
        fields += [case.lanes, case.read_ports, case.is_single_ported, case.has_gather, case.mean_cycles]
        fields += [case.weight_row_cycles, case.threshold_word(), case.shift]
        fields += [grid.frame_stride, grid.row_stride, grid.rows, grid.columns]
        fields += [case.read_numerator, case.write_numerator, case.denominator, case.latency]
        fields += [case.map_read_bytes, case.map_write_bytes]
        fields += [len(files[name]) for name in ("rows", "unique", "map", "offsets", "weights")]
        files["cases"] += [f"{int(value):x}" for value in fields + [0] * (32 - len(fields))]
        files["rows"] += [f"{value:x}" for value in case.rows]
        files["written"] += [f"{value:x}" for value in case.output_rows]
        offsets = (
            np.diff(case.positions, prepend=0) if len(case.positions) else np.zeros(sum(case.rows), np.int64)
        )
        done = 0
        for tile, rows in enumerate(case.rows):
            padding = ["0"] * (machine.tile_rows - rows)
            files["offsets"] += [f"{value:x}" for value in offsets[done : done + rows]] + padding
            done += rows
            for index, vectors in zip(case.maps[tile], case.vectors[tile], strict=True):
                files["unique"].append(f"{len(vectors):x}")
                files["base"].append(f"{len(files['vectors']):x}")
                files["map"] += [f"{value:x}" for value in index] + padding
                files["vectors"] += _hex(vectors, machine)
        files["weights"] += _hex(case.weights.reshape(-1, machine.columns), machine)
    files["map"] += ["0"] * LANES
    for name, lines in files.items():
        (folder / f"{name}.hex").write_text("\n".join(lines) + "\n")
