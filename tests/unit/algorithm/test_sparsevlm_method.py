"""Does SparseVLM prune, renumber and refuse as it says, in whole forwards?"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

import attach_support as support
from focal_algorithm.hooks import attach
from focal_algorithm.kernels.sparsevlm import kept_counts
from focal_algorithm.methods.build import build_method
from focal_common.errors import ConfigError, FocalError, UnsupportedError
from focal_traces.header.schema import QWEN2_7B

PRUNING = {"pruning_layers": (0, 2), "kept_tokens": (20, 8)}
VERSIONS: dict[str, dict[str, Any]] = {
    "1.0": {"version": "1.0", "retained_tokens": 64, "pruning_layers": (0, 2)},
    "1.5": {"version": "1.5", **PRUNING},
    "2.0": {"version": "2.0", "heads_kept": 3, **PRUNING},
    "2.0 strict": {"version": "2.0", "mode": "strict", **PRUNING},
}


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("version", VERSIONS)
def test_batches_caches_and_single_prompts_agree(version: str, attention: str) -> None:
    method, loaded = build_method("sparsevlm", VERSIONS[version]), support.tiny(attention)
    prompts = [
        support.prompt(support.video(1), "A", attention),
        support.prompt(support.video(2), "Longer", attention),
    ]

    def logits(inputs: dict[str, Any], chosen: list[Any], **options: Any) -> Tensor:
        with attach(loaded.model, loaded.adapter, method, layouts=[p.layout for p in chosen]):
            return torch.stack(support.generate(inputs, attention, **options).logits, dim=1)

    batch = support.padded(prompts, "left")
    together = logits(batch, prompts)
    assert torch.allclose(together, logits(batch, prompts, use_cache=False), atol=2e-5)
    for row, one in enumerate(prompts):
        assert torch.allclose(together[row], logits(one.inputs, [one])[0], atol=2e-5)


def test_no_pruning_layer_is_the_untouched_model_bit_by_bit() -> None:
    inputs = support.prompt().inputs
    with torch.inference_mode():
        untouched = support.tiny().model(**inputs).logits
    _, output = support.record(build_method("sparsevlm", {"pruning_layers": ()}), inputs)
    assert torch.equal(output.logits, untouched)


@pytest.mark.parametrize(
    ("version", "counts"), [("1.5", [36, 20 + 1, 20 + 1, 8 + 1]), ("2.0", [36, 20, 20, 8])]
)
def test_counts_follow_the_schedule_one_layer_later(version: str, counts: list[int]) -> None:
    inputs = support.prompt().inputs
    samples, _ = support.record(build_method("sparsevlm", VERSIONS[version]), inputs)
    masks = samples[0].masks
    assert masks is not None
    alive = [int((~gemm.is_zero().all(axis=1)).sum()) for gemm in masks.gemms]
    assert alive[::5] == counts


def test_published_budgets_are_means_over_layers() -> None:
    """Layers 0 to 2 hold all, but the published log counts layer 2 as pruned; recycled tokens count."""
    for version, budget, mean in (
        ("1.5", 192, 192.03),
        ("1.5", 64, 64.81),
        ("2.0", 192, 192.44),
        ("2.0", 128, 128.0),
    ):
        present, layers = [576], []
        for kept in kept_counts(version, budget):
            count = min(kept, present[-1] - 1)
            recycled = int(0.3 * (present[-1] - count)) + 1
            present.append(count + (recycled // 10 + 1 if version == "1.5" else 0))
        layers = [present[0]] * 2 + [present[1]] * 4 + [present[2]] * 9 + [present[3]] * 17
        assert sum(layers) / 32 == pytest.approx(mean, abs=0.01)


def test_pruning_layers_keep_their_relative_depth() -> None:
    moved = build_method("sparsevlm", {}).study.fitted(QWEN2_7B)
    assert moved == {"scale_by_tokens": True, "pruning_layers": (1, 5, 13)}
    assert build_method("sparsevlm", {}).study.fitted(QWEN2_7B.model_copy(update={"layers": 32})) == {
        "scale_by_tokens": True
    }


def test_strict_mode_drops_nothing_it_need_not_drop() -> None:
    generous = {"pruning_layers": (0,), "kept_tokens": (99,), "version": "2.0", "heads_kept": 4}
    for mode, left in (("compatible", 35), ("strict", 36)):
        samples, _ = support.record(
            build_method("sparsevlm", {**generous, "mode": mode}), support.prompt().inputs
        )
        masks = samples[0].masks
        assert masks is not None
        assert int((~masks.gemms[-1].is_zero().all(axis=1)).sum()) == left


@pytest.mark.parametrize(
    ("parameters", "error", "words"),
    [
        ({"retained_tokens": 100}, ConfigError, "no published schedule for 100"),
        ({"version": "1.0", "retained_tokens": 96}, ConfigError, "no published scale for 96"),
        ({"version": "3"}, ConfigError, "version must be 1.0, 1.5 or 2.0"),
        ({"pruning_layers": (2, 1, 3)}, ConfigError, "must ascend"),
        ({"kept_tokens": (5, 5)}, ConfigError, "2 counts for 3 pruning layers"),
        ({"pruning_layers": (1, 2, 3)}, ConfigError, "layer 3 has no layer after it"),
        ({**PRUNING, "version": "2.0"}, ConfigError, "scores with 14 heads, the decoder has 4"),
    ],
)
def test_wrong_parameters_are_refused(
    parameters: dict[str, Any], error: type[FocalError], words: str
) -> None:
    with pytest.raises(error, match=words):
        support.record(build_method("sparsevlm", parameters), support.prompt().inputs)


def test_a_prompt_without_a_question_is_refused() -> None:
    prompt = support.prompt()
    end = prompt.layout.visual_stop
    layout = replace(prompt.layout, sequence_tokens=end)
    inputs = {**prompt.inputs, "attention_mask": torch.ones_like(prompt.inputs["attention_mask"])}
    loaded = support.tiny()
    with (
        pytest.raises(UnsupportedError, match="no token follows the visual tokens"),
        attach(loaded.model, loaded.adapter, build_method("sparsevlm", PRUNING), layouts=[layout]),
    ):
        loaded.model(**inputs)
