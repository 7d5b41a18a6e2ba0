"""Are masks packed, written and rebuilt without loss, and are contradictions named?"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from focal_common.errors import RunError, TraceError
from focal_traces.files.store import open_masks, open_trace
from focal_traces.header.schema import GEMMS
from focal_traces.masks.file import read_masks, write_masks
from focal_traces.masks.masks import MaskTrace, SampleMaskBuilder, trace_from_masks
from focal_traces.masks.packing import pack_published, pack_winners
from focal_traces.masks.pointers import PointerRule
from traces_support import tiny_masks

RULE = PointerRule((0, 1, 3, 4), rounds=2)


@st.composite
def masks(draw: st.DrawFn) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.uint8]]:
    shape = (draw(st.integers(0, 20)), draw(st.integers(1, 19)))
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    is_zero = random.random(shape) < draw(st.floats(0, 1))
    is_similar = ~is_zero & (random.random(shape) < draw(st.floats(0, 1)))
    winners = random.integers(1, 4, shape).astype(np.uint8)
    is_similar &= np.array(RULE.offsets)[winners] <= np.arange(shape[0])[:, None]
    winners[~is_similar] = 255
    return is_zero, is_similar, winners


@given(masks())
def test_packed_masks_unpack_to_themselves(
    drawn: tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.uint8]],
) -> None:
    is_zero, is_similar, winners = drawn
    packed = pack_winners(is_zero, is_similar, winners, RULE)
    assert np.array_equal(packed.is_zero(), is_zero)
    assert np.array_equal(packed.is_similar(), is_similar)
    assert np.array_equal(packed._pointers(is_similar), winners[is_similar])
    packed.check(RULE)


@given(masks(), st.booleans())
def test_any_group_index_survives_import(
    drawn: tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.uint8]], is_regular: bool
) -> None:
    is_zero, is_similar, winners = drawn
    group = pack_winners(is_zero, is_similar, winners, RULE).group_index(RULE)
    if not is_regular:
        group = np.random.default_rng(group.size).integers(-(2**31), 2**31, group.shape, dtype=np.int32)
    packed = pack_published(is_zero, is_similar, group)
    assert np.array_equal(packed.group_index(RULE), group)
    assert packed.kind == ("distance" if is_regular or not group.size else "verbatim")


def test_overlapping_sets_are_named_with_layer_and_gemm() -> None:
    builder = SampleMaskBuilder(layers=3, rule=RULE)
    flags = np.zeros((4, 2), dtype=np.bool_)
    flags[3, 1] = True
    with pytest.raises(
        TraceError, match=r"layer 2, o_proj: .* overlap in 1 vectors, the first at token 3, slice 1"
    ):
        builder.add(2, "o_proj", flags, flags, np.ones((4, 2), dtype=np.uint8))


@pytest.mark.parametrize(
    ("winner", "token", "message"),
    [
        (9, 3, "candidate 9, expected below 4"),
        (2, 1, "before the first visual token"),
        (0, 3, "the vector itself"),
    ],
)
def test_a_winner_must_be_an_earlier_token(winner: int, token: int, message: str) -> None:
    is_similar = np.zeros((5, 1), dtype=np.bool_)
    is_similar[token] = True
    winners = np.full((5, 1), winner, dtype=np.uint8)
    with pytest.raises(TraceError, match=message):
        pack_winners(np.zeros((5, 1), dtype=np.bool_), is_similar, winners, RULE)


@pytest.mark.parametrize(
    ("offsets", "rounds", "message"),
    [(tuple(range(256)), 1, "256 candidates"), ((0, -1), 1, "at least 0, got -1"), ((0, 1), -2, "got -2")],
)
def test_an_impossible_pointer_rule_is_refused(offsets: tuple[int, ...], rounds: int, message: str) -> None:
    with pytest.raises(TraceError, match=message):
        PointerRule(offsets, rounds)


def test_a_place_recorded_twice_or_never_is_named() -> None:
    builder = SampleMaskBuilder(layers=1, rule=RULE)
    flags, winners = np.zeros((4, 2), dtype=np.bool_), np.zeros((4, 2), dtype=np.uint8)
    for gemm in GEMMS[:-1]:
        builder.add(0, gemm, flags, flags, winners)
    with pytest.raises(TraceError, match="layer 0, query: recorded twice"):
        builder.add(0, "query", flags, flags, winners)
    with pytest.raises(TraceError, match="layer 0, down_proj: never recorded"):
        builder.finish()


def test_masks_come_back_equal_and_with_the_same_bytes(tmp_path: Path) -> None:
    trace = tiny_masks()
    first, second = tmp_path / "größe.masks.pth", tmp_path / "b.masks.pth"
    write_masks(trace, first)
    write_masks(read_masks(first), second)
    assert read_masks(first) == trace
    assert first.read_bytes() == second.read_bytes()


def test_plain_torch_loads_the_file_without_running_code(tmp_path: Path) -> None:
    path = tmp_path / "a.masks.pth"
    write_masks(tiny_masks(), path)
    content = torch.load(path, weights_only=True)
    assert content["format"] == "focal.masks"
    assert content["payload"].dtype == torch.uint8


def test_opening_masks_as_a_trace_gives_their_counts(tmp_path: Path) -> None:
    masks_ = tiny_masks()
    path = tmp_path / "a.masks.pth"
    write_masks(masks_, path)
    opened, expected = open_trace(path), trace_from_masks(masks_)
    for sample in range(2):
        assert np.array_equal(opened.totals(sample).unique, expected.totals(sample).unique)
        assert np.array_equal(opened.totals(sample).tokens, expected.totals(sample).tokens)


def test_totals_of_counts_equal_sums_over_dense_masks() -> None:
    masks_ = tiny_masks()
    totals = trace_from_masks(masks_).totals(1)
    for layer in range(3):
        for place, gemm in enumerate(GEMMS):
            packed = masks_.samples[1].gemm(layer, gemm)
            is_zero, is_similar = packed.is_zero(), packed.is_similar()
            assert totals.zero[layer, place] == np.count_nonzero(is_zero)
            assert totals.similar[layer, place] == np.count_nonzero(is_similar)
            assert totals.tokens[layer, place] == np.count_nonzero(~is_zero.all(axis=1))


def test_masks_of_another_size_than_the_header_are_refused(tmp_path: Path) -> None:
    trace = tiny_masks(samples=1)
    header = trace.header.model_copy(update={"vector_size": 2})
    with pytest.raises(TraceError, match="sample 0, layer 0, q_proj: masks have axes 18 x 2, expected 18"):
        write_masks(MaskTrace(header, trace.samples), tmp_path / "x.masks.pth")


@pytest.mark.parametrize("field", ["header", "rules", "payload", "index"])
def test_changed_content_fails_the_checksum(tmp_path: Path, field: str) -> None:
    path = tmp_path / "a.masks.pth"
    write_masks(tiny_masks(), path)
    content = torch.load(path, weights_only=True)
    if isinstance(content[field], str):
        content[field] += " "
    else:
        content[field].view(-1)[-1] ^= 1
    torch.save(content, path)
    with pytest.raises(TraceError, match=r"SHA-256|payload"):
        open_masks(path)


def test_a_newer_mask_file_says_which_schema_it_needs(tmp_path: Path) -> None:
    path = tmp_path / "a.masks.pth"
    torch.save({"format": "focal.masks", "schema_version": 3}, path)
    with pytest.raises(TraceError, match="trace schema 3"):
        open_masks(path)


@pytest.mark.parametrize("part", [0.1, 0.5, 0.99])
def test_a_truncated_mask_file_is_one_sentence(tmp_path: Path, part: float) -> None:
    path = tmp_path / "a.masks.pth"
    write_masks(tiny_masks(), path)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * part)])
    with pytest.raises(TraceError, match=r"a\.masks\.pth") as caught:
        open_masks(path)
    assert "\n" not in str(caught.value)


def test_a_full_disk_leaves_the_earlier_masks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.masks.pth"
    write_masks(tiny_masks(), path)
    before = path.read_bytes()

    def full(*_: object, **__: object) -> None:
        raise RuntimeError("PytorchStreamWriter failed writing file data/0: file write failed")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(RunError, match="any earlier file is untouched"):
        write_masks(tiny_masks(seed=5), path)
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]
