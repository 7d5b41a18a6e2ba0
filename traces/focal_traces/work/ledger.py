"""The budget ledger: what one prefill of a trace costs, and what the method's own decisions cost.

Every entry says whether it follows from recorded counts alone or also from assumptions.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from focal_common.errors import ConfigError
from focal_common.provenance import Origin
from focal_traces.counts.trace import Trace
from focal_traces.methods import SELECTION, SelectionContext
from focal_traces.work.work import decode_macs, prefill_work, projector_macs, tower_macs

Unit = Literal["tokens", "MACs", "bytes"]


@dataclass(frozen=True, slots=True)
class Entry:
    """One line.

    Attributes:
        name: Such as ``equivalent_tokens``.
        value: In ``unit``; None where the trace does not tell.
        unit: ``tokens``, ``MACs`` or ``bytes``.
        origin: That of the trace where the value follows from its counts; ``estimated`` where it also rests on
            the model's shape or on an assumption.
        basis: How it was computed, or why it could not be.
    """

    name: str
    value: float | None
    unit: Unit
    origin: Origin
    basis: str


@dataclass(frozen=True, slots=True)
class Ledger:
    """All lines of one sample, in a fixed order.

    Attributes:
        sample: Index into the trace's samples.
        entries: The lines.
    """

    sample: int
    entries: tuple[Entry, ...]

    def value(self, name: str) -> float:
        """Return a value; raises `ConfigError` where there is none."""
        for entry in self.entries:
            if entry.name == name and entry.value is not None:
                return entry.value
            if entry.name == name:
                raise ConfigError(f"ledger of sample {self.sample}: no {name} ({entry.basis})")
        names = ", ".join(entry.name for entry in self.entries)
        raise ConfigError(f"ledger of sample {self.sample}: no line '{name}'; expected one of {names}")

    def as_json(self) -> dict[str, Any]:
        """Return name to the other fields, JSON-like."""
        lines = (asdict(entry) for entry in self.entries)
        return {line.pop("name"): line for line in lines}


def ledger(trace: Trace, sample: int | None = None, element_bytes: int = 2) -> Ledger:
    """Return the ledger of a sample.

    Args:
        trace: Counts of any method.
        sample: Index; the chosen sample if None.
        element_bytes: Width of weights, activations and cached keys and values.

    Raises:
        ConfigError: No such sample, or an element of no width.
        TraceError: The counts do not cover every (layer, gemm).
    """
    chosen = trace.chosen_sample() if sample is None else sample
    if not 0 <= chosen < len(trace.samples):
        raise ConfigError(f"sample {chosen}: expected 0 to {len(trace.samples) - 1}")
    if element_bytes < 1:
        raise ConfigError(f"element_bytes must be at least 1, got {element_bytes}")
    return Ledger(
        chosen,
        (
            *_decoder_entries(trace, chosen, element_bytes),
            *_model_entries(trace, chosen),
            _selection(trace, chosen),
        ),
    )


def _decoder_entries(trace: Trace, sample: int, element_bytes: int) -> tuple[Entry, ...]:
    work, origin = prefill_work(trace, sample), trace.header.origin
    width = f"{element_bytes}-byte elements"
    return (
        Entry(
            "equivalent_tokens",
            work.equivalent_tokens,
            "tokens",
            origin,
            "layer mean of unique vectors at linear layers, in whole tokens by work",
        ),
        Entry(
            "present_tokens",
            work.present_tokens,
            "tokens",
            origin,
            "layer mean of visual tokens present at linear layers, by work",
        ),
        Entry(
            "prefill_linear_macs",
            work.linear_macs,
            "MACs",
            origin,
            "unique vectors and text rows through projections and MLP",
        ),
        Entry(
            "prefill_attention_macs",
            work.score_macs + work.value_macs,
            "MACs",
            "estimated",
            "unique query vectors x keys present; probabilities x values counted dense, masked half included",
        ),
        Entry(
            "kv_bytes",
            work.kv_elements * element_bytes,
            "bytes",
            origin,
            f"after the prefill, {width}; all-zero tokens count as absent",
        ),
        Entry(
            "prefill_dram_bytes",
            work.moved_elements * element_bytes,
            "bytes",
            "estimated",
            f"decoder weights, unique inputs, outputs, keys and values moved once each, {width}",
        ),
    )


def _model_entries(trace: Trace, sample: int) -> tuple[Entry, ...]:
    shape = trace.header.model_shape
    step = Entry(
        "decode_step_macs",
        decode_macs(trace, sample, None if shape is None else shape.vocabulary_size),
        "MACs",
        "estimated",
        "first step, "
        + ("LM head left out: no model shape in the trace" if shape is None else "LM head included"),
    )
    if shape is None:
        why = "the trace holds no model shape"
        rest = (
            Entry(name, None, "MACs", "estimated", why)
            for name in ("vision_macs", "projector_macs", "lm_head_macs")
        )
        return (*rest, step)
    # The header has the shape of the first sample; samples of other sizes have their own number of pictures.
    is_same = trace.header.samples[sample].visual_tokens == trace.header.samples[0].visual_tokens
    basis = (
        "from the model shape"
        if is_same
        else "from the model shape of the first sample, which is of other size"
    )
    head = shape.vocabulary_size * shape.decoder.hidden_elements
    return (
        Entry("vision_macs", tower_macs(shape.vision, shape.frames), "MACs", "estimated", basis),
        Entry(
            "projector_macs",
            projector_macs(shape.projector, shape.vision, shape.frames),
            "MACs",
            "estimated",
            basis,
        ),
        Entry("lm_head_macs", head, "MACs", "estimated", "one token"),
        step,
    )


def _selection(trace: Trace, sample: int) -> Entry:
    method = trace.header.method
    if method not in SELECTION:
        return Entry(
            "selection_macs", None, "MACs", "estimated", f"not counted: no formula for method '{method}'"
        )
    found = SELECTION.load(method)(SelectionContext(trace, sample))
    return Entry("selection_macs", found.macs, "MACs", "estimated", found.basis)
