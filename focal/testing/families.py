"""What every model family must fulfil: exact where nothing is dropped, right positions where something is, clean."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor

from focal.testing.prompts import generate, padded, prompt, record, tiny, two
from focal_algorithm.hooks import attach
from focal_algorithm.hooks.attention import SESSIONS
from focal_algorithm.hooks.cache import held_tokens
from focal_algorithm.methods.base import CompressionMethod, Resequenced, TokenStream
from focal_algorithm.methods.dense import Dense
from focal_algorithm.methods.focus import Focus
from focal_algorithm.models import MODELS
from focal_algorithm.tracing.prompting import token_types
from focal_algorithm.transformers_versions import cache_of

_PRUNING: dict[str, Any] = {
    "selected_layers": (0, 2),
    "alpha_list": (0.5, 0.2),
    "vector_size": 16,
    "m_tile": 16,
}

_KEEP_EVERYTHING = Focus(
    selected_layers=(), alpha_list=(), similarity_threshold=1.0, block_size=1, frame_block_size=1
)
_PRUNED = Focus(**_PRUNING)
_SEMANTIC_ONLY = Focus(**(_PRUNING | {"sec_only": True}))


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


def _state_of(model: Any) -> tuple[Any, ...]:
    kinds = ("_forward_hooks", "_forward_pre_hooks", "_forward_hooks_with_kwargs")
    return (
        [len(getattr(module, kind)) for module in model.modules() for kind in kinds],
        [module.config._attn_implementation for module in model.modules() if hasattr(module, "config")],
        [type(module) for module in model.modules()],
        model.config.to_json_string(),
        len(SESSIONS),
    )


class FamilyContract:
    """Tests of a model family; inherit it and name the family.

    Attributes:
        family: Name under which it is registered.
        published_grids: Kinds (``image``, ``video``) whose grid repeats a publication although places of it share a
            token or lie outside the picture; for these the test demands that they do.
    """

    family: ClassVar[str]
    published_grids: ClassVar[tuple[str, ...]] = ()

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Run a test that asks for ``kind`` with all that the family takes."""
        if "kind" in metafunc.fixturenames:
            metafunc.parametrize("kind", sorted(MODELS.load(self.family).modalities))

    @pytest.mark.parametrize("dtype", ["fp32", "bf16"])
    @pytest.mark.parametrize("attention", ["sdpa", "eager"])
    def test_strength_zero_gives_the_logits_of_the_untouched_model_to_the_bit(
        self, kind: str, attention: str, dtype: str
    ) -> None:
        loaded = tiny(self.family, attention, dtype)
        prompts = two(loaded, kind)
        alone, *batches = prompts[0].inputs, *(padded(prompts, side) for side in ("left", "right"))
        for inputs, methods in (
            (alone, (Dense(), _KEEP_EVERYTHING)),
            *((batch, (_KEEP_EVERYTHING,)) for batch in batches),
        ):
            with torch.inference_mode():
                untouched = loaded.model(**inputs).logits
            for method in methods:
                samples, output = record(loaded, method, inputs)
                assert torch.equal(output.logits, untouched)
                assert len(samples) == len(inputs["input_ids"])

    @pytest.mark.parametrize("attention", ["sdpa", "eager"])
    def test_a_padded_batch_gives_each_prompt_what_it_gets_alone(self, kind: str, attention: str) -> None:
        loaded = tiny(self.family, attention)
        prompts = two(loaded, kind)
        alone = [record(loaded, _PRUNED, p.inputs)[0][0] for p in prompts]
        for side in ("left", "right"):
            together, output = record(loaded, _PRUNED, padded(prompts, side))
            for one, other in zip(together, alone, strict=True):
                assert one.masks == other.masks
                assert one.header.grid == other.header.grid
            kept = [len(p.inputs["input_ids"][0]) - p.layout.visual_tokens for p in prompts]
            kept = [n + int(0.2 * p.layout.visual_tokens) for n, p in zip(kept, prompts, strict=True)]
            assert held_tokens(cache_of(output), 3) == max(kept)

    def test_bf16_runs_pruned_in_a_padded_batch(self, kind: str) -> None:
        loaded = tiny(self.family, "sdpa", "bf16")
        batch = padded(two(loaded, kind), "left")
        samples, output = record(loaded, _PRUNED, batch)
        assert len(samples) == 2
        assert output.logits.dtype == torch.bfloat16
        assert bool(output.logits[:, -1].isfinite().all())

    def test_pruning_equals_a_dense_model_that_may_not_see_dropped_tokens(self, kind: str) -> None:
        # Independent reference for positions of every axis: tokens stay, only keys of dropped ones are masked.
        loaded = tiny(self.family)
        shown = prompt(loaded, kind)
        samples, output = record(loaded, _SEMANTIC_ONLY, shown.inputs)
        masks = samples[0].masks
        assert masks is not None
        length, start = shown.layout.sequence_tokens, shown.layout.visual_start
        causal = torch.ones(length, length, dtype=torch.bool).tril()
        handles = []
        for index, layer in enumerate(loaded.adapter.points(loaded.model).layers):
            is_dropped = torch.from_numpy(masks.gemm(index, "q_proj").is_zero()).all(dim=1)
            gone = is_dropped.nonzero().flatten() + start

            def masked(_m: Any, args: Any, kwargs: dict[str, Any], gone: torch.Tensor = gone) -> Any:
                own = kwargs.get("attention_mask")
                is_open = causal[None, None].clone() if own is None else own.clone()
                is_open[..., gone] = False
                return args, kwargs | {"attention_mask": is_open | torch.eye(length, dtype=torch.bool)}

            handles.append(layer.layer.register_forward_pre_hook(masked, with_kwargs=True))
        with torch.inference_mode():
            reference = loaded.model(**shown.inputs).logits[:, -1]
            for handle in handles:
                handle.remove()
            dense = loaded.model(**shown.inputs).logits[:, -1]
        assert torch.allclose(output.logits[:, -1], reference, atol=2e-5)
        assert (dense - reference).abs().max() > 1e-4  # the masks did matter

    @pytest.mark.parametrize(
        ("attention", "method"),
        [("sdpa", _PRUNED), ("eager", _PRUNED), ("sdpa", _MergeBeforeFirstLayer())],
        ids=["sdpa", "eager", "input stage"],
    )
    def test_greedy_decoding_agrees_with_and_without_a_cache(
        self, kind: str, attention: str, method: CompressionMethod
    ) -> None:
        loaded = tiny(self.family, attention)
        prompts = two(loaded, kind)
        batch = padded(prompts, "left")
        with attach(loaded.model, loaded.adapter, method):  # layouts are read from what generate() hands on
            cached = generate(loaded, batch)
        with attach(loaded.model, loaded.adapter, method, layouts=[p.layout for p in prompts]):
            recomputed = generate(loaded, batch, use_cache=False)
        assert cached.sequences.tolist() == recomputed.sequences.tolist()
        assert (torch.stack(cached.logits) - torch.stack(recomputed.logits)).abs().max() < 5e-5

    def test_the_header_has_the_shape_of_the_weights(self) -> None:
        loaded = tiny(self.family)
        geometry, layers = loaded.geometry, loaded.adapter.points(loaded.model).layers
        attention: Any = layers[0].attention
        mlp: Any = layers[0].mlp
        head = geometry.head_dim_elements
        assert geometry.layers == len(layers)
        assert tuple(attention.q_proj.weight.shape) == (geometry.heads * head, geometry.hidden_elements)
        assert tuple(attention.k_proj.weight.shape) == (geometry.kv_heads * head, geometry.hidden_elements)
        assert tuple(mlp.gate_proj.weight.shape) == (geometry.intermediate_elements, geometry.hidden_elements)

    def test_every_place_of_the_grid_is_a_visual_token_of_its_own(self, kind: str) -> None:
        layout = prompt(tiny(self.family), kind).layout
        grid = layout.grid
        assert grid is not None
        places = {
            frame * grid.frame_stride + row * grid.row_stride + column * grid.column_stride
            for frame, row, column in product(range(grid.frames), range(grid.rows), range(grid.columns))
        }
        is_lawful = len(places) == grid.frames * grid.rows * grid.columns
        is_lawful &= places <= set(range(layout.visual_tokens))
        # An exemption that is not needed would hide the next fault.
        assert is_lawful != (kind in self.published_grids)

    def test_leaving_restores_the_model_also_after_an_exception(self) -> None:
        loaded = tiny(self.family)
        inputs = prompt(loaded, sorted(loaded.adapter.modalities)[0]).inputs
        before = _state_of(loaded.model)

        def broken(*_: Any) -> None:
            raise ZeroDivisionError

        for fails in (False, True):
            handle = loaded.adapter.points(loaded.model).layers[2].mlp.register_forward_hook(broken)
            if not fails:
                handle.remove()
            try:
                with attach(loaded.model, loaded.adapter, _PRUNED):
                    assert _state_of(loaded.model) != before
                    generate(loaded, inputs)
                assert not fails
            except ZeroDivisionError:
                assert fails
            handle.remove()
            assert _state_of(loaded.model) == before

    def test_a_prompt_of_text_alone_passes_through_and_the_trace_says_so(self) -> None:
        loaded = tiny(self.family)
        token_ids = torch.tensor([list(b"Only text here.")])
        inputs = {"input_ids": token_ids, "attention_mask": torch.ones_like(token_ids)}
        inputs |= token_types(loaded.model, token_ids)
        with torch.inference_mode():
            untouched = loaded.model(**inputs).logits
        samples, output = record(loaded, _PRUNED, inputs)
        assert torch.equal(output.logits, untouched)
        assert (samples[0].header.visual_tokens, samples[0].header.grid) == (0, None)
