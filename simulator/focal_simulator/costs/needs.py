"""What an accelerator asks of a buffer cost model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

LEAST_PORT_BYTES = 2
"""Narrowest port that CACTI was run for; operands of a byte or less travel in twos or more."""

DOUBLE_BUFFERED = 2
"""Halves of a buffer whose one is filled while the other is used."""

SramModel = Literal["compiler", "cacti"]
"""Memory-compiler macros of the published runs, or the CACTI table."""


@dataclass(frozen=True, slots=True)
class BufferNeed:
    """A buffer as the accelerator wants it built.

    Attributes:
        name: Buffer name, as in the byte counters.
        size_bytes: Capacity of one copy.
        port_bytes: Width of the read-write port.
        copies: Instances.
        extra_read_ports: Read ports beside the read-write port.
    """

    name: str
    size_bytes: int
    port_bytes: int
    copies: int = 1
    extra_read_ports: int = 0
