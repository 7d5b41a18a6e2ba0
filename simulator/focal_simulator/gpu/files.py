"""GPUs as checked values: published peaks with unit and source."""

from __future__ import annotations

from importlib.resources import files
from typing import Literal

from pydantic import Field, PositiveFloat

from focal_common.config import StrictModel, apply_overrides, packaged_names, packaged_yaml, validated
from focal_common.places import PlainName
from focal_simulator.hardware.specs import BytesPerSecond, Quantity


class _Rate(Quantity):
    value: PositiveFloat
    unit: Literal["FLOP/s"]


class _Watts(Quantity):
    value: PositiveFloat
    unit: Literal["W"]


class _Capacity(Quantity):
    value: PositiveFloat
    unit: Literal["B"]


class _Share(Quantity):
    value: float = Field(gt=0, le=1)
    unit: Literal["1"]


class GpuSpec(StrictModel):
    """A GPU.

    Attributes:
        name: Name of the file.
        label: Name in tables.
        peak_fp16: Dense FP16 matrix rate.
        peak_vector: FP32 rate outside of matrix units, for vector operators.
        bandwidth: Of the memory.
        memory: Its capacity.
        board_power: Charged for the whole run.
        compute_efficiency: Share of the peak rates that is reached.
        memory_efficiency: Share of the bandwidth that is reached.
    """

    name: PlainName
    label: PlainName
    peak_fp16: _Rate
    peak_vector: _Rate
    bandwidth: BytesPerSecond
    memory: _Capacity
    board_power: _Watts
    compute_efficiency: _Share
    memory_efficiency: _Share


def gpu_names() -> tuple[str, ...]:
    """Return the names of all packaged GPUs, sorted."""
    return packaged_names(files("focal_simulator.gpu") / "presets")


def read_gpu(name: str, overrides: list[str] | None = None) -> GpuSpec:
    """Return a packaged GPU.

    Args:
        name: Such as ``h100``.
        overrides: ``field=value`` such as ``compute_efficiency=0.6``; the source becomes the command line.

    Raises:
        ConfigError: An unknown name or field, or an impossible number.
    """
    tree = packaged_yaml(files("focal_simulator.gpu") / "presets", name, "unknown GPU")
    for override in overrides or []:
        field, _, value = override.partition("=")
        node = tree.get(field.strip())
        if isinstance(node, dict):
            tree = apply_overrides(tree, [f"{field.strip()}.value={value}"], f"{name}.yaml")
            tree[field.strip()]["source"] = f"given: {override} (was: {node['source']})"
        else:
            tree = apply_overrides(tree, [override], f"{name}.yaml")
    return validated(GpuSpec, tree, f"{name}.yaml")
