"""Does a method that only scores keep the right tokens, do nothing at full budget, and refuse what it cannot rank?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import pytest
import torch
from torch import Tensor

import attach_support as support
from focal_algorithm.hooks.cache import held_tokens
from focal_algorithm.kernels.ordering import shared_counts
from focal_algorithm.methods.base import HookPoint, TokenStream, changes_length, hook_points
from focal_algorithm.methods.selector import TokenSelector
from focal_algorithm.prompts.layout import SampleLayout
from focal_algorithm.transformers_versions import cache_of
from focal_common.errors import ConfigError, RunError
from focal_traces.header.schema import DecoderGeometry, SampleHeader, TokenGrid

GEOMETRY = DecoderGeometry(
    layers=4, hidden_elements=2, intermediate_elements=8, heads=2, kv_heads=1, head_dim_elements=4
)


@dataclass(frozen=True)
class NormPrune(TokenSelector):
    keep: float = 0.25
    layer: int = 2

    def score(self, hidden: Tensor, tokens: TokenStream) -> Tensor:
        return hidden.norm(dim=-1)


@dataclass(frozen=True)
class Pooled(NormPrune):
    scope: ClassVar[Literal["picture", "prompt"]] = "prompt"


@dataclass(frozen=True)
class Broken(NormPrune):
    def score(self, hidden: Tensor, tokens: TokenStream) -> Tensor:
        return hidden


def layout(frames: int = 3, tokens: int = 8) -> SampleLayout:
    grid = TokenGrid(
        frames=frames, rows=1, columns=tokens, frame_stride=tokens, row_stride=tokens, column_stride=1
    )
    return SampleLayout("clip", 2 + frames * tokens + 3, 2, frames * tokens, grid)


def kept(method: TokenSelector, where: SampleLayout, norms: list[float]) -> list[int] | None:
    """Return the visual tokens that stay, for residual streams of these norms."""
    stream = TokenStream.of(where, torch.arange(where.sequence_tokens))
    hidden = torch.full((where.sequence_tokens, 2), 100.0)
    hidden[stream.visual_rows] = torch.tensor(norms)[:, None] * torch.tensor([0.6, 0.8])
    method.start(GEOMETRY, where)
    answer = method.before_layer(method.layer, hidden, stream, None)
    if answer is None:
        return None
    rows = answer.rows.tolist()
    assert rows == sorted(rows)
    assert set(rows) >= {0, 1, *range(where.visual_stop, where.sequence_tokens)}
    return [row - 2 for row in rows if 2 <= row < where.visual_stop]


def test_a_score_is_all_that_a_method_needs() -> None:
    method = NormPrune(0.5, 1)
    assert (method.keep, method.layer, method.name) == (0.5, 1, "normprune")
    assert method == NormPrune(keep=0.5, layer=1)
    assert hash(method) == hash(NormPrune(keep=0.5, layer=1))
    assert hook_points(method) == {HookPoint.LAYER_INPUT}
    assert changes_length(method)
    assert method.study.folder(method) == "normprune"
    assert method.study.without_effect(method) == {"keep": 1.0}
    header = SampleHeader(sample_id="x", sequence_tokens=50, visual_start=2, visual_tokens=40, grid=None)
    budget = method.study.budget(method, GEOMETRY, header)
    assert budget is not None
    assert (budget.start, budget.least, budget.most, budget.parameters(0.3)) == (
        0.5,
        1 / 40,
        1,
        {"keep": 0.3},
    )


def test_the_largest_stay_and_equal_scores_go_to_the_lower_index() -> None:
    where = layout(frames=1)
    assert kept(NormPrune(0.5), where, [1, 5, 2, 5, 5, 1, 5, 5]) == [1, 3, 4, 6]
    assert kept(NormPrune(0.25), where, [3, 3, 3, 3, 3, 3, 3, 3]) == [0, 1]


def test_the_budget_is_shared_over_pictures_in_proportion() -> None:
    norms = [*range(1, 9), *range(11, 19), *range(21, 29)]
    assert kept(NormPrune(0.25), layout(), norms) == [6, 7, 14, 15, 22, 23]
    assert kept(Pooled(0.25), layout(), norms) == [18, 19, 20, 21, 22, 23]
    # 7 of 24 tokens over three frames: the first takes the one that is left.
    assert kept(NormPrune(7 / 24), layout(), norms) == [5, 6, 7, 14, 15, 22, 23]
    assert shared_counts(10, [10, 20, 70]) == [1, 2, 7]
    assert shared_counts(2, [5, 5, 5]) == [1, 1, 0]
    assert shared_counts(15, [5, 5, 5]) == [5, 5, 5]


def test_a_budget_of_the_whole_prompt_scores_nothing() -> None:
    assert kept(Broken(1.0), layout(), [1.0] * 24) is None
    inputs = support.prompt().inputs
    with torch.inference_mode():
        untouched = support.tiny().model(**inputs).logits
    _, output = support.record(NormPrune(keep=1.0), inputs)
    assert torch.equal(output.logits, untouched)


def test_a_model_runs_on_what_is_left() -> None:
    prompt = support.prompt()
    (sample,), output = support.record(NormPrune(layer=1), prompt.inputs)
    lengths = [held_tokens(cache_of(output), layer) for layer in range(4)]
    dropped = prompt.layout.visual_tokens - round(prompt.layout.visual_tokens * 0.25)
    whole = prompt.layout.sequence_tokens
    assert lengths == [whole, whole - dropped, whole - dropped, whole - dropped]
    assert sample.header.visual_tokens == prompt.layout.visual_tokens


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: NormPrune(0.0), r"keep must lie in \(0, 1\], got 0"),
        (lambda: NormPrune(1.5), r"keep must lie in \(0, 1\], got 1.5"),
        (lambda: NormPrune(layer=-1), "layer must be at least 0"),
        (lambda: kept(NormPrune(layer=4), layout(), [1.0] * 24), "before layer 4, but the decoder has 4"),
        (
            lambda: kept(NormPrune(0.01), layout(), [1.0] * 24),
            "clip: normprune, keep: 0.01 of 24 visual tokens is below one token; expected at least 0.042",
        ),
        (lambda: kept(Broken(), layout(), [1.0] * 24), r"score returned axes \(29, 2\); expected one number"),
    ],
)
def test_what_cannot_be_is_one_sentence(make: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make()


def test_scores_that_are_no_numbers_name_layer_and_method() -> None:
    norms = [1.0] * 23 + [float("nan")]
    with pytest.raises(RunError, match="layer 2: 1 of 24 scores of normprune are NaN"):
        kept(NormPrune(), layout(), norms)
