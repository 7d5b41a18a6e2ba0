"""Accelerator plug-ins: one file and one hardware file each. Listing them imports none of them."""

from __future__ import annotations

from typing import Any

from focal_common.registry import Registry

__all__ = ["ACCELERATORS", "PLAIN_ARRAYS"]

ACCELERATORS: Registry[type[Any]] = Registry(
    "accelerator",
    {
        "dense": "focal_simulator.accelerators.dense.accelerator:Dense",
        "focus": "focal_simulator.accelerators.focus.accelerator:Focus",
        "focus_sec_only": "focal_simulator.accelerators.focus_sec_only.accelerator:FocusSecOnly",
        "adaptiv": "focal_simulator.accelerators.adaptiv.accelerator:Adaptiv",
        "cmc": "focal_simulator.accelerators.cmc.accelerator:Cmc",
    },
    group="focal.accelerators",
)
"""Name to class; other distributions add theirs under the entry-point group ``focal.accelerators``."""

PLAIN_ARRAYS: Registry[type[Any]] = Registry(
    "plain array",
    {
        "systolic_array": "focal_simulator.accelerators.systolic_array.accelerator:PlainArray",
        "token_array": "focal_simulator.accelerators.systolic_array.accelerator:TokenArray",
    },
    group="focal.plain_arrays",
)
"""What a hardware file may take as its base beside the accelerators; no run meets one unasked."""
