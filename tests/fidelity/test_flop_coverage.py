"""Does the operator list hold the work that torch counts in real models?

torch counts full attention, so masked products are compared unmasked. It counts matrix products and convolutions
only; so nothing is left over here, and vector operations have no counterpart to compare with.
"""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from torch.nn.attention import SDPBackend, sdpa_kernel  # noqa: E402
from torch.utils.flop_counter import FlopCounterMode  # noqa: E402

from focal_algorithm.transformers_versions import cache_name, cache_of  # noqa: E402
from focal_simulator.whole_model import operators  # noqa: E402
from focal_traces.model_shape.families import model_shape  # noqa: E402
from focal_traces.model_shape.model_shape import PromptLengths  # noqa: E402
from whole_model_support import CASES, TOWER, Case  # noqa: E402

CASE = [(family, attention) for family in CASES for attention in ("eager", "sdpa")]


def _counted(case: Case, **inputs: Any) -> tuple[int, dict[str, int], Any]:
    counter = FlopCounterMode(display=False)
    # The fused CPU kernel is unknown to the counter; the plain one is made of products it sees.
    with torch.inference_mode(), sdpa_kernel(SDPBackend.MATH), counter:
        output = case.model(**inputs, use_cache=True, logits_to_keep=1)
    by_module = {name: sum(one.values()) for name, one in counter.get_flop_counts().items()}
    return counter.get_total_flops(), by_module, output


@pytest.mark.parametrize(("family", "attention"), CASE)
def test_prefill_and_one_decode_step_are_covered_exactly(family: str, attention: str) -> None:
    torch.manual_seed(0)
    case = CASES[family](attention)
    case.model.eval()
    listed = operators(case.shape, generated_tokens=1)
    prompt = case.inputs["input_ids"].shape[1]
    assert prompt == case.shape.visual_tokens + case.shape.text_tokens

    total, _, output = _counted(case, **case.inputs)
    ours = sum(one.flops for one in listed if one.phase != "decode")
    assert ours == total

    step = {"input_ids": torch.tensor([[11]]), cache_name(): cache_of(output)}
    total, _, _ = _counted(case, **step)
    ours = sum(one.flops for one in listed if one.phase == "decode")
    assert ours == total


@pytest.mark.parametrize("family", list(CASES))
def test_each_part_of_the_model_is_covered(family: str) -> None:
    torch.manual_seed(0)
    case = CASES[family]("eager")
    case.model.eval()
    _, by_module, _ = _counted(case, **case.inputs)
    vision = sum(
        flops
        for name, flops in by_module.items()
        if name.endswith(("model.vision_tower", "model.visual", "model.multi_modal_projector"))
    )
    head = next(flops for name, flops in by_module.items() if name.endswith(".lm_head"))
    listed = operators(case.shape)
    assert sum(one.flops for one in listed if one.phase in ("vision", "projector")) == vision
    assert sum(one.flops for one in listed if one.phase == "lm_head") == head


class _Resampler(torch.nn.Module):
    """Cross-attention of learnt queries, as MiniCPM-V-2.6 describes it: kv_proj, attention, projection."""

    def __init__(self, queries: int, width: int, heads: int, given: int) -> None:
        super().__init__()
        self.query = torch.nn.Parameter(torch.randn(queries, width))
        self.kv_proj = torch.nn.Linear(given, width, bias=False)
        self.attention = torch.nn.MultiheadAttention(width, heads, batch_first=True)
        self.proj = torch.nn.Parameter(torch.randn(width, width))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        keys = self.kv_proj(features)
        position = torch.zeros_like(keys)
        query = self.query.expand(len(features), -1, -1)
        return self.attention(query, keys + position, keys)[0] @ self.proj


def test_a_resampler_is_covered_exactly() -> None:
    pictures, heads, queries = 3, 4, 8
    config = {
        "model_type": "minicpmv",
        "hidden_size": 512,
        "intermediate_size": 96,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "vocab_size": 40,
        "query_num": queries,
        "vision_config": {"model_type": "siglip", **TOWER},
    }
    shape = model_shape(config, PromptLengths(frames=pictures))
    projector = shape.projector
    assert (projector.heads, shape.visual_tokens) == (heads, pictures * queries)
    module = _Resampler(queries, projector.hidden_elements, heads, projector.input_elements)
    counter = FlopCounterMode(display=False)
    # In training mode the attention takes no fused path, which the counter would not see into.
    module.train().requires_grad_(False)
    with torch.inference_mode(), sdpa_kernel(SDPBackend.MATH), counter:
        module(torch.randn(pictures, shape.vision.tokens, projector.input_elements))
    ours = sum(one.flops for one in operators(shape) if one.phase == "projector")
    assert ours == counter.get_total_flops()
