"""Is the published layout read and written exactly, and never executed?"""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from focal_common.errors import TraceError
from focal_traces.files.store import open_masks, open_trace, write_masks
from focal_traces.header.schema import GEMMS, SampleHeader
from focal_traces.masks.published import PUBLISHED_ORDER, published_header, read_published, write_published
from traces_support import GRID, TINY, tiny_masks

SAMPLE = SampleHeader(sample_id="0", sequence_tokens=18, visual_start=0, visual_tokens=18, grid=GRID)
CONTEXT: dict[str, Any] = {
    "model": "tiny",
    "dataset": "none",
    "geometry": TINY,
    "sample": SAMPLE,
    "vector_size": 4,
    "m_tile": 5,
}


def _published(folder: Path, **changes: Any) -> Path:
    path = folder / "tiny.pth"
    write_published(tiny_masks(**changes), path)
    return path


def _equal(one: Any, two: Any) -> bool:
    return [list(one), *map(list, one.values())] == [list(two), *map(list, two.values())] and all(
        torch.equal(one[kind][name], two[kind][name]) and one[kind][name].dtype == two[kind][name].dtype
        for kind in one
        for name in one[kind]
    )


def test_layout_has_the_published_keys_types_and_shapes(tmp_path: Path) -> None:
    content = torch.load(_published(tmp_path), weights_only=True)
    assert list(content) == ["mask_zero", "mask_similar", "group_idx"]
    assert list(content["group_idx"]) == list(PUBLISHED_ORDER)
    assert content["mask_zero"]["query"].dtype == torch.bool
    assert content["group_idx"]["down_proj"].dtype == torch.int32
    assert tuple(content["group_idx"]["down_proj"].shape) == (3, 1, 18, 5)


def test_tokens_that_were_pruned_point_to_themselves(tmp_path: Path) -> None:
    content = torch.load(_published(tmp_path), weights_only=True)
    zero, group = content["mask_zero"]["down_proj"], content["group_idx"]["down_proj"]
    own = torch.arange(18 * 5, dtype=torch.int32).view(1, 1, 18, 5).expand_as(group)
    assert zero.any()
    assert torch.equal(group[zero], own[zero])


@pytest.mark.parametrize("rounds_frames", [1, 3])
def test_published_to_ours_to_published_is_identical(tmp_path: Path, rounds_frames: int) -> None:
    grid = GRID.model_copy(update={"frames": rounds_frames, "rows": 6 // rounds_frames})
    path = _published(tmp_path, grid=grid, similarity=dict.fromkeys(GEMMS, 0.95), m_tile=0)
    original = torch.load(path, weights_only=True)
    tokens = original["mask_zero"]["query"].shape[2]
    sample = SAMPLE.model_copy(update={"visual_tokens": tokens, "sequence_tokens": tokens, "grid": grid})
    ours, back = tmp_path / "a.masks.pth", tmp_path / "back.pth"
    write_masks(read_published(path, **(CONTEXT | {"sample": sample})), ours)
    write_published(open_masks(ours), back)
    assert _equal(torch.load(back, weights_only=True), original)


def test_a_group_index_of_no_meaning_still_round_trips(tmp_path: Path) -> None:
    content = torch.load(_published(tmp_path), weights_only=True)
    content["group_idx"]["query"][1] = torch.randint(-(2**31), 2**31 - 1, (1, 18, 2)).int()
    path, back = tmp_path / "odd.pth", tmp_path / "back.pth"
    torch.save(content, path)
    masks = read_published(path, **CONTEXT)
    write_masks(masks, tmp_path / "a.masks.pth")
    write_published(open_masks(tmp_path / "a.masks.pth"), back)
    assert _equal(torch.load(back, weights_only=True), content)


def test_counts_of_an_imported_trace_equal_those_of_the_recorded_one(tmp_path: Path) -> None:
    recorded = tmp_path / "a.masks.pth"
    write_masks(tiny_masks(samples=1), recorded)
    imported = open_trace(_published(tmp_path, samples=1), published_header(**CONTEXT))
    assert np.array_equal(imported.totals(0).unique, open_trace(recorded).totals(0).unique)


def test_overlap_names_file_layer_and_gemm(tmp_path: Path) -> None:
    path = _published(tmp_path)
    content = torch.load(path, weights_only=True)
    content["mask_similar"]["gate_proj"][2] |= content["mask_zero"]["gate_proj"][2]
    torch.save(content, path)
    with pytest.raises(
        TraceError, match=r"tiny\.pth: layer 2, gate_proj: mask_zero and mask_similar overlap"
    ):
        read_published(path, **CONTEXT)


def test_another_length_than_the_table_is_refused(tmp_path: Path) -> None:
    sample = SAMPLE.model_copy(update={"visual_tokens": 17})
    with pytest.raises(TraceError, match="S = 18 visual tokens, expected 17"):
        read_published(_published(tmp_path), **(CONTEXT | {"sample": sample}))


def test_another_vector_size_names_the_shape(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match=r"has shape \(3, 1, 18, 2\), expected \(3, 1, 18, 4\)"):
        read_published(_published(tmp_path), **(CONTEXT | {"vector_size": 2}))


@pytest.mark.parametrize(
    ("kind", "change", "message"),
    [
        ("mask_zero", lambda t: t.to(torch.uint8), "is torch.uint8, expected torch.bool"),
        ("group_idx", lambda t: t.to(torch.int64), "is torch.int64, expected torch.int32"),
        ("mask_similar", lambda t: 3, "is missing"),
    ],
)
def test_a_wrong_tensor_is_named(tmp_path: Path, kind: str, change: Any, message: str) -> None:
    path = _published(tmp_path)
    content = torch.load(path, weights_only=True)
    content[kind]["o_proj"] = change(content[kind]["o_proj"])
    torch.save(content, path)
    with pytest.raises(TraceError, match=rf"{kind}\['o_proj'\] {message}"):
        read_published(path, **CONTEXT)


class _Payload:
    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, (f"touch {_Payload.mark}",)

    mark = ""


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("as_zip", [True, False])
def test_a_malicious_pickle_is_refused_and_not_run(tmp_path: Path, as_zip: bool) -> None:
    _Payload.mark = str(tmp_path / "ran")
    path = tmp_path / "evil.pth"
    if as_zip:
        torch.save({"mask_zero": _Payload()}, path)
    else:
        path.write_bytes(pickle.dumps({"mask_zero": _Payload()}))
    with pytest.raises(TraceError, match="refused") as caught:
        open_trace(path)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("place", [0.2, 0.5, 0.8])
def test_a_flipped_byte_in_a_published_file_is_seen(tmp_path: Path, place: float) -> None:
    path = _published(tmp_path)
    content = bytearray(path.read_bytes())
    original = torch.load(path, weights_only=True)
    content[int(len(content) * place)] ^= 0x01
    path.write_bytes(content)
    try:
        read_published(path, **CONTEXT)
    except TraceError:
        return
    assert _equal(torch.load(path, weights_only=True), original), "changed silently"


@pytest.mark.parametrize("part", [0.01, 0.6, 0.999])
def test_a_truncated_published_file_is_one_sentence(tmp_path: Path, part: float) -> None:
    path = _published(tmp_path)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * part)])
    with pytest.raises(TraceError, match="truncated or damaged"):
        read_published(path, **CONTEXT)


def test_a_published_file_without_context_says_what_to_give(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match="has no header"):
        open_trace(_published(tmp_path))
