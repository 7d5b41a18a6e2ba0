"""The roofline of a GPU over the operators of an inference: a reference, not a simulation.

Williams, Waterman, Patterson, Roofline, CACM 52(4), 2009: an operator takes as long as its arithmetic at the peak
rate or its bytes at the peak bandwidth, whichever is longer. Launch times, cache misses and occupancy are left to
the two efficiencies. Every result is an estimate.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from focal_common.errors import ConfigError
from focal_common.provenance import Origin
from focal_simulator.gpu.files import GpuSpec
from focal_simulator.whole_model.operator import PHASES, Operator

_ELEMENT_BYTES = 2


@dataclass(frozen=True, slots=True)
class OperatorTime:
    """One operator on a GPU, all decode steps together.

    Attributes:
        operator: What runs.
        operations: Floating-point operations of products, elementary operations of vectors.
        traffic_bytes: Through the memory port.
        seconds: The longer of both.
        bound: Which one that is.
    """

    operator: Operator
    operations: int
    traffic_bytes: int
    seconds: float
    bound: Literal["compute", "memory"]


@dataclass(frozen=True, slots=True)
class PhaseTime:
    """One phase on a GPU.

    Attributes:
        phase: Name, or ``total``.
        seconds: Sum over operators.
        energy_j: Board power times seconds.
        flops: Of products.
        traffic_bytes: Through the memory port.
        memory_bound: Share of the seconds that memory sets.
    """

    phase: str
    seconds: float
    energy_j: float
    flops: int
    traffic_bytes: int
    memory_bound: float


@dataclass(frozen=True, slots=True)
class GpuEstimate:
    """An inference on a GPU.

    Attributes:
        gpu: The GPU.
        operators: In order of computation.
        phases: Those that occur, in order, then ``total``.
        weight_bytes: Parameters the operators read, each once.
        origin: Always ``estimated``.
    """

    gpu: GpuSpec
    operators: tuple[OperatorTime, ...]
    phases: tuple[PhaseTime, ...]
    weight_bytes: int
    origin: Origin = "estimated"

    @property
    def fits_memory(self) -> bool:
        """Whether the parameters fit into the memory of the GPU; activations and cache not counted."""
        return self.weight_bytes <= self.gpu.memory.value


def roofline(operators: Iterable[Operator], gpu: GpuSpec) -> GpuEstimate:
    """Return the time of every operator and phase on a GPU, at FP16 and with FlashAttention.

    Scores then never go to memory, and masked ones are not computed.

    Args:
        operators: As `focal_simulator.whole_model.operators` lists them. Decode steps are summed before the longer
            of both times is taken, which is exact where one of them is the longer in every step.
        gpu: With its efficiencies.

    Raises:
        ConfigError: There is no operator.
    """
    times = tuple(_time(operator, gpu) for operator in operators)
    if not times:
        raise ConfigError("the roofline of no operators was asked for; expected at least one")
    phases = [
        _phase(phase, members, gpu)
        for phase in PHASES
        if (members := [time for time in times if time.operator.phase == phase])
    ]
    weights = sum(time.operator.weight_elements for time in times if time.operator.phase != "decode")
    return GpuEstimate(gpu, times, (*phases, _phase("total", times, gpu)), weights * _ELEMENT_BYTES)


def _time(operator: Operator, gpu: GpuSpec) -> OperatorTime:
    if operator.kind == "vector":
        operations = sum(operator.elementary(is_mask_skipped=True).values())
        peak = gpu.peak_vector.value
    else:
        operations = 2 * operator.causal_macs
        peak = gpu.peak_fp16.value
    traffic = operator.traffic_bytes(_ELEMENT_BYTES)
    compute = operations / (peak * gpu.compute_efficiency.value)
    memory = traffic / (gpu.bandwidth.value * gpu.memory_efficiency.value)
    bound: Literal["compute", "memory"] = "compute" if compute >= memory else "memory"
    return OperatorTime(operator, operations, traffic, max(compute, memory), bound)


def _phase(name: str, times: Sequence[OperatorTime], gpu: GpuSpec) -> PhaseTime:
    seconds = math.fsum(time.seconds for time in times)
    memory = math.fsum(time.seconds for time in times if time.bound == "memory")
    return PhaseTime(
        phase=name,
        seconds=seconds,
        energy_j=seconds * gpu.board_power.value,
        flops=sum(time.operations for time in times if time.operator.kind != "vector"),
        traffic_bytes=sum(time.traffic_bytes for time in times),
        memory_bound=memory / seconds if seconds else 0.0,
    )
