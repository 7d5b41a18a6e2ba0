"""The layout of the published Focus artifact: a nested dict of dense tensors, read and written exactly.

The layout carries no header, so the caller says what was run.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from focal_common.errors import TraceError
from focal_common.reading.torch_files import load_torch, torch_module
from focal_traces.header.published import PUBLISHED_METHOD
from focal_traces.header.schema import GEMMS, DecoderGeometry, SampleHeader, TraceHeader
from focal_traces.masks.masks import MaskTrace, SampleMaskBuilder
from focal_traces.masks.pointers import PointerRule
from focal_traces.masks.torch_file import save_torch

KINDS = ("mask_zero", "mask_similar", "group_idx")
PUBLISHED_ORDER = ("q_proj", "o_proj", "query", "gate_proj", "down_proj")
"""Key order of the published dictionaries; differs from the order of computation."""


def published_header(
    *,
    model: str,
    dataset: str,
    geometry: DecoderGeometry,
    sample: SampleHeader,
    vector_size: int = 32,
    m_tile: int = 1024,
    method: str = PUBLISHED_METHOD,
    notes: str = "",
) -> TraceHeader:
    """Return a header for a trace that was published without one.

    Args:
        model: Registry name of the model family.
        dataset: Task name.
        geometry: Decoder shape; the artifact's models all have `QWEN2_7B`.
        sample: Length and grid, usually from ``meta_data.csv``.
        vector_size: Elements per vector; the artifact's default is 32.
        m_tile: Tokens per m-tile, 0 for none; the artifact's default is 1024.
        method: Compression method.
        notes: Free text.
    """
    return TraceHeader(
        model=model,
        checkpoint="unknown",
        dataset=dataset,
        geometry=geometry,
        method=method,
        parameters={},
        vector_size=vector_size,
        m_tile=m_tile,
        samples=(sample,),
        median_index=0,
        origin="published",
        notes=notes,
    )


def read_published(
    path: Path,
    *,
    model: str,
    dataset: str,
    geometry: DecoderGeometry,
    sample: SampleHeader,
    vector_size: int = 32,
    m_tile: int = 1024,
) -> MaskTrace:
    """Read a published trace; see `published_header` for the arguments.

    Raises:
        TraceError: Truncated, damaged, malicious, wrong shapes for the given context, or overlapping masks;
            the message names layer and GEMM.
        UnsupportedError: torch is not installed.
    """
    header = published_header(
        model=model, dataset=dataset, geometry=geometry, sample=sample, vector_size=vector_size, m_tile=m_tile
    )
    return masks_from_published(load_torch(path), header, str(path))


def looks_published(content: Any) -> bool:
    """Return whether what `load_torch` gave has the three dictionaries of the published layout."""
    return isinstance(content, dict) and all(isinstance(content.get(kind), dict) for kind in KINDS)


def masks_from_published(content: Any, header: TraceHeader, where: str) -> MaskTrace:
    """Pack the dense tensors of a published trace one (layer, gemm) at a time.

    Args:
        content: What `load_torch` gave.
        header: Context with exactly one sample.
        where: File name for messages.

    Raises:
        TraceError: A tensor is missing or has another dtype or shape, or masks overlap.
    """
    if not looks_published(content):
        raise TraceError(f"{where}: not a published trace; expected dictionaries {', '.join(KINDS)}")
    if len(header.samples) != 1:
        raise TraceError(
            f"{where}: a published trace holds one sample, the header lists {len(header.samples)}"
        )
    arrays = {(kind, name): _tensor(content, kind, name, header, where) for kind in KINDS for name in GEMMS}
    builder = SampleMaskBuilder(header.geometry.layers, PointerRule((), None))
    try:
        for layer in range(header.geometry.layers):
            for name in GEMMS:
                zero, similar, group = (arrays[kind, name][layer, 0] for kind in KINDS)
                builder.add_published(layer, name, zero, similar, group)
    except TraceError as error:
        raise TraceError(f"{where}: {error}") from error
    return MaskTrace(header, (builder.finish(),))


def write_published(masks: MaskTrace, path: Path, sample: int | None = None) -> None:
    """Write one sample in the published layout, dense and without a header.

    Needs memory for the dense tensors: 6 bytes per vector, 2.0e9 bytes for 28 layers x 11,648 tokens.

    Args:
        masks: Tier 2.
        path: Target, by convention ``<folder>/<model>_<dataset>[_<variant>].pth``.
        sample: Which sample; the chosen one if None.

    Raises:
        RunError: The disk is full or the folder cannot be written; an earlier file is untouched.
        UnsupportedError: torch is not installed.
    """
    torch = torch_module()
    header = masks.header
    chosen = masks.samples[masks.chosen_sample() if sample is None else sample]
    content: dict[str, dict[str, Any]] = {kind: {} for kind in KINDS}
    for name in PUBLISHED_ORDER:
        first = chosen.gemm(0, name)
        shape = (header.geometry.layers, 1, first.tokens, first.slices)
        zero, similar = np.empty(shape, dtype=np.bool_), np.empty(shape, dtype=np.bool_)
        group = np.empty(shape, dtype=np.int32)
        for layer in range(header.geometry.layers):
            packed = chosen.gemm(layer, name)
            zero[layer, 0], similar[layer, 0] = packed.is_zero(), packed.is_similar()
            group[layer, 0] = packed.group_index(chosen.rule)
        for kind, dense in zip(KINDS, (zero, similar, group), strict=True):
            content[kind][name] = torch.from_numpy(dense)
    save_torch(content, path)


def _tensor(content: Any, kind: str, name: str, header: TraceHeader, where: str) -> NDArray[Any]:
    tensor = content[kind].get(name)
    place = f"{where}: {kind}['{name}']"
    if tensor is None or not hasattr(tensor, "numpy"):
        raise TraceError(f"{place} is missing; expected one tensor per {', '.join(PUBLISHED_ORDER)}")
    dtype = "torch.int32" if kind == "group_idx" else "torch.bool"
    if str(tensor.dtype) != dtype:
        raise TraceError(f"{place} is {tensor.dtype}, expected {dtype}")
    layers, tokens = header.geometry.layers, header.samples[0].visual_tokens
    expected = (layers, 1, tokens, header.slices(name))
    found = tuple(tensor.shape)
    if len(found) == 4 and found[2] != tokens:
        raise TraceError(
            f"{place} has S = {found[2]} visual tokens, expected {tokens} ('Sequence length' of "
            "meta_data.csv)"
        )
    if found != expected:
        raise TraceError(
            f"{place} has shape {found}, expected {expected} (layers, 1, visual tokens, slices) for "
            f"vector_size {header.vector_size}"
        )
    return tensor.numpy()  # type: ignore[no-any-return]
