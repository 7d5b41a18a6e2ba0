"""Do FastV and DivPrune equal plain loops and a decoder run by hand, whatever the dtype, the chunks and the budget?"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import LlavaConfig, LlavaForConditionalGeneration

import focal_algorithm.kernels.vectors as chunks
from focal_algorithm.hooks import attach
from focal_algorithm.hooks.cache import held_tokens
from focal_algorithm.methods.divprune import DivPrune
from focal_algorithm.methods.fastv import FastV
from focal_algorithm.models.llava_onevision import LlavaOnevision
from focal_algorithm.transformers_versions import cache_of
from goldens.decoder import TOWER, layout_of
from oracles.pruning_twin import divprune, fastv_scores, ranked, with_masked_keys, without_tokens

START, VISUAL, AFTER, LAYERS = 5, 30, 7, 4


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


# --- DivPrune ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ratio", [0.03, 0.2, 0.5, 0.9])
def test_the_greedy_choice_equals_loops_whatever_the_blocks(
    ratio: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    embeddings = random(33, 7, seed=3)
    method = DivPrune(retain_ratio=ratio, mode="strict")
    expected = divprune(embeddings.double().numpy(), method.count(33))
    assert method.order(embeddings).tolist() == expected
    monkeypatch.setattr(chunks, "_CPU_ELEMENTS", 100)  # three rows at a time
    assert method.order(embeddings).tolist() == expected
    assert DivPrune(retain_ratio=ratio).order(embeddings).tolist() == expected


def test_orthogonal_and_zero_tokens_go_by_their_index() -> None:
    assert DivPrune(retain_ratio=0.5, mode="strict").order(torch.eye(6)).tolist() == [0, 1, 2]
    with_zero = torch.eye(6)
    with_zero[2] = 0
    strict = DivPrune(retain_ratio=0.67, mode="strict")
    assert strict.order(with_zero).tolist() == divprune(with_zero.double().numpy(), 4)


def test_duplicates_are_taken_once_in_strict_mode_and_shorten_the_compatible_one() -> None:
    pair = random(2, 6, seed=4)
    embeddings = pair[[0, 1, 0, 1, 0, 1, 0, 1]]
    strict = DivPrune(retain_ratio=0.5, mode="strict").order(embeddings)
    assert strict.tolist() == divprune(embeddings.double().numpy(), 4) == [0, 1, 2, 3]
    published = DivPrune(retain_ratio=0.5).order(embeddings)
    assert {int(token) % 2 for token in published[:2]} == {0, 1}
    assert len(published.unique()) <= 4


def test_scaling_rows_changes_no_choice_and_smaller_budgets_are_prefixes() -> None:
    embeddings = random(40, 9, seed=5)
    scaled = embeddings * (2.0 ** torch.arange(40).remainder(7))[:, None]
    whole = DivPrune(retain_ratio=0.5).order(embeddings)
    assert torch.equal(DivPrune(retain_ratio=0.5).order(scaled), whole)
    assert torch.equal(DivPrune(retain_ratio=0.25).order(embeddings), whole[:10])


def test_no_matrix_of_all_pairs_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    largest = 0
    original = torch.Tensor.__matmul__

    def watched(one: Tensor, two: Tensor) -> Tensor:
        nonlocal largest
        product = original(one, two)
        largest = max(largest, product.numel())
        return product

    monkeypatch.setattr(torch.Tensor, "__matmul__", watched)
    monkeypatch.setattr(chunks, "_CPU_ELEMENTS", 1 << 14)
    DivPrune(retain_ratio=0.01, mode="strict").order(random(1500, 4, seed=6))
    assert 0 < largest <= 1 << 14


# --- FastV ------------------------------------------------------------------------------------------------


def model(attention: str = "eager") -> Any:
    torch.manual_seed(11)
    text = {
        "model_type": "llama",
        "vocab_size": 32,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "initializer_range": 0.3,
    }
    config = LlavaConfig(
        vision_config=TOWER, text_config=text, image_token_index=31, attn_implementation=attention
    )
    return LlavaForConditionalGeneration(config).eval()


def hooked(method: FastV, embeddings: Tensor, attention: str) -> tuple[Tensor, Any]:
    stock = model(attention)
    layout = layout_of(START, VISUAL, AFTER)
    with torch.inference_mode(), attach(stock, LlavaOnevision(), method, layouts=[layout]):
        output = stock.get_decoder()(inputs_embeds=embeddings[None], use_cache=True)
    return output.last_hidden_state[0], cache_of(output)


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize(("layer", "ratio"), [(1, 0.5), (2, 0.75), (3, 0.1)])
def test_dropping_equals_a_decoder_run_by_hand(layer: int, ratio: float, attention: str) -> None:
    embeddings = random(START + VISUAL + AFTER, 32, seed=7)
    method = FastV(layer=layer, prune_ratio=ratio)
    fast, cache = hooked(method, embeddings, attention)
    decoder = model().get_decoder()
    scores = fastv_scores(decoder, embeddings, layer, START, VISUAL)
    chosen = {START + place for place in ranked(scores)[: method.count(VISUAL)]}
    kept = [row for row in range(len(embeddings)) if row in chosen or not START <= row < START + VISUAL]
    slow = without_tokens(decoder, embeddings, layer, kept)
    torch.testing.assert_close(fast, slow, rtol=1e-4, atol=1e-4)
    lengths = [held_tokens(cache, number) for number in range(LAYERS)]
    assert lengths == [len(embeddings)] * layer + [len(kept)] * (LAYERS - layer)
    # The published ablation masks keys instead of removing them: the same for every token that stays.
    dropped = [row for row in range(len(embeddings)) if row not in kept]
    masked = with_masked_keys(decoder, embeddings, layer, dropped)
    torch.testing.assert_close(fast, masked[kept], rtol=1e-4, atol=1e-4)


def test_nothing_removed_is_the_untouched_decoder_to_the_bit() -> None:
    embeddings = random(START + VISUAL + AFTER, 32, seed=8)
    with torch.inference_mode():
        untouched = model("sdpa").get_decoder()(inputs_embeds=embeddings[None]).last_hidden_state[0]
    for method in (FastV(prune_ratio=0.0), FastV(keep_tokens=VISUAL)):
        assert torch.equal(hooked(method, embeddings, "sdpa")[0], untouched)


def test_no_visual_token_may_stay_as_published_and_strict_refuses_that() -> None:
    embeddings = random(START + VISUAL + AFTER, 32, seed=9)
    fast, _ = hooked(FastV(prune_ratio=1.0), embeddings, "sdpa")
    assert len(fast) == START + AFTER
    with pytest.raises(Exception, match="leaves none of 30 visual tokens"):
        hooked(FastV(prune_ratio=1.0, mode="strict"), embeddings, "sdpa")
