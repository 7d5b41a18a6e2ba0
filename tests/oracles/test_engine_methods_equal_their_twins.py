"""Do PyramidDrop, DART, CDPruner and PruMerge equal plain loops, through the hooks where there are any?"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from focal_algorithm.hooks import attach
from focal_algorithm.hooks.cache import held_tokens
from focal_algorithm.kernels.determinant import determinant_order, unit_rows
from focal_algorithm.kernels.duplication import from_position_zero, key_norms
from focal_algorithm.kernels.enrichment import cls_scores, outlier_share
from focal_algorithm.kernels.ordering import top_indices
from focal_algorithm.methods.base import CompressionMethod
from focal_algorithm.methods.cdpruner import CdPruner
from focal_algorithm.methods.dart import Dart
from focal_algorithm.methods.prumerge import PruMerge
from focal_algorithm.methods.prumerge_plus import PruMergePlus
from focal_algorithm.methods.pyramiddrop import PyramidDrop
from focal_algorithm.models.llava_onevision import LlavaOnevision
from focal_algorithm.transformers_versions import cache_of
from focal_common.errors import ConfigError, RunError, UnsupportedError
from goldens.decoder import layout_of
from oracles import engine_twin as twin
from oracles.test_pruning_equals_its_twin import AFTER, LAYERS, START, VISUAL, model, random


def hooked(method: CompressionMethod, embeddings: Tensor, attention: str = "eager") -> tuple[Tensor, Any]:
    stock = model(attention)
    layout = layout_of(START, VISUAL, AFTER)
    with torch.inference_mode(), attach(stock, LlavaOnevision(), method, layouts=[layout]):
        output = stock.get_decoder()(inputs_embeds=embeddings[None], use_cache=True)
    return output.last_hidden_state[0], cache_of(output)


# --- PyramidDrop ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize(
    ("layers", "ratios"), [((1, 2, 3), (0.5, 0.25, 0.125)), ((2,), (0.1,)), ((1, 3), (0.9, 0.9))]
)
def test_stages_equal_a_decoder_run_twice_at_each(
    layers: tuple[int, ...], ratios: tuple[float, ...], attention: str
) -> None:
    embeddings = random(START + VISUAL + AFTER, 32, seed=21)
    method = PyramidDrop(layers=layers, ratios=ratios)
    fast, cache = hooked(method, embeddings, attention)
    counts = {layer: int(VISUAL * ratio) for layer, ratio in zip(layers, ratios, strict=True)}
    if len(set(counts.values())) < len(counts):
        counts.pop(layers[-1])  # nothing more to drop
    slow, stages = twin.pyramiddrop(model("eager").get_decoder(), embeddings, START, VISUAL, counts)
    torch.testing.assert_close(fast, slow, rtol=1e-4, atol=1e-4)
    present, expected = len(embeddings), []
    for layer in range(LAYERS):
        if layer in counts:
            present = len(stages[list(counts).index(layer)])
        expected.append(present)
    assert [held_tokens(cache, layer) for layer in range(LAYERS)] == expected


@pytest.mark.parametrize("tokens", [192, 128, 64, 576])
def test_a_mean_over_the_layers_is_met_within_a_token(tokens: int) -> None:
    stages = PyramidDrop(mean_tokens=tokens).stages(576, 32)
    present, total = 576, 0
    for layer in range(32):
        present = stages.get(layer, present)
        total += present
    assert tokens - 1 < total / 32 <= tokens
    assert list(stages.values()) == sorted(stages.values(), reverse=True)


def test_a_mean_never_takes_the_whole_picture_away() -> None:
    assert list(PyramidDrop(layers=(1, 2), ratios=(0.5, 0.2), mean_tokens=36).stages(144, 4).values()) == [
        1,
        1,
    ]


def test_what_no_stage_can_give_is_refused() -> None:
    with pytest.raises(ConfigError, match="the layers before the first drop, 1 of 4, hold all of them"):
        PyramidDrop(layers=(1, 2), ratios=(0.5, 0.2), mean_tokens=5).stages(30, 4)
    embeddings = random(START + VISUAL + AFTER, 32, seed=22)
    with pytest.raises(ConfigError, match="drops before layer 24, but the decoder has 4"):
        hooked(PyramidDrop(), embeddings)
    for wrong in (
        {"layers": (0, 1, 2)},
        {"layers": (2, 2, 3)},
        {"ratios": (0.5, 0.6, 0.1)},
        {"ratios": (0.5,)},
    ):
        with pytest.raises(ConfigError, match=next(iter(wrong))):
            PyramidDrop(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "method",
    [
        PyramidDrop(layers=(), ratios=()),
        PyramidDrop(layers=(1,), ratios=(1.0,)),
        PyramidDrop(layers=(1, 2, 3), mean_tokens=VISUAL),
        Dart(reduction_ratio=0.0),
        Dart(keep_tokens=VISUAL),
        CdPruner(keep=1.0),
        CdPruner(keep_tokens=VISUAL),
    ],
    ids=str,
)
def test_a_budget_of_all_tokens_is_the_untouched_decoder_to_the_bit(method: CompressionMethod) -> None:
    embeddings = random(START + VISUAL + AFTER, 32, seed=23)
    with torch.inference_mode():
        untouched = model("sdpa").get_decoder()(inputs_embeds=embeddings[None]).last_hidden_state[0]
    assert torch.equal(hooked(method, embeddings, "sdpa")[0], untouched)


def test_nan_is_refused_by_all_that_rank() -> None:
    embeddings = random(START + VISUAL + AFTER, 32, seed=24)
    embeddings[START + 3] = torch.nan
    for method in (PyramidDrop(layers=(1,), ratios=(0.5,)), Dart(layer=1), Dart(layer=0), CdPruner()):
        with pytest.raises(RunError, match="NaN"):
            hooked(method, embeddings)


# --- DART -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["compatible", "strict"])
@pytest.mark.parametrize("settings", [(0.5, 4, 4), (0.9, 2, 3), (0.1, 1, 1), (0.3, 5, 0)])
def test_pivots_choose_as_loops_do(mode: str, settings: tuple[float, int, int]) -> None:
    ratio, of_image, of_text = settings
    values, norms = random(90, 11, seed=31), random(90, seed=32).abs()
    visual, text = torch.arange(9, 70), torch.arange(70, 90)
    method = Dart(reduction_ratio=ratio, image_pivots=of_image, text_pivots=of_text, mode=mode)  # type: ignore[arg-type]
    fast = method.choose(values, norms, visual, text)
    exactly = round((1 - ratio) * 61) if mode == "strict" else None
    each = int((1 - ratio) * 61 / (of_image + of_text))
    expected = twin.dart(
        values.double().numpy(),
        norms.tolist(),
        visual.tolist(),
        text.tolist(),
        of_image,
        of_text,
        each,
        exactly,
    )
    assert set(fast.tolist()) == expected
    assert len(fast) == len(expected) == method.count(61)


def test_strict_makes_do_with_what_there_is_and_meets_any_budget() -> None:
    values, norms = random(12, 5, seed=33), random(12, seed=34).abs()
    for budget in range(1, 9):
        kept = Dart(mode="strict").choose(values, norms, torch.arange(2, 10), torch.arange(10, 12), budget)
        assert len(set(kept.tolist())) == budget
    embeddings = random(START + VISUAL + 2, 32, seed=35)
    layout = layout_of(START, VISUAL, 2)
    stock = model()
    for mode in ("compatible", "strict"):
        with torch.inference_mode(), attach(stock, LlavaOnevision(), Dart(mode=mode), layouts=[layout]):  # type: ignore[arg-type]
            if mode == "strict":
                assert stock.get_decoder()(inputs_embeds=embeddings[None]).last_hidden_state.shape[1] < 37
                continue
            with pytest.raises(
                UnsupportedError, match="2 tokens after them are too few for 4 image and 4 text"
            ):
                stock.get_decoder()(inputs_embeds=embeddings[None])


def test_a_clone_of_a_pivot_goes_last_and_repeated_heads_change_nothing() -> None:
    values, key = random(40, 6, seed=36), random(2, 40, 8, seed=37)
    norms = key_norms(key)
    assert torch.allclose(key_norms(key.repeat_interleave(3, dim=0)), 3 * norms)
    pivot = int(top_indices(norms[:30], 1))
    clone = (pivot + 1) % 30
    values[clone] = 2 * values[pivot]
    method = Dart(reduction_ratio=0.4, image_pivots=1, text_pivots=0)
    kept = method.choose(values, norms, torch.arange(30), torch.arange(30, 40))
    assert clone not in kept.tolist()


@pytest.mark.parametrize(
    "settings", [{"reduction_ratio": 0.25}, {"reduction_ratio": 0.71}, {"keep_tokens": 9}]
)
def test_the_form_before_the_decoder_ranks_input_embeddings(settings: dict[str, Any]) -> None:
    embeddings = random(START + VISUAL + AFTER, 32, seed=39)
    method = Dart(layer=0, **settings)
    visual = range(START, START + VISUAL)
    exactly = method.keep_tokens or math.ceil((1 - method.reduction_ratio) * VISUAL)
    norms = embeddings.abs().sum(dim=-1).tolist()
    text = range(START + VISUAL, START + VISUAL + AFTER)
    each = method.each(VISUAL, method.keep_tokens)
    kept = twin.dart(embeddings.double().numpy(), norms, visual, text, 4, 4, each, exactly)
    assert len(kept) == exactly
    rows = torch.tensor([row for row in range(len(embeddings)) if row in kept or row not in visual])
    with torch.inference_mode():
        slow = model("eager").get_decoder()(inputs_embeds=embeddings[None, rows], position_ids=rows[None])
    torch.testing.assert_close(hooked(method, embeddings)[0], slow.last_hidden_state[0], rtol=1e-4, atol=1e-4)


def test_the_form_before_the_decoder_leaves_small_pictures_alone() -> None:
    embeddings = random(START + 15 + AFTER, 32, seed=40)
    stock, layout = model(), layout_of(START, 15, AFTER)
    with torch.inference_mode(), attach(stock, LlavaOnevision(), Dart(layer=0), layouts=[layout]):
        assert stock.get_decoder()(inputs_embeds=embeddings[None]).last_hidden_state.shape[1] == len(
            embeddings
        )


def test_keys_are_turned_back_to_a_prompt_that_begins_at_zero() -> None:
    rotary = model().get_decoder().rotary_emb
    key = random(2, 9, 8, seed=38)

    def turned(first: int) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        cos, sin = rotary(key, position_ids=first + torch.arange(9)[None])
        one, two = key.chunk(2, dim=-1)
        return key * cos[0] + torch.cat((-two, one), dim=-1) * sin[0], (cos[0], sin[0])

    expected, tables = turned(0)
    assert torch.equal(from_position_zero(expected, tables), expected)
    torch.testing.assert_close(from_position_zero(*turned(13)), expected, rtol=1e-5, atol=1e-5)


# --- CDPruner ---------------------------------------------------------------------------------------------


def test_greedy_gains_are_determinants() -> None:
    features, scores = 1 + 0.3 * random(14, 13, seed=41), random(14, seed=42).tolist()
    relevance = twin.relevance_of(scores)
    fast = determinant_order(
        unit_rows(features, is_strict=True), torch.tensor(relevance), 12, is_strict=False
    )
    assert fast.tolist() == twin.cdpruner(features.double().numpy(), relevance, 12)


def test_the_method_weighs_likeness_to_the_mean_of_the_question() -> None:
    embeddings = random(START + VISUAL + AFTER, 32, seed=43)
    visual, text = embeddings[START : START + VISUAL].numpy(), embeddings[START + VISUAL :].numpy()
    scores = [twin.cosine(one, text.mean(axis=0)) for one in visual.astype(np.float64)]
    order = twin.cdpruner(visual.astype(np.float64), twin.relevance_of(scores), 7)
    rows = sorted([*range(START), *(START + token for token in order), *range(START + VISUAL, 42)])
    with torch.inference_mode():
        expected = model().get_decoder()(inputs_embeds=embeddings[None, rows]).last_hidden_state[0]
    torch.testing.assert_close(hooked(CdPruner(keep_tokens=7), embeddings)[0], expected, rtol=1e-4, atol=1e-4)


def test_strict_fills_up_where_the_rank_is_spent_and_compatible_keeps_fewer() -> None:
    pair = random(2, 6, seed=44)[[0, 1] * 5]
    relevance = torch.linspace(0.1, 1.0, 10)
    strict = determinant_order(unit_rows(pair, is_strict=True), relevance, 6, is_strict=True).tolist()
    assert strict == [9, 8, 7, 6, 5, 4]
    for wrong, reason in ((torch.zeros(4, 3), "all zeros"), (torch.ones(0, 3), "")):
        if reason:
            with pytest.raises(UnsupportedError, match=reason):
                CdPruner().order(wrong, relevance[:4], 2)
    with pytest.raises(UnsupportedError, match="equally relevant"):
        CdPruner().weights(torch.ones(5))
    assert CdPruner(mode="strict").weights(torch.ones(5)).tolist() == [1.0] * 5
    assert torch.allclose(CdPruner(theta=0.5).weights(torch.tensor([0.0, 1.0]))[1], torch.tensor(0.5).exp())


def test_a_prompt_without_a_question_is_refused_or_goes_by_diversity() -> None:
    embeddings, layout = random(START + VISUAL, 32, seed=45), layout_of(START, VISUAL, 0)
    stock = model()
    for mode, reason in (("compatible", "no text follows"), ("strict", "")):
        with torch.inference_mode(), attach(stock, LlavaOnevision(), CdPruner(mode=mode), layouts=[layout]):  # type: ignore[arg-type]
            if not reason:
                assert len(stock.get_decoder()(inputs_embeds=embeddings[None]).last_hidden_state[0]) == 8
                continue
            with pytest.raises(UnsupportedError, match=reason):
                stock.get_decoder()(inputs_embeds=embeddings[None])


# --- PruMerge ---------------------------------------------------------------------------------------------


def tower(tokens: int = 50) -> tuple[Tensor, Tensor, Tensor]:
    return random(tokens, 7, seed=51), random(tokens + 1, 6, seed=52), 2 * random(6, seed=53)


def test_scores_and_outliers_equal_loops() -> None:
    _, keys, query = tower()
    scores = cls_scores(query, keys)
    expected = twin.attention_of_cls(query.double().tolist(), keys.double().numpy())
    torch.testing.assert_close(
        scores.double(), torch.tensor(expected, dtype=torch.float64), rtol=1e-5, atol=1e-7
    )
    assert int(outlier_share(scores) * 50) == twin.outliers(expected) > 0


@pytest.mark.parametrize(
    "method",
    [PruMerge(), PruMerge(is_adaptive=False), PruMergePlus(), PruMergePlus(ratio=1 / 8, is_adaptive=False)],
    ids=str,
)
@pytest.mark.parametrize("neighbours", [0, 5, 32, 400])
def test_tokens_gather_what_loops_gather(method: PruMerge, neighbours: int) -> None:
    features, keys, query = tower()
    scores = cls_scores(query, keys)
    listed = scores.double().tolist()
    share = twin.outliers(listed) / 50 if method.is_adaptive else method.ratio
    chosen = twin.ranked(listed)[: int(50 * share)]
    if isinstance(method, PruMergePlus):
        extra = twin.sampled(50, share, method.is_adaptive)
        chosen += [one for one in extra if one not in chosen] if method.is_adaptive else extra
    expected = twin.prumerge(features.double().numpy(), keys[1:].double().numpy(), listed, chosen, neighbours)
    own = type(method)(is_adaptive=method.is_adaptive, ratio=method.ratio, neighbours=neighbours)
    found, _, made = own.merge(features, keys[1:], scores)
    assert found.tolist() == chosen
    np.testing.assert_allclose(made.double().numpy(), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", [PruMerge, PruMergePlus])
def test_a_number_of_tokens_is_met_exactly_and_raster_order_is_raster_order(kind: type[PruMerge]) -> None:
    features, keys, query = tower()
    scores = cls_scores(query, keys)
    for budget in range(2, 50):
        method = kind(is_adaptive=False, order="raster")
        chosen, rest, made = method.merge(features, keys[1:], scores, budget)
        assert len(made) == budget
        assert chosen.tolist() == sorted(set(chosen.tolist()))
        assert sorted([*chosen.tolist(), *rest.tolist()]) == list(range(50))


def test_an_image_without_an_outlier_becomes_one_token_or_keeps_one() -> None:
    features, keys, _ = tower()
    even = torch.full((50,), 1 / 51)
    assert len(PruMerge().merge(features, keys[1:], even)[2]) == 1
    assert len(PruMerge(mode="strict").merge(features, keys[1:], even)[2]) == 2
    assert len(PruMergePlus().merge(features, keys[1:], even)[2]) > 2


def test_normalised_weights_leave_a_constant_picture_as_it_is() -> None:
    _, keys, query = tower()
    scores = cls_scores(query, keys)
    made = PruMerge(is_normalised=True).merge(torch.ones(50, 3), keys[1:], scores)[2]
    torch.testing.assert_close(made, torch.ones_like(made))
