"""Do AdapTiV, CMC and FrameFusion act, refuse and repair as their docstrings say?"""

from __future__ import annotations

from typing import Any

import pytest
import torch

import attach_support as support
from focal_algorithm.kernels.framefusion import Merge
from focal_algorithm.methods import framefusion
from focal_algorithm.methods.adaptiv import Adaptiv
from focal_algorithm.methods.base import CompressionMethod, TokenStream
from focal_algorithm.methods.build import build_method
from focal_algorithm.methods.cmc import Cmc
from focal_algorithm.methods.framefusion import Framefusion
from focal_algorithm.prompts.layout import SampleLayout
from focal_common.errors import ConfigError, FocalError, RunError, UnsupportedError
from focal_traces import DecoderGeometry, TokenGrid

GEOMETRY = DecoderGeometry(
    layers=4, hidden_elements=8, intermediate_elements=8, heads=2, kv_heads=1, head_dim_elements=4
)


def layout(frames: int = 9, rows: int = 2, columns: int = 3, extra: int = 0, **strides: int) -> SampleLayout:
    tokens = frames * rows * columns + extra
    grid = TokenGrid(
        frames=frames,
        rows=rows,
        columns=columns,
        **{"frame_stride": rows * columns, "row_stride": columns, "column_stride": 1} | strides,
    )
    return SampleLayout("clip", tokens + 5, 2, tokens, grid)


def stream(where: SampleLayout) -> TokenStream:
    return TokenStream.of(where, torch.arange(where.sequence_tokens))


def merged(method: Adaptiv, where: SampleLayout, hidden: torch.Tensor) -> list[int]:
    state = method.start(GEOMETRY, where)
    method.before_layer(0, hidden, stream(where), state)
    assert state.merge is not None
    return (~state.merge.is_kept).nonzero().flatten().tolist()


def test_published_margins_keep_the_whole_first_frame_and_strict_ones_only_the_first_token() -> None:
    where = layout(frames=2)
    alike = torch.ones(where.sequence_tokens, 8)
    assert merged(Adaptiv(threshold=0.5), where, alike) == [10, 11]
    assert merged(Adaptiv(threshold=0.5, mode="strict"), where, alike) == [1, 2, 3, 4, 5, 7, 8, 9, 10, 11]


def test_strict_margins_know_the_overview_of_an_anyres_image() -> None:
    # An overview of 2 x 2 tokens, then a grid of 2 x 3; the published frame stride is the side of the overview.
    grid = TokenGrid(frames=1, rows=2, columns=3, frame_stride=2, row_stride=3, column_stride=1)
    where = SampleLayout("photo", 14, 2, 10, grid)
    alike = torch.ones(14, 8)
    assert merged(Adaptiv(threshold=0.5, mode="strict"), where, alike) == [1, 2, 3, 5, 6, 7, 8, 9]
    assert merged(Adaptiv(threshold=0.5), where, alike) == [4, 5]


def test_adaptiv_tells_who_stands_for_a_merged_token() -> None:
    where = layout(frames=2)
    method = Adaptiv(threshold=0.5)
    change = method.before_layer(
        0,
        torch.ones(where.sequence_tokens, 8),
        stream(where),
        method.start(GEOMETRY, where),
    )
    assert change is not None
    assert change.merged_into is not None
    assert change.merged_into[[12, 13]].tolist() == [9, 10]
    assert change.rows.tolist() == [token for token in range(17) if token not in (12, 13)]
    assert method.before_layer(1, torch.ones(15, 8), stream(where), None) is None


@pytest.mark.parametrize(
    "where",
    [
        layout(frames=1),
        SampleLayout(
            "photo",
            14,
            2,
            10,
            TokenGrid(frames=2, rows=2, columns=3, frame_stride=2, row_stride=3, column_stride=1),
        ),
        layout(extra=1),
    ],
    ids=["one frame", "anyres", "ragged"],
)
def test_cmc_refuses_what_is_no_video(where: SampleLayout) -> None:
    with pytest.raises(UnsupportedError, match="expected a video"):
        Cmc().start(GEOMETRY, where)


def test_strict_cmc_rows_are_causal_distributions() -> None:
    where = layout(frames=8)
    tokens = where.sequence_tokens
    generator = torch.Generator().manual_seed(0)
    rows = (
        (0.01 * torch.randn(2, tokens, tokens, generator=generator))
        .tril()
        .masked_fill(torch.ones(tokens, tokens, dtype=torch.bool).triu(1), float("-inf"))
    )
    probabilities = rows.softmax(dim=-1)
    later = torch.ones(tokens, tokens, dtype=torch.bool).triu(1)
    for mode, is_lawful in (("compatible", False), ("strict", True)):
        method = Cmc(attn_threshold=0.05, mode=mode)  # type: ignore[arg-type]
        new = method.replace_probabilities(
            0, 0, probabilities.clone(), stream(where), method.start(GEOMETRY, where)
        )
        assert not torch.equal(new, probabilities)
        assert bool((new[:, later] == 0).all()) == is_lawful
        assert torch.allclose(new.sum(dim=-1), torch.ones(())) == is_lawful or not is_lawful


def test_cmc_leaves_the_last_layer_fused() -> None:
    layers = range(28)
    assert layers[Cmc().needs.probability_layers] == range(27)
    assert not layers[Cmc(attn_threshold=0.0).needs.probability_layers]


def test_framefusion_spends_what_it_was_given() -> None:
    method = Framefusion(cost=0.6, similarity=0.9)
    prompt = support.prompt(support.video(0, frames=9))
    samples, _ = support.record(method, prompt.inputs)
    present = [
        r.value[0] for r in samples[0].records if (r.kind, r.point) == ("visual_tokens", "after_attention")
    ]
    mean = sum(int(count) for count in present) / len(present) / prompt.layout.visual_tokens
    assert mean == pytest.approx(0.6, abs=0.03)


@pytest.mark.parametrize(("mode", "rounds"), [("compatible", 3), ("strict", 2)])
def test_strict_framefusion_stops_merging_before_it_overspends(
    mode: str, rounds: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def tenth(values: torch.Tensor, *_: Any, **__: Any) -> Merge:
        stands = torch.arange(len(values))
        stands[-len(values) // 10 :] = 0
        return Merge(stands, values, 0.1, is_over_budget=False)

    monkeypatch.setattr(framefusion, "merge_alike", tenth)
    method = Framefusion(cost=0.5, least_ratio=0.05, mode=mode)  # type: ignore[arg-type]
    where = layout(frames=10, rows=1, columns=2)
    state = method.start(GEOMETRY, where)
    for layer in range(rounds):
        assert not state.has_merged
        method.after_attention(layer, torch.rand(25, 8), stream(where), state)
    assert state.has_merged == (mode == "strict")
    if mode == "compatible":
        with pytest.raises(RunError, match="raise cost"):
            method.after_attention(3, torch.rand(25, 8), stream(where), state)


@pytest.mark.parametrize(
    ("name", "pair", "expected"),
    [
        ("adaptiv", ("llava_video", "mvbench"), {"threshold": 0.55}),
        ("adaptiv", ("nobody", "mvbench"), {}),
        (
            "cmc",
            ("llava_onevision", "mlvu"),
            {"threshold": 0.5, "query_threshold": 0.6, "attn_threshold": 5e-5},
        ),
        ("cmc", ("qwen2_5_vl", "mme"), {}),
        ("framefusion", ("minicpm_v", "mlvu"), {"cost": 0.3, "similarity": 0.6, "least_ratio": 0.1}),
        ("focus_sec_only", ("llava_onevision", "mvbench"), {"similarity_threshold": 0.9}),
    ],
)
def test_published_parameters(name: str, pair: tuple[str, str], expected: dict[str, Any]) -> None:
    found = build_method(name, {}).study.published(*pair)
    assert found.items() >= expected.items()
    assert bool(found) == bool(expected)
    build_method(name, found)


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("adaptiv", {"threshold": 0.0}),
        ("adaptiv", {"mode": "loose"}),
        ("cmc", {"query_threshold": -1.0}),
        ("cmc", {"threshold": float("nan")}),
        ("framefusion", {"cost": 0.0}),
        ("framefusion", {"least_ratio": 1.5}),
        ("focus_sec_only", {"sec_only": False}),
    ],
)
def test_parameters_out_of_range_are_refused(name: str, wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        build_method(name, wrong)


@pytest.mark.parametrize("method", [Adaptiv(), Cmc(), Framefusion()], ids=lambda method: method.name)
def test_nan_is_refused(method: CompressionMethod) -> None:
    prompt = support.prompt()
    inputs = prompt.inputs | {"pixel_values_videos": prompt.inputs["pixel_values_videos"] * float("nan")}
    with pytest.raises(FocalError, match="NaN"):
        support.record(method, inputs)
