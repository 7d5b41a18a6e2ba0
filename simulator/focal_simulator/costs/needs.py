"""What an accelerator asks of a buffer cost model."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal, NamedTuple

LEAST_PORT_BYTES = 2
"""Narrowest port that CACTI was run for; operands of a byte or less travel in twos or more."""

DOUBLE_BUFFERED = 2
"""Halves of a buffer whose one is filled while the other is used."""

SramModel = Literal["compiler", "cacti"]
"""Memory-compiler macros of the published runs, or the CACTI table."""


class BufferNeed(NamedTuple):
    """A buffer as the accelerator wants it built.

    Attributes:
        name: Buffer name, as in the byte counters.
        size_bytes: Capacity of one copy.
        port_bytes: Width of the read-write port.
        copies: Instances.
        extra_read_ports: Read ports beside the read-write port.
        stated_ports: Ports that the hardware states; 1 where they are as published.
    """

    name: str
    size_bytes: int
    port_bytes: int
    copies: int = 1
    extra_read_ports: int = 0
    stated_ports: int = 1


def with_stated_ports(needs: Iterable[BufferNeed], core: Any) -> tuple[BufferNeed, ...]:
    """Return buffers with the ports that a systolic core states; 0 leaves them as published.

    Args:
        needs: As published.
        core: Says ``weight_port`` and ``buffer_ports``.
    """
    built, stated = [], core.buffer_ports
    for need in needs:
        if ports := stated.get(need.name, 0):
            need = need._replace(extra_read_ports=ports - 1, stated_ports=ports)
        if need.name == "wgt" and core.weight_port.value:
            need = need._replace(port_bytes=max(core.weight_port.value, LEAST_PORT_BYTES))
        built.append(need)
    return tuple(built)
