"""Reads which published rows need a stand-in, and how each of them was configured."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from pathlib import Path

from focal_common.errors import TraceError
from focal_common.places import plain_name
from focal_common.reading.csv_files import read_csv
from focal_common.reading.values import real_number
from focal_simulator.accelerators.focus.accelerator import Focus
from focal_simulator.accelerators.presets import build_accelerator
from focal_simulator.calibration.model import Case, Row
from focal_traces.methods.focus import SCHEDULES
from focal_traces.tables.table import WORKLOADS

_MAIN, _INT8, _BLOCK, _M_TILE = "main_focus", "int8_focus", "dse_block", "dse_m_tile"
_SCATTER, _MAIN_SCATTER = "dse_scatter", 2
_FOLDERS = {
    _MAIN: "focus_main",
    _INT8: "focus_int8",
    _M_TILE: "m_tile_size_dse",
    _BLOCK: "block_size_dse",
}
_SWEPT_WORKLOAD = ("llava_vid", "videomme")
_MAIN_BLOCK, _MAIN_M_TILE = "2x2x2", 1024

Published = dict[tuple[str, str], dict[str, float]]


@dataclass(frozen=True, slots=True)
class PublishedLengths:
    """Published statistics of unique vectors per tile and slice (Focus, HPCA 2026, Fig. 13)."""

    mean: float
    standard_deviation: float
    utilisation: float
    minimum: int


@dataclass(frozen=True, slots=True)
class VectorPoint:
    """One point of the vector-size sweep, which publishes a single layer: o_proj of block 9.

    Attributes:
        vector_size: Elements per vector.
        computed_rows: v, unique vectors per slice rounded down.
        stored_rows: C, the same rounded up.
    """

    vector_size: int
    computed_rows: int
    stored_rows: int


def read_published(root: Path) -> Published:
    """Return every claimed number of ``claims.csv`` by (exhibit, subject) and quantity."""
    path = root / "claims.csv"
    found: Published = defaultdict(dict)
    _, rows = read_csv(path, ("exhibit", "subject", "quantity", "value"))
    for number, row in enumerate(rows, start=1):
        try:
            found[row["exhibit"], row["subject"]][row["quantity"]] = real_number(row["value"])
        except ValueError as error:
            raise TraceError(f"{path}, row {number}: 'value': {error}") from error
    return dict(found)


_COLUMNS = (
    "num_ops",
    "total_compute_cycles",
    "total_stall_cycles",
    "total_dram_access",
    "total_activation",
    "total_compression_ratio",
)
"""Columns of a published row in the order of the fields of `Row`."""


def _target(numbers: dict[str, float], where: str) -> Row:
    if missing := [column for column in _COLUMNS if column not in numbers]:
        raise TraceError(f"{where}: has no claim for {missing[0]}, expected {', '.join(_COLUMNS)}")
    return Row(*(numbers[column] for column in _COLUMNS))


def _focus(
    m_tile: int | None = None, gather_block: int | None = None, scatter_vectors: int | None = None
) -> Focus:
    fields = {
        "tiles.m_tile": m_tile,
        "core.gather_block": gather_block,
        "core.scatter_vectors": scatter_vectors,
    }
    overrides = [f"{field}={value}" for field, value in fields.items() if value is not None]
    accelerator: Focus = build_accelerator("focus", overrides=overrides)  # type: ignore[assignment]
    return accelerator


def read_cases(root: Path) -> list[Case]:
    """Return every published Focus row that needs a stand-in; main rows first, then INT8 and the sweeps.

    Args:
        root: Folder with ``meta_data.csv``, ``schedules.csv`` and ``claims.csv``.
    """
    published = read_published(root)
    workloads = WORKLOADS.read(root / "meta_data.csv")
    schedules = SCHEDULES.read(root / SCHEDULES.file)
    cases = []
    for exhibit, folder in _FOLDERS.items():
        for (of_exhibit, subject), numbers in published.items():
            if of_exhibit != exhibit:
                continue
            is_sweep = exhibit in (_M_TILE, _BLOCK)
            model, dataset = _SWEPT_WORKLOAD if is_sweep else subject.split("/")
            if (model, dataset) not in workloads or (model, dataset) not in schedules:
                raise TraceError(
                    f"{root}: {model}/{dataset} of claims.csv needs a row in meta_data.csv and schedules.csv"
                )
            if is_sweep:
                plain_name(subject, f"{root / 'claims.csv'}: 'subject' of {exhibit}", TraceError)
            workload, pruning = workloads[model, dataset], schedules[model, dataset]
            case = Case(
                model=model,
                dataset=dataset,
                folder=folder,
                swept=subject if is_sweep else "",
                visual_tokens=workload.visual_tokens,
                frames=workload.frames,
                patches=workload.patches,
                schedule=pruning.schedule,
                similarity_threshold=pruning.similarity_threshold,
                m_tile=_MAIN_M_TILE,
                block=_MAIN_BLOCK,
                accelerator=_focus(),
                target=_target(numbers, f"{root / 'claims.csv'}: {exhibit}, {subject}"),
                source=f"published Focus artifact, {exhibit}, {subject}",
            )
            cases.append(_configured(case, exhibit, published))
    return cases


def _configured(case: Case, exhibit: str, published: Published) -> Case:
    if exhibit == _MAIN and (case.model, case.dataset) == _SWEPT_WORKLOAD:
        sweep = tuple(
            (_focus(scatter_vectors=int(vectors)), numbers["total_stall_cycles"])
            for (of_exhibit, vectors), numbers in published.items()
            if of_exhibit == _SCATTER and int(vectors) != _MAIN_SCATTER
        )
        return replace(case, scatter_sweep=sweep)
    if exhibit == _M_TILE:
        # -1 stands for one tile over the whole sequence.
        m_tile = int(case.swept)
        rows = case.visual_tokens if m_tile < 0 else m_tile
        return replace(case, m_tile=rows, accelerator=_focus(m_tile=rows))
    if exhibit == _BLOCK:
        # The sweep charges the sum of the block's sides, the main run 8 (published as such).
        charged = sum(int(side) for side in case.swept.split("x"))
        return replace(case, block=case.swept, accelerator=_focus(gather_block=charged))
    return case


def read_published_lengths(root: Path) -> PublishedLengths:
    """Return the published tile-length statistics."""
    numbers = next(values for (exhibit, _), values in read_published(root).items() if exhibit == "fig_13")
    return PublishedLengths(
        mean=numbers["mean"],
        standard_deviation=numbers["standard_deviation"],
        utilisation=numbers["utilisation"],
        minimum=int(numbers["minimum"]),
    )


def read_vector_points(root: Path, macs_per_row: int, bytes_per_row: int) -> list[VectorPoint]:
    """Return the published points of the vector-size sweep.

    Args:
        root: Folder with ``claims.csv``.
        macs_per_row: K x N of the layer; the sweep counts each MAC as two operations.
        bytes_per_row: Output bytes of one stored row, the layer's only counted DRAM traffic.
    """
    points = []
    for (exhibit, subject), numbers in read_published(root).items():
        if exhibit == "dse_vector":
            computed = numbers["layer_array_ops"] / (2 * macs_per_row)
            stored = numbers["dram_access"] / bytes_per_row
            points.append(VectorPoint(int(subject), int(computed), int(stored)))
    return points
