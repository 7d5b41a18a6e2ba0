"""Do layers with a window attend, after every method, to what the definition says and to nothing else?

The reference takes the input of each attention module of Gemma 3 and computes it anew, one query at a time, from the
module's own projections and an explicit set of open keys: those before in the places that tokens have, inside the
window, and those of the same image after it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor
from transformers.models.gemma3.modeling_gemma3 import apply_rotary_pos_emb

from contracts import conformance
from focal.testing.prompts import image, padded, tiny
from focal_algorithm.hooks import attach
from focal_algorithm.methods import METHODS
from focal_algorithm.methods.base import (
    AttentionOperands,
    CompressionMethod,
    HookPoint,
    Resequenced,
    TokenStream,
    changes_length,
    hook_points,
)
from focal_algorithm.tracing.prompting import Prompt, build_prompt

FAMILY = "gemma3"
_CHANGED = {HookPoint.GEMM_INPUT, HookPoint.ATTENTION_PROBABILITIES}
DROPPING = [
    name
    for name in METHODS
    if changes_length(METHODS.load(name)())
    and (name == "focus_sec_only" or not _CHANGED & hook_points(METHODS.load(name)()))
]
"""Methods that change which tokens there are and leave the arithmetic of the layers as it is (SEC-only is Focus without
what changes it)."""


def test_what_is_compared() -> None:
    assert {"fastv", "pyramiddrop", "visionzip", "focus_sec_only", "prumerge_plus"} <= set(DROPPING)


def attended(
    module: Any, hidden: Tensor, places: list[int], pictures: list[int], window: int | None
) -> Tensor:
    """Return the input of ``o_proj``, axes (tokens, heads x head_dim), by the definition.

    Args:
        module: Attention of a layer.
        hidden: Its input, axes (tokens, hidden).
        places: Position of each token.
        pictures: Image that each token is of; -1 for text.
        window: Positions that a token sees, its own included; None for all.
    """
    tokens = len(hidden)
    shape = (1, tokens, -1, module.head_dim)
    query, key, value = (
        getattr(module, f"{name}_proj")(hidden).view(shape).transpose(1, 2) for name in "qkv"
    )
    model: Any = tiny(FAMILY).model
    rotary = model.model.language_model.rotary_emb(hidden[None], torch.tensor([places]), module.layer_type)
    query, key = apply_rotary_pos_emb(module.q_norm(query), module.k_norm(key), *rotary)
    groups, rows = module.num_key_value_groups, []
    for token in range(tokens):
        is_open = torch.zeros(tokens, dtype=torch.bool)
        for other in range(tokens):
            is_before = places[other] <= places[token]
            is_of_picture = pictures[token] >= 0 and pictures[token] == pictures[other]
            is_near = window is None or places[other] > places[token] - window
            is_open[other] = (is_before or is_of_picture) and is_near
        heads = []
        for head in range(query.shape[1]):
            scores = (key[0, head // groups] @ query[0, head, token]) * module.scaling
            weights = scores.masked_fill(~is_open, -torch.inf).softmax(0)
            heads.append(weights @ value[0, head // groups])
        rows.append(torch.cat(heads))
    return torch.stack(rows)


def prompt(seed: int, question: str) -> Prompt:
    return build_prompt(tiny(FAMILY), image(seed, 140, 140), question)


@pytest.mark.parametrize("name", DROPPING)
def test_each_layer_attends_as_defined(name: str) -> None:
    if reason := conformance.refusal(name, f"{FAMILY}+image"):
        pytest.skip(f"refused: {reason}")
    loaded = tiny(FAMILY)
    prompts = [prompt(1, "What is it?"), prompt(2, "And what may this be, then?")]
    inputs = padded(prompts, "left")
    points = loaded.adapter.points(loaded.model)
    seen: dict[tuple[str, int], Tensor] = {}
    handles = []
    with (
        torch.inference_mode(),
        attach(loaded.model, loaded.adapter, conformance.method_of(name, loaded)) as session,
    ):
        for layer, point in enumerate(points.layers):

            def before(_module: Any, args: Any, given: dict[str, Any], layer: int = layer) -> None:
                seen["hidden", layer] = args[0] if args else given["hidden_states"]

            def after(_module: Any, args: Any, layer: int = layer) -> None:
                seen["output", layer] = args[0]

            handles.append(point.attention.register_forward_pre_hook(before, with_kwargs=True))
            handles.append(point.o_proj.register_forward_pre_hook(after))
        loaded.model(**inputs)
        for handle in handles:
            handle.remove()
        kept = [session.positions(layer) for layer in range(len(points.layers))]
        prefill: Any = session._thread.forward.prefill
        renumbered = [one.position_columns for one in prefill.at_layer]
    shorter = kept[-1].shape[1] < inputs["input_ids"].shape[1]
    assert shorter, "the method drops nothing here, so nothing is compared"
    text: Any = loaded.model.config.text_config
    with torch.inference_mode():
        for layer, point in enumerate(points.layers):
            window = text.sliding_window if text.layer_types[layer] == "sliding_attention" else None
            for row, one in enumerate(prompts):
                own = (kept[layer][row] >= 0).nonzero().flatten()
                padding = inputs["input_ids"].shape[1] - one.layout.sequence_tokens
                columns = (kept[layer][row, own] - padding).tolist()
                visual = range(one.layout.visual_start, one.layout.visual_stop)
                pictures = [0 if column in visual else -1 for column in columns]
                places = (renumbered[layer][row, own] - padding).tolist()
                found = seen["output", layer][row, own]
                expected = attended(
                    point.attention, seen["hidden", layer][row, own], places, pictures, window
                )
                assert torch.allclose(found, expected, atol=2e-5), (layer, row)


@dataclass(frozen=True, kw_only=True)
class _Looks(CompressionMethod):
    """Drops the odd visual tokens before layer 1, and notes what it is told that tokens may attend to."""

    name: ClassVar[str] = "toy"
    seen: ClassVar[list[tuple[int, list[int], Tensor | None]]] = []

    def see_attention(self, layer: int, operands: AttentionOperands, stream: TokenStream, state: Any) -> None:
        self.seen.append((layer, stream.token_ids.tolist(), operands.mask))

    def before_layer(self, layer: int, hidden: Tensor, stream: TokenStream, state: Any) -> Resequenced | None:
        if layer and stream.ahead is not None:
            self.seen.append((layer, stream.token_ids.tolist(), stream.ahead().mask))
        return Resequenced(stream.keeping(torch.arange(len(stream.visual_rows))[::2])) if layer == 1 else None


def test_methods_are_told_what_a_layer_with_a_window_may_see() -> None:
    loaded, shown = tiny(FAMILY), prompt(1, "What is it?")
    _Looks.seen.clear()
    with torch.inference_mode(), attach(loaded.model, loaded.adapter, _Looks()):
        loaded.model(**shown.inputs)
    text: Any = loaded.model.config.text_config
    visual = range(shown.layout.visual_start, shown.layout.visual_stop)
    assert {len(tokens) for _, tokens, _ in _Looks.seen} == {
        shown.layout.sequence_tokens,
        shown.layout.sequence_tokens - 18,
    }
    for layer, tokens, mask in _Looks.seen:
        if text.layer_types[layer] == "full_attention":
            assert mask is None
            continue
        expected = [
            [
                (other <= token or {token, other} <= set(visual)) and other > token - text.sliding_window
                for other in tokens
            ]
            for token in tokens
        ]
        assert mask is not None
        assert mask.tolist() == expected


def test_positions_count_anew_only_where_the_method_says_so() -> None:
    loaded = tiny(FAMILY)
    for name, renumbers in {"fastv": False, "visionzip": True}.items():
        with (
            torch.inference_mode(),
            attach(loaded.model, loaded.adapter, conformance.method_of(name, loaded)) as session,
        ):
            loaded.model(**prompt(1, "What is it?").inputs)
            last: Any = session._thread.forward.prefill.at_layer[-1]  # type: ignore[union-attr]
        gaps = last.position_columns.diff()
        assert bool((gaps == 1).all()) == renumbers, name
