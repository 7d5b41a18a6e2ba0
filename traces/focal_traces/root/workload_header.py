"""The header of a trace that has none: from its row of ``meta_data.csv`` and its place in the trace root."""

from __future__ import annotations

from pathlib import Path

from focal_traces.header.schema import QWEN2_7B, DecoderGeometry, SampleHeader, TokenGrid, TraceHeader
from focal_traces.masks.file import MASKS_SUFFIX
from focal_traces.masks.published import published_header
from focal_traces.tables.workloads import WORKLOADS, Workload

__all__ = ["context_of_published", "workload_header"]

_VECTOR_SIZE_FOLDER, _M_TILE_FOLDER = "vector_size_dse", "m_tile_size_dse"


def context_of_published(path: Path, geometry: DecoderGeometry = QWEN2_7B) -> TraceHeader | None:
    """Return the context of ``<root>/<folder>/<model>_<dataset>[_<variant>].pth`` from its trace root.

    Args:
        path: A file that may be in the published layout.
        geometry: Decoder shape, which the layout does not tell.

    Returns:
        None where there is no ``meta_data.csv`` above the file, or none of its rows fits the name.

    Raises:
        TraceError: ``meta_data.csv`` is wrong.
    """
    path = path.absolute()
    table = path.parent.parent / "meta_data.csv"
    if path.suffix != ".pth" or path.name.endswith(MASKS_SUFFIX) or not table.is_file():
        return None
    workloads = WORKLOADS.read(table)
    # The longest fitting name wins: 'a_b' before 'a' where both are datasets.
    for (model, dataset), workload in sorted(workloads.items(), key=lambda item: -len("_".join(item[0]))):
        stem = f"{model}_{dataset}"
        if path.stem == stem:
            return workload_header(workload, geometry, path.parent.name)
        if path.stem.startswith(f"{stem}_"):
            return workload_header(workload, geometry, path.parent.name, path.stem[len(stem) + 1 :])
    return None


def workload_header(
    workload: Workload,
    geometry: DecoderGeometry = QWEN2_7B,
    folder: str = "",
    variant: str | None = None,
) -> TraceHeader:
    """Return what a row of ``meta_data.csv`` and a file's place tell about a trace without a header.

    Args:
        workload: Length, frames and patches.
        geometry: Decoder shape.
        folder: ``vector_size_dse`` and ``m_tile_size_dse`` give their meaning to a numeric variant.
        variant: Last part of the file's name.
    """
    is_number = variant is not None and variant.lstrip("-").isdigit()
    number = int(variant) if is_number and variant is not None else 0
    vector_size = number if is_number and folder == _VECTOR_SIZE_FOLDER and number > 0 else 32
    m_tile = max(number, 0) if is_number and folder == _M_TILE_FOLDER else 1024
    grid = TokenGrid(
        frames=workload.frames,
        rows=1,
        columns=workload.patches,
        frame_stride=workload.patches,
        row_stride=workload.patches,
        column_stride=1,
    )
    index = "" if workload.median_index is None else f" {workload.median_index}"
    sample = SampleHeader(
        sample_id=f"published{index}",
        sequence_tokens=workload.visual_tokens,
        visual_start=0,
        visual_tokens=workload.visual_tokens,
        grid=grid,
    )
    return published_header(
        model=workload.model,
        dataset=workload.dataset,
        geometry=geometry,
        sample=sample,
        vector_size=vector_size,
        m_tile=m_tile,
        notes="published layout: text tokens, rows and columns of the grid are not recorded in it",
    )
