"""Is every plug-in file in its table, and does a new kind of method or family fit without touching the core?"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor
from transformers import LlavaForConditionalGeneration

import attach_support as support
import focal_algorithm.methods
import focal_algorithm.models
from focal_algorithm.checkpoints.loading import random_model
from focal_algorithm.hooks import attach
from focal_algorithm.hooks.cache import held_tokens
from focal_algorithm.hooks.recorder import Recorder
from focal_algorithm.methods import METHODS
from focal_algorithm.methods.base import CompressionMethod, Resequenced, TokenStream
from focal_algorithm.methods.build import build_method
from focal_algorithm.models import MODELS
from focal_algorithm.models.base import ModelAdapter, Placeholders, VisualPart, VisualRange
from focal_algorithm.prompts.layout import PromptRow, token_grid
from focal_algorithm.transformers_versions import cache_of


@pytest.mark.parametrize(
    ("package", "registry"), [(focal_algorithm.methods, METHODS), (focal_algorithm.models, MODELS)]
)
def test_every_plug_in_file_is_in_its_table(package: Any, registry: Any) -> None:
    helpers = {
        "arithmetic",
        "base",
        "budgeted",
        "build",
        "config",
        "selector",
        "study",
        "video",
        "architectures",
        "inference_only",
        "sizes",
        "weights",
    }
    modules = {module.name for module in pkgutil.iter_modules(package.__path__)} - helpers
    assert modules == set(registry)
    for name in registry:
        target = registry.target(name)
        assert importlib.import_module(target.partition(":")[0]).__name__.endswith(f".{name}")


# --- kinds of methods that are yet to come ----------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class _Toy(CompressionMethod):
    name: ClassVar[str] = "toy"


@dataclass(frozen=True, kw_only=True)
class _DropBeforeFirstLayer(_Toy):
    def before_layer(self, layer: int, hidden: Tensor, stream: TokenStream, state: Any) -> Resequenced | None:
        if layer:
            return None
        dropped = set(stream.visual_rows[::2].tolist())
        return Resequenced(torch.tensor([r for r in range(len(stream.token_ids)) if r not in dropped]))


@dataclass(frozen=True, kw_only=True)
class _MergeAfterAttention(_Toy):
    def before_layer(self, layer: int, hidden: Tensor, stream: TokenStream, state: Any) -> Resequenced | None:
        return self.after_attention(layer, hidden, stream, state)

    def after_attention(
        self, layer: int, hidden: Tensor, stream: TokenStream, state: Any
    ) -> Resequenced | None:
        if len(stream.visual_rows) < 30:
            return None
        head, tail = int(stream.visual_rows[0]), int(stream.visual_rows[1])
        rows = torch.tensor([r for r in range(len(stream.token_ids)) if r != tail])
        merged = hidden[rows]
        merged[head] = (hidden[head] + hidden[tail]) / 2
        return Resequenced(rows, merged)


@dataclass(frozen=True, kw_only=True)
class _RenumberThenKeepGaps(_Toy):
    """Drops tokens three times: counting anew, then with gaps, then counting anew."""

    def before_layer(self, layer: int, hidden: Tensor, stream: TokenStream, state: Any) -> Resequenced | None:
        if layer > 2:
            return None
        chosen = torch.arange(len(stream.visual_rows))[1::2]
        return Resequenced(stream.keeping(chosen), renumbers=layer != 1)


@dataclass(frozen=True, kw_only=True)
class _KeepProbabilities(_Toy):
    def replace_probabilities(
        self, layer: int, first_head: int, probabilities: Tensor, stream: TokenStream, state: Any
    ) -> Tensor:
        assert torch.allclose(probabilities.sum(dim=-1), torch.ones(()), atol=1e-5)
        return probabilities * 1.0


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize(
    "method",
    [_DropBeforeFirstLayer(), _MergeAfterAttention(), _RenumberThenKeepGaps()],
    ids=lambda m: type(m).__name__,
)
def test_dropping_at_the_input_and_merging_decode_alike_with_and_without_a_cache(
    method: CompressionMethod, attention: str
) -> None:
    prompts = [
        support.prompt(support.video(1), "A", attention),
        support.prompt(support.video(2), "Longer", attention),
    ]
    loaded = support.tiny(attention)
    batch = support.padded(prompts, "left")
    with attach(loaded.model, loaded.adapter, method, layouts=[p.layout for p in prompts]):
        cached = support.generate(batch, attention)
        recomputed = support.generate(batch, attention, use_cache=False)
    assert cached.sequences.tolist() == recomputed.sequences.tolist()
    assert (torch.stack(cached.logits) - torch.stack(recomputed.logits)).abs().max() < 2e-5
    assert held_tokens(cache_of(cached), 3) < batch["input_ids"].shape[1]


def test_replacing_probabilities_by_themselves_changes_nothing() -> None:
    inputs = support.prompt().inputs
    with torch.inference_mode():
        untouched = support.tiny().model(**inputs).logits
    _, output = support.record(_KeepProbabilities(), inputs)
    assert torch.allclose(output.logits, untouched, atol=1e-5)


# --- a family of models that is yet to come ---------------------------------------------------------------


class _ToyFamily(ModelAdapter):
    """LLaVA 1.5: another vision tower, another decoder, images of fixed size."""

    family: ClassVar[str] = "llava"
    model_class: ClassVar[Any] = LlavaForConditionalGeneration

    @classmethod
    def random_settings(cls, size: str) -> dict[str, Any]:
        tower = {
            "model_type": "clip_vision_model",
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 2,
        }
        tower |= {"num_attention_heads": 2, "image_size": 56, "patch_size": 14, "projection_dim": 32}
        text = {"model_type": "llama", "vocab_size": 300, "hidden_size": 64, "intermediate_size": 96}
        text |= {
            "num_hidden_layers": 3,
            "num_attention_heads": 4,
            "num_key_value_heads": 4,
            "pad_token_id": 0,
        }
        return {
            "vision_config": tower,
            "text_config": text,
            "image_token_index": 290,
            "image_seq_length": 16,
            "vision_feature_layer": -1,
            "vision_feature_select_strategy": "default",
        }

    def visual_range(self, model: Any, inputs: Mapping[str, Any], row: PromptRow) -> VisualRange:
        run = row.only_run()
        return VisualRange(run.start, run.tokens, token_grid(1, 4, 4))

    def prompt_text(self, question: str) -> tuple[str, str]:
        return "", question

    def visual_inputs(self, model: Any, frames: Sequence[Any], is_video: bool) -> VisualPart:
        return VisualPart((Placeholders(290, 16),), {"pixel_values": torch.randn(1, 3, 56, 56)})


def test_another_family_needs_only_its_adapter() -> None:
    torch.manual_seed(0)
    adapter = _ToyFamily()
    model = random_model(_ToyFamily, "tiny", "sdpa").eval()
    pixels = adapter.visual_inputs(model, [], is_video=False).inputs
    inputs = {"input_ids": torch.tensor([[1, 2, *[290] * 16, 3, 4]]), **pixels}
    method = build_method("focus", {"selected_layers": (1,), "alpha_list": (0.5,), "vector_size": 16})
    recorder = Recorder(adapter.points(model).geometry, method, keep_masks=True)
    with torch.inference_mode(), attach(model, adapter, method, recorder):
        cache = cache_of(model(**inputs, use_cache=True))
    assert [held_tokens(cache, layer) for layer in range(3)] == [20, 20, 12]
    assert len(recorder.samples) == 1
