"""What is known of the forward that a thread is in, from its inputs to the end of its decoder."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from focal_algorithm.hooks.ahead import is_looking_ahead
from focal_algorithm.hooks.generation import GenerateCall
from focal_algorithm.hooks.prefill import Prefill
from focal_algorithm.methods.base import DecodeNotes
from focal_algorithm.prompts.layout import SampleLayout


@dataclass
class Forward:
    """State of one forward of one thread.

    Attributes:
        layouts: Read from its ids; None where it brought none.
        token_ids: Of its prompts without padding, axes (tokens); None where it brought none.
        copies: Rows in a row that are the same prompt.
        brings_pictures: Whether its ids hold visual tokens.
        logits_to_keep: As the caller asked for.
        attention_mask: As the model was given it, which may hand its decoder several masks made of it.
        prefill: The prompts, from their prefill to the last decode step; None before the decoder is reached.
        is_decoding: Whether the prompts are in the cache already.
        is_recomputing: Whether prompts that were recorded are run again, with the tokens generated since.
        additions: What the decoder adds to its residual stream after its first layers.
        rotary_tables: Of the present layer.
        notes: What the method remembers of the tokens after the prompts, by row of the batch and picture.
    """

    layouts: Sequence[SampleLayout] | None = None
    token_ids: Sequence[Tensor] | None = None
    copies: int = 1
    brings_pictures: bool = True
    logits_to_keep: Any = 0
    attention_mask: Any = None
    prefill: Prefill | None = None
    is_decoding: bool = False
    is_recomputing: bool = False
    additions: tuple[Tensor, ...] = ()
    rotary_tables: tuple[Tensor, Tensor] | None = None
    notes: dict[tuple[int, int], DecodeNotes] = field(default_factory=dict)


class ThreadState(threading.local):
    """What one thread is in: a forward, and perhaps a call of `generate` around it."""

    def __init__(self) -> None:
        self.forward = Forward()
        self.call: GenerateCall | None = None
        self.logits_to_keep: Any = 0  # as the whole model was called, until the model inside it is

    @property
    def prefilling(self) -> Prefill | None:
        """The prefill under way; None in a decode step, and while operands are looked at ahead."""
        return None if self.forward.is_decoding or is_looking_ahead() else self.forward.prefill
