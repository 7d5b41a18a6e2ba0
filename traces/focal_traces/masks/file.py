"""Tier 2 on disk: ``NAME.masks.pth``, a torch zip file that loads with ``torch.load(weights_only=True)``."""

from __future__ import annotations

import hashlib
import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from focal_common.errors import TraceError
from focal_common.reading.json_files import parse_json
from focal_common.reading.torch_files import load_torch, torch_module
from focal_traces.header.schema import GEMMS
from focal_traces.header.text import check_version, header_to_text, text_to_header
from focal_traces.masks.masks import MaskTrace, SampleMasks
from focal_traces.masks.packing import MOST_VECTORS, POINTER_KINDS, PackedGemm
from focal_traces.masks.pointers import PointerRule
from focal_traces.masks.torch_file import save_torch

MASKS_SUFFIX = ".masks.pth"
FORMAT = "focal.masks"

_FIELDS = ("format", "schema_version", "header", "rules", "index", "payload", "content_sha256")
_MOST_OFFSET = 2**31 - 1
_MOST_VECTORS, _MOST_GROWTH = 1 << 32, 1 << 12
"""Vectors of all masks. Ten samples of 28 layers x 11,648 tokens have 3.4 billion; 12 of them take a byte in a trace of
Focus, and almost none where a method leaves them as they are; a billion of those take a second."""
_INDEX_COLUMNS = 6  # tokens, slices, pointer kind, bytes of zero, similar and pointers


def write_masks(trace: MaskTrace, path: Path) -> None:
    """Write tier 2 in one step; the same trace gives the same bytes.

    Raises:
        TraceError: Masks and header contradict each other.
        RunError: The disk is full or the folder cannot be written; an earlier file is untouched.
        UnsupportedError: torch is not installed.
    """
    trace.check(str(path))
    torch = torch_module()
    packed = [gemm for sample in trace.samples for gemm in sample.gemms]
    rows = [
        (g.tokens, g.slices, POINTER_KINDS.index(g.kind), len(g.zero), len(g.similar), len(g.pointers))
        for g in packed
    ]
    index = np.array(rows, dtype=np.int64)
    payload = np.frombuffer(
        b"".join(part for g in packed for part in (g.zero, g.similar, g.pointers)), np.uint8
    )
    header = header_to_text(trace.header)
    rules = json.dumps(
        [{"offsets": sample.rule.offsets, "rounds": sample.rule.rounds} for sample in trace.samples],
        separators=(",", ":"),
    )
    content = {
        "format": FORMAT,
        "schema_version": trace.header.schema_version,
        "header": header,
        "rules": rules,
        "index": torch.from_numpy(index),
        "payload": torch.from_numpy(payload.copy()),
        "content_sha256": _checksum(header, rules, index, payload),
    }
    save_torch(content, path)


def read_masks(path: Path) -> MaskTrace:
    """Read and check tier 2.

    Raises:
        TraceError: Missing, truncated, damaged, not a Focal mask trace, from a newer Focal, or inconsistent.
        UnsupportedError: torch is not installed.
    """
    content = load_torch(path)
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise TraceError(f"{path}: field 'format' must be '{FORMAT}'; this is not a Focal mask trace")
    return masks_from_content(content, path)


def masks_from_content(content: dict[str, Any], path: Path) -> MaskTrace:
    """Check what `load_torch` returned for a mask trace; see `read_masks` for errors."""
    check_version(content.get("schema_version"), str(path))
    if missing := [name for name in _FIELDS if name not in content]:
        raise TraceError(f"{path}: field '{missing[0]}' is missing; expected {', '.join(_FIELDS)}")
    index = _array(content["index"], np.dtype(np.int64), 2, "index", path)
    payload = _array(content["payload"], np.dtype(np.uint8), 1, "payload", path)
    header_text, rules_text = str(content["header"]), str(content["rules"])
    found = _checksum(header_text, rules_text, index, payload)
    if found != content["content_sha256"]:
        raise TraceError(
            f"{path}: damaged: content SHA-256 is {found[:16]}..., expected "
            f"{str(content['content_sha256'])[:16]}..."
        )
    header = text_to_header(header_text, str(path))
    rules = _rules(rules_text, path)
    gemms = _gemms(index, payload, path)
    per_sample = header.geometry.layers * len(GEMMS)
    if len(gemms) != per_sample * len(header.samples) or len(rules) != len(header.samples):
        raise TraceError(
            f"{path}: {len(gemms)} masks and {len(rules)} rules, expected {per_sample} masks and one rule "
            f"for each of {len(header.samples)} samples"
        )
    samples = tuple(
        SampleMasks(rule, tuple(gemms[sample * per_sample : (sample + 1) * per_sample]))
        for sample, rule in enumerate(rules)
    )
    trace = MaskTrace(header, samples)
    trace.check(str(path))
    return trace


def _array(tensor: Any, dtype: np.dtype[Any], axes: int, name: str, path: Path) -> NDArray[Any]:
    array = tensor.numpy() if hasattr(tensor, "numpy") else np.zeros(0)
    if array.dtype != dtype or array.ndim != axes:
        raise TraceError(
            f"{path}: field '{name}' must be a {dtype} tensor with {axes} axes, got {array.dtype}"
        )
    return array


def _rules(text: str, path: Path) -> list[PointerRule]:
    rules = []
    listed = parse_json(text, f"{path}: field 'rules'", TraceError)
    for rule in listed if isinstance(listed, list) else [None]:
        offsets, rounds = (
            (rule.get("offsets"), rule.get("rounds")) if isinstance(rule, dict) else (None, None)
        )
        numbers = [*offsets, *([] if rounds is None else [rounds])] if isinstance(offsets, list) else [None]
        if not all(type(number) is int and 0 <= number <= _MOST_OFFSET for number in numbers):
            raise TraceError(
                f"{path}: field 'rules' must list 'offsets' and 'rounds' of every sample, whole numbers up to "
                f"{_MOST_OFFSET}"
            )
        rules.append(PointerRule(tuple(offsets or ()), rounds))
    return rules


def _gemms(index: NDArray[np.int64], payload: NDArray[np.uint8], path: Path) -> list[PackedGemm]:
    if index.shape[1] != _INDEX_COLUMNS or np.any(index < 0) or np.any(index[:, 2] >= len(POINTER_KINDS)):
        raise TraceError(f"{path}: field 'index' must have {_INDEX_COLUMNS} columns of known, positive codes")
    lengths = index[:, 3:].ravel()
    vectors = [int(tokens) * int(slices) for tokens, slices in index[:, :2]]
    if max(vectors, default=0) > MOST_VECTORS or sum(vectors) > _MOST_VECTORS + _MOST_GROWTH * len(payload):
        raise TraceError(
            f"{path}: field 'index' announces {sum(vectors)} vectors, expected at most {MOST_VECTORS} in each GEMM and "
            f"{_MOST_VECTORS} with {_MOST_GROWTH} for each byte of the payload in all"
        )
    if np.any(lengths > len(payload)):
        raise TraceError(f"{path}: field 'index' announces more bytes than the payload's {len(payload)}")
    edges = np.concatenate([[0], np.cumsum(lengths)])
    if edges[-1] != len(payload):
        raise TraceError(f"{path}: field 'payload' has {len(payload)} bytes, expected {edges[-1]}")
    parts = [payload[start:stop].tobytes() for start, stop in pairwise(edges)]
    return [
        PackedGemm(int(tokens), int(slices), POINTER_KINDS[int(kind)], *parts[3 * place : 3 * place + 3])
        for place, (tokens, slices, kind) in enumerate(index[:, :3])
    ]


def _checksum(header: str, rules: str, index: NDArray[np.int64], payload: NDArray[np.uint8]) -> str:
    digest = hashlib.sha256()
    for text in (header, rules):
        digest.update(len(text.encode("utf-8")).to_bytes(8, "little"))
        digest.update(text.encode("utf-8"))
    digest.update(np.ascontiguousarray(index.astype("<i8")).data)
    digest.update(np.ascontiguousarray(payload).data)
    return digest.hexdigest()
