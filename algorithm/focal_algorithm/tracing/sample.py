"""One prefill of a traced run, finished."""

from __future__ import annotations

from dataclasses import dataclass

from focal_algorithm.hooks.recorder import RecordedSample
from focal_algorithm.prompts.question import Question
from focal_traces.frames.frames import SampleFrames

__all__ = ["TracedSample"]


@dataclass(frozen=True)
class TracedSample:
    """One finished prefill with what the model answered.

    Attributes:
        recorded: Counts, masks, records.
        answer: Generated text.
        origin: Where the pixels come from.
        question: As it was asked.
        asked: Question of a benchmark with its right answer; None for other inputs.
        dense_answer: Of the untouched model; None where it was not asked.
        frames: Pictures to keep beside the trace; None for none.
    """

    recorded: RecordedSample
    answer: str
    origin: str
    question: str = ""
    asked: Question | None = None
    dense_answer: str | None = None
    frames: SampleFrames | None = None
