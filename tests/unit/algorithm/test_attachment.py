"""Does attaching a method change exactly what it should, and nothing else?"""

from __future__ import annotations

from typing import Any

import pytest
import torch

import attach_support as support
from focal_algorithm.hooks import attach
from focal_algorithm.hooks.attention import SESSIONS
from focal_algorithm.hooks.cache import held_tokens
from focal_algorithm.hooks.recorder import Recorder
from focal_algorithm.methods.base import CompressionMethod
from focal_algorithm.methods.dense import Dense
from focal_algorithm.methods.focus import Focus
from focal_algorithm.transformers_versions import cache_name, cache_of
from focal_common.errors import ConfigError, RunError, UnsupportedError

KEEP_EVERYTHING = Focus(
    selected_layers=(), alpha_list=(), similarity_threshold=1.0, block_size=1, frame_block_size=1
)
PRUNING = Focus(**support.PRUNING)


def hook_count(model: torch.nn.Module) -> int:
    kinds = (
        "_forward_hooks",
        "_forward_pre_hooks",
        "_forward_hooks_with_kwargs",
        "_forward_pre_hooks_with_kwargs",
    )
    return sum(len(getattr(module, kind)) for module in model.modules() for kind in kinds)


def state_of(model: Any) -> tuple[Any, ...]:
    configs = [model.config, model.config.text_config, model.config.vision_config]
    return (
        hook_count(model),
        [config._attn_implementation for config in configs],
        [sorted(module.__dict__) for module in model.modules()],
        [type(module) for module in model.modules()],
        model.config.to_json_string(),
        len(SESSIONS),
    )


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("method", [Dense(), KEEP_EVERYTHING], ids=["dense", "focus"])
def test_keeping_everything_gives_the_logits_of_the_untouched_model_to_the_bit(
    attention: str, method: CompressionMethod
) -> None:
    inputs = support.prompt(attention=attention).inputs
    with torch.inference_mode():
        untouched = support.tiny(attention).model(**inputs).logits
    samples, output = support.record(method, inputs, attention)
    assert torch.equal(output.logits, untouched)
    assert len(samples) == 1


def test_pruning_changes_the_logits() -> None:
    inputs = support.prompt().inputs
    _, dense = support.record(Dense(), inputs)
    _, pruned = support.record(PRUNING, inputs)
    assert not torch.allclose(dense.logits[:, -1], pruned.logits[:, -1], atol=1e-4)


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_greedy_decoding_agrees_with_and_without_a_cache(attention: str) -> None:
    prompt = support.prompt(attention=attention)
    loaded = support.tiny(attention)
    with attach(loaded.model, loaded.adapter, PRUNING, layouts=[prompt.layout]):
        cached = support.generate(prompt.inputs, attention)
        recomputed = support.generate(prompt.inputs, attention, use_cache=False)
    assert cached.sequences.tolist() == recomputed.sequences.tolist()
    difference = torch.stack(cached.logits) - torch.stack(recomputed.logits)
    assert difference.abs().max() < 2e-5


def test_pruned_decoding_equals_a_dense_model_that_may_not_see_dropped_tokens() -> None:
    # Independent reference: no similarity, tokens stay, but keys of dropped tokens are masked after their
    # layer.
    method = Focus(**(support.PRUNING | {"sec_only": True}))
    prompt = support.prompt()
    samples, output = support.record(method, prompt.inputs)
    masks = samples[0].masks
    assert masks is not None
    loaded = support.tiny()
    layers = loaded.model.get_decoder().layers
    length, start = prompt.layout.sequence_tokens, prompt.layout.visual_start
    causal = torch.ones(length, length, dtype=torch.bool).tril()
    handles = []
    for index, layer in enumerate(layers):
        dropped = (
            torch.from_numpy(masks.gemm(index, "q_proj").is_zero()).all(dim=1).nonzero().flatten() + start
        )
        is_open = causal.clone()
        is_open[:, dropped] = False
        is_open |= torch.eye(length, dtype=torch.bool)

        def masked(_m: Any, args: Any, kwargs: dict[str, Any], is_open: torch.Tensor = is_open) -> Any:
            return args, kwargs | {"attention_mask": is_open[None, None]}

        handles.append(layer.register_forward_pre_hook(masked, with_kwargs=True))
    try:
        with torch.inference_mode():
            reference = loaded.model(**prompt.inputs).logits[:, -1]
    finally:
        for handle in handles:
            handle.remove()
    assert torch.allclose(output.logits[:, -1], reference, atol=1e-5)
    with torch.inference_mode():
        dense = loaded.model(**prompt.inputs).logits[:, -1]
    assert (dense - reference).abs().max() > 1e-3  # the masks did matter


def test_each_layer_caches_exactly_the_tokens_that_reached_its_attention() -> None:
    prompt = support.prompt()
    loaded = support.tiny()
    with attach(loaded.model, loaded.adapter, PRUNING):
        output = support.generate(prompt.inputs)
    whole, text = prompt.layout.sequence_tokens, prompt.layout.sequence_tokens - 36
    lengths = [held_tokens(cache_of(output), layer) for layer in range(4)]
    assert prompt.layout.visual_tokens == 36
    assert lengths == [whole + 4, text + 18 + 4, text + 18 + 4, text + 7 + 4]


def test_sdpa_and_eager_record_the_same_masks() -> None:
    by_sdpa, _ = support.record(PRUNING, support.prompt(attention="sdpa").inputs, "sdpa")
    by_eager, _ = support.record(PRUNING, support.prompt(attention="eager").inputs, "eager")
    assert by_sdpa[0].masks == by_eager[0].masks


def test_leaving_the_block_restores_the_model() -> None:
    loaded = support.tiny()
    before = state_of(loaded.model)
    with attach(loaded.model, loaded.adapter, PRUNING):
        assert state_of(loaded.model) != before
        support.generate(support.prompt().inputs)
    assert state_of(loaded.model) == before


def test_an_exception_inside_a_forward_restores_the_model() -> None:
    loaded = support.tiny()
    before = state_of(loaded.model)
    inputs = support.prompt().inputs

    def broken(*_: Any) -> None:
        raise ZeroDivisionError

    handle = loaded.model.get_decoder().layers[2].mlp.register_forward_hook(broken)
    with pytest.raises(ZeroDivisionError), attach(loaded.model, loaded.adapter, PRUNING):
        loaded.model(**inputs)
    handle.remove()
    assert state_of(loaded.model) == before


def test_a_failed_prefill_leaves_nothing_to_the_next() -> None:
    loaded = support.tiny()
    inputs = support.prompt().inputs
    expected, _ = support.record(PRUNING, inputs)
    recorder = Recorder(loaded.geometry, PRUNING, keep_masks=True)

    def broken(*_: Any) -> None:
        raise ZeroDivisionError

    with torch.inference_mode(), attach(loaded.model, loaded.adapter, PRUNING, recorder):
        handle = loaded.model.get_decoder().layers[2].mlp.register_forward_hook(broken)
        with pytest.raises(ZeroDivisionError):
            loaded.model(**inputs)
        handle.remove()
        loaded.model(**inputs)
        loaded.model(**inputs)
    assert [sample.masks for sample in recorder.samples] == [expected[0].masks] * 2


def test_attaching_twice_is_refused() -> None:
    loaded = support.tiny()
    with (
        attach(loaded.model, loaded.adapter, PRUNING),
        pytest.raises(UnsupportedError, match="attached to this model already"),
        attach(loaded.model, loaded.adapter, Dense()),
    ):
        pass


def test_a_prompt_without_pictures_passes_through_and_says_so() -> None:
    token_ids = torch.tensor([support.tiny().tokenizer.encode("Only text here.")])
    inputs = {"input_ids": token_ids, "attention_mask": torch.ones_like(token_ids)}
    with torch.inference_mode():
        untouched = support.tiny().model(**inputs).logits
    samples, output = support.record(PRUNING, inputs)
    assert torch.equal(output.logits, untouched)
    header = samples[0].header
    assert (header.visual_tokens, header.grid, header.weighted_sparsity) == (0, None, None)
    assert samples[0].counts.vectors.sum() == 0


def test_a_question_before_the_video_cannot_be_ranked() -> None:
    prompt = support.prompt()
    cut = prompt.layout.visual_stop
    inputs = prompt.inputs | {
        "input_ids": prompt.inputs["input_ids"][:, : cut + 1],
        "attention_mask": prompt.inputs["attention_mask"][:, : cut + 1],
    }
    layout = type(prompt.layout)("late", cut + 1, prompt.layout.visual_start, 37, prompt.layout.grid)
    with pytest.raises(UnsupportedError, match="no token follows the visual tokens"):
        support.record(PRUNING, inputs, layouts=[layout])


def test_a_nan_activation_is_reported_with_its_place() -> None:
    loaded = support.tiny()

    def poison(_module: Any, _args: Any, output: torch.Tensor) -> torch.Tensor:
        return output.index_fill(1, torch.tensor([80]), torch.nan)

    handle = loaded.model.get_decoder().layers[1].register_forward_hook(poison)
    try:
        with pytest.raises(RunError, match="layer 2, q_proj: the activations hold NaN"):
            support.record(KEEP_EVERYTHING, support.prompt().inputs)
    finally:
        handle.remove()


def test_a_layer_that_does_not_exist_is_refused() -> None:
    method = Focus(selected_layers=(9,), alpha_list=(0.5,))
    with pytest.raises(ConfigError, match="layer 9 does not exist; expected layers below 4"):
        support.record(method, support.prompt().inputs)


def test_a_cache_filled_before_attaching_is_refused() -> None:
    loaded = support.tiny()
    with torch.inference_mode():
        cache = cache_of(loaded.model(**support.prompt().inputs, use_cache=True))
        with (
            attach(loaded.model, loaded.adapter, PRUNING),
            pytest.raises(UnsupportedError, match="before it was attached"),
        ):
            loaded.model(input_ids=torch.tensor([[65]]), **{cache_name(): cache}, use_cache=True)
