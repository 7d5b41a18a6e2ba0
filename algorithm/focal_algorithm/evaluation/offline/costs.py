"""What the prefills behind some replies cost, from the counts recorded in the same forwards."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from focal_algorithm.evaluation.offline.evaluator import Evaluator, Reply
from focal_algorithm.methods.base import CompressionMethod
from focal_algorithm.tracing.prompting import TracedSample
from focal_algorithm.tracing.runner import trace_of
from focal_algorithm.tracing.settings import RunSettings
from focal_common.errors import ConfigError
from focal_traces.counts.sparsity import tokens_by_layer
from focal_traces.counts.trace import Trace
from focal_traces.header.schema import GEMMS
from focal_traces.work.ledger import ledger


@dataclass(frozen=True)
class Cost:
    """One prefill, or the mean of several.

    Attributes:
        visual_tokens: Visual tokens of the prompt.
        equivalent_tokens: Layer mean of unique vectors at linear layers, in whole tokens by work.
        present_tokens: Layer mean of visual tokens present at linear layers.
        tokens_by_layer: Visual tokens present at ``down_proj`` of each layer.
        vector_sparsity: Share of vectors left out, weighted by work as the published traces weigh it.
        linear_macs: MACs of projections and MLP, text rows included.
        attention_macs: MACs of scores and values.
        selection_macs: MACs of the method's own decisions (estimated); None where no formula is known.
    """

    visual_tokens: float
    equivalent_tokens: float
    present_tokens: float
    tokens_by_layer: tuple[float, ...]
    vector_sparsity: float
    linear_macs: float
    attention_macs: float
    selection_macs: float | None

    @property
    def macs(self) -> float:
        """MACs of the decoder's prefill."""
        return self.linear_macs + self.attention_macs

    def as_json(self) -> dict[str, Any]:
        """Return JSON values; `from_json` reads them."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Cost:
        """Return what `as_json` gave."""
        return cls(**values | {"tokens_by_layer": tuple(values["tokens_by_layer"])})


def trace_of_replies(evaluator: Evaluator, method: CompressionMethod, replies: Sequence[Reply]) -> Trace:
    """Return tier 1 of the recorded replies, in their order; see `focal_algorithm.tracing.runner.finish` for files.

    Raises:
        ConfigError: None of them was recorded.
    """
    traced = [
        TracedSample(one.recorded, one.answer, "procedural") for one in replies if one.recorded is not None
    ]
    if not traced:
        raise ConfigError("no reply holds counts; name questions in 'recorded' when they are asked")
    settings = RunSettings(output=Path(), method=method.name, dataset=evaluator.questions.benchmark)
    return trace_of(settings, evaluator.loaded, method, traced)


def costs_of(evaluator: Evaluator, method: CompressionMethod, replies: Sequence[Reply]) -> list[Cost]:
    """Return one cost per recorded reply, in their order."""
    trace = trace_of_replies(evaluator, method, replies)
    return [_cost(trace, sample) for sample in range(len(trace.samples))]


def mean_cost(costs: Sequence[Cost]) -> Cost:
    """Return the mean of each figure."""
    selection = [one.selection_macs for one in costs if one.selection_macs is not None]
    layers = zip(*(one.tokens_by_layer for one in costs), strict=True)
    return Cost(
        visual_tokens=fmean(one.visual_tokens for one in costs),
        equivalent_tokens=fmean(one.equivalent_tokens for one in costs),
        present_tokens=fmean(one.present_tokens for one in costs),
        tokens_by_layer=tuple(fmean(layer) for layer in layers),
        vector_sparsity=fmean(one.vector_sparsity for one in costs),
        linear_macs=fmean(one.linear_macs for one in costs),
        attention_macs=fmean(one.attention_macs for one in costs),
        selection_macs=fmean(selection) if len(selection) == len(costs) else None,
    )


def _cost(trace: Trace, sample: int) -> Cost:
    lines = {entry.name: entry.value for entry in ledger(trace, sample).entries}
    header = trace.header.samples[sample]
    tokens = tokens_by_layer(trace, sample)[:, GEMMS.index("down_proj")].tolist()
    selection = lines["selection_macs"]
    return Cost(
        visual_tokens=header.visual_tokens,
        equivalent_tokens=float(lines["equivalent_tokens"] or 0.0),
        present_tokens=float(lines["present_tokens"] or 0.0),
        tokens_by_layer=tuple(map(float, tokens)),
        vector_sparsity=float(header.weighted_sparsity or 0.0),
        linear_macs=float(lines["prefill_linear_macs"] or 0.0),
        attention_macs=float(lines["prefill_attention_macs"] or 0.0),
        selection_macs=None if selection is None else float(selection),
    )
