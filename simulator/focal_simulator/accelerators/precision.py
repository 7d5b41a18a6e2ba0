"""INT8 versions of the accelerators: one byte an element, and multipliers scaled by published costs of arithmetic."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from focal_common.errors import ConfigError, near_matches
from focal_simulator.accelerators.base import Accelerator
from focal_simulator.workload.workload import Workload

PRECISIONS = ("fp16", "int8")

# Horowitz, ISSCC 2014, Fig. 1.1.9 (45 nm, 0.9 V): energy of a multiplication and an addition, and their areas.
_FP16_MULTIPLY_PJ, _FP16_ADD_PJ = 1.1, 0.4
_INT8_MULTIPLY_PJ, _INT32_ADD_PJ = 0.2, 0.1
_FP16_MULTIPLY_UM2, _FP16_ADD_UM2 = 1640.0, 1360.0
_INT8_MULTIPLY_UM2, _INT32_ADD_UM2 = 282.0, 137.0

_ENERGY_RATIO = (_INT8_MULTIPLY_PJ + _INT32_ADD_PJ) / (_FP16_MULTIPLY_PJ + _FP16_ADD_PJ)
_AREA_RATIO = (_INT8_MULTIPLY_UM2 + _INT32_ADD_UM2) / (_FP16_MULTIPLY_UM2 + _FP16_ADD_UM2)


def precision_overrides(accelerator: Accelerator[Any], precision: str) -> list[str]:
    """Return the hardware fields that a precision changes, as ``field=value``.

    Deviation from the published INT8 run, which keeps 2-byte elements and the FP16 array: elements have one byte, and
    the multiplier array is scaled by the ratio of an INT8 multiplication with a 32-bit addition to one in FP16
    (estimated: the ratio is of 45 nm, the array of 28 nm). The clock stays. Hardware of 1-byte elements is
    INT8 already.

    Args:
        accelerator: With its hardware.
        precision: A name in `PRECISIONS`.

    Raises:
        ConfigError: Unknown precision.
    """
    if precision not in PRECISIONS:
        raise ConfigError(f"precision '{precision}': {near_matches(precision, PRECISIONS)}")
    if precision == "fp16" or accelerator.hardware.element_bytes.value == 1:
        return []
    overrides = ["element_bytes=1"]
    for name, part in accelerator.hardware.components.items():
        if part.active_with == "array":
            overrides.append(f"components.{name}.power={part.power.value * _ENERGY_RATIO!r}")
            overrides.append(f"components.{name}.area={part.area.value * _AREA_RATIO!r}")
    return overrides


def precision_remarks(workloads: Iterable[Workload], precision: str) -> list[str]:
    """Say which traces of quantised linear layers are simulated on FP16 hardware; nothing where there are none.

    Args:
        workloads: Of one run.
        precision: A name in `PRECISIONS`.
    """
    labels = [one.label for one in workloads if one.quantization] if precision == "fp16" else []
    if not labels:
        return []
    return [
        f"{', '.join(labels)}: the linear layers of the forward were quantised, but FP16 hardware is simulated, as in "
        "the published INT8 runs; precision int8 of the simulation estimates INT8 hardware"
    ]
