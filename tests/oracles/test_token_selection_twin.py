"""Do the kernels of VisionZip, SparseZip and SparseVLM equal plain loops, in every dtype and chunking?"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

import focal_algorithm.kernels.vectors as chunks
from focal_algorithm.hooks import attach
from focal_algorithm.hooks.cache import held_tokens
from focal_algorithm.kernels.hybrid_scores import HybridWeights, hybrid_score
from focal_algorithm.kernels.sparsevlm import merge_by_density_peaks
from focal_algorithm.kernels.visionzip import (
    attention_from_first,
    attention_received,
    merge_into_targets,
    select_dominant,
    split_tokens,
)
from focal_algorithm.methods.sparsevlm import SparseVlm
from focal_algorithm.models.llava_onevision import LlavaOnevision
from focal_algorithm.prompts.layout import SampleLayout
from focal_algorithm.transformers_versions import cache_of
from focal_traces.header.schema import TokenGrid
from goldens.sparsevlm import formula_decoder
from oracles.token_selection_twin import density_peaks, hybrid, sparsevlm_2, visionzip


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("count", "contextual"), [(5, 3), (1, 1), (11, 4), (20, 7)])
def test_selecting_and_merging_equals_loops(count: int, contextual: int) -> None:
    features, keys, scores = random(30, 6, seed=1), random(30, 5, seed=2), random(30, seed=3)
    kept, rest = split_tokens(select_dominant(scores, count), 30)
    merged = merge_into_targets(features[rest], keys[rest], contextual)
    slow_kept, slow = visionzip(*(t.double().numpy() for t in (features, keys, scores)), count, contextual)
    assert kept.tolist() == slow_kept
    np.testing.assert_allclose(merged.features, slow, atol=1e-5)


def test_the_mean_form_is_the_mean_of_each_group() -> None:
    features, keys = random(20, 6, seed=1), random(20, 5, seed=2)
    merged = merge_into_targets(features, keys, 4, merge="mean")
    for token in range(4):
        group = features[merged.assignment == token]
        assert torch.allclose(merged.features[token], group.mean(dim=0), atol=1e-6)


def test_hybrid_scores_equal_loops_whatever_the_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    attention, keys = random(3, 17, seed=4).softmax(-1), random(17, 6, seed=5)
    expected = hybrid(attention.double().numpy(), keys.double().numpy(), (1.0, 0.8, 1.0), 0.15, 0.08)
    weights = HybridWeights(1.0, 0.8, 1.0, 0.15, 0.08)
    np.testing.assert_allclose(hybrid_score(attention, keys, weights), expected, atol=1e-4)
    monkeypatch.setattr(chunks, "_CPU_ELEMENTS", 50)
    np.testing.assert_allclose(hybrid_score(attention, keys, weights), expected, atol=1e-4)


def test_tower_attention_equals_its_whole_matrix(monkeypatch: pytest.MonkeyPatch) -> None:
    query, key = random(10, 8, seed=6), random(10, 8, seed=7)
    whole = torch.stack(
        [(q @ k.T * 0.3).softmax(-1) for q, k in zip(query.chunk(2, 1), key.chunk(2, 1), strict=True)]
    )
    assert torch.allclose(attention_from_first(query, key, 2, 0.3), whole[:, 0], atol=1e-6)
    monkeypatch.setattr(chunks, "_CPU_ELEMENTS", 45)
    assert torch.allclose(attention_received(query, key, 2, 0.3), whole.mean(dim=1), atol=1e-6)


@pytest.mark.parametrize("clusters", [1, 2, 4])
def test_density_peaks_equal_loops_with_ties(clusters: int, monkeypatch: pytest.MonkeyPatch) -> None:
    # Small integers: many equal distances, hence equal densities.
    values = torch.randint(0, 4, (15, 3), generator=torch.Generator().manual_seed(clusters)).float()
    values += torch.arange(15)[:, None] * 1e-3
    expected = density_peaks(values.double().numpy(), clusters)
    np.testing.assert_allclose(merge_by_density_peaks(values, clusters)[0], expected, atol=1e-4)
    monkeypatch.setattr(chunks, "_CPU_ELEMENTS", 20)
    np.testing.assert_allclose(merge_by_density_peaks(values, clusters)[0], expected, atol=1e-4)


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_the_second_version_in_a_decoder_equals_whole_matrices(attention: str) -> None:
    layers, pruning = 6, {1: 20, 3: 9}
    model = formula_decoder(layers, attention)
    weights = [
        {
            name: layer.get_submodule(path).weight.detach().double().numpy()
            for name, path in {
                **{part: f"self_attn.{part}_proj" for part in "qkvo"},
                **{part: f"mlp.{part}_proj" for part in ("gate", "up", "down")},
            }.items()
        }
        for layer in model.get_decoder().layers
    ]
    before, visual, after = 4, 30, 7
    embeddings = random(1, before + visual + after, 64, seed=8) * 0.3
    grid = TokenGrid(
        frames=1, rows=1, columns=visual, frame_stride=visual, row_stride=visual, column_stride=1
    )
    layout = SampleLayout("twin", before + visual + after, before, visual, grid)
    method = SparseVlm(version="2.0", pruning_layers=tuple(pruning), kept_tokens=tuple(pruning.values()))
    with torch.inference_mode(), attach(model, LlavaOnevision(), method, layouts=[layout]):
        output = model.get_decoder()(inputs_embeds=embeddings, use_cache=True)
    slow = sparsevlm_2(embeddings[0].double().numpy(), weights, (before, visual), pruning, 16, 14)
    assert [held_tokens(cache_of(output), layer) for layer in range(layers)] == slow["lengths"]
    np.testing.assert_allclose(output.last_hidden_state[0], slow["hidden"], atol=1e-3)
