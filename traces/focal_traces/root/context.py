"""Where the header of a published file comes from: a given file, a trace beside it, its trace root."""

from __future__ import annotations

import json
import re
from pathlib import Path

from focal_common.errors import TraceError
from focal_common.reading.json_files import read_json
from focal_traces.files.store import COUNTS_SUFFIX, MASKS_SUFFIX, read_any
from focal_traces.header.schema import (
    MOST_TOKENS,
    QWEN2_7B,
    DecoderGeometry,
    SampleHeader,
    TokenGrid,
    TraceHeader,
)
from focal_traces.header.text import text_to_header
from focal_traces.masks.published import published_header
from focal_traces.tables.table import WORKLOADS, Workload

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

    Raises:
        TraceError: The variant is a number that no vector or tile has.
    """
    is_number = variant is not None and re.fullmatch("-?[0-9]{1,9}", variant) is not None
    number = int(variant) if is_number and variant is not None else 0
    if number > MOST_TOKENS:
        raise TraceError(f"{folder}: variant '{variant}' is a number above {MOST_TOKENS}")
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


def find_context(path: Path, header_file: Path | None = None) -> TraceHeader | None:
    """Return the header to read ``path`` with if it turns out to be published.

    Args:
        path: A trace file of any tier.
        header_file: JSON header, what ``focal trace info`` prints as JSON, or a trace whose header fits; None to
            look for ``NAME.counts.parquet`` beside ``NAME.pth``, then for ``meta_data.csv`` above its folder.

    Raises:
        TraceError: ``header_file`` or the ``meta_data.csv`` found is wrong.
    """
    if header_file is not None:
        return header_of_file(header_file)
    beside = path.with_name(path.stem + COUNTS_SUFFIX)
    is_published_name = path.suffix == ".pth" and not path.name.endswith(MASKS_SUFFIX)
    if is_published_name and beside.is_file():
        return header_of_file(beside)
    return context_of_published(path)


def header_of_file(path: Path) -> TraceHeader:
    """Read a header from a JSON file or from a trace; a trace of many samples gives its chosen one.

    Raises:
        TraceError: Neither, or damaged.
    """
    if path.suffix == ".json":
        tree = read_json(path, TraceError)
        # What `focal trace info` prints holds the header under its own key.
        inner = tree.get("header")
        header = text_to_header(json.dumps(inner if isinstance(inner, dict) else tree), str(path))
    else:
        _, trace = read_any(path, context_of_published(path))
        header = trace.header
    chosen = header.median_index or 0
    return header.model_copy(update={"samples": (header.samples[chosen],), "median_index": None})
