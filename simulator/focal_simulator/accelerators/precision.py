"""Precisions by name: what a word puts in place of the formats of all operands."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from focal_common.errors import ConfigError, near_matches
from focal_simulator.hardware.specs import PRECISIONS
from focal_simulator.workload.workload import Workload


def named_precision(name: Any, where: str) -> dict[str, str]:
    """Return the format of each operand of a preset in `PRECISIONS`; ``where`` names the field in messages.

    Raises:
        ConfigError: Unknown precision.
    """
    if name not in PRECISIONS:
        raise ConfigError(
            f"{where}: precision '{name}': {near_matches(str(name), PRECISIONS)}; other formats are "
            "set operand by operand, such as precision.partial_sums=fp32"
        )
    return dict(PRECISIONS[name])


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
