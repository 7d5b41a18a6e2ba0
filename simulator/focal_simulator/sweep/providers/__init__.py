"""Where the traces of a study come from. Listing the providers imports none of them."""

from __future__ import annotations

from typing import Any

from focal_common.registry import Registry

__all__ = ["TRACE_PROVIDERS"]

TRACE_PROVIDERS: Registry[type[Any]] = Registry(
    "trace provider",
    {
        "existing": "focal_simulator.sweep.providers.existing:ExistingTraces",
        "gemms": "focal_simulator.sweep.providers.gemms:GemmLists",
    },
    group="focal.trace_providers",
)
"""Name to a `TraceProvider` class; a package above the simulator adds those that run models."""
