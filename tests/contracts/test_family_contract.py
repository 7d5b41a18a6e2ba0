"""Is every model family lawful: exact where nothing is dropped, right positions where something is, and clean?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor

import attach_support
import family_support as families
from family_support import CASES
from focal_algorithm.hooks import attach
from focal_algorithm.hooks.attention import SESSIONS
from focal_algorithm.methods.base import CompressionMethod, Resequenced, TokenStream
from focal_algorithm.methods.dense import Dense
from focal_algorithm.methods.focus import Focus
from focal_algorithm.models import MODELS
from focal_algorithm.transformers_versions import cache_of

KEEP_EVERYTHING = Focus(
    selected_layers=(), alpha_list=(), similarity_threshold=1.0, block_size=1, frame_block_size=1
)
PRUNING = Focus(**attach_support.PRUNING)
SEMANTIC_ONLY = Focus(**(attach_support.PRUNING | {"sec_only": True}))


@dataclass(frozen=True, kw_only=True)
class _MergeBeforeFirstLayer(CompressionMethod):
    """Drops every other visual token before layer 0 and adds it to its neighbour: what stresses positions most."""

    name: ClassVar[str] = "toy"

    def before_layer(self, layer: int, hidden: Tensor, stream: TokenStream, state: Any) -> Resequenced | None:
        if layer:
            return None
        dropped = stream.visual_rows[1::2]
        merged = hidden.index_add(0, dropped - 1, hidden[dropped])
        is_kept = torch.ones(len(hidden), dtype=torch.bool).index_fill(0, dropped, False)
        rows = is_kept.nonzero().flatten()
        return Resequenced(rows, merged[rows])


each_case = pytest.mark.parametrize(("family", "kind"), CASES)


def state_of(model: Any) -> tuple[Any, ...]:
    kinds = ("_forward_hooks", "_forward_pre_hooks", "_forward_hooks_with_kwargs")
    return (
        [len(getattr(module, kind)) for module in model.modules() for kind in kinds],
        [module.config._attn_implementation for module in model.modules() if hasattr(module, "config")],
        [type(module) for module in model.modules()],
        model.config.to_json_string(),
        len(SESSIONS),
    )


@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@each_case
def test_strength_zero_gives_the_logits_of_the_untouched_model_to_the_bit(
    family: str, kind: str, attention: str, dtype: str
) -> None:
    loaded = families.tiny(family, attention, dtype)
    prompts = families.two(loaded, kind)
    alone, *padded = prompts[0].inputs, *(attach_support.padded(prompts, side) for side in ("left", "right"))
    for inputs, methods in (
        (alone, (Dense(), KEEP_EVERYTHING)),
        *((batch, (KEEP_EVERYTHING,)) for batch in padded),
    ):
        with torch.inference_mode():
            untouched = loaded.model(**inputs).logits
        for method in methods:
            samples, output = families.record(loaded, method, inputs)
            assert torch.equal(output.logits, untouched)
            assert len(samples) == len(inputs["input_ids"])


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@each_case
def test_a_padded_batch_gives_each_prompt_what_it_gets_alone(family: str, kind: str, attention: str) -> None:
    loaded = families.tiny(family, attention)
    prompts = families.two(loaded, kind)
    alone = [families.record(loaded, PRUNING, p.inputs)[0][0] for p in prompts]
    for side in ("left", "right"):
        together, output = families.record(loaded, PRUNING, attach_support.padded(prompts, side))
        for one, other in zip(together, alone, strict=True):
            assert one.masks == other.masks
            assert one.header.grid == other.header.grid
        kept = [len(p.inputs["input_ids"][0]) - p.layout.visual_tokens for p in prompts]
        kept = [n + int(0.2 * p.layout.visual_tokens) for n, p in zip(kept, prompts, strict=True)]
        assert cache_of(output).get_seq_length(3) == max(kept)


@each_case
def test_bf16_runs_pruned_in_a_padded_batch(family: str, kind: str) -> None:
    loaded = families.tiny(family, "sdpa", "bf16")
    batch = attach_support.padded(families.two(loaded, kind), "left")
    samples, output = families.record(loaded, PRUNING, batch)
    assert len(samples) == 2
    assert output.logits.dtype == torch.bfloat16
    assert bool(output.logits[:, -1].isfinite().all())


@each_case
def test_pruning_equals_a_dense_model_that_may_not_see_dropped_tokens(family: str, kind: str) -> None:
    # Independent reference for positions of every axis: tokens stay, only keys of dropped ones are masked.
    loaded = families.tiny(family)
    prompt = families.prompt(loaded, kind)
    samples, output = families.record(loaded, SEMANTIC_ONLY, prompt.inputs)
    masks = samples[0].masks
    assert masks is not None
    length, start = prompt.layout.sequence_tokens, prompt.layout.visual_start
    causal = torch.ones(length, length, dtype=torch.bool).tril()
    handles = []
    for index, layer in enumerate(loaded.adapter.points(loaded.model).layers):
        is_dropped = torch.from_numpy(masks.gemm(index, "q_proj").is_zero()).all(dim=1)
        is_open = causal.clone()
        is_open[:, is_dropped.nonzero().flatten() + start] = False
        is_open |= torch.eye(length, dtype=torch.bool)

        def masked(_m: Any, args: Any, kwargs: dict[str, Any], is_open: torch.Tensor = is_open) -> Any:
            return args, kwargs | {"attention_mask": is_open[None, None]}

        handles.append(layer.layer.register_forward_pre_hook(masked, with_kwargs=True))
    with torch.inference_mode():
        reference = loaded.model(**prompt.inputs).logits[:, -1]
        for handle in handles:
            handle.remove()
        dense = loaded.model(**prompt.inputs).logits[:, -1]
    assert torch.allclose(output.logits[:, -1], reference, atol=2e-5)
    assert (dense - reference).abs().max() > 1e-4  # the masks did matter


@pytest.mark.parametrize(
    ("attention", "method"),
    [("sdpa", PRUNING), ("eager", PRUNING), ("sdpa", _MergeBeforeFirstLayer())],
    ids=["sdpa", "eager", "input stage"],
)
@each_case
def test_greedy_decoding_agrees_with_and_without_a_cache(
    family: str, kind: str, attention: str, method: CompressionMethod
) -> None:
    loaded = families.tiny(family, attention)
    prompts = families.two(loaded, kind)
    batch = attach_support.padded(prompts, "left")
    with attach(loaded.model, loaded.adapter, method):  # layouts are read from what generate() hands on
        cached = families.generate(loaded, batch)
    with attach(loaded.model, loaded.adapter, method, layouts=[p.layout for p in prompts]):
        recomputed = families.generate(loaded, batch, use_cache=False)
    assert cached.sequences.tolist() == recomputed.sequences.tolist()
    assert (torch.stack(cached.logits) - torch.stack(recomputed.logits)).abs().max() < 5e-5


@pytest.mark.parametrize("family", list(MODELS))
def test_the_header_has_the_shape_of_the_weights(family: str) -> None:
    loaded = families.tiny(family)
    geometry, layers = loaded.adapter.geometry(loaded.model), loaded.adapter.points(loaded.model).layers
    attention, mlp = layers[0].attention, layers[0].mlp
    head = geometry.head_dim_elements
    assert geometry.layers == len(layers)
    assert tuple(attention.q_proj.weight.shape) == (geometry.heads * head, geometry.hidden_elements)
    assert tuple(attention.k_proj.weight.shape) == (geometry.kv_heads * head, geometry.hidden_elements)
    assert tuple(mlp.gate_proj.weight.shape) == (geometry.intermediate_elements, geometry.hidden_elements)


@pytest.mark.parametrize("family", list(MODELS))
def test_leaving_restores_the_model_also_after_an_exception(family: str) -> None:
    loaded = families.tiny(family)
    inputs = families.prompt(loaded, sorted(loaded.adapter.modalities)[0]).inputs
    before = state_of(loaded.model)

    def broken(*_: Any) -> None:
        raise ZeroDivisionError

    for fails in (False, True):
        handle = loaded.adapter.points(loaded.model).layers[2].mlp.register_forward_hook(broken)
        if not fails:
            handle.remove()
        try:
            with attach(loaded.model, loaded.adapter, PRUNING):
                assert state_of(loaded.model) != before
                families.generate(loaded, inputs)
            assert not fails
        except ZeroDivisionError:
            assert fails
        handle.remove()
        assert state_of(loaded.model) == before


@pytest.mark.parametrize("family", list(MODELS))
def test_a_prompt_of_text_alone_passes_through_and_the_trace_says_so(family: str) -> None:
    loaded = families.tiny(family)
    token_ids = torch.tensor([list(b"Only text here.")])
    inputs = {"input_ids": token_ids, "attention_mask": torch.ones_like(token_ids)}
    inputs |= loaded.adapter.sequence_inputs(loaded.model, token_ids)
    with torch.inference_mode():
        untouched = loaded.model(**inputs).logits
    samples, output = families.record(loaded, PRUNING, inputs)
    assert torch.equal(output.logits, untouched)
    assert (samples[0].header.visual_tokens, samples[0].header.grid) == (0, None)
